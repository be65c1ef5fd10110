"""How a server reads again what it skipped: one partition after the other, a little at a time, while it is calm."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from aside import Aside
from endpoints import endpoint, plan_of
from memory_log import FakeClock, MemoryLog, MemoryReader, MemorySource
from rendezvous.log.records import LogError, Record
from rendezvous.messages import Request
from rendezvous.server.arrears import CALMS, Span
from rendezvous.server.partition import Partition, Takeover
from rendezvous.server.plan import MS_US
from rendezvous.server.returning import AGAIN_US, MOST_RECORDS, PATIENCE_US, Returning

TOPIC = "requests"
PLAN = plan_of(endpoint())
FRESH = Takeover(requests=0, scores=0, decisions=0, requests_end=0, scores_end=0, decided={})
CALM_US = (CALMS + 1) * PLAN.behind_us


class Failing(MemorySource):
    """A source whose cluster can be away, and whose log begins somewhere."""

    away = False
    silent = False
    first = 0

    def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """See `Source.bounds`."""
        if self.away:
            raise LogError("nobody there")
        return self.first, super().bounds(topic, partition)[1]

    def beside(self, topic: str, partition: int, start: int) -> MemoryReader:
        """See `Source.beside`."""
        self.reader = Closing(self._log, (topic, partition), start)
        self.reader.silent = self.silent
        return self.reader


class Closing(MemoryReader):
    """A reader that knows whether it was closed."""

    closed = False
    silent = False

    def poll(self, max_records: int, timeout_s: float) -> list[Record]:
        """See `Reader.poll`."""
        return [] if self.silent else super().poll(max_records, timeout_s)

    def close(self) -> None:
        """See `Reader.close`."""
        self.closed = True


class Desk:
    """Two partitions of so many requests, of which some were skipped."""

    soon = False

    def __init__(self, *skipped: tuple[int, int], count: int = 20) -> None:
        self.log = MemoryLog(FakeClock(), {TOPIC: 2})
        for number in range(2):
            for _ in range(count):
                self.log.append(TOPIC, number, b"x")
        self.source = Failing(self.log, "server")
        self.partitions = {number: Partition(PLAN, number, FRESH) for number in range(2)}
        for start, end in skipped:
            self.partitions[0].arrears.add(Span(start, end, 0))
        self.returning = Returning(self.source, TOPIC, Aside(lambda: True))

    def turn(self, now_us: int = CALM_US) -> list[int]:
        """Offsets of what is read again; it is taken up as the service does."""
        return self.take(self.returning.turn(self.partitions, now_us))

    def take(self, records: Sequence[Record]) -> list[int]:
        """Take records up that owe nothing but a letter, which is written at once."""
        for record in records:
            self.partitions[record.partition].late(record.offset, None, dead_letter=True)
            self.partitions[record.partition].buried(record.offset)
        self.returning.taken(self.partitions)
        return [record.offset for record in records]


def test_what_was_not_skipped_is_passed_over() -> None:
    """And when all is read again, the reader goes."""
    desk = Desk((0, 3), (5, 6), (9, 12))
    assert desk.turn() == [0, 1, 2, 5, 9, 10, 11]
    assert desk.turn() == []
    assert desk.partitions[0].arrears.oldest is None
    assert desk.turn() == []
    assert desk.source.reader.closed


def test_a_gap_at_the_end_of_what_was_skipped() -> None:
    """Read over together with what was not skipped: it is done when what stands before it is delivered."""
    desk = Desk(count=3)
    desk.log.skip(TOPIC, 0, 9)
    desk.log.append(TOPIC, 0, b"x")
    arrears = desk.partitions[0].arrears
    arrears.add(Span(1, 9, 0))
    records = desk.returning.turn(desk.partitions, CALM_US)
    assert [record.offset for record in records] == [1, 2]
    for record in records:
        desk.partitions[0].late(record.offset, None, dead_letter=True)
    desk.returning.taken(desk.partitions)
    desk.partitions[0].buried(1)
    assert arrears.oldest == Span(2, 9, 0)
    desk.partitions[0].buried(2)
    assert arrears.oldest is None


def test_a_little_at_a_time() -> None:
    """However much there is."""
    desk = Desk((0, 3 * MOST_RECORDS - 1), count=4 * MOST_RECORDS)
    assert [len(desk.turn()) for _ in range(4)] == [MOST_RECORDS, MOST_RECORDS, MOST_RECORDS - 1, 0]


def test_one_partition_after_the_other() -> None:
    """Each to its end."""
    desk = Desk((0, 4))
    desk.partitions[1].skip(2)
    assert [desk.turn() for _ in range(6)] == [[0, 1, 2, 3], [], [0, 1], [], [], []]


def test_it_waits_while_the_server_is_behind() -> None:
    """Also when it falls behind in the middle: it goes on from there afterwards."""
    desk = Desk((0, MOST_RECORDS + 5), count=2 * MOST_RECORDS)
    partition, end = desk.partitions[0], 2 * MOST_RECORDS
    old, young = (Request(0, us, us + PLAN.deadline_us, "r", None, None) for us in (-PLAN.deadline_us, CALM_US))
    assert not partition.is_behind(old, end, 0)
    assert partition.is_behind(old, end, PLAN.behind_us)
    assert desk.turn(PLAN.behind_us) == []
    assert len(desk.turn(CALM_US)) == MOST_RECORDS
    assert not partition.is_behind(young, end, CALM_US)
    assert not partition.is_behind(old, end, CALM_US)
    assert partition.is_behind(old, end, CALM_US + PLAN.behind_us)
    assert desk.turn(CALM_US + PLAN.behind_us) == []
    assert desk.source.reader.closed
    assert desk.turn(2 * CALM_US + PLAN.behind_us) == list(range(MOST_RECORDS, MOST_RECORDS + 5))


def test_brokers_that_are_away_are_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    """A second later; the server goes on meanwhile."""
    desk = Desk((0, 2))
    desk.source.away = True
    assert desk.turn() == []
    assert "requests-0: what was skipped: nobody there" in caplog.text
    desk.source.away = False
    assert desk.turn(CALM_US + AGAIN_US - MS_US) == []
    assert desk.turn(CALM_US + AGAIN_US) == [0, 1]


def test_what_the_log_has_dropped_is_not_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody can answer it any more, which is an error."""
    desk = Desk((0, 2), (3, 6))
    desk.source.first = 4
    assert desk.turn() == [4, 5]
    assert "requests-0: 3 offsets were deleted before they were answered" in caplog.text


