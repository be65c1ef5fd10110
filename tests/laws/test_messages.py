"""Laws of every message of the contract, found in the Message union: another message only needs its strategy here."""

from __future__ import annotations

import json
import math
import struct
import tracemalloc
from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, cast, get_args

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from record import name_of
from rendezvous.messages import (
    Comparisons,
    DeadLetter,
    Decisions,
    FeatureColumns,
    Label,
    Message,
    Reason,
    Response,
    Scores,
    Status,
)
from rendezvous.monitoring.findings import Accuracy, Alarm, AlarmKind, Contest, Drift, DriftKind, Span, Stage
from rendezvous.registry.events import (
    Cause,
    Deployment,
    HandOff,
    Move,
    Quality,
    Rule,
    RulesChange,
    Ruling,
    Shedding,
    State,
    Suspension,
    Verdict,
    Weights,
)
from rendezvous.retraining.events import Outcome, Retrained, RetrainEvent
from rendezvous.wire import HEAD_BYTES, WireError, codec, contract_folder, decode, encode

KINDS: tuple[type[Message], ...] = get_args(Message)
LONGS = st.integers(-(2**63), 2**63 - 1)
INTS = st.integers(-(2**31), 2**31 - 1)
TEXT = st.text(max_size=8)
REASONS = [reason for reason in Reason if reason is not Reason.NO_ANSWER]
REPORTED = [status for status in Status if status is not Status.NONE]

some = settings(max_examples=60)
few = settings(max_examples=25)
each_kind = pytest.mark.parametrize("kind", KINDS, ids=name_of)


# --------------------------------------------------------------------------------------------------- arbitrary messages


@st.composite
def column(draw: st.DrawFn, dtype: str, *shape: int) -> NDArray[Any]:
    """Any bit patterns, so that every extreme, NaN and infinity occurs."""
    size = np.dtype(dtype).itemsize * math.prod(shape)
    return np.frombuffer(draw(st.binary(min_size=size, max_size=size)), dtype).reshape(shape)


def codes(among: Sequence[Status] | Sequence[Reason], *shape: int) -> st.SearchStrategy[NDArray[np.uint8]]:
    """Codes of one kind."""
    count = math.prod(shape)
    chosen = st.lists(st.sampled_from(among), min_size=count, max_size=count)
    return chosen.map(lambda found: np.array(found, np.uint8).reshape(shape))


@st.composite
def offsets(draw: st.DrawFn, rows: int) -> NDArray[np.int64]:
    """Increasing, with gaps."""
    return np.array(sorted(draw(st.sets(st.integers(0, 2**63 - 1), min_size=rows, max_size=rows))), np.int64)


ROWS = st.integers(1, 6)
WIDTH = st.integers(1, 4)
MODELS = st.integers(1, 5)


def names(count: int) -> st.SearchStrategy[tuple[str, ...]]:
    """So many texts."""
    return st.lists(TEXT, min_size=count, max_size=count).map(tuple)


@st.composite
def any_scores(draw: st.DrawFn) -> Scores:
    """Scores of any batch."""
    rows, width = draw(ROWS), draw(WIDTH)
    return Scores(
        model=draw(TEXT),
        version=draw(TEXT),
        taken_us=draw(LONGS),
        scored_us=draw(LONGS),
        offsets=draw(offsets(rows)),
        statuses=draw(codes(REPORTED, rows)),
        outputs=draw(column("<f4", rows, width)),
    )


@st.composite
def any_decisions(draw: st.DrawFn) -> Decisions:
    """Decisions of any tick."""
    rows, width, models = draw(ROWS), draw(WIDTH), draw(MODELS)
    return Decisions(
        decided_us=draw(LONGS),
        policy=draw(TEXT),
        models=draw(names(models)),
        versions=draw(names(models)),
        offsets=draw(offsets(rows)),
        winners=np.array([draw(st.integers(-1, models - 1)) for _ in range(rows)], np.int16),
        reasons=draw(codes(REASONS, rows)),
        arrived=np.array([draw(st.integers(0, 2**models - 1)) for _ in range(rows)], np.uint64),
        slacks_us=draw(column("<i8", rows)),
        outputs=draw(column("<f4", rows, width)),
        control=draw(LONGS),
        steps=draw(column("u1", rows)),
        draws=draw(column("<f4", rows)),
        propensities=draw(column("<f4", rows)),
    )


