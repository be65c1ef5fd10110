"""The log's promises in memory, under a clock that only the test moves: groups, commits, delivery reports."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from itertools import islice
from operator import attrgetter

from rendezvous.log import (
    END,
    Bundle,
    Committed,
    Delivered,
    Headers,
    LogError,
    Outcome,
    Outgoing,
    Owner,
    Record,
    Sink,
    Start,
)
from rendezvous.log.parcel import Parcel
from rendezvous.log.records import AllDelivered


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
    transactors: dict[str, MemoryTransactor] = field(default_factory=dict)
    unended: dict[str, list[Record]] = field(default_factory=lambda: defaultdict(list))
    disowned: list[Record] = field(default_factory=list)
    aborts: Callable[[], bool] = lambda: False

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

    def leave_open(self, transactional_id: str, outgoing: Outgoing) -> None:
        """A record of a transaction that has no end: it has its place, and who is read_committed does not see it."""
        topic, number, value, headers = outgoing
        number = number or 0
        offset = self.append(topic, number, value, headers)
        written = self.records[topic, number]
        self.unended[transactional_id].append(written[-1])
        written[-1] = Record(topic, number, offset, self.clock() // 1_000, None, b"", ())

    def give_end(self, transactional_id: str, places: set[tuple[str, int]], *, committed: bool) -> None:
        """The next transaction of the same producer ends it with its own, on the partitions that it writes to."""
        ended = [record for record in self.unended[transactional_id] if record[:2] in places]
        self.unended[transactional_id] = [r for r in self.unended[transactional_id] if r[:2] not in places]
        if not committed:
            self.disowned += ended
            return
        for record in ended:
            written = self.records[record[:2]]
            written[bisect_left(written, record.offset, key=attrgetter("offset"))] = record

    def end(self, topic: str, partition: int) -> int:
        """The position after the last record."""
        written = self.records[topic, partition]
        return written[-1].offset + 1 if written else 0

    def leave(self, group: str, member: MemorySource) -> None:
        """A member is gone; the others are told at their next poll."""
        if member in self.members[group]:
            self.members[group].remove(member)

    def expel(self, group: str, member: MemorySource) -> None:
        """A member's session ends: it hears of it at its next poll but one, as after a heartbeat, and joins again."""
        self.leave(group, member)
        member.expelled = True

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
        self.owned: set[int] = set()
        self._positions: dict[tuple[str, int], int] = {}
        self._ends: dict[tuple[str, int], int] = {}
        self._told = False
        self.expelled = False

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
            written = self._log.records[topic, number]
            first = bisect_left(written, position, key=attrgetter("offset"))
            waiting = [record for record in islice(written, first, None) if record.value]
            taken = waiting[: max_records - len(found)]
            found += taken
            if taken:
                self._positions[topic, number] = taken[-1].offset + 1
            if len(taken) == len(waiting):
                self._ends[topic, number] = self._log.end(topic, number)
        return found

    def _rebalance(self) -> None:
        if self._owner is None:
            return
        if self.expelled and self._told:
            self._told = False
            return
        if self.expelled:
            self.expelled = False
            gone, self.owned = sorted(self.owned), set()
            self._stop(self._owner.revoked(gone, lost=True))
            self._log.members[self._group].append(self)
            self._told = False
            return
        share = self._log.share(self._group, self._topic, self)
        if gone := sorted(self.owned - share):
            self.owned -= set(gone)
            self._stop(self._owner.revoked(gone, lost=False))
        held = {number for member in self._log.members[self._group] for number in member.owned}
        gained = sorted(share - held)  # what another one holds comes when it has given that away
        if gained or not self._told:
            self.owned |= set(gained)
            self._told = True
            for topic, number, offset in self._owner.assigned(gained):
                self._positions[topic, number] = offset

    def _stop(self, stops: Sequence[tuple[str, int]]) -> None:
        for stop in stops:
            self._positions.pop(stop, None)
            self._ends.pop(stop, None)

    def ends(self) -> Mapping[tuple[str, int], int]:
        """Ends met."""
        return self._ends

    def committed(self, topic: str, partition: int) -> Committed | None:
        """What the group committed."""
        return self._log.commits.get((self._group, topic, partition))

    def commit(self, topic: str, partition: int, committed: Committed, *, wait: bool) -> None:
        """Commit at once; who was expelled commits nothing."""
        del wait
        if not self.expelled:
            self._log.commits[self._group, topic, partition] = committed

    def still_member(self, topic: str, held: Mapping[int, Committed]) -> bool:
        """Whether the group has it; commits."""
        for number, committed in held.items():
            self.commit(topic, number, committed, wait=True)
        return not (held and self.expelled)

    def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """First offset and end."""
        return 0, self._log.end(topic, partition)

    def position_at(self, topic: str, partition: int, timestamp_ms: int) -> int:
        """First offset at or after the time."""
        later = (r.offset for r in self._log.records[topic, partition] if r.timestamp_ms >= timestamp_ms)
        return next(later, self._log.end(topic, partition))

    def read(self, topic: str, partition: int, start: int, *, uncommitted: bool = False) -> Iterator[Record]:
        """Everything from `start`: transactions are whole here as soon as they can be read."""
        del uncommitted
        return iter([r for r in self._log.records[topic, partition] if r.offset >= start and r.value])

    def read_open(self, topic: str, partition: int, start: int) -> Iterator[Record]:
        """What a broker that was killed left open."""
        unended = [record for records in self._log.unended.values() for record in records]
        return iter([r for r in unended if r[:2] == (topic, partition) and r.offset >= start])

    def reread(self, starts: Sequence[Start]) -> None:
        """Read on from there."""
        for topic, number, offset in starts:
            self._positions[topic, number] = self._log.end(topic, number) if offset == END else offset
            self._ends.pop((topic, number), None)

    def end(self, topic: str, partition: int) -> int:
        """Where it ends."""
        return self._log.end(topic, partition)

    def beside(self, topic: str, partition: int, start: int) -> MemoryReader:
        """Another reader."""
        return MemoryReader(self._log, (topic, partition), start)

    def cease(self, places: Sequence[tuple[str, int]]) -> None:
        """Read no further."""
        self._stop(places)

    def commit_in_transaction(self, topic: str, partition: int, committed: Committed) -> None:
        """What a transaction commits for this member."""
        self._log.commits[self._group, topic, partition] = committed

    def detach(self) -> None:
        """Leave the group, and read on."""
        if self._owner is not None:
            self._owner.revoked(sorted(self.owned), lost=False)
        self._owner, self.owned = None, set()
        self._log.leave(self._group, self)

    def close(self) -> None:
        """Leave the group."""
        self._log.leave(self._group, self)


