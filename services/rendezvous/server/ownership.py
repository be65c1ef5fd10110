"""Which partitions a server owns: what it takes up when the group gives one, and lets go when it is gone."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from rendezvous.log.records import LogError, Record, Source, Start
from rendezvous.server.outbox import Outbox, committed
from rendezvous.server.partition import Partition
from rendezvous.server.returning import Returning
from rendezvous.server.steering import Steering
from rendezvous.server.succession import Successions
from rendezvous.settings import Endpoint
from rendezvous.telemetry import ServerMetrics

FLUSH_S = 10.0
"""How long a stop, or giving a partition away, waits for deliveries."""

_logger = logging.getLogger(__name__)


class Ownership:
    """The group's `Owner`. A partition is in `partitions` from when its predecessor's word is read.

    ::

        assigned ---successions, beside the loop---> held ---both logs read to their ends---> live ---> revoked, lost
    """

    def __init__(
        self,
        endpoint: Endpoint,
        source: Source,
        outbox: Outbox,
        steering: Steering,
        successions: Successions,
        returning: Returning,
        metrics: ServerMetrics,
    ) -> None:
        self._fallback = endpoint.fallback
        self._source = source
        self._outbox = outbox
        self._steering = steering
        self._successions = successions
        self._returning = returning
        self._metrics = metrics
        self._requests_topic = endpoint.topic("requests")
        self._scores_topic = endpoint.topic("scores")
        self._control_topic = endpoint.topic("control")
        self.partitions: dict[int, Partition] = {}
        self._positions: dict[tuple[str, int], int] = {}
        self._in_doubt: set[int] = set()
        self._held = self._joined = self._follows = False
        source.subscribe(self._requests_topic, self)

    @property
    def ready(self) -> bool:
        """A member of the group, live in every partition that it owns.

        A member without partitions is ready: it takes over when another one goes. Whoever lost all of them to its
        session's end is not, until the group has taken it in again.
        """
        well = self._joined and not self._in_doubt and not self._successions.under_way
        return well and all(partition.live for partition in self.partitions.values())

    def assigned(self, partitions: Sequence[int]) -> list[Start]:
        """Partitions were gained: begin to learn what their predecessor left."""
        starts = [] if self._follows else [Start(self._control_topic, 0, self._steering.control.position)]
        self._follows = True
        if starts:
            self._source.bounds(self._control_topic, 0)  # asks for its leader: librdkafka would look once a second
        for number in partitions:
            _logger.info("%s-%d: assigned", self._requests_topic, number)
            self._successions.begin(number, self._steering.gained(number))
        self._joined = True
        return starts

    def take_up(self) -> None:
        """Partitions whose predecessor's word is read are held from now on: read on from there."""
        heirs, again = self._successions.ended()
        self._in_doubt.update(again)
        starts = []
        for number, plan, takeover, by in heirs:
            _logger.info(
                "%s-%d: taken over at %d of %d", self._requests_topic, number, takeover.requests, takeover.requests_end
            )
            self.partitions[number] = Partition(plan, number, takeover, self._fallback)
            self._adopt(number)
            self._outbox.gained(number, by, unended=takeover.unended)
            starts.append(Start(self._requests_topic, number, takeover.requests))
            starts.append(Start(self._scores_topic, number, takeover.scores))
        if starts:
            self._held = True
            self._metrics.takeovers.inc(len(heirs))
            self._source.reread(starts)

    def read(self, records: Iterable[Record]) -> None:
        """Records of requests and scores are taken."""
        for record in records:
            self._positions[record.topic, record.partition] = record.offset + 1

    def reread(self, number: int, position: int) -> None:
        """Read on with the request at `position`."""
        self._source.reread([Start(self._requests_topic, number, position)])
        self._positions[self._requests_topic, number] = position

    def note_progress(self) -> None:
        """Partitions that are held become live where both logs are read."""
        if not self._held:
            return
        ends = self._source.ends()
        self._held = False
        for number, partition in self.partitions.items():
            if not partition.live:
                reached = [
                    max(self._positions.get((topic, number), 0), ends.get((topic, number), 0))
                    for topic in (self._requests_topic, self._scores_topic)
                ]
                partition.read_to(*reached)
                if partition.live:
                    _logger.info("%s-%d: live", self._requests_topic, number)
                self._held |= not partition.live

    def adopt(self) -> None:
        """Control has changed: its plans are in force for requests that are read from now on."""
        for number in self.partitions:
            self._adopt(number)

    def _adopt(self, number: int) -> None:
        plan, partition = self._steering.plan(number), self.partitions[number]
        if plan.changes(partition.plan):
            partition.adopt(plan)
            _logger.info("%s-%d: policy %s from control %d", self._requests_topic, number, plan.policy, plan.control)

    def revoked(self, partitions: Sequence[int], *, lost: bool) -> list[tuple[str, int]]:
        """Partitions go away: what is under way is finished and committed, unless they are lost already."""
        self._joined = not lost
        if not lost:
            self._outbox.finish(self.partitions, FLUSH_S)
        for number in partitions:
            self._successions.end(number, 0.0 if lost else FLUSH_S)
            _logger.info("%s-%d: %s", self._requests_topic, number, "lost" if lost else "given away")
        self._metrics.gone.labels("lost" if lost else "given").inc(len(partitions))
        self._in_doubt.difference_update(partitions)
        self._forget(partitions)
        return [(topic, number) for number in partitions for topic in (self._requests_topic, self._scores_topic)]

    def _forget(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            self._steering.gone(number)
            self._returning.forget(number)
            if partition := self.partitions.pop(number, None):
                self._outbox.gone(partition)
            for topic in (self._requests_topic, self._scores_topic):
                self._positions.pop((topic, number), None)

    def doubt(self, numbers: Sequence[int]) -> None:
        """What became of the last records of these partitions is not known: see `take_over_again`."""
        self._in_doubt.update(numbers)
        self._forget(numbers)

    def take_over_again(self) -> None:
        """Partitions in doubt, from their last commit: if the group still has us as a member.

        If it has not, it will say so, or whoever it gave them to has fenced us.
        """
        for number in sorted(self._in_doubt):
            try:
                held = {number: committed(self._source, self._requests_topic, number)}
            except LogError as error:  # its brokers are away: the group is listened to, and asked again
                _logger.warning("%s-%d: %s", self._requests_topic, number, error)
                return
            if self._source.still_member(self._requests_topic, held):
                self._in_doubt.discard(number)
                self._successions.begin(number, self._steering.gained(number))