@st.composite
def any_comparisons(draw: st.DrawFn) -> Comparisons:
    """Comparisons of any mailboxes."""
    rows, width, models = draw(ROWS), draw(WIDTH), draw(MODELS)
    return Comparisons(
        closed_us=draw(LONGS),
        models=draw(names(models)),
        versions=draw(names(models)),
        offsets=draw(offsets(rows)),
        request_ids=draw(names(rows)),
        appended_us=draw(column("<i8", rows)),
        winners=np.array([draw(st.integers(-1, models - 1)) for _ in range(rows)], np.int16),
        reasons=draw(codes(REASONS, rows)),
        statuses=draw(codes(list(Status), rows, models)),
        latencies_us=draw(column("<i4", rows, models)),
        outputs=draw(column("<f4", rows, models, width)),
        asked_us=draw(column("<i8", rows)),
    )


@st.composite
def any_features(draw: st.DrawFn) -> FeatureColumns:
    """Columns of any features, of one kind or both."""
    rows, numeric = draw(ROWS), draw(st.integers(0, 3))
    categories = tuple(draw(st.lists(st.lists(TEXT, max_size=3).map(tuple), max_size=3)))
    codes = [[draw(st.integers(-1, len(known) - 1)) for known in categories] for _ in range(rows)]
    return FeatureColumns(
        offsets=draw(offsets(rows)),
        asked_us=draw(column("<i8", rows)),
        numeric=draw(names(numeric)),
        numbers=draw(column("<f4", rows, numeric)),
        textual=draw(names(len(categories))),
        categories=categories,
        codes=np.array(codes, np.int32).reshape(rows, len(categories)),
    )


@st.composite
def any_accuracy(draw: st.DrawFn) -> Accuracy:
    """Any figures of any span."""
    count = draw(st.integers(0, 4))
    return Accuracy(
        model=draw(TEXT),
        version=draw(TEXT),
        span=draw(st.sampled_from(Span)),
        number=draw(LONGS),
        revision=draw(INTS),
        stage=draw(st.sampled_from(Stage)),
        start_us=draw(LONGS),
        end_us=draw(LONGS),
        requests=draw(LONGS),
        labelled=draw(LONGS),
        never=draw(LONGS),
        delay_p50_us=draw(LONGS),
        delay_p99_us=draw(LONGS),
        watermark_us=draw(LONGS),
        figures=draw(names(count)),
        values=tuple(draw(st.lists(st.floats(), min_size=count, max_size=count))),
    )


@st.composite
def any_drift(draw: st.DrawFn) -> Drift:
    """Any effects of any subjects."""
    count = draw(st.integers(0, 4))
    floats = st.lists(st.floats(), min_size=count, max_size=count).map(tuple)
    return Drift(
        kind=draw(st.sampled_from(DriftKind)),
        model=draw(TEXT),
        version=draw(TEXT),
        number=draw(LONGS),
        start_us=draw(LONGS),
        end_us=draw(LONGS),
        rows=draw(LONGS),
        subjects=draw(names(count)),
        effects=draw(floats),
        p_values=draw(floats),
        flagged=tuple(draw(st.lists(st.booleans(), min_size=count, max_size=count))),
    )


@st.composite
def any_weights(draw: st.DrawFn) -> Weights:
    """Any values, NaN and infinity too, for any models."""
    count = draw(st.integers(0, 4))
    return Weights(
        quality=draw(st.sampled_from(Quality)),
        models=draw(names(count)),
        versions=draw(names(count)),
        values=tuple(draw(st.lists(st.floats(), min_size=count, max_size=count))),
        by=draw(TEXT),
        at_us=draw(LONGS),
    )


