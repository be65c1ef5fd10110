"""A scorer's place in its version's consumer group: which partitions it reads, and how far they are done."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from rendezvous.log.records import Committed, Record, Source, Start
from rendezvous.settings import Endpoint

_logger = logging.getLogger(__name__)


class Seat:
    """Reads requests, and control beside them from where `control_position` says; commits what is done.

    finish: called before partitions are given away; it waits for what is under way.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        source: Source,
        clock_us: Callable[[], int],
        control_position: Callable[[], int],
        finish: Callable[[], None],
    ) -> None:
        self._source = source
        self._clock_us = clock_us
        self._control_position = control_position
        self._finish = finish
        self._warm_up_ms = endpoint.request.max_deadline_ms
        self._requests_topic = endpoint.topic("requests")
        self._control_topic = endpoint.topic("control")
        self._follows = False
        self.owned: set[int] = set()
        self._done: dict[int, int] = {}
        self._committed: dict[int, int] = {}
        self.joined = False
        source.subscribe(self._requests_topic, self)

    def poll(self, max_records: int, timeout_s: float) -> list[Record]:
        """See `Source.poll`."""
        return self._source.poll(max_records, timeout_s)

    def done(self, number: int, position: int) -> None:
        """What stands before `position` needs no more work; whoever owns the partition commits that."""
        if number in self.owned:
            self._done[number] = max(position, self._done.get(number, 0))

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
        """Go on from the commit; a new version starts one longest deadline before now, where it can still matter."""
        starts = [] if self._follows else [Start(self._control_topic, 0, self._control_position())]
        self._follows = True
        for number in partitions:
            committed = self._source.committed(self._requests_topic, number)
            if committed is None:
                since_ms = self._clock_us() // 1_000 - self._warm_up_ms
                offset = self._source.position_at(self._requests_topic, number, since_ms)
            else:
                offset = max(committed.offset, self._source.bounds(self._requests_topic, number)[0])
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
            self._done.pop(number, None)
            self._committed.pop(number, None)
        return [(self._requests_topic, number) for number in partitions]
