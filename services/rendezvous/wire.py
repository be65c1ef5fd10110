"""Messages to Avro bytes and back: single-object encoding (C3 01, the schema's CRC-64-AVRO fingerprint, the value).

The only module that imports fastavro. Every *.avsc in schemas/rendezvous can be read for ever; the file named after
the message (scores.avsc) is what is written, older ones (scores.1.avsc) are resolved to it by Avro's rules.
Columns are little-endian, row-major bytes, which NumPy reads without touching a row.
"""

from __future__ import annotations

import functools
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import fastavro
import numpy as np
from fastavro.schema import fingerprint, to_parsing_canonical_form

from rendezvous.messages import (
    Comparisons,
    DeadLetter,
    DeadLetterReason,
    Decisions,
    Label,
    Message,
    Reason,
    Response,
    Scores,
    Status,
)

MARKER = b"\xc3\x01"
HEAD_BYTES = 10
"""The marker and the fingerprint."""
OFFSET_BYTES = 8
MAX_ROWS = 65_536
"""Rows in one columnar record; a scorer's largest batch is far below."""

Row: TypeAlias = dict[str, Any]
M = TypeVar("M", Scores, Response, Decisions, Comparisons, Label, DeadLetter)


class WireError(ValueError):
    """Bytes that are not the message they should be; `reason` is a `DeadLetterReason`."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Codec:
    """One Avro record type: writes its newest schema, reads every released one."""

    def __init__(self, newest: str, older: Sequence[str] = ()) -> None:
        document = json.loads(newest)
        self._schema = fastavro.parse_schema(document)
        self._types = {field["name"]: field["type"] for field in document["fields"]}
        self._head = MARKER + _fingerprint(newest)
        self._writers: dict[bytes, Any] = {self._head: None}
        for text in older:
            head = MARKER + _fingerprint(text)
            if head in self._writers:
                raise ValueError(f"two released schemas share the fingerprint {head.hex()}: readers could not tell")
            self._writers[head] = fastavro.parse_schema(json.loads(text))

    def knows(self, data: bytes) -> bool:
        """Whether the bytes name a schema that can be read."""
        return data[:HEAD_BYTES] in self._writers

    def encode(self, row: Mapping[str, Any]) -> bytes:
        """One row as single-object bytes.

        Raises:
            ValueError, TypeError: a field is missing, of the wrong type, or out of its type's range.
        """
        for name, value in row.items():
            _check_scalar(name, value, self._types.get(name))
        try:
            return self.write(row)
        except OverflowError as error:
            raise ValueError(f"a number is too large for its type: {error}") from error

    def write(self, row: Mapping[str, Any]) -> bytes:
        """As `encode`, for a row whose types are known to be right: fastavro alone truncates 1.5 to an int."""
        buffer = io.BytesIO()
        buffer.write(self._head)
        # tuples are values here, never a way to name a union's branch: looking for that costs a third of the time
        fastavro.schemaless_writer(buffer, self._schema, row, strict=True, disable_tuple_notation=True)
        return buffer.getvalue()

    def decode(self, data: bytes) -> Row:
        """The row that the bytes hold, under the newest schema.

        Raises:
            WireError: UNKNOWN_SCHEMA, or UNREADABLE when the value is damaged or has bytes left over.
        """
        head = data[:HEAD_BYTES]
        if head not in self._writers:
            raise WireError(DeadLetterReason.UNKNOWN_SCHEMA, f"no released schema has the head {head.hex()}")
        buffer = io.BytesIO(data)
        buffer.seek(HEAD_BYTES)
        writer = self._writers[head]
        try:
            if writer is None:
                row = fastavro.schemaless_reader(buffer, self._schema, None)
            else:
                row = fastavro.schemaless_reader(buffer, writer, self._schema)
        except Exception as error:  # fastavro lets what the bytes provoke escape: EOFError, IndexError, OverflowError
            raise WireError(DeadLetterReason.UNREADABLE, f"{type(error).__name__}: {error}") from error
        if buffer.tell() != len(data):
            raise WireError(DeadLetterReason.UNREADABLE, f"{len(data) - buffer.tell()} bytes after the value")
        if not isinstance(row, dict):
            raise WireError(DeadLetterReason.UNREADABLE, "not a record")
        return row


_RANGES = {"int": 1 << 31, "long": 1 << 63}


def _check_scalar(name: str, value: object, declared: object) -> None:
    """What fastavro would silently truncate, or take for true; in unions it looks for itself."""
    if declared == "boolean":
        if not isinstance(value, bool | np.bool_):
            raise TypeError(f"{name} must be a boolean, not {value!r:.40}")
    elif isinstance(declared, str) and declared in _RANGES:
        limit = _RANGES[declared]
        if not isinstance(value, int | np.integer) or not -limit <= value < limit:
            raise ValueError(f"{name} must be a whole number that fits {declared}, not {value!r:.40}")


def _fingerprint(schema: str) -> bytes:
    return bytes.fromhex(fingerprint(to_parsing_canonical_form(json.loads(schema)), "CRC-64-AVRO"))


# -------------------------------------------------------------------------------------------------- the contract

_NAMES: dict[type[Message], str] = {
    Scores: "scores",
    Response: "response",
    Decisions: "decisions",
    Comparisons: "comparisons",
    Label: "label",
    DeadLetter: "dead-letter",
}

_FIELDS = {kind: tuple(field.name for field in fields(kind)) for kind in _NAMES}


@dataclass(frozen=True, slots=True)
class _Column:
    """How one column is packed: little-endian items, by row, then by model, then by output."""

    dtype: np.dtype[Any]
    by_model: bool = False
    by_output: bool = False
    codes: int = 0
    """The values stop before this; 0 when any value will do."""


_OFFSETS = _Column(np.dtype("<i8"))
_WINNERS = _Column(np.dtype("<i2"))
_REASON_CODES = _Column(np.dtype("u1"), codes=len(Reason) - 1)
_TIMES = _Column(np.dtype("<i8"))

_COLUMNS: dict[type[Message], dict[str, _Column]] = {
    Scores: {
        "offsets": _OFFSETS,
        "statuses": _Column(np.dtype("u1"), codes=len(Status)),
        "outputs": _Column(np.dtype("<f4"), by_output=True),
    },
    Decisions: {
        "offsets": _OFFSETS,
        "winners": _WINNERS,
        "reasons": _REASON_CODES,
        "arrived": _Column(np.dtype("<u8")),
        "slacks_us": _TIMES,
        "outputs": _Column(np.dtype("<f4"), by_output=True),
    },
    Comparisons: {
        "offsets": _OFFSETS,
        "appended_us": _TIMES,
        "winners": _WINNERS,
        "reasons": _REASON_CODES,
        "statuses": _Column(np.dtype("u1"), by_model=True, codes=len(Status)),
        "latencies_us": _Column(np.dtype("<i4"), by_model=True),
        "outputs": _Column(np.dtype("<f4"), by_model=True, by_output=True),
    },
}

_REASONS = tuple(reason.name.lower() for reason in Reason if reason is not Reason.NO_ANSWER)


def contract_folder() -> Path:
    """Where schemas/rendezvous is: inside the installed package, or in the checkout."""
    packaged = Path(__file__).parent / "schemas"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "schemas" / "rendezvous"


@functools.cache
def codec(name: str) -> Codec:
    """The codec of one message of the contract, by the name of its .avsc."""
    folder = contract_folder()
    older = [path.read_text() for path in sorted(folder.glob(f"{name}.*.avsc"))]
    return Codec((folder / f"{name}.avsc").read_text(), older)


def encode(message: Message) -> bytes:
    """A message as it travels."""
    kind = type(message)
    row: Row = {name: getattr(message, name) for name in _FIELDS[kind]}
    columns = _COLUMNS.get(kind)
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
    return codec(_NAMES[kind]).write(row)


def decode(data: bytes, kind: type[M]) -> M:
    """The message that the bytes hold.

    Raises:
        WireError: the bytes are not a message of this kind.
    """
    row = codec(_NAMES[kind]).decode(data)
    if kind in _COLUMNS:
        _unpack(row, _COLUMNS[kind])
        if kind is Scores and not row["statuses"].all():
            raise WireError(DeadLetterReason.UNREADABLE, "statuses has the code 0: a score says something of each row")
    else:
        _SCALARS[kind](row)
    return kind(**row)


def _unpack(row: Row, columns: Mapping[str, _Column]) -> None:
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
        data = row[name]
        items = rows * (models if column.by_model else 1) * (width if column.by_output else 1)
        if len(data) != items * column.dtype.itemsize:
            raise WireError(DeadLetterReason.UNREADABLE, f"{name} has {len(data)} bytes for {items} x {column.dtype}")
        array = np.frombuffer(data, column.dtype)
        if column.codes and int(array.max(initial=0)) >= column.codes:
            raise WireError(DeadLetterReason.UNREADABLE, f"{name} has the unknown code {int(array.max())}")
        if column.by_model:
            array = array.reshape((rows, models, width) if column.by_output else (rows, models))
        elif column.by_output:
            array = array.reshape(rows, width)
        row[name] = array
    offsets = row["offsets"]
    if offsets[0] < 0 or (rows > 1 and not bool((offsets[1:] > offsets[:-1]).all())):
        raise WireError(DeadLetterReason.UNREADABLE, "offsets must be positive and increase from row to row")
    if models or "models" in row:
        _unpack_axis(row, models)


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


_SCALARS: dict[type[Message], Callable[[Row], None]] = {
    Response: _unpack_response,
    Label: lambda _row: None,
    DeadLetter: _unpack_dead_letter,
}
