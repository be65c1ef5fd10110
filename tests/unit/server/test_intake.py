"""Records to messages, or to the fault that sends them to dead-letters."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from endpoints import DEADLINE_MS, FEATURES, VERSIONS, endpoint, plan_of
from rendezvous.envelope import draw_of, write_envelope
from rendezvous.log.records import Headers, Record
from rendezvous.messages import DeadLetter, DeadLetterReason, Envelope, ReplyAddress, Request, Scores, Status
from rendezvous.server.intake import (
    MAX_DEAD_BYTES,
    MAX_DEAD_HEADER_BYTES,
    MAX_DEAD_HEADERS,
    Fault,
    Intake,
    dead_letter,
)
from rendezvous.wire import Codec, decode, encode

CODEC = Codec(FEATURES)
VALUE = CODEC.encode({"x": 0.5, "who": "a"})
MAX_BYTES = 1_000
MEBIBYTE = 1 << 20
"""Kafka's default message.max.bytes."""
APPENDED_MS = 1_700_000_000_000
NOW_US = APPENDED_MS * 1_000 + 1_500
PLAN = plan_of(endpoint())
KNOWN = VERSIONS.items()


def intake() -> Intake:
    """Of the test endpoint."""
    return Intake(CODEC, MAX_BYTES, 1)


def record(value: bytes = VALUE, headers: Headers | None = None, key: bytes | None = None) -> Record:
    """A record of the requests topic."""
    chosen = write_envelope(Envelope("r", "s", None, None)) if headers is None else headers
    return Record("tests.requests", 3, 42, APPENDED_MS, key, value, chosen)


def request_of(found: Record) -> tuple[Request | None, Fault | None]:
    """What the intake makes of it."""
    return intake().request(found, PLAN)


def scores(model: str = "champion", version: str = "c1", width: int = 1, offsets: tuple[int, ...] = (7, 9)) -> bytes:
    """A scores record's value."""
    return encode(
        Scores(
            model=model,
            version=version,
            taken_us=1,
            scored_us=2,
            offsets=np.array(offsets, np.int64),
            statuses=np.full(len(offsets), Status.OK, np.uint8),
            outputs=np.full((len(offsets), width), 0.5, np.float32),
        )
    )


# ----------------------------------------------------------------------------------------------------------- requests


def test_a_request_is_its_envelope_and_its_place() -> None:
    """Offset, append time, deadline, id and reply address; nothing is rejected."""
    reply = ReplyAddress("tests.responses", 1, b"c")
    request, fault = request_of(record(headers=write_envelope(Envelope("r", "s", 200, reply))))
    assert fault is None
    appended_us = APPENDED_MS * 1_000
    assert request == Request(42, appended_us, appended_us + 200_000, "r", reply, None, draw_of(b"r"))


@pytest.mark.parametrize(
    ("deadline_ms", "budget_ms"),
    [
        (None, DEADLINE_MS),
        (0, 0),
        (1, 1),
        (DEADLINE_MS + 1, DEADLINE_MS + 1),
        (2_000, 2_000),
        (2_001, 2_000),
        (999_999_999, 2_000),
    ],
)
def test_a_deadline_is_clamped(deadline_ms: int | None, budget_ms: int) -> None:
    """The endpoint's own without one, the application's up to the endpoint's longest."""
    request, _ = request_of(record(headers=write_envelope(Envelope("r", "", deadline_ms, None))))
    assert request is not None
    assert request.deadline_us - request.appended_us == budget_ms * 1_000


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ([], DeadLetterReason.NO_ID),
        ([("ce_id", b"")], DeadLetterReason.NO_ID),
        ([("ce_id", b"r"), ("deadline_ms", b"soon")], DeadLetterReason.BAD_ENVELOPE),
    ],
)
def test_a_record_that_is_no_request_is_owed_nothing(headers: Headers, reason: str) -> None:
    """Without an id, or with an envelope that cannot be read, there is nobody to answer: only a fault."""
    request, fault = request_of(record(headers=headers))
    assert request is None
    assert fault is not None
    assert fault.reason == reason
    assert fault.detail


@pytest.mark.parametrize(
    ("value", "reason", "words"),
    [
        (VALUE + bytes(MAX_BYTES + 1 - len(VALUE)), DeadLetterReason.TOO_LARGE, f"{MAX_BYTES + 1} bytes"),
        (b"", DeadLetterReason.UNKNOWN_SCHEMA, "no released features schema"),
        (b"{}", DeadLetterReason.UNKNOWN_SCHEMA, "7b7d"),
        (scores(), DeadLetterReason.UNKNOWN_SCHEMA, scores()[:10].hex()),
    ],
)
def test_a_value_that_cannot_be_scored_is_still_owed_an_answer(value: bytes, reason: str, words: str) -> None:
    """Both a request, which says why it is rejected, and a fault."""
    request, fault = request_of(record(value))
    assert request is not None
    assert fault is not None
    assert request.rejected == fault.reason == reason
    assert words in fault.detail


def test_a_value_of_exactly_the_limit_is_taken() -> None:
    """Whether it decodes is for the models to say: the server looks at its head alone."""
    request, fault = request_of(record(VALUE + bytes(MAX_BYTES - len(VALUE))))
    assert fault is None
    assert request is not None
    assert request.rejected is None


def test_a_value_of_an_older_schema_is_taken() -> None:
    """Every released features schema is read."""
    older = '{"type": "record", "name": "Features", "fields": [{"name": "who", "type": "string"}]}'
    found = Intake(Codec(FEATURES, [older]), MAX_BYTES, 1)
    assert found.request(record(Codec(older).encode({"who": "a"})), PLAN)[1] is None


# ------------------------------------------------------------------------------------------------------------- scores


