"""Topics as the one retrainer at work has them: read from the beginning, and its own words before it goes on."""

from __future__ import annotations

from collections.abc import Sequence

from rendezvous.log.records import Committed, LogError, Record, Sink, Source, Start
from rendezvous.messages import Message
from rendezvous.wire import encode, name_of

PARTITION = 0
"""Each topic has one."""


class Post:
    """Some topics, and a place in a group that the partition of the first of them stands for."""

    def __init__(self, topics: Sequence[str], source: Source, sink: Sink) -> None:
        self._topics = topics
        self._source = source
        self._sink = sink
        self._positions: dict[str, int] = {}
        self._ends: dict[str, int] = {}
        self._undelivered = 0
        self._failed: str | None = None

    def begin(self) -> list[Start]:
        """The place is ours: what to read from where."""
        starts = []
        for topic in self._topics:
            first, self._ends[topic] = self._source.bounds(topic, PARTITION)
            starts.append(Start(topic, PARTITION, first))
            self._positions[topic] = first
        return starts

    def leave(self) -> list[tuple[str, int]]:
        """The place is another's: what to stop reading."""
        stops = [(topic, PARTITION) for topic in self._positions]
        self._positions, self._ends = {}, {}
        return stops

    @property
    def held(self) -> bool:
        """Whether the place is ours, as far as we have heard."""
        return bool(self._positions)

    @property
    def current(self) -> bool:
        """Whether all has been read that was there at the beginning, and what was written since."""
        return not self._undelivered and all(self._positions[topic] >= end for topic, end in self._ends.items())

    def takes(self, record: Record) -> bool:
        """Whether a record is news; it is none the next time."""
        if record.topic not in self._positions or record.offset < self._positions[record.topic]:
            return False
        self._positions[record.topic] = record.offset + 1
        return True

    def serve(self) -> None:
        """Hear what became of what was written.

        Raises:
            LogError: it could not be delivered.
        """
        self._sink.serve()
        if self._failed is not None:
            raise LogError(f"{self._failed}: stopping; a restart goes on from what is on the log")

    def write(self, topic: str, message: Message) -> bool:
        """Append, unless the place was lost; it is not current before it has been read back."""
        if not self.still_held():
            return False

        def delivered(error: str | None, offset: int) -> None:
            self._undelivered -= 1
            if error is not None:
                self._failed = f"{topic}: {error}"
            elif topic in self._ends:
                self._ends[topic] = max(self._ends[topic], offset + 1)

        self._undelivered += 1
        key = name_of(type(message)).encode()  # for people who look at the topic
        self._sink.send(topic, encode(message), partition=PARTITION, key=key, delivered=delivered)
        return True

    def still_held(self) -> bool:
        """Ask the group: a process that was frozen may have lost its place, and not know of it."""
        first = self._topics[0]
        return self._source.still_member(first, {PARTITION: Committed(self._positions[first], "")})
