"""Training tables as Parquet, and as what models take: columns, labels, times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from rendezvous.messages import Int64s
from rendezvous.retraining.acceptance import Wanted
from rendezvous.retraining.contract import ASKED_US, LABEL
from rendezvous.scoring.columns import Column, Columns, take, to_columns
from rendezvous.scoring.fidelity import Rows
from rendezvous.settings import Feature, SettingsError

UNKNOWN = -1
OBSERVED_US = "observed_us"


class TableError(SettingsError):
    """A table is missing, unreadable or not what it should be; the message says which, what, and what to do."""


@dataclass(frozen=True, slots=True)
class Table:
    """Labelled requests in the order in which they were asked.

    columns: one [rows] per feature, as models take them; label: float64 [rows]; asked_us: int64 [rows], event time;
    observed_us: int64 [rows], when the label was known, or `UNKNOWN`.
    """

    columns: dict[str, Column]
    label: NDArray[np.float64]
    asked_us: Int64s
    observed_us: Int64s

    def __len__(self) -> int:
        return len(self.label)

    def where(self, keep: NDArray[np.bool_]) -> Table:
        """The rows where `keep` [rows] is true."""
        return Table(take(self.columns, keep), self.label[keep], self.asked_us[keep], self.observed_us[keep])

    @property
    def delays_us(self) -> Int64s:
        """From request to label, int64 [rows]; negative where that is not known."""
        delays: Int64s = np.where(self.observed_us == UNKNOWN, -1, self.observed_us - self.asked_us)
        return delays

    @property
    def sha256(self) -> str:
        """The digest of what is in the table, whatever wrote the file: names, types, values and their order."""
        digest = sha256()
        for name, column in (*self.columns.items(), (LABEL, self.label), (ASKED_US, self.asked_us)):
            digest.update(f"{name}:{column.dtype.str}:{len(column)};".encode())
            if column.dtype == object:
                for text in column:
                    digest.update(len(text).to_bytes(4, "little") + text.encode("utf-8", "surrogatepass"))
            else:
                one = column.copy()
                one[np.isnan(column)] = 0  # there are many NaNs, and one is as good as another; so are both zeros
                digest.update((one + np.zeros(1, one.dtype)).tobytes() + np.packbits(np.isnan(column)).tobytes())
        return digest.hexdigest()


def read_table(path: Path, features: Sequence[Feature]) -> Table:
    """The labelled rows of a Parquet or CSV file, ordered by `asked_us` and then as they stand; others are left out.

    Raises:
        TableError: it cannot be read, lacks a column, or one is of another kind.
    """
    try:
        found = pa_csv.read_csv(path) if path.suffix == ".csv" else pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise TableError(f"{path}: cannot be read as {path.suffix[1:] or 'Parquet'} ({error})") from error
    wanted = [*(feature.name for feature in features), LABEL, ASKED_US]
    if missing := [name for name in wanted if name not in found.column_names]:
        raise TableError(f"{path}: lacks the columns {missing}; it has {found.column_names}")
    if OBSERVED_US not in found.column_names:
        found = found.append_column(OBSERVED_US, pa.array(np.full(len(found), UNKNOWN)))
    found = found.select([*wanted, OBSERVED_US]).filter(pc.is_valid(found[LABEL])).sort_by(ASKED_US)
    columns = {feature.name: _column(found, feature, path) for feature in features}
    times = (_times(found, name, path) for name in (ASKED_US, OBSERVED_US))
    table = Table(columns, _numbers(found, LABEL, np.float64, path), *times)
    return table.where(~np.isnan(table.label))


def _column(found: pa.Table, feature: Feature, path: Path) -> Column:
    if not feature.is_text:
        return _numbers(found, feature.name, np.float32, path)
    column = found[feature.name]
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type) or pa.types.is_null(column.type)):
        raise TableError(f"{path}: {feature.name} is {column.type}, features.avsc says text")
    return np.array([value or "" for value in column.to_pylist()], dtype=object)


def _numbers(found: pa.Table, name: str, kind: type[np.floating[Any]], path: Path) -> NDArray[Any]:
    """A column of numbers with NaN for null, rounded to `kind` as a request's value is."""
    try:
        with np.errstate(over="ignore"):
            column: NDArray[Any] = found[name].cast(pa.float64(), safe=False).to_numpy().astype(kind)
    except pa.ArrowException as error:
        raise TableError(f"{path}: {name} is {found[name].type}, not a number ({error})") from error
    return column


def _times(found: pa.Table, name: str, path: Path) -> Int64s:
    column = found[name]
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us")).cast(pa.int64())
    if not pa.types.is_integer(column.type) or column.null_count:
        raise TableError(f"{path}: {name} must be microseconds since the epoch in every row, it is {column.type}")
    times: Int64s = column.cast(pa.int64()).to_numpy()
    return times


def write_table(path: Path, table: Table) -> None:
    """What a training run reads: see `contract`."""
    pq.write_table(pa.table(_arrow(table.columns) | {LABEL: table.label, ASKED_US: table.asked_us}), path)


def write_rows(path: Path, rows: Rows, features: Sequence[Feature]) -> None:
    """Rows without labels: the reference rows."""
    pq.write_table(pa.table(_arrow(to_columns(rows, features))), path)


def write_predictions(path: Path, names: Sequence[str], predictions: NDArray[Any]) -> None:
    """What a model says, [rows, width], one column per output."""
    pq.write_table(pa.table({name: predictions[:, place] for place, name in enumerate(names)}), path)


def read_predictions(path: Path, names: Sequence[str], rows: int) -> NDArray[np.float64]:
    """What `write_predictions`, or a training run of any language, has written: float64 [rows, width].

    Raises:
        TableError: it cannot be read, or has other columns or another number of rows.
    """
    try:
        found = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise TableError(f"{path}: cannot be read as Parquet ({error})") from error
    if sorted(found.column_names) != sorted(names) or found.num_rows != rows:
        raise TableError(
            f"{path}: has columns {found.column_names} and {found.num_rows} rows, expected {list(names)} and {rows}: "
            "one column per output, one row per reference row"
        )
    return np.column_stack([_numbers(found, name, np.float64, path) for name in names])


def read_columns(path: Path, features: Sequence[Feature]) -> Columns:
    """Columns as models take them: what `write_rows` wrote."""
    found = pq.read_table(path)
    return {feature.name: _column(found, feature, path) for feature in features}


def _arrow(columns: Columns) -> dict[str, pa.Array]:
    """NaN and empty text are null in files: other languages have no other way to say that a value is missing."""
    return {
        name: pa.array(column, pa.string(), mask=column == "")
        if column.dtype == object
        else pa.array(column, mask=np.isnan(column))
        for name, column in columns.items()
    }


def in_slice(columns: Columns, wanted: Mapping[str, Wanted]) -> NDArray[np.bool_]:
    """Mask [rows] of the rows in a slice."""
    mask = np.ones(len(next(iter(columns.values()))), dtype=np.bool_)
    for name, value in wanted.items():
        column = columns[name]
        if isinstance(value, tuple):
            mask &= (column >= value[0]) & (column < value[1])
        else:
            mask &= column == (value if isinstance(value, str) else np.float32(value))
    return mask
