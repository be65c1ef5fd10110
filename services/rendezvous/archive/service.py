"""The archiver's shell: one group, requests beside their comparisons and labels, to files; and features to the log."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from rendezvous.archive.beginning import Beginnings, Place, Topics
from rendezvous.archive.feed import Feed
from rendezvous.archive.files import Archive
from rendezvous.archive.lines import Reading
from rendezvous.archive.names import Held
from rendezvous.archive.tables import TABLES
from rendezvous.archive.waiting import Buffer, due
from rendezvous.log.records import Committed, Record, Sink, Source, Start
from rendezvous.settings import Endpoint
from rendezvous.telemetry import ArchiverMetrics
from rendezvous.wire import WireError

MAX_RECORDS = 2_000
"""Requests of one turn: some hundredths of a second's work."""
MAX_BESIDE = 500
"""Comparisons and labels of one turn: one record of comparisons is about hundreds of requests and many models."""
IDLE_US = 50_000
COMMIT_EVERY_US = 500_000
"""A restart sends features again of this much at most."""
GATHER_MS = 20
"""How long the broker lets records wait for company; with `feed.GATHER_US`, how late features may be."""
AGAIN_US = 1_000_000
"""How long a file waits that could not be confirmed: the group is changing."""

_logger = logging.getLogger(__name__)


def group_of(endpoint: Endpoint) -> str:
    """The consumer group of an endpoint's archivers."""
    return f"{endpoint.name}.archiver"


class Reader(Protocol):
    """Reads given partitions, what is committed alone: a `KafkaReader`."""

    def poll(self, max_records: int, timeout_s: float) -> list[Record]:
        """Wait for the first record, take whatever else is there."""

    def ends(self) -> Mapping[Place, int]:
        """For each partition whose end was met: the position there."""

    def close(self) -> None:
        """Stop reading."""


@dataclass(frozen=True, slots=True)
class Ways:
    """In and out: the member of the group that reads requests, readers of the rest, the producer of features."""

    source: Source
    reader: Callable[[Sequence[Start]], Reader]
    sink: Sink


