"""Kafka clients with nothing around them: the floor's. The only module of loadtest/ that imports confluent_kafka.

Their settings are those of the services' clients (rendezvous.log.roles); what is missing is everything else.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from confluent_kafka import OFFSET_END, Consumer, KafkaError, Message, Producer, TopicPartition, libversion

from rendezvous.log import Headers, LogError
from rendezvous.log.member import GATHER_BYTES
from rendezvous.log.reading import on_client_error
from rendezvous.log.roles import ADMIN_TIMEOUT_S, MEMBER, PRODUCER, READER

__all__ = [
    "LIBRDKAFKA",
    "Consumer",
    "Message",
    "Producer",
    "await_end",
    "end_of",
    "gathering",
    "header",
    "headers",
    "member",
    "member_settings",
    "producer",
    "producer_settings",
    "reader",
    "take",
    "value",
]

LIBRDKAFKA = libversion()[0]
END_WAIT_S = 0.1
"""Between two looks whether the end of a partition has been met."""
AS_IS: Mapping[str, Any] = MappingProxyType({})
"""The services' settings with nothing changed."""


def producer_settings(bootstrap: str, changed: Mapping[str, Any] = AS_IS) -> dict[str, Any]:
    """As KafkaSink has them for answers and scores, without linger; what is changed has the last word."""
    own = {"bootstrap.servers": bootstrap, "error_cb": on_client_error, "linger.ms": 0}
    return PRODUCER | own | dict(changed)


def producer(bootstrap: str, changed: Mapping[str, Any] = AS_IS) -> Producer:
    """As KafkaSink makes it: its id is fetched before the first record."""
    made = Producer(producer_settings(bootstrap, changed))
    made.list_topics(timeout=ADMIN_TIMEOUT_S)
    return made


def gathering(gather_ms: int) -> dict[str, Any]:
    """What KafkaSource changes where records wait for company at the broker; nothing for 0."""
    return {"fetch.min.bytes": GATHER_BYTES, "fetch.wait.max.ms": gather_ms} if gather_ms else {}


def member_settings(bootstrap: str, group: str, changed: Mapping[str, Any] = AS_IS) -> dict[str, Any]:
    """As KafkaSource has them; what is changed has the last word."""
    return MEMBER | {"bootstrap.servers": bootstrap, "group.id": group, "error_cb": on_client_error} | dict(changed)


def member(
    bootstrap: str, group: str, topic: str, changed: Mapping[str, Any] = AS_IS, start: int = OFFSET_END
) -> Consumer:
    """A group member as KafkaSource makes it, reading `topic` from its end, or from another offset."""

    def gained(consumer: Consumer, parts: list[TopicPartition]) -> None:
        consumer.incremental_assign([TopicPartition(part.topic, part.partition, start) for part in parts])

    made = Consumer(member_settings(bootstrap, group, changed))
    made.subscribe([topic], on_assign=gained)
    return made


def reader(bootstrap: str, topic: str, partition: int) -> Consumer:
    """Outside any group as KafkaReader, reading one partition from its end."""
    made = Consumer(READER | {"bootstrap.servers": bootstrap, "group.id": "reader", "error_cb": on_client_error})
    made.assign([TopicPartition(topic, partition, OFFSET_END)])
    return made


def await_end(consumer: Consumer, partitions: int, timeout_s: float) -> None:
    """Wait until the ends of so many partitions have been met: what is written from now on is read.

    Raises:
        LogError: they were not, within `timeout_s`.
    """
    give_up = time.monotonic() + timeout_s
    ended: set[int | None] = set()
    while len(ended) < partitions:
        if time.monotonic() > give_up:
            raise LogError(f"the ends of {len(ended)} of {partitions} partitions met within {timeout_s:g} s")
        message = consumer.poll(END_WAIT_S)
        if message is not None and not _is_record(message):
            ended.add(message.partition())


def take(consumer: Consumer, max_records: int, timeout_s: float) -> Sequence[Message]:
    """Wait for the first record, take whatever else is there: the calls that KafkaSource.poll makes.

    Raises:
        LogError: reading failed beyond repair.
    """
    first = consumer.poll(timeout_s)
    if first is None:
        return ()
    return [message for message in (first, *consumer.consume(max_records - 1, 0)) if _is_record(message)]


def send(producer: Producer, topic: str, value: bytes, *, partition: int | None = None, headers: Headers = ()) -> None:
    """Hand a record over; without a partition it goes to any, as a Client's request without a key."""
    options: dict[str, Any] = {} if partition is None else {"partition": partition}
    producer.produce(topic, value, headers=list(headers), **options)


def value(message: Message) -> bytes:
    """A record's value."""
    found = message.value()
    return found if isinstance(found, bytes) else b""


def end_of(consumer: Consumer, topic: str, partition: int) -> int:
    """The position after the last record, as the broker says now."""
    return int(consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=ADMIN_TIMEOUT_S)[1])


def headers(message: Message) -> dict[str, bytes]:
    """A record's headers by name; the client types them as a dict too, which only `produce` takes."""
    found: dict[str, Any] = dict(message.headers() or ())
    return found


def header(message: Message, name: str) -> bytes:
    """One header of a record.

    Raises:
        LogError: the record has no such header.
    """
    found = dict(message.headers() or ()).get(name)
    if not isinstance(found, bytes):
        raise LogError(f"{message.topic()}-{message.partition()}@{message.offset()} has no header {name}")
    return found


def _is_record(message: Message) -> bool:
    error = message.error()
    if error is None:
        return True
    if error.code() != KafkaError._PARTITION_EOF and not (error.retriable() or error.code() < 0):  # noqa: SLF001 - the client's own name for it
        raise LogError(f"reading {message.topic()}-{message.partition()}: {error.str()}")
    return False
