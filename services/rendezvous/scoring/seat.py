"""A scorer's place in its version's consumer group: which partitions it reads, and how far they are done."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from rendezvous.log.records import END, Committed, Record, Source, Start
from rendezvous.settings import Endpoint

BACKLOG_MS = 600_000
"""How far back a restart goes at most. A choice: an outage of the servers is shorter, and they compare what was scored
meanwhile when they are back; a version that rested commits nothing, and may have rested for days."""

_logger = logging.getLogger(__name__)


class Seat:
    """Reads requests, and control beside them from where `control_position` says; commits what is done.

    rests: whether nothing of a partition is to be read now; `heed` follows when that has changed. finish: called before
    partitions are given away; it waits for what is under way.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        source: Source,
        clock_us: Callable[[], int],
        control_position: Callable[[], int],
        rests: Callable[[int], bool],
        finish: Callable[[], None],
    ) -> None:
        self._source = source
        self._clock_us = clock_us
        self._control_position = control_position
        self._rests = rests
        self._finish = finish
        self._warm_up_ms = endpoint.request.max_deadline_ms
        self._requests_topic = endpoint.topic("requests")
        self._control_topic = endpoint.topic("control")
        self._follows = False
        self.owned: set[int] = set()
        self._unread: set[int] = set()
        self._done: dict[int, int] = {}
        self._committed: dict[int, int] = {}
        self.joined = False
        source.subscribe(self._requests_topic, self)

    @property
    def reads_nothing(self) -> bool:
        """Whether it reads no requests at all, though it has partitions."""
        return bool(self.owned) and self.owned == self._unread

    def poll(self, max_records: int, timeout_s: float) -> list[Record]:
        """See `Source.poll`."""
        return self._source.poll(max_records, timeout_s)

    def done(self, number: int, position: int) -> None:
        """What stands before `position` needs no more work; whoever owns the partition commits that."""
        if number in self.owned:
            self._done[number] = max(position, self._done.get(number, 0))

    def heed(self) -> None:
        """Cease to read what it rests from; begin again where the log ends then: nobody waits for what lies before."""
        unread = {number for number in self.owned if self._rests(number)}
        if ceased := sorted(unread - self._unread):
            self._source.cease([(self._requests_topic, number) for number in ceased])
        if begun := sorted(self._unread - unread):
            self._source.reread([Start(self._requests_topic, number, END) for number in begun])
        self._unread = unread

    def commit(self, *, wait: bool) -> None:
        """Commit what is done."""
        for number, position in self._done.items():
            if self._committed.get(number) != position:
                self._source.commit(self._requests_topic, number, Committed(position, ""), wait=wait)
                self._committed[number] = position

    def hand_over(self) -> None:
        """Begin to leave the group, and read on until `leave`: a rebalance takes some tenths of a second."""
        self._source.detach()

    def leave(self) -> None:
        """Finish what is under way, commit, and leave the group at once."""
        self._finish()
        self.commit(wait=True)
        self._source.close()

    def assigned(self, partitions: Sequence[int]) -> list[Start]:
        """Go on from the commit, unless that is long ago.

        A new version starts one longest deadline before now, where it can still matter.
        """
        starts = [] if self._follows else [Start(self._control_topic, 0, self._control_position())]
        self._follows = True
        for number in partitions:
            if self._rests(number):
                self._unread.add(number)
                continue
            committed = self._source.committed(self._requests_topic, number)
            before_ms = self._warm_up_ms if committed is None else BACKLOG_MS
            offset = self._source.position_at(self._requests_topic, number, self._clock_us() // 1_000 - before_ms)
            if committed is not None:
                offset = max(committed.offset, offset)
            _logger.info("%s-%d: scored from %d", self._requests_topic, number, offset)
            starts.append(Start(self._requests_topic, number, offset))
        self.owned.update(partitions)
        self.joined = True
        return starts

    def revoked(self, partitions: Sequence[int], *, lost: bool) -> list[tuple[str, int]]:
        """Commit what is delivered, unless the partitions are someone else's already."""
        if not lost:
            self._finish()
            self.commit(wait=True)
        for number in partitions:
            self.owned.discard(number)
            self._unread.discard(number)
            self._done.pop(number, None)
            self._committed.pop(number, None)
        return [(self._requests_topic, number) for number in partitions]