ARBITRARY: dict[type[Message], st.SearchStrategy[Message]] = {
    Scores: any_scores(),
    Response: st.builds(
        Response,
        request_id=TEXT,
        partition=INTS,
        offset=LONGS,
        model=TEXT,
        version=TEXT,
        reason=st.sampled_from(REASONS),
        output=st.lists(st.floats(width=32), max_size=4).map(tuple),
        missing=st.lists(TEXT, max_size=4).map(tuple),
        slack_ms=st.floats(width=32),
        decided_us=LONGS,
    ),
    Decisions: any_decisions(),
    Comparisons: any_comparisons(),
    Label: st.builds(Label, request_id=TEXT, value=st.none() | st.floats(), observed_us=LONGS, source=TEXT),
    DeadLetter: st.builds(
        DeadLetter,
        reason=TEXT,
        detail=TEXT,
        topic=TEXT,
        partition=INTS,
        offset=LONGS,
        appended_us=LONGS,
        written_us=LONGS,
        headers=st.lists(st.tuples(TEXT, st.binary(max_size=8)), max_size=4).map(tuple),
        key=st.none() | st.binary(max_size=8),
        value=st.binary(max_size=20),
        size_bytes=LONGS,
    ),
    Deployment: st.builds(
        Deployment, model=TEXT, version=TEXT, sha256=TEXT, state=st.sampled_from(State), by=TEXT, at_us=LONGS
    ),
    HandOff: st.builds(
        HandOff,
        moves=st.lists(st.builds(Move, alias=TEXT, model=TEXT, version=TEXT), max_size=3).map(tuple),
        cause=st.sampled_from(Cause),
        skipped=st.lists(TEXT, max_size=3).map(tuple),
        seen=LONGS,
        by=TEXT,
        at_us=LONGS,
    ),
    RulesChange: st.builds(RulesChange, rules=TEXT, by=TEXT, at_us=LONGS),
    Weights: any_weights(),
    Suspension: st.builds(
        Suspension,
        partition=INTS,
        model=TEXT,
        version=TEXT,
        suspended=st.booleans(),
        missed=st.floats(),
        failed=st.floats(),
        requests=INTS,
        by=TEXT,
        at_us=LONGS,
    ),
    Shedding: st.builds(
        Shedding, partition=INTS, candidates=st.floats(), challengers=st.floats(), by=TEXT, at_us=LONGS
    ),
    Verdict: st.builds(
        Verdict,
        model=TEXT,
        version=TEXT,
        rule=st.sampled_from(Rule),
        ruling=st.sampled_from(Ruling),
        evidence=TEXT,
        by=TEXT,
        at_us=LONGS,
    ),
    FeatureColumns: any_features(),
    Accuracy: any_accuracy(),
    Drift: any_drift(),
    Alarm: st.builds(
        Alarm,
        kind=st.sampled_from(AlarmKind),
        subject=TEXT,
        model=TEXT,
        version=TEXT,
        detector=TEXT,
        number=LONGS,
        at_us=LONGS,
        value=st.floats(),
        threshold=st.floats(),
        moved=st.lists(TEXT, max_size=3).map(tuple),
    ),
    Contest: st.builds(
        Contest,
        model=TEXT,
        version=TEXT,
        champion_model=TEXT,
        champion_version=TEXT,
        number=LONGS,
        at_us=LONGS,
        blocks=INTS,
        labelled=LONGS,
        better=st.floats(),
        worse=st.floats(),
        brier=st.floats(),
        brier_low=st.floats(),
        brier_high=st.floats(),
        log_loss=st.floats(),
        auc=st.floats(),
        auc_low=st.floats(),
        auc_high=st.floats(),
        wins=LONGS,
        losses=LONGS,
    ),
    RetrainEvent: st.builds(
        RetrainEvent,
        key=TEXT,
        model=TEXT,
        version=TEXT,
        causes=st.lists(TEXT, max_size=3).map(tuple),
        evidence=TEXT,
        reason=TEXT,
        from_us=LONGS,
        until_us=LONGS,
        as_of_us=LONGS,
        positions=st.lists(LONGS, max_size=3).map(tuple),
        unknown=st.lists(TEXT, max_size=3).map(tuple),
        by=TEXT,
        at_us=LONGS,
    ),
    Retrained: st.builds(
        Retrained,
        key=TEXT,
        outcome=st.sampled_from(Outcome),
        model=TEXT,
        version=TEXT,
        reasons=st.lists(TEXT, max_size=3).map(tuple),
        started_us=LONGS,
        ended_us=LONGS,
        by=TEXT,
    ),
}


