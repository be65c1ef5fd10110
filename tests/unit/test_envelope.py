"""A request's headers, one by one, and whatever else an application may send instead."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rendezvous.envelope import EPOCH, MICROSECOND, EnvelopeError, draw_of, read_envelope, told_at_us, write_envelope
from rendezvous.messages import DeadLetterReason, Envelope, ReplyAddress

HEADERS = (
    "ce_id",
    "ce_source",
    "ce_specversion",
    "ce_type",
    "ce_time",
    "content-type",
    "traceparent",
    "deadline_ms",
    "kafka_replyTopic",
    "kafka_replyPartition",
    "kafka_correlationId",
)
INFORMATION = ("ce_specversion", "ce_type", "ce_time", "content-type", "traceparent")
FULL = Envelope("id", "source", 200, ReplyAddress("topic", 2, b"\x00\xff"))


def read(**headers: bytes) -> Envelope:
    """The envelope of a request with ce_id `id` and these headers; `_` stands for `-`."""
    return read_envelope(list({"ce_id": b"id", **headers}.items()))


def reply(**headers: bytes) -> ReplyAddress:
    """The reply address of such a request."""
    found = read(**headers).reply
    assert found is not None
    return found


# ---------------------------------------------------------------------------------------------------- what is read


def test_only_an_id_is_needed() -> None:
    """Everything absent: no source, the endpoint's deadline, the default reply topic, the id as correlation."""
    assert read() == Envelope("id", "", None, ReplyAddress("", None, b"id"))


@pytest.mark.parametrize("name", INFORMATION)
@pytest.mark.parametrize("value", [b"", b"1.0", b"\xff\xfe", b"x" * 10_000], ids=["empty", "usual", "bytes", "long"])
def test_information_is_not_read(name: str, value: bytes) -> None:
    """Headers that are only carried may say anything."""
    assert read_envelope([("ce_id", b"id"), (name, value)]) == read()


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"ce_id": b"i" * 256}, Envelope("i" * 256, "", None, ReplyAddress("", None, b"i" * 256))),
        ({"ce_id": "Ω".encode()}, Envelope("Ω", "", None, ReplyAddress("", None, "Ω".encode()))),
        ({"ce_source": b""}, Envelope("id", "", None, ReplyAddress("", None, b"id"))),
        ({"ce_source": "gäte".encode()}, Envelope("id", "gäte", None, ReplyAddress("", None, b"id"))),
        ({"deadline_ms": b"0"}, Envelope("id", "", 0, ReplyAddress("", None, b"id"))),
        ({"deadline_ms": b"007"}, Envelope("id", "", 7, ReplyAddress("", None, b"id"))),
        ({"deadline_ms": b"9" * 9}, Envelope("id", "", 999_999_999, ReplyAddress("", None, b"id"))),
        ({"kafka_replyTopic": b""}, Envelope("id", "", None, ReplyAddress("", None, b"id"))),
        ({"kafka_replyTopic": b"t" * 249}, Envelope("id", "", None, ReplyAddress("t" * 249, None, b"id"))),
        ({"kafka_replyPartition": b"\0\0\1\2"}, Envelope("id", "", None, ReplyAddress("", 258, b"id"))),
        ({"kafka_replyPartition": b"\x7f\xff\xff\xff"}, Envelope("id", "", None, ReplyAddress("", 2**31 - 1, b"id"))),
        ({"kafka_correlationId": b""}, Envelope("id", "", None, ReplyAddress("", None, b""))),
        ({"kafka_correlationId": b"\xff" * 256}, Envelope("id", "", None, ReplyAddress("", None, b"\xff" * 256))),
    ],
)
def test_each_header_at_its_bounds(headers: dict[str, bytes], expected: Envelope) -> None:
    """What is just legal is read as it is."""
    assert read(**headers) == expected


# ------------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    "value",
    [b"", b"i" * 257, "Ω".encode() * 129, b"\xff", b"\xed\xa0\x80"],
    ids=["empty", "long", "wide", "bytes", "half"],
)
def test_an_unusable_id_is_no_id(value: bytes) -> None:
    """Empty, longer than 256 bytes, or not UTF-8: NO_ID."""
    with pytest.raises(EnvelopeError) as caught:
        read(ce_id=value)
    assert caught.value.reason == DeadLetterReason.NO_ID
    assert "ce_id" in str(caught.value)


@pytest.mark.parametrize("headers", [[], [("ce_source", b"s")], [("CE_ID", b"id")], [("", b"id")]])
def test_no_id_at_all(headers: list[tuple[str, bytes]]) -> None:
    """Without ce_id there is no request; names are spelled exactly."""
    with pytest.raises(EnvelopeError) as caught:
        read_envelope(headers)
    assert caught.value.reason == DeadLetterReason.NO_ID


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ce_source", b"\xff"),
        ("deadline_ms", b""),
        ("deadline_ms", b"soon"),
        ("deadline_ms", b"-1"),
        ("deadline_ms", b"+1"),
        ("deadline_ms", b" 1"),
        ("deadline_ms", b"1.5"),
        ("deadline_ms", b"1_000"),
        ("deadline_ms", "٣".encode()),
        ("deadline_ms", b"1" * 10),
        ("deadline_ms", b"\x00\x00\x00\xc8"),
        ("kafka_replyTopic", b"\xff"),
        ("kafka_replyTopic", b"t" * 250),
        ("kafka_replyPartition", b""),
        ("kafka_replyPartition", b"2"),
        ("kafka_replyPartition", b"\0\0\0"),
        ("kafka_replyPartition", b"\0\0\0\0\2"),
        ("kafka_replyPartition", b"\xff\xff\xff\xff"),
        ("kafka_correlationId", b"c" * 257),
    ],
)
def test_a_malformed_header_is_a_bad_envelope(name: str, value: bytes) -> None:
    """Any other header that cannot be read gives BAD_ENVELOPE and its own name."""
    with pytest.raises(EnvelopeError) as caught:
        read(**{name: value})
    assert caught.value.reason == DeadLetterReason.BAD_ENVELOPE
    assert name in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("name", HEADERS)