def test_a_broker_that_falls_silent_is_given_up() -> None:
    """Others may be there: the next partition is next, and this one again afterwards."""
    desk = Desk((5, 20), count=5)
    desk.partitions[1].arrears.add(Span(0, 2, 0))
    desk.source.silent = True
    assert desk.turn() == []
    assert desk.turn(CALM_US + PATIENCE_US) == []
    assert not desk.source.reader.closed
    assert desk.turn(CALM_US + PATIENCE_US + 1) == []
    assert desk.source.reader.closed
    desk.source.silent = False
    assert desk.turn(CALM_US + PATIENCE_US + 1 + AGAIN_US) == [0, 1]


def test_what_is_skipped_behind_the_reader_is_read_again() -> None:
    """It had read past the span, and then a later one began before that place."""
    desk = Desk((0, 2))
    assert desk.turn() == [0, 1]
    desk.partitions[0].arrears.add(Span(10, 12, 0))
    assert [desk.turn() for _ in range(3)] == [[], [10, 11], []]


def test_a_reader_that_nobody_wants_any_more_is_closed() -> None:
    """Its partition went while it was being opened."""
    desk = Desk((0, 2))
    later = Aside(lambda: desk.soon)
    desk.returning = Returning(desk.source, TOPIC, later)
    assert desk.turn() == []
    opening = desk.returning._opening  # noqa: SLF001 - nobody else has it
    assert opening is not None
    desk.returning.forget(0)
    desk.soon = True
    assert opening.done()
    assert desk.source.reader.closed
    assert desk.turn() == [0, 1]


def test_a_partition_that_goes_is_left() -> None:
    """Its successor reads it."""
    desk = Desk((0, MOST_RECORDS + 5), count=2 * MOST_RECORDS)
    desk.turn()
    desk.returning.forget(1)
    assert not desk.source.reader.closed
    desk.partitions.pop(0)
    desk.returning.forget(0)
    assert desk.source.reader.closed
    assert desk.turn() == []
