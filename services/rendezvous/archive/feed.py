"""Features in columns on their way to `<endpoint>.features`: gathered for a moment, sent, and up to where delivered."""

from __future__ import annotations

from collections.abc import Sequence

from rendezvous.archive.columns import MAX_RECORD_BYTES, Decoded, records_of
from rendezvous.log.records import Delivered, LogError, Sink
from rendezvous.settings import Endpoint
from rendezvous.telemetry import ArchiverMetrics

GATHER_US = 50_000
"""How long a row waits for company: the monitor concludes about minutes and days, and pays by the record."""
GATHER_ROWS = 8_192
FLUSH_S = 35.0
"""Longer than the producer tries: past it, something is wrong that it does not know."""


class _Lane:
    """One partition, as long as it is owned: what waits, up to where it was read, and up to where it is delivered."""

    def __init__(self, position: int) -> None:
        self.waiting: list[Decoded] = []
        self.since_us: int | None = None
        self.read = self.delivered = position
        self.under_way = 0


class Feed:
    """Sends what models saw of the requests of owned partitions, to the partition of the same number."""

    def __init__(self, endpoint: Endpoint, sink: Sink, metrics: ArchiverMetrics) -> None:
        self._features = endpoint.features
        self._topic = endpoint.topic("features")
        self._sink = sink
        self._metrics = metrics
        self._lanes: dict[int, _Lane] = {}
        self._failed: str | None = None

    def begin(self, number: int, position: int) -> None:
        """A partition is owned; everything before `position` is delivered."""
        self._lanes[number] = _Lane(position)

    def end(self, number: int) -> None:
        """A partition is owned no more; what is under way is nobody's concern."""
        self._lanes.pop(number, None)

    def add(self, number: int, requests: Sequence[Decoded], position: int, now_us: int) -> None:
        """Requests of a partition that can be read, in the order of their offsets, all before `position`."""
        lane = self._lanes[number]
        lane.read = max(lane.read, position)
        lane.waiting += requests
        if lane.waiting and lane.since_us is None:
            lane.since_us = now_us
        self._settle(lane)

    def patience_us(self, now_us: int) -> int | None:
        """How long until something is due; None when nothing waits."""
        waiting = [lane.since_us for lane in self._lanes.values() if lane.since_us is not None]
        return max(0, min(waiting) + GATHER_US - now_us) if waiting else None

    def send_due(self, now_us: int) -> None:
        """Send what has waited long enough, or is much.

        Raises:
            LogError: something could not be delivered.
        """
        for number, lane in self._lanes.items():
            late = lane.since_us is not None and now_us - lane.since_us >= GATHER_US
            if late or len(lane.waiting) >= GATHER_ROWS:
                self._send(number, lane)
        self._sink.serve()
        self._check()

    def deliver(self, numbers: Sequence[int]) -> None:
        """Send all that waits of these partitions, and wait until it is delivered.

        Raises:
            LogError: it could not be.
        """
        for number in numbers:
            self._send(number, self._lanes[number])
        if any(self._lanes[number].under_way for number in numbers):
            self._sink.flush(FLUSH_S)
        self._check()
        if late := [number for number in numbers if self._lanes[number].under_way]:
            raise LogError(f"{self._topic}: no word from the broker about partitions {late} in {FLUSH_S:.0f} s")

    def delivered(self, number: int) -> int:
        """The position of the requests up to which everything is delivered."""
        return self._lanes[number].delivered

    def _send(self, number: int, lane: _Lane) -> None:
        requests, lane.waiting, lane.since_us = lane.waiting, [], None
        if not requests:
            return
        records, sent = list(records_of(requests, self._features)), 0
        lane.under_way += len(records)  # before the first is sent: while that waits for room, its report may come
        for rows, value in records:
            sent += rows
            position = lane.read if sent == len(requests) else requests[sent].offset
            if rows == 1 and len(value) > MAX_RECORD_BYTES:
                self._metrics.too_large.inc()
                self._done(lane, lane.delivered)  # what is before it may be under way
            else:
                self._metrics.features.inc(rows)
                self._sink.send(self._topic, value, partition=number, delivered=self._reporter(lane, position))

    def _reporter(self, lane: _Lane, position: int) -> Delivered:
        def delivered(error: str | None, _: int) -> None:
            if error is not None:
                self._failed = error
            self._done(lane, position)

        return delivered

    def _done(self, lane: _Lane, position: int) -> None:
        """A record is delivered, or refused, or will never be sent; what comes after a refusal counts no more."""
        lane.under_way -= 1
        if self._failed is None:
            lane.delivered = max(lane.delivered, position)
        self._settle(lane)

    def _settle(self, lane: _Lane) -> None:
        """Positions without features (no request, unreadable) count as delivered once nothing before them is owed."""
        if not lane.under_way and not lane.waiting and self._failed is None:
            lane.delivered = lane.read

    def _check(self) -> None:
        if self._failed is not None:
            raise LogError(f"{self._topic}: {self._failed}: stopping; a restart sends again what was not delivered")
