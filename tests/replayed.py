"""Replay on the in-memory log, and logs to tamper with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from memory_log import MemoryLog, MemorySource
from rendezvous.log import Record
from rendezvous.messages import Decisions
from rendezvous.replay.audit import Audit, audit
from rendezvous.replay.history import History
from rendezvous.replay.tape import Span
from rendezvous.settings import Endpoint
from rendezvous.wire import decode, encode

ALL = Span()


class Kept(MemorySource):
    """A log of which retention has taken what stood below some offsets, by topic."""

    def __init__(self, log: MemoryLog, lows: dict[str, int] | None = None) -> None:
        super().__init__(log, "replay")
        self.lows = lows or {}

    def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """The first offset that is left, and the end."""
        return self.lows.get(topic, 0), super().bounds(topic, partition)[1]

    def read(self, topic: str, partition: int, start: int, *, uncommitted: bool = False) -> Iterator[Record]:
        """What is left."""
        return super().read(topic, partition, max(start, self.lows.get(topic, 0)), uncommitted=uncommitted)

    def position_at(self, topic: str, partition: int, timestamp_ms: int) -> int:
        """Of what is left."""
        return max(super().position_at(topic, partition, timestamp_ms), self.lows.get(topic, 0))


def history_of(endpoint: Endpoint, source: MemorySource) -> History:
    """What control said."""
    return History(endpoint, source.read(endpoint.topic("control"), 0, 0))


def audited(
    endpoint: Endpoint, log: MemoryLog, *, partitions: int = 1, span: Span = ALL, lows: dict[str, int] | None = None
) -> Audit:
    """Every decision on the log, decided again."""
    source = Kept(log, lows)
    return audit(source, history_of(endpoint, source), range(partitions), span)


def tamper(endpoint: Endpoint, log: MemoryLog, offset: int, change: Callable[[Decisions, int], dict[str, Any]]) -> None:
    """Change the decision about a request: `change` gets it and the row, and returns fields."""
    records = log.records[endpoint.topic("decisions"), 0]
    for place, record in enumerate(records):
        found = decode(record.value, Decisions)
        if offset in found.offsets.tolist():
            row = found.offsets.tolist().index(offset)
            records[place] = record._replace(value=encode(replace(found, **change(found, row))))
            return
    raise AssertionError(f"nothing was decided about {offset}")
