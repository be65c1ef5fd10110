"""Single-object encoding, released schemas, and columns that do not fit each other."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any, TypeAlias, cast

import numpy as np
import pytest

from rendezvous.messages import (
    Comparisons,
    DeadLetterReason,
    Decisions,
    FeatureColumns,
    Label,
    Message,
    Reason,
    Response,
    Scores,
    Status,
)
from rendezvous.registry.events import Deployment, HandOff, Quality, Shedding, Weights
from rendezvous.rows import MAX_ROWS
from rendezvous.wire import HEAD_BYTES, MARKER, Codec, WireError, codec, decode, decode_any, encode


def record(*fields: tuple[Any, ...]) -> str:
    """A schema of (name, type) or (name, type, default)."""
    keys = ("name", "type", "default")
    return json.dumps(
        {"type": "record", "name": "R", "fields": [dict(zip(keys, field, strict=False)) for field in fields]}
    )


OLD = record(("a", "int"))
NEW = record(("a", "long"), ("b", ["null", "string"], None), ("c", "float", 1.5))


def read(data: bytes, kind: type[Message]) -> Message:
    """`decode` for a kind that is known only as one of the union."""
    message: Message = decode(data, cast("Any", kind))
    return message


def refusal(attempt: Callable[[], object]) -> WireError:
    """The WireError that an attempt raises; its words carry its reason."""
    with pytest.raises(WireError) as caught:
        attempt()
    assert str(caught.value) == f"{caught.value.reason}: {caught.value.detail}"
    return caught.value


# ---------------------------------------------------------------------------------------------------------- the codec


def test_bytes_begin_with_marker_and_fingerprint() -> None:
    """C3 01, eight bytes that name the schema, then the plain Avro value."""
    data = Codec(OLD).encode({"a": -2})
    assert data[:2] == MARKER
    assert data[HEAD_BYTES:] == b"\x03"
    assert Codec(OLD).knows(data)


@pytest.mark.parametrize("data", [b"", b"\xc3", MARKER, MARKER + bytes(8), b"{}", b"\xc3\x02" + bytes(20)])
def test_an_unknown_schema_is_named_as_such(data: bytes) -> None:
    """Bytes without a head that was released give UNKNOWN_SCHEMA, however short they are."""
    found = Codec(OLD)
    assert not found.knows(data)
    assert refusal(lambda: found.decode(data)).reason == DeadLetterReason.UNKNOWN_SCHEMA


def test_a_schema_of_another_message_is_unknown() -> None:
    """A label is no score, though both are of the contract."""
    data = encode(Label("r", 1.0, 2, "s"))
    assert refusal(lambda: decode(data, Scores)).reason == DeadLetterReason.UNKNOWN_SCHEMA


@pytest.mark.parametrize("rest", [b"\0", b"\0" * 1_000])
def test_trailing_bytes_are_refused(rest: bytes) -> None:
    """A value with something after it is not what its writer meant."""
    error = refusal(lambda: Codec(OLD).decode(Codec(OLD).encode({"a": 1}) + rest))
    assert error.reason == DeadLetterReason.UNREADABLE
    assert f"{len(rest)} bytes after the value" in error.detail


def test_a_cut_value_is_refused() -> None:
    """A known head with too little behind it is UNREADABLE."""
    assert refusal(lambda: Codec(OLD).decode(Codec(OLD).encode({"a": 1})[:-1])).reason == DeadLetterReason.UNREADABLE


def test_an_older_schema_is_resolved_to_the_newer_one() -> None:
    """What was written before reads as what is written now: types widen, new fields have their default."""
    assert Codec(NEW, [OLD]).decode(Codec(OLD).encode({"a": 7})) == {"a": 7, "b": None, "c": 1.5}


def test_the_newer_schema_is_what_is_written() -> None:
    """An old reader does not know it: readers are upgraded first."""
    data = Codec(NEW, [OLD]).encode({"a": 7, "b": "x", "c": 0.5})
    assert Codec(NEW).decode(data) == {"a": 7, "b": "x", "c": 0.5}
    assert not Codec(OLD).knows(data)


@pytest.mark.parametrize(
    "older",
    [
        [record(("a", "long", 3))],
        [OLD, OLD],
        [OLD, json.dumps(json.loads(OLD) | {"doc": "the same, explained"})],
    ],
    ids=["only a default", "the same twice", "only a doc"],
)
def test_two_schemas_that_share_a_fingerprint_are_refused(older: list[str]) -> None:
    """Defaults and docs do not count in a fingerprint: readers could not tell which one was meant."""
    with pytest.raises(ValueError, match="share the fingerprint c301"):
        Codec(record(("a", "long")), older)


@pytest.mark.parametrize(
    "row",
    [{}, {"a": 1}, {"a": None, "b": None, "c": 0.5}, {"a": "1", "b": None, "c": 0.5}, {"a": 1, "b": 2, "c": 0.5}],
    ids=["nothing", "gaps", "null", "text", "not in the union"],
)
def test_a_row_that_does_not_fit_is_refused(row: dict[str, Any]) -> None:
    """A missing field, or one of the wrong type, raises what `encode` says it raises."""
    with pytest.raises((ValueError, TypeError)):
        Codec(NEW).encode(row)


def test_a_field_that_the_schema_lacks_is_refused() -> None:
    """A misspelled feature is not dropped in silence."""
    with pytest.raises(ValueError, match="d"):
        Codec(NEW).encode({"a": 1, "b": None, "c": 0.5, "d": 1})


@pytest.mark.parametrize(
    ("declared", "value"),
    [
        ("int", 1.5),
        ("long", 1.5),
        ("boolean", "false"),
        ("boolean", 2),
        ("int", 2**31),
        ("long", 2**63),
        ("double", 10**400),
        (["null", "double"], 10**400),
    ],
)
def test_a_value_that_would_not_come_back_is_refused(declared: Any, value: object) -> None:  # noqa: ANN401
    """Nothing is rounded, wrapped or taken for true on its way out; other languages' readers refuse an int of 2**31."""
    with pytest.raises((ValueError, TypeError)):
        Codec(record(("a", declared))).encode({"a": value})


