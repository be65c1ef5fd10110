"""Columns of a CSV or Parquet file, as the backtest takes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import csv, parquet

from rendezvous.messages import Int64s
from rendezvous.monitoring.backtest import Texts
from rendezvous.replay.bootstrapping import Float64s
from rendezvous.settings import SettingsError

MS, MICROSECOND = 10**11, 10**14
"""Numbers of a time column: seconds since 1970 below the first (until the year 5138), milliseconds below the second."""
UNITS = {"_us": 1, "_ms": 1_000, "_s": 1_000_000}
"""A time column's name may end in its unit."""
EXAMPLES = 3
"""Cells that an error shows."""


class TableError(SettingsError):
    """A file cannot be used; the message says which, which column and row, and what to do."""


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """A file's columns that were asked for."""

    path: Path
    columns: pa.Table

    @classmethod
    def read(cls, path: Path, names: Sequence[str]) -> Table:
        """Read these columns.

        Raises:
            TableError: the file cannot be read, or lacks one of them.
        """
        names = list(dict.fromkeys(names))
        try:
            there = _names(path)
            if missing := [name for name in names if name not in there]:
                raise TableError(f"{path}: no column {', '.join(missing)}; it has {', '.join(there) or 'none'}")
            return cls(path, _read(path, names))
        except FileNotFoundError as error:
            raise TableError(f"{path}: there is no such file") from error
        except (OSError, pa.ArrowException) as error:
            raise TableError(f"{path}: not readable as {_format(path)} ({error})") from error

    @property
    def rows(self) -> int:
        """How many."""
        count: int = self.columns.num_rows
        return count

    def names(self) -> list[str]:
        """The columns that were read."""
        return list(self.columns.column_names)

    def is_text(self, name: str) -> bool:
        """Whether a column is text, or of categories."""
        kind = self.columns.schema.field(name).type
        return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind))

    def numbers(self, name: str) -> Float64s:
        """A column as float64 [rows], NaN for missing.

        Raises:
            TableError: a cell is no number.
        """
        column = self.columns[name]
        if self.is_text(name):
            self._refuse(name, column, "no number")
        try:
            if pa.types.is_boolean(column.type):
                column = pc.cast(column, pa.uint8())
            numbers: Float64s = pc.cast(column, pa.float64(), safe=False).to_numpy().astype(np.float64)
        except pa.ArrowException as error:
            raise TableError(f"{self.path}: column {name} ({column.type}) holds no numbers ({error})") from error
        return numbers

    def texts(self, name: str) -> Texts:
        """A column as text, whatever it is."""
        column = self.columns[name]
        if not pa.types.is_dictionary(column.type):
            column = pc.cast(column, pa.string()).dictionary_encode()
        merged = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
        words = [None if word is None else str(word) for word in merged.dictionary.to_pylist()]
        codes = pc.fill_null(merged.indices, -1).to_numpy(zero_copy_only=False).astype(np.int32)
        empty = [number for number, word in enumerate(words) if not word]
        return Texts(tuple(word or "" for word in words), np.where(np.isin(codes, empty), -1, codes).astype(np.int32))

    def times_us(self, name: str) -> Int64s:
        """A column as microseconds since the epoch: timestamps, dates, ISO 8601 text, or numbers (see MS).

        Raises:
            TableError: a cell is no time, or missing.
        """
        column = self.columns[name]
        if column.null_count:
            row = int(np.flatnonzero(pc.is_null(column).to_numpy())[0])
            raise TableError(f"{self.path}: column {name} is empty in row {row}: every row needs its time")
        if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
            return _numbers_us(name, self.numbers(name) if pa.types.is_floating(column.type) else column.to_numpy())
        try:
            stamps = pc.cast(
                column, pa.timestamp("us", "UTC" if getattr(column.type, "tz", None) else None), safe=False
            )
        except pa.ArrowException as error:
            raise TableError(
                f"{self.path}: column {name} holds no times ({error}): give ISO 8601, e.g. 2013-03-01T14:00:00Z, or "
                "seconds since 1970"
            ) from error
        times: Int64s = pc.cast(stamps, pa.int64()).to_numpy().astype(np.int64)
        return times

    def _refuse(self, name: str, column: pa.ChunkedArray, fault: str) -> None:
        """Name the first cells of a text column that are the reason why it was read as text."""
        odd = []
        for row, word in enumerate(column.to_pylist()):
            try:
                float(word if word is not None else "nan")
            except ValueError:
                odd.append(f"row {row}: {word!r}")
                if len(odd) == EXAMPLES:
                    break
        raise TableError(f"{self.path}: column {name}: {fault} ({'; '.join(odd)}): mend the cells, or leave them empty")


def _numbers_us(name: str, numbers: NDArray[Any]) -> Int64s:
    largest = float(np.abs(numbers).max(initial=0))
    unit = 1_000_000 if largest < MS else 1_000 if largest < MICROSECOND else 1
    unit = next((size for ending, size in UNITS.items() if name.endswith(ending)), unit)
    if numbers.dtype.kind == "f":
        numbers = np.rint(numbers * unit)
        unit = 1
    times: Int64s = numbers.astype(np.int64) * unit
    return times


def _format(path: Path) -> str:
    return "Parquet" if path.suffix.lower() in {".parquet", ".pq"} else "CSV"


def _names(path: Path) -> list[str]:
    if _format(path) == "Parquet":
        return list(parquet.read_schema(path).names)
    with csv.open_csv(path) as reader:
        return list(reader.schema.names)


def _read(path: Path, names: list[str]) -> pa.Table:
    if _format(path) == "Parquet":
        return parquet.read_table(path, columns=names)
    return csv.read_csv(path, convert_options=csv.ConvertOptions(include_columns=names, strings_can_be_null=True))
