"""Reads again what was skipped, beside what is new, a little at a time."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from rendezvous.log.records import LogError, Reader, Record, Source
from rendezvous.server.partition import Partition

MOST_RECORDS = 100
"""In one turn of the loop: an answer that is due waits for some milliseconds longer."""
AGAIN_US = 1_000_000
"""From a failure to the next attempt."""

_logger = logging.getLogger(__name__)


class Returning:
    """One partition after the other, from its first offset that was skipped to the last."""

    def __init__(self, source: Source, topic: str) -> None:
        self._source = source
        self._topic = topic
        self._number = -1
        self._reader: Reader | None = None
        self._position = 0
        self._again_us = 0

    @property
    def under_way(self) -> bool:
        """Whether something is being read again."""
        return self._reader is not None

    def turn(self, partitions: Mapping[int, Partition], now_us: int) -> list[Record]:
        """Some records of one partition that is calm, to be taken up; those that were not skipped are left out."""
        if self._reader is None:
            ready = [number for number, partition in partitions.items() if partition.returns(now_us)]
            if not ready or now_us < self._again_us:
                return []
            self._number = ready[0]
        partition = partitions[self._number]
        if self._reader is not None:  # not before what was found is taken up
            partition.arrears.read_to(self._position)
        if not partition.returns(now_us):
            self._close()
            return []
        try:
            return self._read(partition)
        except LogError as error:  # its brokers are away, or the log does not reach back so far any more
            _logger.warning("%s-%d: what was skipped: %s", self._topic, self._number, error)
            self._again_us = now_us + AGAIN_US
            self._close()
            return []

    def _read(self, partition: Partition) -> list[Record]:
        if self._reader is None:
            first = self._source.bounds(self._topic, self._number)[0]
            self._position = max(partition.arrears.next or 0, first)
            self._reader = self._source.beside(self._topic, self._number, self._position)
        records = self._reader.poll(MOST_RECORDS, 0)
        read = records[-1].offset + 1 if records else self._reader.ends().get((self._topic, self._number), 0)
        self._position = max(self._position, read)
        return [record for record in records if partition.arrears.admits(record.offset)]

    def forget(self, number: int) -> None:
        """A partition is someone else's."""
        if number == self._number:
            self._close()

    def _close(self) -> None:
        if self._reader is not None:
            self._reader.close()
        self._reader, self._number = None, -1
