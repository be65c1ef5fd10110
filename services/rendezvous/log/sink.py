"""`Sink` on Apache Kafka: a producer."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from rendezvous.log.known import KnownTopics, ask_cluster
from rendezvous.log.parcel import Parcel
from rendezvous.log.reading import on_client_error
from rendezvous.log.records import TIMED_OUT, AllDelivered, Delivered, Headers, LogError
from rendezvous.log.roles import ADMIN_TIMEOUT_S, PRODUCER

ROOM_S = 30.0
"""How long a record may wait for room in a full queue: by then `delivery.timeout.ms` has emptied it."""
ROOM_LOOK_S = 0.01


class KafkaSink:
    """A producer on Apache Kafka: acks from all, idempotent.

    Args:
        bootstrap: the cluster's address.
        linger_ms: how long a record waits for company. 0 for whatever has a deadline; for what has none a few
            milliseconds save the broker most of its produce requests.
        room_s: how long `send` waits for room in a full queue, which bounds memory; 0 for whoever must not stand still.
        known: partition counts of topics that have been described already.
        statistics: what `Statistics.settings` gave for this client, for whoever calls `serve` again and again.
    """

    def __init__(
        self,
        bootstrap: str,
        *,
        linger_ms: int = 0,
        room_s: float = ROOM_S,
        known: Mapping[str, int] | None = None,
        statistics: Mapping[str, Any] | None = None,
    ) -> None:
        own = {"bootstrap.servers": bootstrap, "error_cb": on_client_error, "linger.ms": linger_ms}
        self._producer = Producer(PRODUCER | own | dict(statistics or {}))
        self._room_s = room_s
        self._known = KnownTopics(ask_cluster(bootstrap), known or {})
        # an idempotent producer needs half a second for its id, but only once it has met a broker: have that over
        # before the first record, which may have a deadline
        try:
            self._producer.list_topics(timeout=ADMIN_TIMEOUT_S)
        except KafkaException as error:
            raise LogError(f"Kafka at {bootstrap} does not answer ({error.args[0].str()})") from error

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
        """See `Sink.send`; callbacks may run while it waits for room."""
        options: dict[str, Any] = {"key": key, "headers": list(headers)}
        if partition is not None:
            options["partition"] = partition
        if delivered is not None:
            options["on_delivery"] = _reporter(delivered)
        try:
            self._produce(topic, value, options)
        except KafkaException as error:
            raise LogError(f"producing to {topic}: {error.args[0].str()}") from error
        except BufferError as error:
            raise LogError(f"producing to {topic}: {self._no_room()}") from error

    def send_all(
        self,
        topic: str,
        records: Sequence[tuple[bytes, Headers]],
        *,
        partition: int | None = None,
        delivered: AllDelivered,
    ) -> None:
        """See `Sink.send_all`; callbacks may run while it waits for room."""
        parcel = Parcel(len(records), delivered)
        options: dict[str, Any] = {"on_delivery": _parcel_reporter(parcel, records)}
        if partition is not None:
            options["partition"] = partition
        for place, (value, headers) in enumerate(records):
            options["headers"] = list(headers)
            try:
                self._produce(topic, value, options)
            except KafkaException as error:
                parcel.failed(place, error.args[0].str())
            except BufferError:
                parcel.failed(place, self._no_room())

    def _no_room(self) -> str:
        return f"{len(self._producer)} records fill the producer's queue"

    def _produce(self, topic: str, value: bytes, options: dict[str, Any]) -> None:
        give_up_s = 0.0
        while True:
            try:
                self._producer.produce(topic, value, **options)
            except BufferError:
                now_s = time.monotonic()
                give_up_s = give_up_s or now_s + self._room_s
                if now_s >= give_up_s:
                    raise
                self._producer.poll(ROOM_LOOK_S)
            else:
                return

    def partitions(self, topic: str) -> int | None:
        """See `Sink.partitions`."""
        return self._known.partitions(topic)

    def serve(self) -> None:
        """See `Sink.serve`."""
        self._producer.poll(0)

    def flush(self, timeout_s: float) -> int:
        """See `Sink.flush`."""
        return int(self._producer.flush(timeout_s))


def _reporter(delivered: Delivered) -> Callable[[KafkaError | None, Message], None]:
    def report(error: KafkaError | None, message: Message) -> None:
        if error is None:
            delivered(None, message.offset() or 0)
        else:
            delivered(_said(error), -1)

    return report


def _parcel_reporter(
    parcel: Parcel, records: Sequence[tuple[bytes, Headers]]
) -> Callable[[KafkaError | None, Message], None]:
    """One for all: a report names its record by the value alone, and only a failure is worth the search."""

    def report(error: KafkaError | None, message: Message) -> None:
        if error is None:
            parcel.arrived()
        else:
            value = message.value()
            places = (place for place, record in enumerate(records) if record[0] == value)
            parcel.failed(next(place for place in places if not parcel.has_failed(place)), _said(error))

    return report


def _said(error: KafkaError) -> str:
    return TIMED_OUT if error.code() == KafkaError._MSG_TIMED_OUT else error.str()  # noqa: SLF001 - the client's name
