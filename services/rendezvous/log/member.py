"""`Source` on Apache Kafka: a member of a consumer group."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from rendezvous.log.patience import patiently
from rendezvous.log.reading import KafkaReader, heals, on_client_error, read_open, read_to_end, record_of, waiting
from rendezvous.log.records import Committed, LogError, Owner, Record, Start
from rendezvous.log.roles import ADMIN_TIMEOUT_S, MEMBER

GATHER_BYTES = 1_048_576
"""More than arrives while gathering: the time decides."""

_logger = logging.getLogger(__name__)


class KafkaSource:
    """A group member on Apache Kafka.

    `gather_ms`: how long the broker lets records wait for company; 0 for whoever has a deadline. `statistics`: what
    `Statistics.settings` gave for this client.
    """

    def __init__(
        self, bootstrap: str, group: str, *, gather_ms: int = 0, statistics: Mapping[str, Any] | None = None
    ) -> None:
        settings = MEMBER | {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "error_cb": on_client_error,
            **(statistics or {}),
        }
        if gather_ms:
            settings |= {"fetch.min.bytes": GATHER_BYTES, "fetch.wait.max.ms": gather_ms}
        self._bootstrap = bootstrap
        self._consumer = Consumer(settings)
        self._ends: dict[tuple[str, int], int] = {}
        self._member_id = ""
        self._detached = False

    def subscribe(self, topic: str, owner: Owner) -> None:
        """See `Source.subscribe`."""

        def gained(consumer: Consumer, parts: list[TopicPartition]) -> None:
            self._member_id = consumer.memberid() or ""
            starts = owner.assigned([part.partition for part in parts])
            consumer.incremental_assign([TopicPartition(*start) for start in starts])

        def gone(consumer: Consumer, parts: list[TopicPartition], *, lost: bool) -> None:
            stops = owner.revoked([part.partition for part in parts], lost=lost)
            for topic_name, partition in stops:
                self._ends.pop((topic_name, partition), None)
            stopped = self._read_of(stops)
            places = consumer.position(stopped) if self._detached and not lost else []
            consumer.incremental_unassign(stopped)
            if on := [place for place in places if place.offset >= 0]:  # of the others nothing was read yet
                consumer.incremental_assign(on)

        self._consumer.subscribe(
            [topic],
            on_assign=gained,
            on_revoke=lambda consumer, parts: gone(consumer, parts, lost=False),
            on_lost=lambda consumer, parts: gone(consumer, parts, lost=True),
        )

    def poll(self, max_records: int, timeout_s: float) -> list[Record]:
        """See `Source.poll`."""
        records = []
        for message in waiting(self._consumer, max_records, timeout_s):
            error = message.error()
            if error is None:
                records.append(record_of(message))
            else:
                self._note(message, error)
        return records

    def _note(self, message: Message, error: KafkaError) -> None:
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - the client's own name for it
            self._ends[message.topic() or "", message.partition() or 0] = message.offset() or 0
        elif heals(error):
            _logger.warning("kafka: %s", error.str())
        else:
            raise LogError(f"reading {message.topic()}-{message.partition()}: {error.str()}")

    def ends(self) -> Mapping[tuple[str, int], int]:
        """See `Source.ends`."""
        return self._ends

    def committed(self, topic: str, partition: int) -> Committed | None:
        """See `Source.committed`."""
        (found,) = patiently(
            lambda: self._consumer.committed([TopicPartition(topic, partition)], timeout=ADMIN_TIMEOUT_S),
            f"committed position of {topic}-{partition}",
        )
        if found.error is not None:
            raise LogError(f"committed position of {topic}-{partition}: {found.error}")
        return None if found.offset < 0 else Committed(found.offset, found.metadata or "")

    def commit(self, topic: str, partition: int, committed: Committed, *, wait: bool) -> None:
        """See `Source.commit`; without `wait` a failure is logged and the next commit repairs it."""
        position = TopicPartition(topic, partition, committed.offset, committed.metadata)
        try:
            if wait:
                self._consumer.commit(offsets=[position], asynchronous=False)
            else:
                self._consumer.commit(offsets=[position], asynchronous=True)
        except KafkaException as error:
            # a member that was fenced or is rebalancing: whoever owns the partition resumes from the last commit
            _logger.warning("commit of %s-%d at %d: %s", topic, partition, committed.offset, error)

    def still_member(self, topic: str, held: Mapping[int, Committed]) -> bool:
        """See `Source.still_member`: the group's coordinator takes a commit only from a member of its generation."""
        if not held:
            return True
        positions = [TopicPartition(topic, number, at.offset, at.metadata) for number, at in held.items()]
        try:
            done = self._consumer.commit(offsets=positions, asynchronous=False) or []
        except KafkaException as error:
            _logger.warning("%s: the group does not know this member: %s", topic, error.args[0].str())
            return False
        if refused := [part for part in done if part.error is not None]:
            _logger.warning("%s-%d: not committed: %s", topic, refused[0].partition, refused[0].error)
            return False
        # one that knows of its expulsion commits as nobody, which an empty group lets pass
        return bool(self._consumer.memberid() == self._member_id)

    def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """See `Source.bounds`."""
        low, high = patiently(
            lambda: self._consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=ADMIN_TIMEOUT_S),
            f"ends of {topic}-{partition}",
        )
        return low, high

    def position_at(self, topic: str, partition: int, timestamp_ms: int) -> int:
        """See `Source.position_at`."""
        wanted = [TopicPartition(topic, partition, timestamp_ms)]
        (found,) = patiently(
            lambda: self._consumer.offsets_for_times(wanted, timeout=ADMIN_TIMEOUT_S),
            f"position in {topic}-{partition} at {timestamp_ms} ms",
        )
        return found.offset if found.offset >= 0 else self.bounds(topic, partition)[1]

    def read(self, topic: str, partition: int, start: int, *, uncommitted: bool = False) -> Iterator[Record]:
        """See `Source.read`."""
        return read_to_end(self._bootstrap, topic, partition, start, uncommitted=uncommitted)

    def read_open(self, topic: str, partition: int, start: int) -> Iterator[Record]:
        """See `Source.read_open`."""
        return read_open(self._bootstrap, topic, partition, start)

    def reread(self, starts: Sequence[Start]) -> None:
        """See `Source.reread`."""
        for start in starts:
            self._ends.pop((start.topic, start.partition), None)
        self._consumer.incremental_unassign(self._read_of(start[:2] for start in starts))
        self._consumer.incremental_assign([TopicPartition(*start) for start in starts])

    def end(self, topic: str, partition: int) -> int:
        """See `Source.end`."""
        try:
            end: int = self._consumer.get_watermark_offsets(TopicPartition(topic, partition), cached=True)[1]
        except KafkaException:
            return -1
        return max(end, -1)

    def beside(self, topic: str, partition: int, start: int) -> KafkaReader:
        """See `Source.beside`."""
        return KafkaReader(self._bootstrap, [Start(topic, partition, start)], uncommitted=True)

    def cease(self, places: Sequence[tuple[str, int]]) -> None:
        """See `Source.cease`."""
        for place in places:
            self._ends.pop(place, None)
        self._consumer.incremental_unassign(self._read_of(places))

    def _read_of(self, places: Iterable[tuple[str, int]]) -> list[TopicPartition]:
        """Those that are read: the client refuses to stop what it does not read."""
        read = {(part.topic, part.partition) for part in self._consumer.assignment()}
        return [TopicPartition(*place) for place in places if place in read]

    def group_metadata(self) -> object:
        """What lets a transaction commit positions for this member, as it is now; for the thread that polls."""
        return self._consumer.consumer_group_metadata()

    def detach(self) -> None:
        """See `Source.detach`; the owner is told in a later `poll`."""
        self._detached = True
        self._consumer.unsubscribe()

    def close(self) -> None:
        """See `Source.close`.

        A member without partitions sends no word when it is closed, and the group waits for its session to end: one
        that stops between the two rounds of a join leaves partitions unowned for six seconds. Unsubscribing says it.
        """
        self._detached = False
        self._consumer.unsubscribe()
        self._consumer.close()