def exact(value: object) -> object:
    """What equals only the same bits: NaN equals itself, -0.0 is not 0.0, a column has its type and shape."""
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, float):
        return "nan" if math.isnan(value) else struct.pack("<d", value)
    if isinstance(value, tuple):
        return tuple(exact(item) for item in value)
    return type(value), value


def facts(message: Message) -> dict[str, object]:
    """Every field of a message, for exact comparison."""
    return {field.name: exact(getattr(message, field.name)) for field in fields(message)}


def read(data: bytes, kind: type[Message]) -> Message:
    """`decode` for a kind that is known only as one of the union."""
    message: Message = decode(data, cast("Any", kind))
    return message


def decoded_or_none(data: bytes, kind: type[Message]) -> Message | None:
    """The message, None for a WireError; everything else escapes and fails the test."""
    try:
        return read(data, kind)
    except WireError:
        return None


# ---------------------------------------------------------------------------------------------------------- on the wire


@each_kind
@some
@given(data=st.data())
def test_every_message_comes_back_as_it_was(kind: type[Message], data: st.DataObject) -> None:
    """Whatever a message holds, its bytes hold, down to the last bit."""
    message = data.draw(ARBITRARY[kind])
    assert facts(read(encode(message), kind)) == facts(message)


@each_kind
@few
@given(data=st.data())
def test_no_part_of_a_message_is_a_message(kind: type[Message], data: st.DataObject) -> None:
    """Cut anywhere, or with a byte too many, the bytes are refused as such."""
    whole = encode(data.draw(ARBITRARY[kind]))
    for cut in [*(whole[:length] for length in range(len(whole))), whole + b"\0"]:
        with pytest.raises(WireError):
            read(cut, kind)


@each_kind
@some
@given(data=st.data())
def test_damaged_bytes_are_refused_or_still_a_message(kind: type[Message], data: st.DataObject) -> None:
    """Flipped bytes give a WireError, or a message that can be sent and read again."""
    damaged = bytearray(encode(data.draw(ARBITRARY[kind])))
    for place, flip in data.draw(
        st.lists(st.tuples(st.integers(HEAD_BYTES, len(damaged) - 1), st.integers(1, 255)), min_size=1, max_size=4)
    ):
        damaged[place] ^= flip
    message = decoded_or_none(bytes(damaged), kind)
    if message is not None:
        assert facts(read(encode(message), kind)) == facts(message)


@each_kind
@some
@given(rest=st.binary(max_size=80))
@example(rest=b"")
def test_arbitrary_values_are_refused_or_a_message(kind: type[Message], rest: bytes) -> None:
    """After the right head anything may stand, and none of it escapes as another exception."""
    message = decoded_or_none(encode_head(kind) + rest, kind)
    assert message is None or isinstance(message, kind)


def encode_head(kind: type[Message]) -> bytes:
    """The marker and fingerprint that a kind's bytes begin with."""
    return codec(name_of(kind)).encode(_blank(schema_of(kind)))[:HEAD_BYTES]


def schema_of(kind: type[Message]) -> dict[str, Any]:
    """The newest schema of a message."""
    found: dict[str, Any] = json.loads((contract_folder() / f"{name_of(kind)}.avsc").read_text())
    return found


def _blank(schema: dict[str, Any]) -> dict[str, Any]:
    return {field["name"]: _blank_of(field["type"]) for field in schema["fields"]}


