"""The log in memory, made slow: records take their time to arrive and to be reported, and come a few at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from random import Random

from memory_log import MemoryLog, MemoryReader, MemorySource, one_by_one
from rendezvous.log.parcel import Parcel
from rendezvous.log.records import AllDelivered, Delivered, Headers, Record
from rendezvous.messages import Response
from rendezvous.wire import decode


class SlowSink:
    """A producer whose records take their time, in the order they were sent; `sent_us` notes when that was."""

    def __init__(self, log: MemoryLog, chance: Random, sent_us: dict[bytes, int]) -> None:
        self._log = log
        self._chance = chance
        self._sent_us = sent_us
        self._queued: deque[tuple[str, int, bytes, Headers, bytes | None, Delivered | None]] = deque()
        self._unreported: deque[tuple[Delivered | None, int]] = deque()
        self._parcels: list[Parcel] = []

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
        """Queue a record."""
        self._sent_us.setdefault(value, self._log.clock())
        self._queued.append((topic, partition or 0, value, headers, key, delivered))

    def send_all(
        self,
        topic: str,
        records: Sequence[tuple[bytes, Headers]],
        *,
        partition: int | None = None,
        delivered: AllDelivered,
    ) -> None:
        """Queue them."""
        self._parcels = [parcel for parcel in self._parcels if parcel.left]
        self._parcels.append(Parcel(len(records), delivered))
        one_by_one(self, topic, records, partition, self._parcels[-1])

    def partitions(self, topic: str) -> int:
        """How many there are."""
        return self._log.partitions.get(topic, 0)

    def serve(self) -> None:
        """Some of what is queued reaches the log, and some of what did is reported."""
        self._deliver(self._some(self._queued))
        self._report(self._some(self._unreported))

    def flush(self, timeout_s: float) -> int:
        """All of it."""
        del timeout_s
        while self._queued or self._unreported:
            self._deliver(len(self._queued))
            self._report(len(self._unreported))
        return 0

    def crash(self) -> None:
        """Some of what is queued had left the process; nobody is told anything any more."""
        self._deliver(self._some(self._queued))
        self._queued.clear()
        self._unreported.clear()

    def places(self) -> set[tuple[int, int]]:
        """The requests whose answers are queued."""
        answers = [decode(value, Response) for topic, _, value, *_ in self._queued if topic.endswith(".responses")]
        return {(answer.partition, answer.offset) for answer in answers}

    @property
    def under_way(self) -> int:
        """Records whose report somebody still waits for; of a parcel that is the last one's."""
        queued = sum(delivered is not None for *_, delivered in self._queued)
        reported = sum(parcel.count - parcel.left for parcel in self._parcels if parcel.left)
        return queued + reported + sum(delivered is not None for delivered, _ in self._unreported)

    def _some(self, of: Sequence[object]) -> int:
        if not of:
            return 0
        return self._chance.choice((0, self._chance.randint(0, len(of)), len(of), len(of)))

    def _deliver(self, number: int) -> None:
        for _ in range(number):
            topic, partition, value, headers, key, delivered = self._queued.popleft()
            self._unreported.append((delivered, self._log.append(topic, partition, value, headers, key)))

    def _report(self, number: int) -> None:
        for _ in range(number):
            delivered, offset = self._unreported.popleft()
            if delivered is not None:
                delivered(None, offset)


class ShufflingSource(MemorySource):
    """A group member that gets a few records at a time, in any order; `moved` hears when its share changes."""

    def __init__(self, log: MemoryLog, group: str, chance: Random, limit: int, moved: Callable[[], None]) -> None:
        super().__init__(log, group)
        self._moved = moved
        self._chance = chance
        self.limit = limit

    def poll(self, max_records: int, timeout_s: float) -> list[Record]:
        """See `Source.poll`."""
        positions = list(self._positions.items())
        self._chance.shuffle(positions)
        self._positions = dict(positions)
        return super().poll(min(max_records, self.limit), timeout_s)

    def beside(self, topic: str, partition: int, start: int) -> MemoryReader:
        """See `Source.beside`."""
        return MemoryReader(self._log, (topic, partition), start, self.limit)

    def _rebalance(self) -> None:
        before = set(self.owned)
        super()._rebalance()
        if self.owned != before:
            self._moved()

    @property
    def is_behind(self) -> bool:
        """Whether something is there to read, or to take over."""
        return (
            self.expelled
            or self._log.share(self._group, self._topic, self) != self.owned
            or any((self._topic, number) not in self._positions for number in self.owned)
            or any(
                record.value and record.offset >= position
                for place, position in self._positions.items()
                for record in self._log.records[place]
            )
        )