class MemoryReader:
    """Reads one partition outside any group, at most `limit` records at a time."""

    def __init__(self, log: MemoryLog, place: tuple[str, int], start: int, limit: int = 1_000_000) -> None:
        self._limit = limit
        self._log = log
        self._place = place
        self._position = start
        self._ends: dict[tuple[str, int], int] = {}

    def poll(self, max_records: int, timeout_s: float) -> list[Record]:
        """What is there; never waits."""
        del timeout_s
        waiting = [r for r in self._log.records[self._place] if r.offset >= self._position and r.value]
        taken = waiting[: min(max_records, self._limit)]
        if taken:
            self._position = taken[-1].offset + 1
        if len(taken) == len(waiting):
            self._ends[self._place] = self._log.end(*self._place)
        return taken

    def ends(self) -> Mapping[tuple[str, int], int]:
        """Ends met."""
        return self._ends

    def close(self) -> None:
        """No more."""


def one_by_one(
    sink: Sink, topic: str, records: Sequence[tuple[bytes, Headers]], partition: int | None, parcel: Parcel
) -> None:
    """A parcel of a sink that sends records alone."""

    def reporter(place: int) -> Delivered:
        def report(error: str | None, _: int) -> None:
            if error is None:
                parcel.arrived()
            else:
                parcel.failed(place, error)

        return report

    for place, (value, headers) in enumerate(records):
        try:
            sink.send(topic, value, partition=partition, headers=headers, delivered=reporter(place))
        except LogError as error:
            parcel.failed(place, str(error))


