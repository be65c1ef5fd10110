"""Reading given partitions, outside any group; and what readers and members share."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from operator import methodcaller
from typing import Any, cast

from confluent_kafka import (
    TIMESTAMP_NOT_AVAILABLE,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from rendezvous.log.patience import patiently
from rendezvous.log.records import LogError, Record, Start
from rendezvous.log.roles import ADMIN_TIMEOUT_S, READER, READER_OF_ALL, TO_THE_END

QUIET_S = 10.0
"""While a broker is away each client has twenty troubles a second, in the same words."""
MAX_TROUBLES = 1_000
"""Remembered; more kinds than that are no repetition."""

_logger = logging.getLogger(__name__)


class Troubles:
    """Which troubles were said when, and how often each came since; `say` is called by the clients' own threads."""

    def __init__(self) -> None:
        self._said: dict[str, tuple[float, int]] = {}
        self._lock = threading.Lock()

    def say(self, trouble: str, now_s: float) -> str:
        """What is to be said of it now: nothing, if it was said less than QUIET_S ago."""
        key = _NUMBERS.sub("#", trouble)
        with self._lock:
            at_s, silent = self._said.get(key, (now_s - QUIET_S, 0))
            if now_s - at_s < QUIET_S:
                self._said[key] = at_s, silent + 1
                return ""
            if len(self._said) >= MAX_TROUBLES:
                self._said.clear()
            self._said[key] = now_s, 0
        return f"{trouble} ({silent} more like it in {now_s - at_s:.0f} s)" if silent else trouble


_NUMBERS = re.compile(r"\d+ms\b")
"""Which differ in every trouble: how long it took to fail."""
_troubles = Troubles()


def on_client_error(error: KafkaError) -> None:
    """Connection troubles heal by themselves: say each once in QUIET_S, and go on."""
    if said := _troubles.say(error.str(), time.monotonic()):
        _logger.warning("kafka client: %s", said)


def heals(error: KafkaError) -> bool:
    """Whether reading goes on by itself; at a position that the broker does not have it would stand still for ever."""
    if error.code() == KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001 - the client's own name for it
        return False
    return bool(error.retriable() or error.code() < 0)


def record_of(message: Message) -> Record:
    """The client's message as a plain tuple; a timestamp that the topic does not keep is -1."""
    kind, timestamp = message.timestamp()
    return Record(
        message.topic() or "",
        message.partition() or 0,
        message.offset() or 0,
        -1 if kind == TIMESTAMP_NOT_AVAILABLE else timestamp,
        message.key(),
        message.value() or b"",
        [(name, value or b"") for name, value in _headers(message)],
    )


_read_headers = methodcaller("headers")
"""As `message.headers()`, but called where Python looks for an exception beside the result, which the client leaves
for a name that is no UTF-8: CPython's specialised calls do not look, and the result then ends the process."""


def _headers(message: Message) -> Sequence[tuple[str, bytes | None]]:
    # typed as a dict and as strings too, which only `produce` takes
    try:
        return cast("Sequence[tuple[str, bytes | None]] | None", _read_headers(message)) or ()
    except (SystemError, UnicodeDecodeError):
        return ()  # a name that is no UTF-8: without its headers the record is no request, and is said to be none


def waiting(consumer: Consumer, max_records: int, timeout_s: float) -> list[Message]:
    """Wait for the first message, take whatever else is there: `consume(n, t)` would wait out t for fewer than n."""
    first = consumer.poll(timeout_s)
    if first is None:
        return []
    return [first, *consumer.consume(max_records - 1, 0)] if max_records > 1 else [first]


