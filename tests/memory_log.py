"""The log's promises in memory, under a clock that only the test moves: groups, commits, delivery reports."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from rendezvous.log import Committed, Delivered, Headers, Owner, Record, Start


@dataclass
class FakeClock:
    """Microseconds since the epoch, as the test says."""

    now_us: int = 1_000_000_000_000

    def __call__(self) -> int:
        """The time now."""
        return self.now_us

    def advance_ms(self, milliseconds: float) -> None:
        """Let time pass."""
        self.now_us += round(milliseconds * 1_000)


@dataclass
class MemoryLog:
    """Topics of so many partitions, and what groups have committed."""

    clock: Callable[[], int]
    partitions: Mapping[str, int]
    records: dict[tuple[str, int], list[Record]] = field(default_factory=lambda: defaultdict(list))
    commits: dict[tuple[str, str, int], Committed] = field(default_factory=dict)
    members: dict[str, list[MemorySource]] = field(default_factory=lambda: defaultdict(list))

    def append(self, topic: str, partition: int, value: bytes, headers: Headers = (), key: bytes | None = None) -> int:
        """Write one record; returns its offset."""
        written = self.records[topic, partition]
        offset = written[-1].offset + 1 if written else 0
        written.append(Record(topic, partition, offset, self.clock() // 1_000, key, value, list(headers)))
        return offset

    def skip(self, topic: str, partition: int, offset: int) -> None:
        """The next record gets this offset at least, as after a transaction marker."""
        written = self.records[topic, partition]
        written.append(Record(topic, partition, offset - 1, self.clock() // 1_000, None, b"", ()))

    def end(self, topic: str, partition: int) -> int:
        """The position after the last record."""
        written = self.records[topic, partition]
        return written[-1].offset + 1 if written else 0

    def leave(self, group: str, member: MemorySource) -> None:
        """A member is gone; the others are told at their next poll."""
        if member in self.members[group]:
            self.members[group].remove(member)

    def share(self, group: str, topic: str, member: MemorySource) -> set[int]:
        """The partitions that a member should own now."""
        members = self.members[group]
        return {number for number in range(self.partitions[topic]) if members[number % len(members)] is member}


class MemorySource:
    """A group member; rebalances happen inside `poll`, as with the real one."""

    def __init__(self, log: MemoryLog, group: str) -> None:
        self._log = log
        self._group = group
        self._topic = ""
        self._owner: Owner | None = None
        self._owned: set[int] = set()
        self._members: list[MemorySource] = []
        self._positions: dict[tuple[str, int], int] = {}
        self._ends: dict[tuple[str, int], int] = {}

    def subscribe(self, topic: str, owner: Owner) -> None:
        """Join the group."""
        self._topic, self._owner = topic, owner
        self._log.members[self._group].append(self)

    def poll(self, max_records: int, timeout_s: float) -> list[Record]:
        """What is there; never waits, because time is the test's."""
        del timeout_s
        self._rebalance()
        found: list[Record] = []
        for (topic, number), position in self._positions.items():
            if self._log.end(topic, number) <= position:
                self._ends[topic, number] = self._log.end(topic, number)
                continue
            waiting = [r for r in self._log.records[topic, number] if r.offset >= position and r.value]
            taken = waiting[: max_records - len(found)]
            found += taken
            if taken:
                self._positions[topic, number] = taken[-1].offset + 1
            if len(taken) == len(waiting):
                self._ends[topic, number] = self._log.end(topic, number)
        return found

    def _rebalance(self) -> None:
        if self._owner is None or self._members == self._log.members[self._group]:
            return
        self._members = list(self._log.members[self._group])
        share = self._log.share(self._group, self._topic, self)
        if gone := sorted(self._owned - share):
            self._owned -= set(gone)
            for stop in self._owner.revoked(gone, lost=False):
                self._positions.pop(stop, None)
                self._ends.pop(stop, None)
        if gained := sorted(share - self._owned):
            self._owned |= set(gained)
            for topic, number, offset in self._owner.assigned(gained):
                self._positions[topic, number] = offset

    def ends(self) -> Mapping[tuple[str, int], int]:
        """Ends met."""
        return self._ends

    def committed(self, topic: str, partition: int) -> Committed | None:
        """What the group committed."""
        return self._log.commits.get((self._group, topic, partition))

    def commit(self, topic: str, partition: int, committed: Committed, *, wait: bool) -> None:
        """Commit at once."""
        del wait
        self._log.commits[self._group, topic, partition] = committed

    def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """First offset and end."""
        return 0, self._log.end(topic, partition)

    def position_at(self, topic: str, partition: int, timestamp_ms: int) -> int:
        """First offset at or after the time."""
        later = (r.offset for r in self._log.records[topic, partition] if r.timestamp_ms >= timestamp_ms)
        return next(later, self._log.end(topic, partition))

    def read(self, topic: str, partition: int, start: int) -> Iterator[Record]:
        """Everything from `start`."""
        return iter([r for r in self._log.records[topic, partition] if r.offset >= start and r.value])

    def close(self) -> None:
        """Leave the group."""
        self._log.leave(self._group, self)


class MemorySink:
    """A producer whose delivery reports wait for `serve`; `broken` topics report a failure."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log
        self._reports: list[tuple[Delivered, str | None, int]] = []
        self.broken: set[str] = set()

    def send(
        self,
        topic: str,
        value: bytes,
        *,
        partition: int | None = None,
        key: bytes | None = None,
        headers: Headers = (),
        delivered: Delivered | None = None,
    ) -> None:
        """Append at once; the report comes later."""
        error = f"{topic} is broken" if topic in self.broken else None
        offset = -1 if error else self._log.append(topic, partition or 0, value, headers, key)
        if delivered is not None:
            self._reports.append((delivered, error, offset))

    def partitions(self, topic: str) -> int:
        """How many there are."""
        return self._log.partitions.get(topic, 0)

    def serve(self) -> None:
        """Give the reports that are due."""
        reports, self._reports = self._reports, []
        for delivered, error, offset in reports:
            delivered(error, offset)

    def flush(self, timeout_s: float) -> int:
        """Give all reports."""
        del timeout_s
        self.serve()
        return 0


def values(records: Sequence[Record]) -> list[bytes]:
    """The values of records."""
    return [record.value for record in records if record.value]


def starts(*positions: tuple[str, int, int]) -> list[Start]:
    """Starts from plain tuples."""
    return [Start(*position) for position in positions]
