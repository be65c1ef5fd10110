"""Rows as Avro gives them to the columns that models take, and which of the rows a model must not see."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rendezvous.messages import Floats
from rendezvous.settings import Feature

Row: TypeAlias = Mapping[str, object]
Column: TypeAlias = NDArray[Any]
"""[rows]: float32 with NaN for null, or str objects with "" for null.

Objects, because onnxruntime cuts NumPy's own text type off at a NUL."""
Columns: TypeAlias = Mapping[str, Column]


class Model(Protocol):
    """Anything that scores a batch."""

    def score(self, columns: Columns) -> Floats:
        """Scores, float32 [rows, width], for one column [rows] per feature.

        Raises:
            Exception: whatever the model raises; the caller gives the batch's rows the status ERROR.
        """


class Layout:
    """How rows become columns, and what a row must have: of an endpoint's features and one model, worked out once."""

    def __init__(self, features: Sequence[Feature], required: Collection[str] = ()) -> None:
        self._names = [feature.name for feature in features]
        self._numbers = [feature.name for feature in features if not feature.is_text]
        self._texts = [feature.name for feature in features if feature.is_text]
        self._needed_numbers = [
            feature.name
            for feature in features
            if not feature.is_text and (feature.name in required or not feature.nullable)
        ]
        self._needed_texts = [name for name in self._texts if name in required]

    def columns(self, rows: Sequence[Row]) -> dict[str, Column]:
        """See `to_columns`."""
        with np.errstate(over="ignore"):
            block = np.array([[row.get(name) for row in rows] for name in self._numbers], dtype=np.float32)
        columns: dict[str, Column] = dict(zip(self._numbers, block, strict=True))
        for name in self._texts:
            columns[name] = _text(rows, name)
        return {name: columns[name] for name in self._names}

    def invalid(self, columns: Columns) -> NDArray[np.bool_]:
        """See `invalid_rows`."""
        mask = np.zeros(len(columns[self._names[0]]), dtype=np.bool_)
        for name in self._needed_numbers:
            mask |= np.isnan(columns[name])
        for name in self._needed_texts:
            mask |= columns[name] == ""
        return mask


def to_columns(rows: Sequence[Row], features: Sequence[Feature]) -> dict[str, Column]:
    """One contiguous column [rows] for each feature, in the features' order.

    Numbers and booleans become float32: integers beyond 2**24 are rounded, numbers beyond its range are infinite. Text
    that is not str is written as str. A key that a row lacks counts as null.

    About 1.2 us a row of 17 features in batches, 12 us for a single one: one NumPy block for all numbers, since a
    call to NumPy costs more than a short row.

    Raises:
        ValueError: when a numeric feature holds something that is no number; a schema's reader never lets it through.
    """
    return Layout(features).columns(rows)


def invalid_rows(columns: Columns, features: Sequence[Feature], required: Collection[str]) -> NDArray[np.bool_]:
    """Mask [rows] of the rows in which a feature is missing that the schema or the model cannot do without.

    A number is missing when it is NaN, text when it is empty. Empty text is legal Avro, so for text only `required`
    counts, not the schema.
    """
    return Layout(features, required).invalid(columns)


def take(columns: Columns, keep: NDArray[np.bool_]) -> dict[str, Column]:
    """The rows of `columns` where `keep` [rows] is true."""
    return {name: column[keep] for name, column in columns.items()}


def _text(rows: Sequence[Row], name: str) -> Column:
    return np.array(["" if (value := row.get(name)) is None else str(value) for row in rows], dtype=object)
