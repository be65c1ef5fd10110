"""Messages to plain rows of Avro's types and back: columns as bytes, enums as names.

Columns are little-endian, row-major bytes, which NumPy reads without touching a row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from math import prod
from typing import Any, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from rendezvous.messages import (
    Comparisons,
    DeadLetter,
    DeadLetterReason,
    Decisions,
    FeatureColumns,
    Message,
    Reason,
    Response,
    Scores,
    Status,
)
from rendezvous.monitoring.findings import Accuracy, Alarm, AlarmKind, Drift, DriftKind, Span, Stage
from rendezvous.registry.events import Cause, Deployment, HandOff, Move, Quality, Rule, Ruling, State, Verdict, Weights
from rendezvous.retraining.events import Outcome, Retrained, RetrainEvent

Row: TypeAlias = dict[str, Any]

OFFSET_BYTES = 8
MAX_ROWS = 65_536
"""Rows in one columnar record; a scorer's largest batch is far below."""


class WireError(ValueError):
    """Bytes that are not the message they should be; `reason` is a `DeadLetterReason`."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Column:
    """How one column is packed: little-endian items, by row, then along each of its axes."""

    dtype: np.dtype[Any]
    axes: tuple[str, ...] = ()
    """After the rows: `width`, or a field whose length it has."""
    codes: int = 0
    """The values, single bytes, stop before this; 0 when any value will do."""
    later: bool = False
    """Not in the first release: absent from older records, which then have zeros."""
    size: int = field(init=False)
    """Bytes of an item."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", self.dtype.itemsize)


_CODES = bytes(range(256))
_OFFSETS = Column(np.dtype("<i8"))
_WINNERS = Column(np.dtype("<i2"))
_REASON_CODES = Column(np.dtype("u1"), codes=len(Reason) - 1)
_TIMES = Column(np.dtype("<i8"))
_BY_MODEL = ("models",)
_BY_OUTPUT = ("width",)

COLUMNS: dict[type, dict[str, Column]] = {
    Scores: {
        "offsets": _OFFSETS,
        "statuses": Column(np.dtype("u1"), codes=len(Status)),
        "outputs": Column(np.dtype("<f4"), _BY_OUTPUT),
    },
    Decisions: {
        "offsets": _OFFSETS,
        "winners": _WINNERS,
        "reasons": _REASON_CODES,
        "arrived": Column(np.dtype("<u8")),
        "slacks_us": _TIMES,
        "outputs": Column(np.dtype("<f4"), _BY_OUTPUT),
        "steps": Column(np.dtype("u1"), later=True),
        "draws": Column(np.dtype("<f4"), later=True),
        "propensities": Column(np.dtype("<f4"), later=True),
    },
    Comparisons: {
        "offsets": _OFFSETS,
        "appended_us": _TIMES,
        "winners": _WINNERS,
        "reasons": _REASON_CODES,
        "statuses": Column(np.dtype("u1"), _BY_MODEL, codes=len(Status)),
        "latencies_us": Column(np.dtype("<i4"), _BY_MODEL),
        "outputs": Column(np.dtype("<f4"), _BY_MODEL + _BY_OUTPUT),
        "asked_us": Column(np.dtype("<i8"), later=True),
    },
    FeatureColumns: {
        "offsets": _OFFSETS,
        "asked_us": _TIMES,
        "numbers": Column(np.dtype("<f4"), ("numeric",)),
        "codes": Column(np.dtype("<i4"), ("textual",)),
    },
}

_FIELDS = {kind: tuple(field.name for field in fields(kind)) for kind in get_args(Message)}
_REASONS = tuple(reason.name.lower() for reason in Reason if reason is not Reason.NO_ANSWER)


def row_of(message: Message) -> Row:
    """A message as Avro's types.

    Raises:
        ValueError: an answer that is never on the wire.
    """
    kind = type(message)
    row: Row = {name: getattr(message, name) for name in _FIELDS[kind]}
    columns = COLUMNS.get(kind)
    if columns is not None:
        if "outputs" in columns:
            row["width"] = row["outputs"].shape[-1]
        for name, column in columns.items():
            row[name] = row[name].astype(column.dtype, copy=False).tobytes()
    elif kind is Response:
        if row["reason"] is Reason.NO_ANSWER:
            raise ValueError("NO_ANSWER is what a client says to itself: it is never on the wire")
        row["reason"] = _REASONS[row["reason"]]
    elif kind is DeadLetter:
        row["headers"] = [{"name": name, "value": value} for name, value in row["headers"]]
    elif kind is HandOff:
        row["moves"] = [asdict(move) for move in row["moves"]]
    return row


def unpack(kind: type, row: Row) -> None:
    """Turn a decoded row into the arguments of its message, in place.

    Raises:
        WireError: its columns do not fit together.
    """
    if kind in COLUMNS:
        _unpack_columns(row, COLUMNS[kind])
    for name, enum in _ENUMS.get(kind, {}).items():
        row[name] = enum(row[name])
    for name in _TUPLES.get(kind, ()):
        row[name] = tuple(row[name])
    if kind in _REST:
        _REST[kind](row)
    if kind in _SIDE_BY_SIDE and len({len(row[name]) for name in _SIDE_BY_SIDE[kind]}) > 1:
        raise WireError(DeadLetterReason.UNREADABLE, f"{', '.join(_SIDE_BY_SIDE[kind])} do not run side by side")