def test_numpy_numbers_are_numbers() -> None:
    """What comes out of a table of features need not be unpacked by hand."""
    schema = record(("a", "long"), ("b", "float"), ("c", ["null", "float"]))
    row = {"a": np.int64(3), "b": np.float32(0.5), "c": np.float64(0.25)}
    assert Codec(schema).decode(Codec(schema).encode(row)) == {"a": 3, "b": 0.5, "c": 0.25}


def test_codecs_of_the_contract_are_made_once() -> None:
    """Parsing a schema is for the start of a process."""
    assert codec("scores") is codec("scores")


# ---------------------------------------------------------------------------------------------------------- columns

SCORES = Scores(
    model="m",
    version="v",
    taken_us=1,
    scored_us=2,
    offsets=np.array([3, 5], np.int64),
    statuses=np.array([Status.OK, Status.ERROR], np.uint8),
    outputs=np.array([[0.5, 0.25], [0, 0]], np.float32),
)
DECISIONS = Decisions(
    decided_us=1,
    policy="p",
    models=("a", "b"),
    versions=("1", "2"),
    offsets=np.array([3, 5], np.int64),
    winners=np.array([1, -1], np.int16),
    reasons=np.array([Reason.FALLBACK, Reason.DEFAULT], np.uint8),
    arrived=np.array([2, 0], np.uint64),
    slacks_us=np.array([10, 20], np.int64),
    outputs=np.array([[0.5], [0.25]], np.float32),
    control=7,
    steps=np.array([1, 0], np.uint8),
    draws=np.array([0.5, 0.25], np.float32),
    propensities=np.array([0.75, 1], np.float32),
)
COMPARISONS = Comparisons(
    closed_us=1,
    models=("a", "b"),
    versions=("1", "2"),
    offsets=np.array([3, 5], np.int64),
    request_ids=("r3", "r5"),
    appended_us=np.array([1, 2], np.int64),
    winners=np.array([1, -1], np.int16),
    reasons=np.array([Reason.FALLBACK, Reason.DEFAULT], np.uint8),
    statuses=np.array([[Status.OK, Status.OK], [Status.NONE, Status.ERROR]], np.uint8),
    latencies_us=np.array([[5, 6], [-1, 7]], np.int32),
    outputs=np.zeros((2, 2, 1), np.float32),
    asked_us=np.array([1, 2], np.int64),
)


FEATURES = FeatureColumns(
    offsets=np.array([3, 5], np.int64),
    asked_us=np.array([1, 2], np.int64),
    numeric=("x", "y"),
    numbers=np.zeros((2, 2), np.float32),
    textual=("who",),
    categories=(("ada", "bob"),),
    codes=np.array([[1], [-1]], np.int32),
)


def int64s(*values: int) -> np.ndarray:
    """A column of int64."""
    return np.array(values, np.int64)


Columnar: TypeAlias = Scores | Decisions | Comparisons | FeatureColumns


