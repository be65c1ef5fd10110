"""A request's headers: CloudEvents in binary mode, the deadline, and Spring's request/reply names.

| header | bytes | meaning |
|---|---|---|
| ce_id | UTF-8, at most 256 | the application's name for the request; required |
| ce_source | UTF-8 | who asks |
| ce_specversion, ce_type, content-type, traceparent | UTF-8 | information: carried, not read |
| ce_time | UTF-8, RFC 3339 | when it was asked; read where the endpoint's `monitoring.time` says so |
| deadline_ms | decimal digits | how long after the broker's append the answer is worth having |
| kafka_replyTopic | UTF-8 | where to answer; without it, <endpoint>.responses |
| kafka_replyPartition | 4 bytes, big-endian | which partition of it; without it, the server chooses |
| kafka_correlationId | opaque, at most 256 | comes back on the answer; without it, ce_id |

Of a header given twice the last counts, as in Spring.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from rendezvous.messages import DeadLetterReason, Envelope, ReplyAddress

CONTENT_TYPE = b"application/avro"
MAX_ID_BYTES = 256
"""Of ce_id and the correlation id: they are held for every request in flight."""
MAX_DEADLINE_DIGITS = 9
MAX_TOPIC_CHARACTERS = 249
"""Kafka's own limit on a topic's name."""

DRAW_BYTES = 3
"""Of the digest: a draw has 24 bits, as many as a float32 holds."""
DRAW_PERSON = b"rendezvous"
"""BLAKE2b's personalisation: hashes of the same key for other purposes do not move with this one."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
"""Of a difference of times: exact, where a float of seconds is not."""

_PARTITION = struct.Struct(">i")


class EnvelopeError(ValueError):
    """The headers do not make a request; `reason` is a `DeadLetterReason`."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def read_envelope(headers: Sequence[tuple[str, bytes]]) -> Envelope:
    """Read a request's headers.

    Raises:
        EnvelopeError: NO_ID without a usable ce_id, BAD_ENVELOPE when another header is malformed.
    """
    found = dict(headers)
    name = found.get("ce_id", b"")
    if not 0 < len(name) <= MAX_ID_BYTES:
        raise EnvelopeError(DeadLetterReason.NO_ID, f"ce_id must have 1 to {MAX_ID_BYTES} bytes")
    reading = "ce_id"
    try:
        request_id = name.decode()
        reading = "ce_source"
        source = found.get("ce_source", b"").decode()
        reading = "kafka_replyTopic"
        topic = found.get("kafka_replyTopic", b"").decode()
    except UnicodeDecodeError as error:
        reason = DeadLetterReason.NO_ID if reading == "ce_id" else DeadLetterReason.BAD_ENVELOPE
        raise EnvelopeError(reason, f"{reading} is not UTF-8: {found[reading][:40]!r}") from error
    digits = found.get("deadline_ms")
    if digits is not None and not (digits.isdigit() and len(digits) <= MAX_DEADLINE_DIGITS):
        raise EnvelopeError(DeadLetterReason.BAD_ENVELOPE, f"deadline_ms must be decimal digits, not {digits[:40]!r}")
    reply = _reply(topic, found.get("kafka_replyPartition"), found.get("kafka_correlationId", name))
    return Envelope(request_id, source, None if digits is None else int(digits), reply)


def _reply(topic: str, partition: bytes | None, correlation: bytes) -> ReplyAddress:
    if len(correlation) > MAX_ID_BYTES:
        raise EnvelopeError(DeadLetterReason.BAD_ENVELOPE, f"kafka_correlationId exceeds {MAX_ID_BYTES} bytes")
    if len(topic) > MAX_TOPIC_CHARACTERS:
        raise EnvelopeError(
            DeadLetterReason.BAD_ENVELOPE, f"kafka_replyTopic exceeds {MAX_TOPIC_CHARACTERS} characters"
        )
    if partition is None:
        number = None
    elif len(partition) == _PARTITION.size:
        (number,) = _PARTITION.unpack(partition)
        if number < 0:
            raise EnvelopeError(DeadLetterReason.BAD_ENVELOPE, f"kafka_replyPartition is negative: {number}")
    else:
        raise EnvelopeError(
            DeadLetterReason.BAD_ENVELOPE, f"kafka_replyPartition must be 4 bytes, big-endian, not {partition[:40]!r}"
        )
    return ReplyAddress(topic, number, correlation)


def told_at_us(headers: Sequence[tuple[str, bytes]]) -> int | None:
    """When the application says that it asked, by ce_time; None where that is absent or no RFC 3339."""
    try:
        asked = datetime.fromisoformat(dict(headers).get("ce_time", b"").decode("ascii"))
    except ValueError:
        return None
    return None if asked.tzinfo is None else (asked - EPOCH) // MICROSECOND


def draw_of(key: bytes, person: bytes = DRAW_PERSON) -> float:
    """The place in [0, 1) of the requests with this key: the same in every process and language, for ever.

    key: the record's key, or the bytes of `ce_id` when that is absent or empty. person: another one gives another,
    independent place.
    """
    digest = hashlib.blake2b(key, digest_size=8, person=person).digest()
    return int.from_bytes(digest[:DRAW_BYTES], "big") / (1 << 8 * DRAW_BYTES)


def draw_key(key: bytes | None, request_id: str) -> bytes:
    """What a request is drawn by: its record's key (one of no bytes is a key), or its id."""
    return request_id.encode() if key is None else key


def write_envelope(envelope: Envelope, asked: datetime | None = None) -> list[tuple[str, bytes]]:
    """The headers of a request: the opposite of `read_envelope`, and of `told_at_us` where `asked` is given.

    Raises:
        ValueError: asked has no zone.
    """
    headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", envelope.request_id.encode()),
        ("ce_type", b"rendezvous.request"),
        ("ce_source", envelope.source.encode()),
        ("content-type", CONTENT_TYPE),
    ]
    if envelope.deadline_ms is not None:
        headers.append(("deadline_ms", str(envelope.deadline_ms).encode()))
    if asked is not None:
        if asked.tzinfo is None:
            raise ValueError(f"asked must have a zone: {asked} may be any of 24 moments")
        headers.append(("ce_time", asked.astimezone(UTC).isoformat().encode()))
    reply = envelope.reply
    if reply is not None:
        if reply.topic:
            headers.append(("kafka_replyTopic", reply.topic.encode()))
        if reply.partition is not None:
            headers.append(("kafka_replyPartition", _PARTITION.pack(reply.partition)))
        headers.append(("kafka_correlationId", reply.correlation))
    return headers