def _unpack_columns(row: Row, columns: Mapping[str, Column]) -> None:
    """Give columns their shapes; every length and code is checked against the others."""
    sizes = {"width": row.pop("width", 1)}
    rows, odd = divmod(len(row["offsets"]), OFFSET_BYTES)
    if odd or not 0 < rows <= MAX_ROWS or sizes["width"] <= 0:
        raise WireError(
            DeadLetterReason.UNREADABLE,
            f"{len(row['offsets'])} bytes of offsets, width {sizes['width']}: not 1..{MAX_ROWS} rows",
        )
    for name, column in columns.items():
        shape: tuple[int, ...] = (rows,)
        for axis in column.axes:
            shape += (sizes[axis] if axis in sizes else len(row[axis]),)
        row[name] = _unpack_column(name, column, row[name], shape)
    offsets = row["offsets"]
    if offsets[0] < 0 or (rows > 1 and not np.logical_and.reduce(offsets[1:] > offsets[:-1])):
        raise WireError(DeadLetterReason.UNREADABLE, "offsets must be positive and increase from row to row")


def _unpack_column(name: str, column: Column, data: bytes, shape: tuple[int, ...]) -> NDArray[Any]:
    if column.later and not data:
        return np.zeros(shape, column.dtype)
    if len(data) != prod(shape) * column.size:
        raise WireError(DeadLetterReason.UNREADABLE, f"{name} has {len(data)} bytes for {prod(shape)} x {column.dtype}")
    if column.codes and (unknown := data.translate(None, _CODES[: column.codes])):
        raise WireError(DeadLetterReason.UNREADABLE, f"{name} has the unknown code {max(unknown)}")
    array = np.frombuffer(data, column.dtype)
    return array.reshape(shape) if column.axes else array


def _unpack_scores(row: Row) -> None:
    if not np.logical_and.reduce(row["statuses"]):
        raise WireError(DeadLetterReason.UNREADABLE, "statuses has the code 0: a score says something of each row")


def _unpack_axis(row: Row) -> None:
    models = len(row["models"])
    if len(row["versions"]) != models or not bool(((row["winners"] >= -1) & (row["winners"] < models)).all()):
        raise WireError(DeadLetterReason.UNREADABLE, "models, versions and winners do not agree")
    ids = row.get("request_ids")
    if ids is not None and len(ids) != len(row["offsets"]):
        raise WireError(DeadLetterReason.UNREADABLE, f"{len(ids)} request_ids for {len(row['offsets'])} offsets")


def _unpack_features(row: Row) -> None:
    categories = row["categories"] = tuple(tuple(names) for names in row["categories"])
    if len(categories) != len(row["textual"]):
        raise WireError(DeadLetterReason.UNREADABLE, "textual and categories do not run side by side")
    limits = np.array([len(names) for names in categories], np.int64)
    if not bool(((row["codes"] >= -1) & (row["codes"] < limits)).all()):
        raise WireError(DeadLetterReason.UNREADABLE, "codes names a category that is not there")


def _unpack_response(row: Row) -> None:
    row["reason"] = Reason(_REASONS.index(row["reason"]))


def _unpack_dead_letter(row: Row) -> None:
    row["headers"] = tuple((header["name"], header["value"]) for header in row["headers"])


def _unpack_hand_off(row: Row) -> None:
    row["moves"] = tuple(Move(**move) for move in row["moves"])


_REST: dict[type, Callable[[Row], None]] = {
    Scores: _unpack_scores,
    Decisions: _unpack_axis,
    Comparisons: _unpack_axis,
    FeatureColumns: _unpack_features,
    Response: _unpack_response,
    DeadLetter: _unpack_dead_letter,
    HandOff: _unpack_hand_off,
}
"""What of a message is neither a column, nor an enum, nor plain."""
_ENUMS: dict[type, dict[str, type[StrEnum]]] = {
    Deployment: {"state": State},
    HandOff: {"cause": Cause},
    Weights: {"quality": Quality},
    Verdict: {"rule": Rule, "ruling": Ruling},
    Accuracy: {"span": Span, "stage": Stage},
    Drift: {"kind": DriftKind},
    Alarm: {"kind": AlarmKind},
    Retrained: {"outcome": Outcome},
}
_TUPLES: dict[type, tuple[str, ...]] = {
    Response: ("output", "missing"),
    Decisions: ("models", "versions"),
    Comparisons: ("models", "versions", "request_ids"),
    FeatureColumns: ("numeric", "textual"),
    HandOff: ("skipped",),
    Weights: ("models", "versions", "values"),
    Accuracy: ("figures", "values"),
    Drift: ("subjects", "effects", "p_values", "flagged"),
    Alarm: ("moved",),
    RetrainEvent: ("causes", "positions", "unknown"),
    Retrained: ("reasons",),
}
_SIDE_BY_SIDE: dict[type, tuple[str, ...]] = {
    Weights: ("models", "versions", "values"),
    Accuracy: ("figures", "values"),
    Drift: ("subjects", "effects", "p_values", "flagged"),
}