def test_of_a_header_given_twice_the_last_counts(name: str) -> None:
    """As in Spring; a malformed first one does not matter."""
    good = dict([*write_envelope(FULL), ("ce_time", b"now"), ("traceparent", b"00-1-1-01")])
    assert read_envelope([(name, b"\xff" * 300), *good.items()]) == FULL


# ----------------------------------------------------------------------------------------------------- both ways


def envelope_or_none(headers: list[tuple[str, bytes]]) -> Envelope | None:
    """The envelope, None for an EnvelopeError; everything else escapes and fails the test."""
    try:
        return read_envelope(headers)
    except EnvelopeError:
        return None


IDS = st.text(min_size=1, max_size=64)
ENVELOPES = st.builds(
    Envelope,
    request_id=IDS,
    source=st.text(max_size=20),
    deadline_ms=st.none() | st.integers(0, 999_999_999),
    reply=st.builds(
        ReplyAddress,
        topic=st.text(max_size=249),
        partition=st.none() | st.integers(0, 2**31 - 1),
        correlation=st.binary(max_size=256),
    ),
)


@given(ENVELOPES)
@example(FULL)
def test_what_is_written_is_read(envelope: Envelope) -> None:
    """Any legal envelope comes back as it was."""
    assert read_envelope(write_envelope(envelope)) == envelope


@given(IDS)
def test_without_a_reply_address_the_id_is_the_correlation(request_id: str) -> None:
    """An application that says nothing about its reply can still tell whose answer it has."""
    written = write_envelope(Envelope(request_id, "", None, None))
    assert not [name for name, _ in written if name.startswith("kafka_")]
    assert read_envelope(written).reply == ReplyAddress("", None, request_id.encode())


@settings(max_examples=300)
@given(st.lists(st.tuples(st.sampled_from(HEADERS) | st.text(max_size=6), st.binary(max_size=12)), max_size=12))
def test_any_headers_give_an_envelope_or_an_envelope_error(headers: list[tuple[str, bytes]]) -> None:
    """No header's bytes let another exception out, and what is accepted is within the limits."""
    envelope = envelope_or_none([("ce_id", b"id"), *headers])
    if envelope is not None:
        assert envelope.reply is not None
        assert read_envelope(write_envelope(envelope)) == envelope


@pytest.mark.parametrize(
    ("text", "told_us"),
    [
        (b"1970-01-01T00:00:00.000001Z", 1),
        (b"2013-03-01T05:15:00-05:00", 1_362_132_900_000_000),
        (b"1969-12-31T23:59:59+00:00", -1_000_000),
        (b"2013-03-01T05:15:00", None),  # of which zone?
        (b"yesterday", None),
        (b"\xff", None),
        (b"", None),
    ],
)
def test_when_it_was_asked_is_read_where_it_can_be(text: bytes, told_us: int | None) -> None:
    """RFC 3339 with its zone, down to the microsecond; of two headers the last counts, anything else tells nothing."""
    assert told_at_us([("ce_time", b"2000-01-01T00:00:00Z"), ("ce_time", text)]) == told_us
    assert told_at_us([]) is None


@given(st.datetimes(datetime(1900, 1, 1), timezones=st.just(UTC) | st.timezones()))  # noqa: DTZ001 - that is how Hypothesis wants it
def test_when_it_was_asked_is_written_so_that_it_can_be_read(asked: datetime) -> None:
    """Whatever the zone, to the microsecond."""
    headers = write_envelope(FULL, asked)
    assert told_at_us(headers) == (asked.astimezone(UTC) - EPOCH) // MICROSECOND
    assert read_envelope(headers) == FULL


def test_a_moment_without_a_zone_is_refused() -> None:
    """It is one moment here and another one elsewhere."""
    with pytest.raises(ValueError, match="zone"):
        write_envelope(FULL, datetime(2013, 3, 1))  # noqa: DTZ001 - that is the point


# ----------------------------------------------------------------------------------------------------- draws

DRAWS = 20_000


@given(st.binary(max_size=64))
def test_a_draw_is_a_place_in_the_unit_interval_that_a_float32_holds(key: bytes) -> None:
    """It loses nothing when a decision records it, and is never 1."""
    draw = draw_of(key)
    assert 0 <= draw < 1
    assert float(np.float32(draw)) == draw


@pytest.mark.parametrize(
    ("key", "draw"), [(b"", 15_188_963 / 2**24), (b"f-1", 2_777_217 / 2**24), (b"N14228", 11_500_897 / 2**24)]
)
def test_a_key_has_its_draw_for_ever(key: bytes, draw: float) -> None:
    """A ramp goes on where it stood, whatever is upgraded; docs/messages.md gives these to other languages."""
    assert draw_of(key) == draw


def test_draws_are_spread_evenly() -> None:
    """Of numbered keys about a tenth falls to each tenth: four standard deviations."""
    counts, _ = np.histogram([draw_of(b"key-%d" % number) for number in range(DRAWS)], bins=10, range=(0, 1))
    assert np.abs(counts - DRAWS / 10).max() < 4 * np.sqrt(DRAWS * 0.1 * 0.9)
