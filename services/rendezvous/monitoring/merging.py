"""One order for the records of several partitions: that of their append times, whatever order they were fetched in.

What the monitor says then follows from the log alone, and not from which partition a process happened to read first: a
monitor that starts anew, or that reads a week in an hour, sees what the first one saw.

| the partition holds            | a record of another partition may go                              |
|--------------------------------|-------------------------------------------------------------------|
| a later record                 | yes                                                               |
| nothing                        | once its end, asked for after that record had arrived, was read   |
| an earlier record              | after it                                                          |

Records are gathered into ticks, a second of append time each. A tick is over when a record of a later one is there, or
when nothing of it can come any more. Times must not go back within a partition: `message.timestamp.type` is
LogAppendTime. Where they do, the largest so far counts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from rendezvous.log.records import Record

Part: TypeAlias = tuple[str, int]
"""Topic and partition."""

TICK_MS = 1_000
"""What comes within a second is concluded upon together; a choice: blocks are hours, and nobody waits for this."""
SLACK_S = 0.3
"""How far the clocks of two brokers may be apart: a record may be that much older than one that came before it."""


class Place(NamedTuple):
    """How far a partition was read, and the append time there."""

    offset: int
    time_ms: int


class Due(NamedTuple):
    """Records of one tick, in their order; `over`: nothing more of that tick will come."""

    records: Sequence[Record]
    over: bool


class Fetched(NamedTuple):
    """What one fetch brought of a partition: its records, perhaps none, and the positions before and after it.

    since: None where nothing was fetched before, by this assignment. A transaction's marker has a position, and is no
    record.
    """

    records: Sequence[Record]
    since: int | None
    reached: int


class _Queue:
    """What was fetched of one partition and has not gone on."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.fetched = place.offset
        self.time_ms = place.time_ms
        self.waiting: deque[tuple[int, float, Record]] = deque()
        self.size_bytes = 0
        self.asked: tuple[int, float] | None = None
        self.complete_s = float("-inf")

    def add(self, part: Part, fetched: Fetched, now_s: float) -> None:
        if fetched.since is not None and fetched.since > self.fetched:
            raise ValueError(f"{part[0]}-{part[1]}: nothing came of {self.fetched}..{fetched.since - 1}")
        for record in fetched.records:
            if record.offset >= self.fetched:  # else it was fetched before, for another assignment
                self.time_ms = max(self.time_ms, record.timestamp_ms)
                self.waiting.append((self.time_ms, now_s, record))
                self.size_bytes += len(record.value)
        self.fetched = max(self.fetched, fetched.reached)
        self._look()

    def asked_for(self, end: int, began_s: float) -> None:
        if self.asked is None:
            self.asked = end, began_s
        self._look()

    def _look(self) -> None:
        if self.asked is not None and self.fetched >= self.asked[0]:
            self.complete_s, self.asked = self.asked[1], None

    def pop(self) -> Record:
        time_ms, _, record = self.waiting.popleft()
        self.size_bytes -= len(record.value)
        self.place = Place(record.offset + 1, time_ms)
        return record


class Merge:
    """The order; `topics` are those it is of, and of two records of one millisecond the earlier topic's goes first."""

    def __init__(self, topics: Sequence[str], places: Mapping[Part, Place]) -> None:
        self._ranks = {topic: rank for rank, topic in enumerate(topics)}
        self._places = dict(places)
        self._queues: dict[Part, _Queue] = {}
        self._tick: int | None = None
        self._tick_seen_s = 0.0

    @property
    def places(self) -> dict[Part, Place]:
        """How far each partition has gone on: what was due is past them."""
        return self._places | {part: queue.place for part, queue in self._queues.items()}

    @property
    def waits(self) -> bool:
        """Whether the ends of partitions would help: something is held back, or a tick is open."""
        return self._tick is not None or any(queue.waiting for queue in self._queues.values())

    @property
    def within(self) -> bool:
        """Whether a tick was begun and is not over."""
        return self._tick is not None

    @property
    def complete(self) -> bool:
        """Whether the end of each partition was met, since this began."""
        return all(queue.complete_s > float("-inf") for queue in self._queues.values())

    @property
    def through_s(self) -> float | None:
        """When all that had been appended by then was here and had gone on; None while something is to be done."""
        if self.waits or not self.complete:
            return None
        return min((queue.complete_s for queue in self._queues.values()), default=None)

    def position(self, part: Part) -> int:
        """How far a partition was fetched; what waits is not done yet."""
        queue = self._queues[part]
        return queue.waiting[0][2].offset if queue.waiting else queue.fetched

    def size_bytes(self, part: Part) -> int:
        """Bytes of values that were fetched of a partition and held back."""
        return self._queues[part].size_bytes

    def assign(self, parts: Iterable[Part]) -> None:
        """From here on these partitions are read; of one that was not known before, from its first record."""
        for part in parts:
            if part not in self._queues:
                self._queues[part] = _Queue(self._places.get(part, Place(0, 0)))

    def add(self, part: Part, fetched: Fetched, now_s: float) -> None:
        """What was fetched of a partition; `now_s` is of a clock that nobody sets.

        Raises:
            ValueError: something was fetched before it that did not come here.
        """
        self._queues[part].add(part, fetched, now_s)

    def ends(self, ends: Mapping[Part, int], began_s: float) -> None:
        """Where partitions end, by a question that was asked at `began_s`."""
        for part, end in ends.items():
            if part in self._queues:
                self._queues[part].asked_for(end, began_s)

    def take(self, max_records: int) -> Due | None:
        """The next records of one tick, or the word that it is over; None when nothing can go on now."""
        taken: list[Record] = []
        while len(taken) < max_records:
            part = self._next()
            if part is None:
                break
            tick = self._queues[part].waiting[0][0] // TICK_MS
            if self._tick is not None and tick > self._tick:
                self._tick = None
                return Due(taken, over=True)
            if self._tick is None:
                self._tick, self._tick_seen_s = tick, self._queues[part].waiting[0][1]
            taken.append(self._queues[part].pop())
        if len(taken) < max_records and self._ended():
            self._tick = None
            return Due(taken, over=True)
        return Due(taken, over=False) if taken else None

    def _next(self) -> Part | None:
        """The partition whose first record is the next of all, unless an earlier one may yet come elsewhere."""
        heads = [
            (queue.waiting[0][0], self._ranks[part[0]], part) for part, queue in self._queues.items() if queue.waiting
        ]
        if not heads:
            return None
        *_, first = min(heads)
        seen_s = self._queues[first].waiting[0][1] + SLACK_S
        if all(queue.waiting or queue.complete_s >= seen_s for queue in self._queues.values()):
            return first
        return None

    def _ended(self) -> bool:
        """Whether the open tick's second has passed and all that was appended in it is here; nothing waits then."""
        if self._tick is None:
            return False
        over_s = self._tick_seen_s + TICK_MS / 1_000 + SLACK_S
        return all(not queue.waiting and queue.complete_s >= over_s for queue in self._queues.values())
