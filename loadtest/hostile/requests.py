"""Hostile requests."""

from __future__ import annotations

import random
from collections.abc import Callable

from loadtest.hostile.kind import ANSWERED, Header, Kind, Raw
from rendezvous.envelope import write_envelope
from rendezvous.messages import DeadLetterReason as Dead
from rendezvous.messages import Envelope
from rendezvous.settings import Endpoint
from rendezvous.wire import HEAD_BYTES, Codec

LARGEST = 990_000
"""Kafka takes 1 MiB a record."""
FEW = 20
"""Of records as large as that."""


def headers_of(name: str, *more: Header, deadline_ms: int | None = None) -> list[Header]:
    """A good envelope, and what comes after it; of a header given twice the last counts."""
    return [*write_envelope(Envelope(name, "hostile", deadline_ms, None)), *more]


def request_kinds(endpoint: Endpoint, wrong: bytes) -> list[Kind]:
    """Everything that can be wrong with a request; `wrong` is a message that belongs elsewhere."""
    good = Codec(endpoint.features_schema).encode({"x": 0.5})
    bad = endpoint.request.max_bytes + 1

    def kind(name: str, right: str, make: Callable[[random.Random, str], Raw], most: int | None = None) -> Kind:
        return Kind(name, "requests", right, lambda chance, number: make(chance, f"bad-{number}"), most=most)

    def header(name: str, right: str, *more: Header) -> Kind:
        return kind(name, right, lambda _, request: Raw(good, headers_of(request, *more)))

    return [
        kind("random bytes, no headers", Dead.NO_ID, lambda chance, _: Raw(noise(chance))),
        kind("null value, no headers", Dead.NO_ID, lambda _, __: Raw(None)),
        kind("null ce_id", Dead.NO_ID, lambda _, __: Raw(good, [("ce_id", None)])),
        header("ce_id that is not UTF-8", Dead.NO_ID, ("ce_id", b"\xff\xfe")),
        header("ce_id of 10 kB", Dead.NO_ID, ("ce_id", bytes(10_000))),
        kind("10,000 headers", Dead.NO_ID, lambda chance, _: Raw(good, [("x", noise(chance, 40))] * 10_000), FEW),
        kind(
            "header names of 20 kB in four-byte characters",
            Dead.NO_ID,
            lambda _, __: Raw(good, [("\N{GRINNING FACE}" * 5_000, b"")] * 32),
            FEW,
        ),
        header("deadline_ms = soon", Dead.BAD_ENVELOPE, ("deadline_ms", b"soon")),
        header("deadline_ms negative", Dead.BAD_ENVELOPE, ("deadline_ms", b"-1")),
        header("deadline_ms huge", Dead.BAD_ENVELOPE, ("deadline_ms", b"9" * 4_000)),
        header("deadline_ms null", Dead.BAD_ENVELOPE, ("deadline_ms", None)),
        header("kafka_replyPartition of 3 bytes", Dead.BAD_ENVELOPE, ("kafka_replyPartition", b"\0\0\1")),
        header("kafka_replyPartition negative", Dead.BAD_ENVELOPE, ("kafka_replyPartition", b"\xff" * 4)),
        header("kafka_replyPartition beyond", Dead.REPLY_REFUSED, ("kafka_replyPartition", b"\x7f\xff\xff\xff")),
        header("kafka_replyTopic not UTF-8", Dead.BAD_ENVELOPE, ("kafka_replyTopic", b"\xff")),
        header("kafka_replyTopic: the requests", Dead.REPLY_REFUSED, _reply_to(endpoint.topic("requests"))),
        header("kafka_replyTopic: control", Dead.REPLY_REFUSED, _reply_to(endpoint.topic("control"))),
        header("kafka_correlationId of 257 bytes", Dead.BAD_ENVELOPE, ("kafka_correlationId", bytes(257))),
        kind("random bytes", Dead.UNKNOWN_SCHEMA, lambda chance, name: Raw(noise(chance), headers_of(name))),
        kind("null value", Dead.UNKNOWN_SCHEMA, lambda _, name: Raw(None, headers_of(name))),
        kind("a Scores", Dead.UNKNOWN_SCHEMA, lambda _, name: Raw(wrong, headers_of(name))),
        kind(
            "a future schema",
            Dead.UNKNOWN_SCHEMA,
            lambda chance, name: Raw(good[:2] + chance.randbytes(8) + good[HEAD_BYTES:], headers_of(name)),
        ),
        kind(
            "right head, random rest",
            Dead.UNREADABLE,
            lambda chance, name: Raw(good[:HEAD_BYTES] + chance.randbytes(chance.randrange(5, 90)), headers_of(name)),
        ),
        kind("cut short", Dead.UNREADABLE, lambda _, name: Raw(good[:-1], headers_of(name))),
        kind("too large by one", Dead.TOO_LARGE, lambda _, name: Raw(good + bytes(bad - len(good)), headers_of(name))),
        kind(
            "as large as Kafka takes",
            Dead.TOO_LARGE,
            lambda chance, name: Raw(chance.randbytes(LARGEST), headers_of(name)),
            FEW,
        ),
        header("deadline of a millisecond", ANSWERED, ("deadline_ms", b"1")),
        header("deadline of eleven days", ANSWERED, ("deadline_ms", b"999999999")),
        kind("key of 100 kB", ANSWERED, lambda _, name: Raw(good, headers_of(name), bytes(100_000)), 2 * FEW),
        kind(
            "features of 1e38, NaN and infinity",
            ANSWERED,
            lambda chance, name: Raw(_features(endpoint, chance), headers_of(name)),
        ),
        Kind(
            "compressed random bytes",
            "requests",
            Dead.UNKNOWN_SCHEMA,
            lambda chance, number: Raw(noise(chance), headers_of(f"bad-{number}")),
            compression="gzip",
        ),
        # requests are read uncommitted, so that one application's open transaction does not stall the others: whoever
        # aborts has its answers all the same
        Kind(
            "good, of an aborted transaction",
            "requests",
            ANSWERED,
            lambda _, number: Raw(good, headers_of(f"bad-{number}")),
            aborted=True,
        ),
    ]


def noise(chance: random.Random, most: int = 300) -> bytes:
    """Random bytes that begin with none of Avro's markers."""
    return b"\0" + chance.randbytes(chance.randrange(1, most))


def _reply_to(topic: str) -> Header:
    return "kafka_replyTopic", topic.encode()


def _features(endpoint: Endpoint, chance: random.Random) -> bytes:
    return Codec(endpoint.features_schema).encode({"x": chance.choice([1e38, float("nan"), float("inf"), -1e38])})