def _blank_of(declared: Any) -> Any:  # noqa: ANN401 - a schema is any JSON, and so is what it describes
    kind = avro_type(declared)
    return declared["symbols"][0] if kind == "enum" else _BLANKS[kind]


def avro_type(declared: Any) -> str:  # noqa: ANN401 - a schema is any JSON
    """The name of a field's Avro type."""
    if isinstance(declared, list):
        return "union"
    return str(declared["type"]) if isinstance(declared, dict) else str(declared)


_BLANKS: dict[str, Any] = {
    "string": "",
    "bytes": b"",
    "boolean": False,
    "int": 0,
    "long": 0,
    "float": 0.0,
    "double": 0.0,
    "array": [],
    "union": None,
}
_ZEROES = {"float": bytes(4), "double": bytes(8)}
"""How each type's blank is written: everything else is one zero byte."""
HOSTILE = (2**31, 2**40, 2**60, 2**63 - 1, -1, -2, -(2**40), -(2**60), -(2**63))


def varint(number: int) -> bytes:
    """Avro's zig-zag encoding of a long."""
    zigzag = (number << 1 ^ number >> 63) & (1 << 64) - 1
    written = bytearray()
    while zigzag > 0x7F:
        written.append(zigzag & 0x7F | 0x80)
        zigzag >>= 7
    return bytes([*written, zigzag])


def hostile_bodies(kind: type[Message]) -> Iterator[bytes]:
    """For each field: blanks before it, then a length, count, index or number that is a lie, then a little."""
    before = b""
    for field in schema_of(kind)["fields"]:
        for number in HOSTILE:
            for after in (b"", b"ab", varint(2**60), bytes(40)):
                yield before + varint(number) + after
        yield before + b"\xff" * 100
        before += _ZEROES.get(avro_type(field["type"]), b"\0")


@each_kind
def test_lengths_that_lie_cost_nothing(kind: type[Message]) -> None:
    """A length, count or index of up to 2**63 in any field is refused without the memory that it asks for."""
    head = encode_head(kind)
    decoded_or_none(head, kind)
    tracemalloc.start()
    try:
        for body in hostile_bodies(kind):
            message = decoded_or_none(head + body, kind)
            assert message is None or isinstance(message, kind)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000


# ---------------------------------------------------------------------------------------------- schemas and dataclasses


@each_kind
def test_a_message_has_the_fields_of_its_schema(kind: type[Message]) -> None:
    """One name in schema and class, in the same order; `width` is on the wire alone, it is a shape here."""
    assert is_dataclass(kind)
    on_the_wire = [field["name"] for field in schema_of(kind)["fields"]]
    assert [name for name in on_the_wire if name != "width"] == [field.name for field in fields(kind)]
    assert ("width" in on_the_wire) == ("outputs" in on_the_wire)


@each_kind
def test_a_message_is_frozen_and_slotted(kind: type[Message]) -> None:
    """Nobody changes a message, adds to it, or inherits from another one."""
    assert getattr(kind, "__dataclass_params__").frozen  # noqa: B009 - typeshed does not know it
    assert set(vars(kind)["__slots__"]) == {field.name for field in fields(kind)}
    assert kind.__mro__ == (kind, object)


def undocumented(schema: dict[str, Any], path: str) -> Iterator[str]:
    """Records and fields without a doc, however deep."""
    if not schema.get("doc"):
        yield path
    for field in schema["fields"]:
        here = f"{path}.{field['name']}"
        if not field.get("doc"):
            yield here
        inner = field["type"]
        items = inner.get("items") if isinstance(inner, dict) else None
        if isinstance(items, dict) and items["type"] == "record":
            yield from undocumented(items, here)


@each_kind
def test_every_field_of_a_schema_says_what_it_is(kind: type[Message]) -> None:
    """Each record and field has a `doc`: people of other languages read the schema alone."""
    assert list(undocumented(schema_of(kind), name_of(kind))) == []


def test_every_message_is_covered() -> None:
    """Each member of the union has a strategy, and each strategy a member."""
    assert set(ARBITRARY) == set(KINDS)