def test_scores_of_a_registered_model_are_taken() -> None:
    """As they were sent."""
    found = intake().scores(record(scores()), KNOWN)
    assert isinstance(found, Scores)
    assert (found.model, found.offsets.tolist()) == ("champion", [7, 9])


@pytest.mark.parametrize(
    ("value", "reason", "words"),
    [
        (b"", DeadLetterReason.UNKNOWN_SCHEMA, "head"),
        (VALUE, DeadLetterReason.UNKNOWN_SCHEMA, VALUE[:10].hex()),
        (scores()[:-1], DeadLetterReason.UNREADABLE, ""),
        (scores() + b"\0", DeadLetterReason.UNREADABLE, "1 bytes after"),
        (scores(offsets=(9, 7)), DeadLetterReason.UNREADABLE, "increase"),
        (scores("stranger"), DeadLetterReason.UNREGISTERED_MODEL, "stranger/c1 was never deployed"),
        (scores(version="c0"), DeadLetterReason.UNREGISTERED_MODEL, "champion/c0 was never deployed"),
        (scores("challenger"), DeadLetterReason.UNREGISTERED_MODEL, "challenger/c1"),
        (scores(width=2), DeadLetterReason.WRONG_SHAPE, "champion answers 2 numbers, the endpoint has 1"),
    ],
)
def test_scores_that_cannot_be_used_are_a_fault(value: bytes, reason: str, words: str) -> None:
    """Each with its own reason, and with what was expected."""
    found = intake().scores(record(value), KNOWN)
    assert isinstance(found, Fault)
    assert found.reason == reason
    assert words in found.detail


def test_a_strangers_name_does_not_fill_a_letter() -> None:
    """Names are quoted by their beginning."""
    found = intake().scores(record(scores("m" * 100_000, "v" * 100_000)), KNOWN)
    assert isinstance(found, Fault)
    assert len(found.detail) < 500


# ------------------------------------------------------------------------------------------------------- dead letters


def test_a_letter_says_what_where_and_when() -> None:
    """A small record is in it whole."""
    found = record(b"value", [("a", b"1"), ("a", b"\xff")], b"key")
    assert dead_letter(found, Fault("no_id", "in words"), NOW_US) == DeadLetter(
        reason="no_id",
        detail="in words",
        topic="tests.requests",
        partition=3,
        offset=42,
        appended_us=APPENDED_MS * 1_000,
        written_us=NOW_US,
        headers=(("a", b"1"), ("a", b"\xff")),
        key=b"key",
        value=b"value",
        size_bytes=5,
    )


def test_a_record_without_a_timestamp_has_none_in_its_letter() -> None:
    """-1, not the thousandth part of a second before the epoch."""
    found = record()._replace(timestamp_ms=-1)
    assert dead_letter(found, Fault("r", "d"), NOW_US).appended_us == -1
    assert dead_letter(found._replace(timestamp_ms=0), Fault("r", "d"), NOW_US).appended_us == 0


def test_no_key_is_not_an_empty_key() -> None:
    """A letter tells them apart."""
    assert dead_letter(record(), Fault("r", "d"), NOW_US).key is None
    assert dead_letter(record(key=b""), Fault("r", "d"), NOW_US).key == b""


def test_a_long_record_is_cut_and_its_length_told() -> None:
    """Value, key, headers and their number; the whole stands where the letter says."""
    headers = [("n" * (MAX_DEAD_HEADER_BYTES + 1), bytes(MAX_DEAD_HEADER_BYTES + 1))] * (MAX_DEAD_HEADERS + 1)
    letter = dead_letter(
        record(bytes(MAX_DEAD_BYTES + 1), headers, bytes(MAX_DEAD_HEADER_BYTES + 1)), Fault("r", "d"), NOW_US
    )
    assert (len(letter.value), letter.size_bytes) == (MAX_DEAD_BYTES, MAX_DEAD_BYTES + 1)
    assert letter.key is not None
    assert len(letter.key) == MAX_DEAD_HEADER_BYTES
    assert len(letter.headers) == MAX_DEAD_HEADERS
    assert {(len(name), len(value)) for name, value in letter.headers} == {(MAX_DEAD_HEADER_BYTES,) * 2}


@settings(max_examples=20, suppress_health_check=[HealthCheck.data_too_large, HealthCheck.too_slow])
@given(
    name=st.text(min_size=1, max_size=4),
    count=st.integers(0, 2_000),
    each=st.integers(0, 1 << 20),
    size=st.integers(0, 1 << 20),
)
@example(name="\U0001f4a5", count=40, each=1 << 20, size=1 << 20)
def test_any_letter_fits_into_a_record(name: str, count: int, each: int, size: int) -> None:
    """However large a record's parts are, in bytes of UTF-8 too, its letter stays under 1 MiB and can be read."""
    headers = [(name * (1 << 13), bytes(each))] * count
    letter = dead_letter(record(bytes(size), headers, bytes(size)), Fault("bad_envelope", "d" * 5_000), NOW_US)
    data = encode(letter)
    assert len(data) < MEBIBYTE
    assert decode(data, DeadLetter) == letter


def test_a_request_is_asked_when_the_application_says_so_where_the_endpoint_goes_by_that() -> None:
    """Elsewhere, and without a readable ce_time, it was asked when it was appended."""
    told = replace(intake(), told=True)
    timed = record(headers=[("ce_id", b"r"), ("ce_time", b"2013-03-01T05:15:00-05:00")])
    for asked, found in ((1_362_132_900_000_000, told), (APPENDED_MS * 1_000, intake())):
        request, _ = found.request(timed, PLAN)
        assert request is not None
        assert request.asked_us == asked
    request, _ = told.request(record(headers=[("ce_id", b"r")]), PLAN)
    assert request is not None
    assert request.asked_us == APPENDED_MS * 1_000
