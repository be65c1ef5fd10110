"""Where records come from, a chunk at a time, and what was met on the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol

import numpy as np

from rendezvous.log.records import Record
from rendezvous.replay.block import Terms

CHUNK = 4_000
"""Records that are put into blocks together."""
FOREVER = int(np.iinfo(np.int64).max)


class Records(Protocol):
    """Where records come from: the log now, an archive when there is one."""

    def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """The first offset that is still there, and the position after the last."""

    def position_at(self, topic: str, partition: int, timestamp_ms: int) -> int:
        """The first offset with at least this timestamp, or the end."""

    def read(self, topic: str, partition: int, start: int) -> Iterator[Record]:
        """Records from `start` to the end as it is now."""


@dataclass(frozen=True, slots=True)
class Span:
    """Requests appended at `first_us` or later and before `last_us`; None: wherever the log begins, or ends."""

    first_us: int | None = None
    last_us: int | None = None


@dataclass(slots=True)
class Found:
    """What was met on the way: terms of decisions, and what could not be used.

    read: decisions. unreadable: records by topic, first_unreadable where the first stands. too_late: decisions that
    came after their block had been given up. repeated: second decisions; contradicted: offsets of those that say
    something else. scores_from_ms: what was scored before it is no longer in the log.
    """

    read: int = 0
    terms: list[Terms] = field(default_factory=list)
    unreadable: Counter[str] = field(default_factory=Counter)
    first_unreadable: dict[str, int] = field(default_factory=dict)
    too_late: int = 0
    repeated: int = 0
    contradicted: list[int] = field(default_factory=list)
    scores_from_ms: int = 0
    end_ms: int = 0
    _places: dict[Terms, int] = field(default_factory=dict)

    def place(self, terms: Terms) -> int:
        """Where these terms are in the list."""
        if terms not in self._places:
            self._places[terms] = len(self.terms)
            self.terms.append(terms)
        return self._places[terms]

    def spoilt(self, record: Record) -> None:
        """A record that is not what it should be."""
        self.unreadable[record.topic] += 1
        self.first_unreadable.setdefault(record.topic, record.offset)


class Tape:
    """One topic's partition, a chunk at a time.

    until_ms, done_ms: the times of the next chunk's last record, and of the last one taken; FOREVER without a next.
    """

    def __init__(self, records: Iterator[Record], take: Callable[[Sequence[Record]], None]) -> None:
        self._records = records
        self._take = take
        self.until_ms = self.done_ms = 0
        self._load()

    def _load(self) -> None:
        self._chunk = list(islice(self._records, CHUNK))
        self.until_ms = max(self.until_ms, self._chunk[-1].timestamp_ms) if self._chunk else FOREVER

    def advance(self) -> None:
        """Take a chunk."""
        self._take(self._chunk)
        self.done_ms = self.until_ms
        self._load()
        if not self._chunk:
            self.done_ms = FOREVER
