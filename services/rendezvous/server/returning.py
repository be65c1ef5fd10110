"""Reads again what was skipped, beside what is new, a little at a time."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from concurrent.futures import Executor, Future

from rendezvous.log.records import LogError, Reader, Record, Source
from rendezvous.server.partition import Partition

MOST_RECORDS = 100
"""In one turn of the loop: an answer that is due waits for some milliseconds longer."""
AGAIN_US = 1_000_000
"""From a failure to the next attempt."""
PATIENCE_US = 5_000_000
"""A reader that finds nothing for so long, not even an end, is given up: its broker is away, others may be there."""

_logger = logging.getLogger(__name__)


class Returning:
    """One partition after the other, from its first offset that was skipped to the last; aside: opens the readers."""

    def __init__(self, source: Source, topic: str, aside: Executor) -> None:
        self._source = source
        self._topic = topic
        self._aside = aside
        self._number = -1
        self._opening: Future[tuple[Reader, int]] | None = None
        self._reader: Reader | None = None
        self._position = 0
        self._moved_us = 0
        self._again_us = 0

    @property
    def under_way(self) -> bool:
        """Whether something is being read again."""
        return self._reader is not None

    def turn(self, partitions: Mapping[int, Partition], now_us: int) -> list[Record]:
        """Some records of one partition that is calm, to be taken up; those that were not skipped are left out."""
        if self._reader is None and not self._open(partitions, now_us):
            return []
        partition = partitions[self._number]
        upcoming = partition.arrears.next
        if self._reader is None or upcoming is None or upcoming < self._position or not partition.returns(now_us):
            self._close()  # all is read, or it is behind again, or what was skipped since then begins before this
            return []
        try:
            records = self._reader.poll(MOST_RECORDS, 0)
        except LogError as error:
            self._fail(str(error), now_us)
            return []
        read = records[-1].offset + 1 if records else self._reader.ends().get((self._topic, self._number), 0)
        if read > self._position:
            self._position, self._moved_us = read, now_us
        elif now_us - self._moved_us > PATIENCE_US:
            self._fail("nothing is to be had of it", now_us)
        return [record for record in records if partition.arrears.admits(record.offset)]

    def taken(self, partitions: Mapping[int, Partition]) -> None:
        """What the last turn found is taken up."""
        if self._reader is not None:
            partitions[self._number].arrears.read_to(self._position)

    def _open(self, partitions: Mapping[int, Partition], now_us: int) -> bool:
        """Begin with the next partition; whether its reader is there."""
        if self._opening is None:
            ready = sorted(number for number, partition in partitions.items() if partition.returns(now_us))
            if not ready or now_us < self._again_us:
                return False
            self._number = next((number for number in ready if number > self._number), ready[0])
            start = partitions[self._number].arrears.next or 0
            self._opening = self._aside.submit(self._reader_from, self._number, start)
        if not self._opening.done():
            return False
        opening, self._opening = self._opening, None
        try:
            self._reader, first = opening.result()
        except LogError as error:
            self._fail(str(error), now_us)
            return False
        arrears = partitions[self._number].arrears
        before = arrears.count
        arrears.read_to(first)
        if gone := before - arrears.count:
            _logger.error("%s-%d: %d offsets were deleted before they were answered", self._topic, self._number, gone)
        self._position, self._moved_us = max(arrears.next or 0, first), now_us
        return True

    def _reader_from(self, number: int, start: int) -> tuple[Reader, int]:
        first = self._source.bounds(self._topic, number)[0]
        return self._source.beside(self._topic, number, max(start, first)), first

    def _fail(self, why: str, now_us: int) -> None:
        """Its brokers are away, as a rule: again after a while."""
        _logger.warning("%s-%d: what was skipped: %s", self._topic, self._number, why)
        self._again_us = now_us + AGAIN_US
        self._close()

    def forget(self, number: int) -> None:
        """A partition is someone else's."""
        if number == self._number:
            self._close()

    def _close(self) -> None:
        if self._reader is not None:
            self._reader.close()
        if self._opening is not None:
            self._opening.add_done_callback(_unwanted)
        self._reader = self._opening = None


def _unwanted(opening: Future[tuple[Reader, int]]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result()[0].close()
