"""Messages to Avro bytes and back: single-object encoding (C3 01, the schema's CRC-64-AVRO fingerprint, the value).

The only module that imports fastavro. Every *.avsc in schemas/rendezvous can be read for ever; the file named after
the message (scores.avsc) is what is written, older ones (scores.1.avsc) are resolved to it by Avro's rules.
"""

from __future__ import annotations

import functools
import io
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import fastavro
import numpy as np
from fastavro.schema import fingerprint, to_parsing_canonical_form

from rendezvous.messages import DeadLetterReason, Message
from rendezvous.rows import Row, WireError, row_of, unpack

__all__ = [
    "HEAD_BYTES",
    "MARKER",
    "Codec",
    "Row",
    "WireError",
    "codec",
    "contract_folder",
    "decode",
    "decode_any",
    "encode",
    "name_of",
]

MARKER = b"\xc3\x01"
HEAD_BYTES = 10
"""The marker and the fingerprint."""
M = TypeVar("M", bound=Message)


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

    @property
    def head(self) -> bytes:
        """What everything that is written begins with: the marker and the newest schema's fingerprint."""
        return self._head

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

_NAMES: dict[type, str] = {kind: re.sub(r"(?<!^)(?=[A-Z])", "-", kind.__name__).lower() for kind in get_args(Message)}
"""HandOff is in hand-off.avsc."""


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


def name_of(kind: type[Message]) -> str:
    """The name of a message's .avsc."""
    return _NAMES[kind]


def encode(message: Message) -> bytes:
    """A message as it travels."""
    return codec(_NAMES[type(message)]).write(row_of(message))


def decode(data: bytes, kind: type[M]) -> M:
    """The message that the bytes hold.

    Raises:
        WireError: the bytes are not a message of this kind.
    """
    row = codec(_NAMES[kind]).decode(data)
    unpack(kind, row)
    return kind(**row)


def decode_any(data: bytes, kinds: Sequence[type[M]]) -> M:
    """The message that the bytes hold, of one of several kinds: the head tells which.

    Raises:
        WireError: the bytes are none of them.
    """
    for kind in kinds:
        if codec(_NAMES[kind]).knows(data):
            return decode(data, kind)
    names = ", ".join(_NAMES[kind] for kind in kinds)
    raise WireError(DeadLetterReason.UNKNOWN_SCHEMA, f"the head {data[:HEAD_BYTES].hex()} is none of {names}")
