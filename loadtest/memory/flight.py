"""What requests in flight take: of a mailbox and a ledger by themselves, and of a server."""

from __future__ import annotations

import gc
import time
import tracemalloc

import numpy as np

from loadtest.server.filling import SLICE, Filling, Written
from rendezvous.log import Record
from rendezvous.messages import Scores
from rendezvous.registry.state import Control, Pair
from rendezvous.server.columns import Columns
from rendezvous.server.intake import Intake
from rendezvous.server.partition import Partition, Takeover
from rendezvous.server.plan import plan_for
from rendezvous.settings import Endpoint
from rendezvous.wire import Codec, decode

REFERENCE_BYTES = 8
NOTHING = Takeover(requests=0, scores=0, decisions=0, requests_end=0, scores_end=0, decided={})
"""What a partition that was empty at its assignment is taken over with."""


def traced(endpoint: Endpoint, control: Control, said: list[Pair], requests: int) -> dict[str, float]:
    """Bytes a request that Python and NumPy allocate for a partition with so many open ones, by tracemalloc.

    said: who has scored all of them; the first choice has not, so that nothing is answered. The ring is counted whole.
    """
    plan, filling = plan_for(endpoint, control, 0), Filling(endpoint, 0)
    intake = Intake(Codec(endpoint.features_schema), endpoint.request.max_bytes, len(endpoint.output.names))
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        partition = Partition(plan, 0, NOTHING)
        for _ in range(0, requests, SLICE):
            _take(partition, intake, filling.make(SLICE, said))
        del plan
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    if partition.in_flight != requests:
        raise AssertionError(f"{partition.in_flight} of {requests} requests are in flight: the load test is wrong")
    return {
        "bytes": round((after - before) / requests, 1),
        "ring_bytes": round(ring_bytes(endpoint, len(control.deployed)) / requests, 1),
    }


def _take(partition: Partition, intake: Intake, records: list[Written]) -> None:
    """As a server does: requests one by one, scores, a tick."""
    appended_ms = time.time_ns() // 1_000_000
    for one in records:
        if one.topic.endswith(".requests"):
            offset = _offset(one)
            record = Record(one.topic, 0, offset, appended_ms, None, one.value, one.headers)
            request, _ = intake.request(record, partition.plan)
            if request is not None:
                partition.request(request, appended_ms * 1_000)
    scores = [decode(one.value, Scores) for one in records if one.topic.endswith(".scores")]
    partition.scores([(one, number) for number, one in enumerate(scores)], appended_ms * 1_000)
    partition.tick(appended_ms * 1_000)


def _offset(one: Written) -> int:
    """Where a request of an endpoint with one partition will stand: its id is its number."""
    return int(dict(one.headers)["ce_id"].decode().replace("-", ""), 16)


def ring_bytes(endpoint: Endpoint, models: int) -> int:
    """What a partition's ring takes before any request: its columns, and a reference for each slot."""
    columns = Columns(endpoint.mailbox.capacity, models, len(endpoint.output.names))
    arrays = [column for column in vars(columns).values() if isinstance(column, np.ndarray)]
    return sum(column.nbytes for column in arrays) + len(columns.state) * REFERENCE_BYTES
