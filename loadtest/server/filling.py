"""What applications and scorers would have written: requests with all their headers, scores in micro-batches."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from loadtest.bench import SOURCE
from loadtest.server.home import HOUR_MS, NUMBERS, TEXT
from loadtest.server.page import ROWS, await_page
from rendezvous.client import CORRELATION_BYTES
from rendezvous.envelope import write_envelope
from rendezvous.local.services import RunningService
from rendezvous.log import Headers, KafkaSink, LogError
from rendezvous.messages import Envelope, ReplyAddress, Scores, Status
from rendezvous.registry.state import Pair
from rendezvous.settings import Endpoint
from rendezvous.wire import Codec, encode

BATCH = 32
"""Rows of a micro-batch, as busy scorers write them."""
VALUES = 256
"""Different ones, repeated: the server does not look into them."""
SLICE = 1_024
"""Requests that are written before their scores are."""
LINGER_MS = 20
FLUSH_S = 60.0
SEED = 20130101


@dataclass(frozen=True, slots=True)
class Written:
    """One record, ready to be sent."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes
    headers: Headers


class Filling:
    """Makes an endpoint's requests and scores, numbered from 0 on over all of its partitions.

    payload: bytes of text in each request. batch: rows of a micro-batch.
    """

    def __init__(self, endpoint: Endpoint, payload: int, batch: int = BATCH) -> None:
        self._endpoint, self._batch = endpoint, batch
        self._random = np.random.default_rng(SEED)
        self._next = 0
        codec = Codec(endpoint.features_schema)
        self._values = [codec.encode(self._row(payload)) for _ in range(VALUES)]
        self._taken_us = 1_900_000_000_000_000

    def _row(self, payload: int) -> dict[str, object]:
        return {name: float(self._random.normal()) for name in NUMBERS} | {TEXT: "x" * payload}

    def make(self, count: int, versions: Sequence[Pair]) -> list[Written]:
        """The next requests and the scores of some versions, in the order in which they are to be written."""
        begin, self._next = self._next, self._next + count
        made: list[Written] = []
        for start in range(begin, self._next, SLICE):
            numbers = range(start, min(start + SLICE, self._next))
            made += (self._request(number) for number in numbers)
            made += self._scores(numbers, versions)
        return made

    def _request(self, number: int) -> Written:
        endpoint, partitions = self._endpoint, self._endpoint.topics.partitions
        reply = ReplyAddress(endpoint.topic("responses"), 0, number.to_bytes(CORRELATION_BYTES, "big"))
        request_id = str(uuid.UUID(int=number))
        headers = write_envelope(Envelope(request_id, SOURCE, HOUR_MS, reply))
        value = self._values[number % VALUES]
        return Written(endpoint.topic("requests"), number % partitions, None, value, headers)

    def _scores(self, numbers: range, versions: Sequence[Pair]) -> Iterator[Written]:
        partitions = self._endpoint.topics.partitions
        for partition in range(partitions):
            offsets = np.array([n // partitions for n in numbers if n % partitions == partition], np.int64)
            for begin in range(0, len(offsets), self._batch):
                part = offsets[begin : begin + self._batch]
                for pair in versions:
                    yield self._record(pair, partition, part)

    def _record(self, pair: Pair, partition: int, offsets: np.ndarray) -> Written:
        rows = len(offsets)
        scores = Scores(
            model=pair[0],
            version=pair[1],
            taken_us=self._taken_us,
            scored_us=self._taken_us + 1_000,
            offsets=offsets,
            statuses=np.full(rows, Status.OK, np.uint8),
            outputs=self._random.random((rows, len(self._endpoint.output.names)), np.float32),
        )
        return Written(self._endpoint.topic("scores"), partition, "/".join(pair).encode(), encode(scores), ())


def write(bootstrap: str, records: Sequence[Written]) -> None:
    """Write them; returns when they are there.

    Raises:
        LogError: not all could be written.
    """
    sink = KafkaSink(bootstrap, linger_ms=LINGER_MS)
    for one in records:
        sink.send(one.topic, one.value, partition=one.partition, key=one.key, headers=one.headers)
    if left := sink.flush(FLUSH_S):
        raise LogError(f"{left} records could not be written within {FLUSH_S:g} s")


def warm_up(service: RunningService, bootstrap: str, records: Sequence[Written]) -> None:
    """Write what does not count to a server that has met nothing yet: scores first.

    A request that comes before any model was heard of waits for none, and closes only when it is too old: until then
    it would hold the window back, and all that is looked at in it.
    """
    requests = [one for one in records if one.topic.endswith(".requests")]
    scores = [one for one in records if not one.topic.endswith(".requests")]
    write(bootstrap, scores)
    await_page(service, ROWS, len(requests) * len({one.key for one in scores}))
    write(bootstrap, requests)
