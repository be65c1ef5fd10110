"""Features on their way: up to where they are delivered."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry

from endpoints import endpoint
from memory_log import FakeClock, MemoryLog, MemorySink
from rendezvous.archive.columns import Decoded
from rendezvous.archive.feed import GATHER_ROWS, GATHER_US, Feed
from rendezvous.log import Delivered, LogError
from rendezvous.telemetry import ArchiverMetrics

TOPIC = "tests.features"


class Sending:
    """A feed of one partition from position 0, and what is behind it."""

    def __init__(self) -> None:
        self.log = MemoryLog(FakeClock(), {TOPIC: 1})
        self.sink = MemorySink(self.log)
        self.metrics = ArchiverMetrics(CollectorRegistry())
        self.feed = Feed(endpoint(), self.sink, self.metrics)
        self.feed.begin(0, 0)

    def add(self, *offsets: int, size: int = 1, position: int | None = None, now_us: int = 0) -> None:
        """Requests at these offsets, read up to `position`."""
        requests = [Decoded(offset, 0, {"x": 1.0, "who": "w" * size + str(offset)}) for offset in offsets]
        self.feed.add(0, requests, offsets[-1] + 1 if position is None else position, now_us)

    @property
    def sent(self) -> int:
        """Records on the topic."""
        return len(self.log.records[TOPIC, 0])


def test_what_was_sent_counts_once_it_is_delivered() -> None:
    """With the positions that have no features, once nothing before them is owed."""
    sending = Sending()
    sending.add(0, 1, position=2)
    sending.feed.send_due(GATHER_US)
    assert (sending.sent, sending.feed.delivered(0)) == (1, 2)  # its report came at the end of the same turn
    sending.add(3, position=4)
    sending.feed.add(0, [], 9, 0)
    assert sending.feed.delivered(0) == 2
    sending.feed.deliver([0])
    assert sending.feed.delivered(0) == 9


def test_positions_after_what_is_under_way_wait_for_it() -> None:
    """And follow as soon as it is delivered."""
    sending = Sending()
    sending.add(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sending.sink, "serve", lambda: None)  # reports are late
        sending.feed.send_due(GATHER_US)
        sending.feed.add(0, [], 5, 0)
        assert sending.feed.delivered(0) == 0
    sending.feed.send_due(GATHER_US)
    assert sending.feed.delivered(0) == 5


def test_each_record_of_several_stands_for_its_own() -> None:
    """The first of two is delivered, the second is not: the position is that of the second's first request."""
    sending = Sending()
    sending.add(3, 5, 8, 11, size=300_000)
    reports: list[int] = []

    def send(*_: object, delivered: Delivered, **__: object) -> None:
        reports.append(1)
        if len(reports) == 1:
            delivered(None, 0)  # at once: the queue was full

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sending.sink, "send", send)
        with pytest.raises(LogError, match=r"no word from the broker about partitions \[0\]"):
            sending.feed.deliver([0])
    assert len(reports) == 2
    assert sending.feed.delivered(0) == 8


def test_many_do_not_wait() -> None:
    """They are sent when they are GATHER_ROWS, or the first is GATHER_US old."""
    sending = Sending()
    sending.add(*range(GATHER_ROWS - 1))
    sending.feed.send_due(0)
    assert (sending.sent, sending.feed.patience_us(10)) == (0, GATHER_US - 10)
    sending.add(GATHER_ROWS)
    sending.feed.send_due(0)
    assert sending.sent == 1
    assert sending.feed.patience_us(0) is None


def test_a_request_that_fits_no_record_is_counted() -> None:
    """And holds up nobody."""
    sending = Sending()
    sending.add(0, 1, 2)
    sending.add(3, size=2_000_000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sending.sink, "serve", lambda: None)
        sending.feed.send_due(GATHER_US)
        assert sending.feed.delivered(0) == 0
    sending.feed.deliver([0])
    assert sending.feed.delivered(0) == 4
    assert sending.metrics.too_large._value.get() == 1  # noqa: SLF001 - the library gives no other way


def test_a_partition_that_went_away_is_nobodys_concern() -> None:
    """Its reports may come later; a new beginning knows nothing of them."""
    sending = Sending()
    sending.add(0, 1)
    sending.feed.end(0)
    sending.feed.begin(0, 0)
    sending.feed.send_due(10 * GATHER_US)
    assert (sending.sent, sending.feed.delivered(0)) == (0, 0)