@pytest.mark.parametrize(
    "message", [SCORES, DECISIONS, COMPARISONS, FEATURES], ids=lambda message: type(message).__name__
)
def test_columns_are_read_without_copying(message: Columnar) -> None:
    """Columns are views on the record's bytes: nobody writes into them."""
    found = read(encode(message), type(message))
    columns = [value for field in fields(found) if isinstance(value := getattr(found, field.name), np.ndarray)]
    assert columns
    assert not any(column.flags.writeable for column in columns)


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (
            replace(SCORES, offsets=int64s(), statuses=np.zeros(0, np.uint8), outputs=np.zeros((0, 1), np.float32)),
            "0 by",
        ),
        (replace(SCORES, outputs=np.zeros((2, 0), np.float32)), "width 0"),
        (replace(SCORES, offsets=int64s(3)), "statuses has 2 bytes"),
        (replace(SCORES, statuses=np.ones(3, np.uint8)), "statuses has 3 bytes"),
        (replace(SCORES, outputs=np.zeros((3, 2), np.float32)), "outputs has 24 bytes"),
        (replace(SCORES, statuses=np.array([1, 8], np.uint8)), "statuses has the unknown code 8"),
        (replace(SCORES, statuses=np.array([1, 255], np.uint8)), "statuses has the unknown code 255"),
        (replace(SCORES, offsets=int64s(5, 3)), "increase"),
        (replace(SCORES, offsets=int64s(3, 3)), "increase"),
        (replace(SCORES, offsets=int64s(-1, 3)), "positive"),
        (replace(DECISIONS, versions=("1",)), "do not agree"),
        (replace(DECISIONS, models=("a",)), "do not agree"),
        (replace(DECISIONS, winners=np.array([2, -1], np.int16)), "do not agree"),
        (replace(DECISIONS, winners=np.array([1, -2], np.int16)), "do not agree"),
        (replace(DECISIONS, winners=np.array([1], np.int16)), "winners has 2 bytes"),
        (replace(DECISIONS, reasons=np.array([1, 7], np.uint8)), "reasons has the unknown code 7"),
        (replace(DECISIONS, arrived=np.zeros(1, np.uint64)), "arrived has 8 bytes"),
        (replace(DECISIONS, slacks_us=int64s(1)), "slacks_us has 8 bytes"),
        (replace(DECISIONS, steps=np.zeros(3, np.uint8)), "steps has 3 bytes"),
        (replace(DECISIONS, draws=np.zeros(1, np.float32)), "draws has 4 bytes"),
        (replace(DECISIONS, propensities=np.zeros(3, np.float32)), "propensities has 12 bytes"),
        (replace(COMPARISONS, request_ids=("r3",)), "1 request_ids for 2 offsets"),
        (replace(COMPARISONS, appended_us=int64s(1, 2, 3)), "appended_us has 24 bytes"),
        (replace(COMPARISONS, statuses=np.zeros((2, 3), np.uint8)), "statuses has 6 bytes"),
        (replace(COMPARISONS, latencies_us=np.zeros((2, 1), np.int32)), "latencies_us has 8 bytes"),
        (replace(COMPARISONS, outputs=np.zeros((2, 3, 1), np.float32)), "outputs has 24 bytes"),
        (replace(COMPARISONS, statuses=np.full((2, 2), 9, np.uint8)), "statuses has the unknown code 9"),
        (replace(COMPARISONS, asked_us=int64s(1)), "asked_us has 8 bytes"),
        (replace(FEATURES, asked_us=int64s(1)), "asked_us has 8 bytes"),
        (replace(FEATURES, numeric=("x",)), "numbers has 16 bytes"),
        (replace(FEATURES, codes=np.zeros((2, 2), np.int32)), "codes has 16 bytes"),
        (replace(FEATURES, categories=()), "textual and categories do not"),
        (replace(FEATURES, codes=np.array([[2], [0]], np.int32)), "a category that is not there"),
        (replace(FEATURES, codes=np.array([[-2], [0]], np.int32)), "a category that is not there"),
    ],
)
def test_columns_that_do_not_fit_are_refused(message: Columnar, words: str) -> None:
    """Every length, code and axis is checked against the others, and the detail names the column."""
    error = refusal(lambda: read(encode(message), type(message)))
    assert error.reason == DeadLetterReason.UNREADABLE
    assert words in error.detail