class KafkaReader:
    """Reads given partitions of one topic, outside any group; `uncommitted`, also what transactions may yet abort.

    `ended` has the partitions whose end was met: as it was when this reader began, or where nothing more had come. A
    partition that others keep writing to need never say the latter. `settings`: of the client, beside its role's.
    """

    def __init__(
        self,
        bootstrap: str,
        starts: Sequence[Start],
        *,
        uncommitted: bool = False,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        role = READER_OF_ALL if uncommitted else READER
        own = {"bootstrap.servers": bootstrap, "group.id": "reader", "error_cb": on_client_error}
        self._consumer = Consumer(role | own | dict(settings or {}))
        # assigning what is not there would wait for it to be made, and say nothing: this asks for it
        self._ends = {start[:2]: _bounds(self._consumer, start.topic, start.partition)[1] for start in starts}
        self._consumer.assign([TopicPartition(*start) for start in starts])
        self.ended: set[tuple[str, int]] = set()
        self._met: dict[tuple[str, int], int] = {}

    def poll(self, max_records: int, timeout_s: float) -> list[Record]:
        """Wait for the first record, take whatever else is there; `ended` grows as ends are met."""
        records = []
        for message in waiting(self._consumer, max_records, timeout_s):
            error = message.error()
            if error is None:
                record = record_of(message)
                records.append(record)
                if record.offset + 1 >= self._ends[record.topic, record.partition]:
                    self.ended.add((record.topic, record.partition))
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - the client's own name for it
                place = message.topic() or "", message.partition() or 0
                self.ended.add(place)
                self._met[place] = message.offset() or 0
            elif not heals(error):
                raise LogError(f"reading {message.topic()}-{message.partition()}: {error.str()}")
        return records

    def ends(self) -> Mapping[tuple[str, int], int]:
        """For each partition at whose end nothing more had come: the position there, beyond what has no records."""
        return self._met

    def close(self) -> None:
        """Stop reading."""
        self._consumer.close()


def read_to_end(
    bootstrap: str, topic: str, partition: int, start: int, *, uncommitted: bool = False
) -> Iterator[Record]:
    """Records of one partition, from `start` to its end as it is now; gaps at the end do not hang it.

    uncommitted: also what transactions may yet abort.
    """
    reader = KafkaReader(bootstrap, [Start(topic, partition, start)], uncommitted=uncommitted, settings=TO_THE_END)
    try:
        while not reader.ended:
            yield from reader.poll(10_000, 1.0)
    finally:
        reader.close()


def read_open(bootstrap: str, topic: str, partition: int, start: int) -> Iterator[Record]:
    """Records of one partition, from `start` to its end as it is now, in transactions that are not over."""
    stable, end = (_end(role, bootstrap, topic, partition) for role in (READER, READER_OF_ALL))
    if stable == end:  # as it nearly always is: no need to read
        return iter(())
    return read_to_end(bootstrap, topic, partition, max(stable, start), uncommitted=True)


def _end(role: Mapping[str, Any], bootstrap: str, topic: str, partition: int) -> int:
    consumer = Consumer({**role, "bootstrap.servers": bootstrap, "group.id": "reader"})
    try:
        return _bounds(consumer, topic, partition)[1]
    finally:
        consumer.close()


def last_records(bootstrap: str, topic: str, offsets: int) -> Iterator[Record]:
    """Committed records on the last `offsets` offsets of each partition of a topic, as it is now."""
    bounds = bounds_of(bootstrap, topic)
    starts = [Start(topic, number, max(low, high - offsets)) for number, (low, high) in bounds.items()]
    reader = KafkaReader(bootstrap, starts, settings=TO_THE_END)
    try:
        while len(reader.ended) < len(starts):
            yield from reader.poll(10_000, 1.0)
    finally:
        reader.close()


def starts_at_end(bootstrap: str, topic: str) -> list[Start]:
    """Every partition of a topic, at its end as it is now."""
    return [Start(topic, number, high) for number, (_, high) in bounds_of(bootstrap, topic).items()]


def bounds_of(bootstrap: str, topic: str) -> dict[int, tuple[int, int]]:
    """Each partition's first offset and the position after its last, as they are now.

    Raises:
        LogError: the topic is not there, or the cluster does not answer.
    """
    consumer = Consumer(READER | {"bootstrap.servers": bootstrap, "group.id": "reader"})
    try:
        found = consumer.list_topics(topic, timeout=ADMIN_TIMEOUT_S).topics[topic]
        if found.error is not None:
            raise LogError(f"topic {topic}: {found.error.str()}. Create it: rendezvous topics apply --endpoint ...")
        return {number: _bounds(consumer, topic, number) for number in found.partitions}
    except KafkaException as error:
        raise LogError(
            f"Kafka at {bootstrap} does not answer ({error.args[0].str()}): is it the right address?"
        ) from error
    finally:
        consumer.close()


def _bounds(consumer: Consumer, topic: str, number: int) -> tuple[int, int]:
    part = TopicPartition(topic, number)
    ends = patiently(lambda: consumer.get_watermark_offsets(part, timeout=ADMIN_TIMEOUT_S), f"ends of {topic}-{number}")
    return int(ends[0]), int(ends[1])
