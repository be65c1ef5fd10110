"""What the loop says, as it is read from its topics; and the frozen champion's scores, from the comparisons."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

import numpy as np

from rendezvous.demo.year.chronicle import Chronicle
from rendezvous.log import KafkaReader, Record, Start
from rendezvous.messages import Comparisons, Status
from rendezvous.monitoring.findings import Accuracy, Alarm, Contest, Drift
from rendezvous.registry.fold import KINDS, folded
from rendezvous.registry.state import Control, Pair
from rendezvous.retraining.events import Retrained, RetrainEvent
from rendezvous.settings import Endpoint
from rendezvous.wire import WireError, decode, decode_any

FINDINGS = (Accuracy, Contest, Drift, Alarm, RetrainEvent, Retrained)
SAID_ON = ("accuracy", "drift", "retrain")
MOST = 10_000
LOOK_S = 0.02


class Listening:
    """Follows the topics of one endpoint from their beginning.

    Args:
        bootstrap: Kafka's address.
        endpoint: whose topics.
        frozen: the version whose scores are kept.
        rows: row of the year by request.
    """

    def __init__(self, bootstrap: str, endpoint: Endpoint, frozen: Pair, rows: Mapping[str, int]) -> None:
        self.chronicle = Chronicle(endpoint.monitoring.champion)
        self.control = Control()
        self.frozen = np.full(len(rows), np.nan)
        self.compared = np.zeros(len(rows), np.bool_)
        self._pair = frozen
        self._rows = rows
        self._control = endpoint.topic("control")
        single = [Start(endpoint.topic(name), 0, 0) for name in (*SAID_ON, "control")]
        self._said = KafkaReader(bootstrap, single, uncommitted=True)
        compared = [Start(endpoint.topic("comparisons"), part, 0) for part in range(endpoint.topics.partitions)]
        self._comparisons = KafkaReader(bootstrap, compared, uncommitted=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._said.close()
        self._comparisons.close()

    def hear(self, now_us: int, wait_s: float = 0.0) -> None:
        """Take what has been said up to now; `now_us` is the moment of the year."""
        for record in self._said.poll(MOST, wait_s):
            if record.topic == self._control:
                self._controlled(record, now_us)
            else:
                self.chronicle.found(decode_any(record.value, FINDINGS))
        for record in self._comparisons.poll(MOST, 0.0):
            self._compare(decode(record.value, Comparisons))

    def until(self, done: Callable[[], bool], now_us: int, timeout_s: float) -> bool:
        """Hear until it is done; False when the time is over first."""
        deadline = time.monotonic() + timeout_s
        while not done():
            if time.monotonic() >= deadline:
                return False
            self.hear(now_us, LOOK_S)
        return True

    def _controlled(self, record: Record, now_us: int) -> None:
        self.control = folded(self.control, [record])
        try:
            event = decode_any(record.value, KINDS)
        except WireError:
            return  # `folded` has noted it in `refusal`
        self.chronicle.controlled(event, self.control, now_us)

    def _compare(self, comparisons: Comparisons) -> None:
        rows = np.array([self._rows.get(name, -1) for name in comparisons.request_ids])
        ours = rows >= 0
        self.compared[rows[ours]] = True
        pairs = list(zip(comparisons.models, comparisons.versions, strict=True))
        if self._pair not in pairs:
            return
        column = pairs.index(self._pair)
        scored = ours & (comparisons.statuses[:, column] == Status.OK)
        self.frozen[rows[scored]] = comparisons.outputs[scored, column, 0]