def test_a_length_that_is_no_whole_number_of_rows_is_refused() -> None:
    """Nine bytes of offsets are not int64s."""
    row = {"model": "m", "version": "v", "taken_us": 1, "scored_us": 2, "width": 1}
    data = codec("scores").encode(row | {"offsets": bytes(9), "statuses": b"\1", "outputs": bytes(4)})
    assert "9 bytes of offsets" in refusal(lambda: decode(data, Scores)).detail


@pytest.mark.parametrize("width", [0, -1, -(2**31)])
def test_a_width_below_one_is_refused(width: int) -> None:
    """Whatever the columns' lengths are."""
    row = {"model": "m", "version": "v", "taken_us": 1, "scored_us": 2, "width": width}
    data = codec("scores").encode(row | {"offsets": bytes(8), "statuses": b"\1", "outputs": b""})
    assert f"width {width}" in refusal(lambda: decode(data, Scores)).detail


def test_the_most_rows_are_read_and_one_more_is_refused() -> None:
    """A record's rows are bounded, so that nobody's record can fill a server's memory."""

    def of(rows: int) -> Scores:
        return replace(
            SCORES,
            offsets=np.arange(rows, dtype=np.int64),
            statuses=np.ones(rows, np.uint8),
            outputs=np.zeros((rows, 1), np.float32),
        )

    assert len(decode(encode(of(MAX_ROWS)), Scores).offsets) == MAX_ROWS
    assert refusal(lambda: decode(encode(of(MAX_ROWS + 1)), Scores)).reason == DeadLetterReason.UNREADABLE


@pytest.mark.parametrize(
    "message",
    [
        replace(SCORES, statuses=np.array([Status.OK, Status.NONE], np.uint8)),
        replace(DECISIONS, reasons=np.array([Reason.NO_ANSWER, Reason.DEFAULT], np.uint8)),
        replace(COMPARISONS, reasons=np.array([Reason.NO_ANSWER, Reason.DEFAULT], np.uint8)),
    ],
    ids=["a score that has not arrived", "the client's own reason, decided", "the client's own reason, compared"],
)
def test_codes_that_are_never_on_the_wire_are_refused(message: Scores | Decisions | Comparisons) -> None:
    """A score says something of each of its rows, and a server never says NO_ANSWER."""
    error = refusal(lambda: read(encode(message), type(message)))
    assert error.reason == DeadLetterReason.UNREADABLE


def test_a_comparison_may_say_that_nothing_arrived() -> None:
    """NONE stands for a model that has not reported."""
    assert decode(encode(COMPARISONS), Comparisons).statuses[1, 0] == Status.NONE


def test_the_clients_own_reason_cannot_be_sent() -> None:
    """NO_ANSWER is what a client says to itself; a server that tries to send it is told by a ValueError."""
    response: Message = Response("r", 0, 0, "", "", Reason.NO_ANSWER, (0.5,), (), 0.0, 1)
    with pytest.raises(ValueError, match=r"(?i)no_answer"):
        encode(response)


# ----------------------------------------------------------------------------------------------------------- control

WEIGHTS = Weights(Quality.HEDGE, ("a", "b"), ("1", "2"), (0.5, 0.5), "monitor", 1)


@pytest.mark.parametrize(
    "message",
    [
        replace(WEIGHTS, models=("a",)),
        replace(WEIGHTS, versions=("1", "2", "3")),
        replace(WEIGHTS, values=()),
    ],
    ids=["models", "versions", "values"],
)
def test_weights_that_do_not_run_side_by_side_are_refused(message: Weights) -> None:
    """Nobody guesses whose value is missing."""
    error = refusal(lambda: decode(encode(message), Weights))
    assert error.reason == DeadLetterReason.UNREADABLE
    assert "side by side" in error.detail


def test_a_head_tells_which_of_several_kinds_it_is() -> None:
    """One topic carries several kinds of events."""
    assert decode_any(encode(WEIGHTS), [Deployment, HandOff, Weights]) == WEIGHTS


def test_a_head_of_another_kind_is_none_of_them() -> None:
    """The refusal names what would have been read."""
    error = refusal(lambda: decode_any(encode(Shedding(0, 0.5, 0, "", 1)), [Deployment, HandOff]))
    assert error.reason == DeadLetterReason.UNKNOWN_SCHEMA
    assert "is none of deployment, hand-off" in error.detail


def test_a_damaged_event_is_refused() -> None:
    """A known head with too little behind it is UNREADABLE, whoever asks."""
    error = refusal(lambda: decode_any(encode(WEIGHTS)[:-1], [Deployment, Weights]))
    assert error.reason == DeadLetterReason.UNREADABLE