class MemorySink:
    """A producer whose delivery reports wait for `serve`.

    `broken` topics report `failure`, `silent` ones report nothing, `refused` ones cannot be sent to, and whether
    `unknown` ones are there has not been learnt yet.
    """

    def __init__(self, log: MemoryLog) -> None:
        self._log = log
        self._reports: list[tuple[Delivered, str | None, int]] = []
        self.broken: set[str] = set()
        self.failure = "broken"
        self.silent: set[str] = set()
        self.refused: set[str] = set()
        self.unknown: set[str] = set()

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
        if topic in self.refused:
            raise LogError(f"producing to {topic}: refused")
        if topic in self.silent:
            return
        error = self.failure if topic in self.broken else None
        offset = -1 if error else self._log.append(topic, partition or 0, value, headers, key)
        if delivered is not None:
            self._reports.append((delivered, error, offset))

    def send_all(
        self,
        topic: str,
        records: Sequence[tuple[bytes, Headers]],
        *,
        partition: int | None = None,
        delivered: AllDelivered,
    ) -> None:
        """One after the other."""
        one_by_one(self, topic, records, partition, Parcel(len(records), delivered))

    def partitions(self, topic: str) -> int | None:
        """How many there are."""
        if topic in self.unknown:
            return None
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


class Fate(Enum):
    """What becomes of a bundle under way at a crash; of one without an end the broker was killed in its commit, too."""

    LOST = auto()
    COMMITTED = auto()
    UNENDED = auto()


class MemoryTransactor:
    """A transactional producer: a bundle is in the log, whole, when its outcome is asked for; else it never is.

    Between hand-over and outcome nobody sees anything of it. A bundle that is aborted leaves a gap, as the real log
    does, and one that is committed a marker. Making another one of the same id fences it. Every `broken` topic refuses.
    """

    def __init__(self, log: MemoryLog, transactional_id: str, source: MemorySource) -> None:
        self.log = log
        self.id = transactional_id
        self.source = source
        self._bundle: Bundle | None = None
        self._outcome: Outcome | None = None
        self._positioned = False
        log.transactors[transactional_id] = self
        self.broken: set[str] = set()
        self.busy = False

    def hand_over(self, bundle: Bundle) -> None:
        """Keep it."""
        assert not self.busy
        self._bundle, self._positioned, self.busy = bundle, False, True

    def outcome(self) -> Outcome | None:
        """What became of it; it is committed now, or aborted, if it was not before."""
        self.settle()
        outcome, self._outcome = self._outcome, None
        if outcome is not None:
            self.busy = False
        return outcome

    def send_position(self) -> None:
        """The group takes the position: from here on nobody asks whether this is a member still."""
        self._positioned = self._positioned or not self.source.expelled

    def settle(self) -> None:
        """It is committed, or aborted, and its owner has not heard of it."""
        bundle, self._bundle = self._bundle, None
        if bundle is not None:
            self._outcome = self._settled(bundle)

    def _settled(self, bundle: Bundle) -> Outcome:
        if self.log.transactors[self.id] is not self:
            return Outcome(done=False, ends={}, refused={}, lost="fenced")
        refused = {record.topic: "broken" for record in bundle.records if record.topic in self.broken}
        places = {(record.topic, record.partition or 0) for record in bundle.records}
        if refused or (self.source.expelled and not self._positioned) or self.log.aborts():
            self.log.give_end(self.id, places, committed=False)
            self._mark(places)
            return Outcome(done=False, ends={}, refused=refused)
        self.log.give_end(self.id, places, committed=True)
        ends = {
            topic: self.log.append(topic, partition or 0, value, headers) + 1
            for topic, partition, value, headers in bundle.records
        }
        self._mark(places)
        topic, partition, offset = bundle.start
        self.source.commit_in_transaction(topic, partition, Committed(offset, bundle.metadata))
        return Outcome(done=True, ends=ends, refused={})

    def crash(self, source: MemorySource, fate: Fate) -> None:
        """The process of `source` dies, just before a bundle is committed or just after: nobody is told."""
        if source is self.source:
            if fate is Fate.COMMITTED:
                self.settle()
            elif fate is Fate.UNENDED and self.log.transactors[self.id] is self:
                for outgoing in self._bundle.records if self._bundle else ():
                    self.log.leave_open(self.id, outgoing)
            self._bundle = None

    def _mark(self, places: set[tuple[str, int]]) -> None:
        for topic, number in places:
            self.log.skip(topic, number, self.log.end(topic, number) + 1)

    def close(self) -> None:
        """No more."""
        self._bundle = None


def values(records: Sequence[Record]) -> list[bytes]:
    """The values of records."""
    return [record.value for record in records if record.value]


def starts(*positions: tuple[str, int, int]) -> list[Start]:
    """Starts from plain tuples."""
    return [Start(*position) for position in positions]