class Archiver:
    """Writes down what comes of the partitions that it owns.

    Who owns partition p of the requests owns p of the comparisons and, of the labels, each q with q mod partitions = p:
    the group of the requests' topic sees to it that nobody else does. Requests are read uncommitted, as models read
    them; the others committed. Where to go on is told by the names of the files alone. A file of requests is written
    once their features are delivered, so that those come at least once too; what the group has committed saves
    sending them twice.

    accept_loss: where the log has deleted what is in no file, write so, and go on; without it that is an error.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        topics: Topics,
        ways: Ways,
        archive: Archive,
        clock_us: Callable[[], int],
        metrics: ArchiverMetrics,
        *,
        accept_loss: bool = False,
    ) -> None:
        self._limits = endpoint.archive
        self._topics = topics
        self._ways = ways
        self._archive = archive
        self._clock_us = clock_us
        self._metrics = metrics
        self._beginnings = Beginnings(endpoint, topics, ways.source, archive, accept_loss=accept_loss)
        self._reading = Reading(endpoint, self._unreadable)
        self._requests = endpoint.topic("requests")
        self._names = {endpoint.topic(name): name for name in TABLES}
        self._feed = Feed(endpoint, ways.sink, metrics)
        self._owned: set[int] = set()
        self._gained: set[int] = set()
        self._buffers: dict[Place, Buffer] = {}
        self._reader: Reader | None = None
        self._stale = False
        self._joined = False
        self._commit_at_us = self._again_at_us = 0
        self._committed: dict[int, int] = {}
        ways.source.subscribe(self._requests, self)

    @property
    def ready(self) -> bool:
        """It has joined its group."""
        return self._joined

    @property
    def over(self) -> bool:
        """Never: requests may always come."""
        return False

    # ------------------------------------------------------------------------------------------------------ its loop

    def turn(self, longest_us: int = IDLE_US) -> None:
        """Wait for records, at most `longest_us`; write and send what is due.

        Raises:
            ArchiveError: the archive and the log do not fit together, or a file could not be written.
            LogError: features could not be delivered.
        """
        patience_us = self._feed.patience_us(self._clock_us())
        wait_us = longest_us if patience_us is None else min(longest_us, patience_us)
        records = self._ways.source.poll(MAX_RECORDS, wait_us / 1e6)
        if self._stale:
            records = self._change(records)
        if self._reader is not None:
            records += self._reader.poll(MAX_BESIDE, 0)
        now_us = self._clock_us()
        for place, some in _by_place(records).items():
            if place in self._buffers:  # else it went away while this was under way
                self._take(place, some, now_us)
        self._reach_ends(now_us)
        self._feed.send_due(now_us)
        self._count(now_us, records)
        if now_us >= self._again_at_us:
            self._write(due(self._buffers.values(), self._limits, now_us))
        if now_us >= self._commit_at_us:
            self._commit_at_us = now_us + COMMIT_EVERY_US
            self._commit(wait=False)

    def stop(self) -> None:
        """Write what waits, and leave the group at once."""
        self._write([buffer for buffer in self._buffers.values() if buffer.since_us is not None])
        self._feed.deliver(sorted(self._owned))
        self._commit(wait=True)
        if self._reader is not None:
            self._reader.close()
        self._ways.source.close()

    def _commit(self, *, wait: bool) -> None:
        for number in self._owned:
            position = self._feed.delivered(number)
            if self._committed.get(number) != position:
                self._committed[number] = position
                self._ways.source.commit(self._requests, number, self._held(number), wait=wait)

    def _held(self, number: int) -> Committed:
        return Committed(self._feed.delivered(number), self._topics.requests_id)

    # ------------------------------------------------------------------------------------------------ what is owned

    def assigned(self, partitions: Sequence[int]) -> list[Start]:
        """Go on where the files end, or begin where the log does."""
        places = [place for number in partitions for place in self._beginnings.places(number)]
        for place, position in self._beginnings.of(places, self._clock_us()).items():
            self._buffers[place] = Buffer(*place, position, TABLES[self._names[place[0]]])
        for number in partitions:
            committed = self._ways.source.committed(self._requests, number)
            position = self._buffers[self._requests, number].first
            known = committed is not None and committed.metadata == self._topics.requests_id
            self._feed.begin(number, max(position, committed.offset) if known and committed else position)
        self._owned.update(partitions)
        self._gained.update(partitions)
        self._stale = True
        self._joined = True
        return [Start(self._requests, number, self._buffers[self._requests, number].first) for number in partitions]

    def revoked(self, partitions: Sequence[int], *, lost: bool) -> list[Place]:
        """Forget what is in no file yet: whoever comes next reads it again."""
        del lost
        for number in partitions:
            self._owned.discard(number)
            self._gained.discard(number)
            self._committed.pop(number, None)
            self._feed.end(number)
            for place in self._beginnings.places(number):
                self._buffers.pop(place, None)
        self._stale = True
        return [(self._requests, number) for number in partitions]

    def _change(self, records: Sequence[Record]) -> list[Record]:
        """Read what is owned now; returns what may be kept of the records that came while that changed.

        Of a partition that was gained they may be of before it was lost: an offset among them would seem to follow on
        what is archived, over a gap. Gaps are legal, so nobody would ever see it.
        """
        self._read_beside()
        gained, self._gained = sorted(self._gained), set()
        self._ways.source.reread(
            [Start(self._requests, number, self._buffers[self._requests, number].position) for number in gained]
        )
        return [record for record in records if record.partition not in gained]

    def _read_beside(self) -> None:
        """Comparisons and labels of what is owned now, from where their buffers are."""
        self._stale = False
        if self._reader is not None:
            self._reader.close()
        starts = [
            Start(*place, buffer.position) for place, buffer in self._buffers.items() if place[0] != self._requests
        ]
        self._reader = self._ways.reader(starts) if starts else None

    # ---------------------------------------------------------------------------------------------- what has come

    def _reach_ends(self, now_us: int) -> None:
        """Whoever waits until files reach the log's end must not wait for offsets that have no record."""
        ends = dict(self._ways.source.ends())
        if self._reader is not None:
            ends.update(self._reader.ends())
        for place, position in ends.items():
            if place in self._buffers:
                self._buffers[place].reach(position, now_us)

    def _take(self, place: Place, records: Sequence[Record], now_us: int) -> None:
        buffer = self._buffers[place]
        records = [record for record in records if record.offset >= buffer.position]
        while records:
            if not buffer.fitting(records):
                self._write([buffer])
            count = buffer.fitting(records) or len(records)  # what could not be written takes the next day's too
            part, records = records[:count], records[count:]
            lines, rows = self._lines(place, part, now_us)
            buffer.add(part, lines, rows, now_us)

    def _lines(self, place: Place, records: Sequence[Record], now_us: int) -> tuple[Sequence[object], int]:
        """What is to be archived of some records, and rows in a table of it; features go on their way."""
        name, number = self._names[place[0]], place[1]
        if name == "labels":
            labels = self._reading.labels(records)
            return labels, len(labels)
        if name == "comparisons":
            compared = self._reading.comparisons(records)
            return compared, sum(line.said.statuses.size for line in compared)
        asked, seen = self._reading.requests(records, self._feed.delivered(number))
        self._feed.add(number, seen, records[-1].offset + 1, now_us)
        return asked, len(asked)

    def _unreadable(self, record: Record, error: WireError) -> None:
        self._metrics.unreadable.labels(self._names[record.topic]).inc()
        _logger.warning("%s-%d@%d: not archived: %s", *record[:3], error)

    # ------------------------------------------------------------------------------------------- what is written

    def _write(self, buffers: Iterable[Buffer]) -> None:
        for buffer in buffers:
            self._write_one(buffer)

    def _write_one(self, buffer: Buffer) -> None:
        """A file of what waits, unless the group is changing: then it waits on, and a revocation may take it away."""
        owner = buffer.partition % self._topics.partitions
        if buffer.topic == self._requests:
            self._feed.deliver([owner])
        name, table = self._names[buffer.topic], buffer.table()
        held = Held(*buffer.place, buffer.first, buffer.position - 1, "")

        def still_mine() -> bool:
            return self._ways.source.still_member(self._requests, {owner: self._held(owner)})

        with self._metrics.seconds.time():
            written = self._archive.write(held, buffer.day, table, still_mine)
        if not written:
            self._again_at_us = self._clock_us() + AGAIN_US
            _logger.warning("%s-%d: offsets from %d wait: the group is changing", *buffer.place, buffer.first)
            return
        self._metrics.rows.labels(name).inc(len(table))
        self._metrics.files.labels(name).inc()
        buffer.written()

    def _count(self, now_us: int, records: Sequence[Record]) -> None:
        since_us = [buffer.since_us for buffer in self._buffers.values() if buffer.since_us is not None]
        self._metrics.waiting_seconds.set((now_us - min(since_us)) / 1e6 if since_us else 0)
        self._metrics.waiting_bytes.set(sum(buffer.bytes for buffer in self._buffers.values()))
        appended_ms = [record.timestamp_ms for record in records if record.topic == self._requests]
        if appended_ms:
            self._metrics.delay.set(now_us / 1e6 - min(appended_ms) / 1e3)


def _by_place(records: Sequence[Record]) -> dict[Place, list[Record]]:
    found: dict[Place, list[Record]] = {}
    for record in records:
        found.setdefault((record.topic, record.partition), []).append(record)
    return found
