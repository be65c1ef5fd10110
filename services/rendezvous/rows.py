"""Messages to plain rows of Avro's types and back: columns as bytes, enums as names.

Columns are little-endian, row-major bytes, which NumPy reads without touching a row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from rendezvous.messages import (
    Comparisons,
    DeadLetter,
    DeadLetterReason,
    Decisions,
    Message,
    Reason,
    Response,
    Scores,
    Status,
)
from rendezvous.registry.events import Cause, Deployment, HandOff, Move, Quality, State, Weights

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
    """How one column is packed: little-endian items, by row, then by model, then by output."""

    dtype: np.dtype[Any]
    by_model: bool = False
    by_output: bool = False
    codes: int = 0
    """The values stop before this; 0 when any value will do."""
    later: bool = False
    """Not in the first release: absent from older records, which then have zeros."""


_OFFSETS = Column(np.dtype("<i8"))
_WINNERS = Column(np.dtype("<i2"))
_REASON_CODES = Column(np.dtype("u1"), codes=len(Reason) - 1)
_TIMES = Column(np.dtype("<i8"))

COLUMNS: dict[type, dict[str, Column]] = {
    Scores: {
        "offsets": _OFFSETS,
        "statuses": Column(np.dtype("u1"), codes=len(Status)),
        "outputs": Column(np.dtype("<f4"), by_output=True),
    },
    Decisions: {
        "offsets": _OFFSETS,
        "winners": _WINNERS,
        "reasons": _REASON_CODES,
        "arrived": Column(np.dtype("<u8")),
        "slacks_us": _TIMES,
        "outputs": Column(np.dtype("<f4"), by_output=True),
        "steps": Column(np.dtype("u1"), later=True),
        "draws": Column(np.dtype("<f4"), later=True),
        "propensities": Column(np.dtype("<f4"), later=True),
    },
    Comparisons: {
        "offsets": _OFFSETS,
        "appended_us": _TIMES,
        "winners": _WINNERS,
        "reasons": _REASON_CODES,
        "statuses": Column(np.dtype("u1"), by_model=True, codes=len(Status)),
        "latencies_us": Column(np.dtype("<i4"), by_model=True),
        "outputs": Column(np.dtype("<f4"), by_model=True, by_output=True),
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
    columns = COLUMNS.get(kind)
    if columns is not None:
        _unpack_columns(row, columns)
        if kind is Scores and not row["statuses"].all():
            raise WireError(DeadLetterReason.UNREADABLE, "statuses has the code 0: a score says something of each row")
    elif kind in _SCALARS:
        _SCALARS[kind](row)


def _unpack_columns(row: Row, columns: Mapping[str, Column]) -> None:
    """Give columns their shapes; every length and code is checked against the others."""
    width = row.pop("width")
    models = len(row.get("models", ()))
    rows, odd = divmod(len(row["offsets"]), OFFSET_BYTES)
    if odd or not 0 < rows <= MAX_ROWS or width <= 0:
        raise WireError(
            DeadLetterReason.UNREADABLE,
            f"{len(row['offsets'])} bytes of offsets, width {width}: not 1..{MAX_ROWS} rows",
        )
    for name, column in columns.items():
        row[name] = _unpack_column(name, column, row[name], (rows, models, width))
    offsets = row["offsets"]
    if offsets[0] < 0 or (rows > 1 and not bool((offsets[1:] > offsets[:-1]).all())):
        raise WireError(DeadLetterReason.UNREADABLE, "offsets must be positive and increase from row to row")
    if models or "models" in row:
        _unpack_axis(row, models)


def _unpack_column(name: str, column: Column, data: bytes, shape: tuple[int, int, int]) -> NDArray[Any]:
    rows, models, width = shape
    items = rows * (models if column.by_model else 1) * (width if column.by_output else 1)
    if column.later and not data:
        return np.zeros(rows, column.dtype)
    if len(data) != items * column.dtype.itemsize:
        raise WireError(DeadLetterReason.UNREADABLE, f"{name} has {len(data)} bytes for {items} x {column.dtype}")
    array = np.frombuffer(data, column.dtype)
    if column.codes and int(array.max(initial=0)) >= column.codes:
        raise WireError(DeadLetterReason.UNREADABLE, f"{name} has the unknown code {int(array.max())}")
    if column.by_model:
        return array.reshape((rows, models, width) if column.by_output else (rows, models))
    return array.reshape(rows, width) if column.by_output else array


def _unpack_axis(row: Row, models: int) -> None:
    if len(row["versions"]) != models or not bool(((row["winners"] >= -1) & (row["winners"] < models)).all()):
        raise WireError(DeadLetterReason.UNREADABLE, "models, versions and winners do not agree")
    ids = row.get("request_ids")
    if ids is not None:
        if len(ids) != len(row["offsets"]):
            raise WireError(DeadLetterReason.UNREADABLE, f"{len(ids)} request_ids for {len(row['offsets'])} offsets")
        row["request_ids"] = tuple(ids)
    row["models"], row["versions"] = tuple(row["models"]), tuple(row["versions"])


def _unpack_response(row: Row) -> None:
    row["reason"] = Reason(_REASONS.index(row["reason"]))
    row["output"], row["missing"] = tuple(row["output"]), tuple(row["missing"])


def _unpack_dead_letter(row: Row) -> None:
    row["headers"] = tuple((header["name"], header["value"]) for header in row["headers"])


def _unpack_deployment(row: Row) -> None:
    row["state"] = State(row["state"])


def _unpack_hand_off(row: Row) -> None:
    row["moves"] = tuple(Move(**move) for move in row["moves"])
    row["cause"], row["skipped"] = Cause(row["cause"]), tuple(row["skipped"])


def _unpack_weights(row: Row) -> None:
    row["quality"] = Quality(row["quality"])
    for name in ("models", "versions", "values"):
        row[name] = tuple(row[name])
    if not len(row["models"]) == len(row["versions"]) == len(row["values"]):
        raise WireError(DeadLetterReason.UNREADABLE, "models, versions and values do not run side by side")


_SCALARS: dict[type, Callable[[Row], None]] = {
    Response: _unpack_response,
    DeadLetter: _unpack_dead_letter,
    Deployment: _unpack_deployment,
    HandOff: _unpack_hand_off,
    Weights: _unpack_weights,
}
