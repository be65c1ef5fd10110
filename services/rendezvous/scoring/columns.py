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


def to_columns(rows: Sequence[Row], features: Sequence[Feature]) -> dict[str, Column]:
    """One contiguous column [rows] for each feature, in the features' order.

    Numbers and booleans become float32: integers beyond 2**24 are rounded, numbers beyond its range are infinite. Text
    that is not str is written as str. A key that a row lacks counts as null.

    About 1.2 us a row of 17 features in batches, 12 us for a single one: one NumPy block for all numbers, since a
    call to NumPy costs more than a short row.

    Raises:
        ValueError: when a numeric feature holds something that is no number; a schema's reader never lets it through.
    """
    numeric = [feature.name for feature in features if not feature.is_text]
    with np.errstate(over="ignore"):
        block = np.array([[row.get(name) for row in rows] for name in numeric], dtype=np.float32)
    numbers = dict(zip(numeric, block, strict=True))
    return {
        feature.name: _text(rows, feature.name) if feature.is_text else numbers[feature.name] for feature in features
    }


def invalid_rows(columns: Columns, features: Sequence[Feature], required: Collection[str]) -> NDArray[np.bool_]:
    """Mask [rows] of the rows in which a feature is missing that the schema or the model cannot do without.

    A number is missing when it is NaN, text when it is empty. Empty text is legal Avro, so for text only `required`
    counts, not the schema.
    """
    mask = np.zeros(len(next(iter(columns.values()))), dtype=np.bool_)
    for feature in features:
        column = columns[feature.name]
        if feature.is_text:
            if feature.name in required:
                mask |= column == ""
        elif feature.name in required or not feature.nullable:
            mask |= np.isnan(column)
    return mask


def take(columns: Columns, keep: NDArray[np.bool_]) -> dict[str, Column]:
    """The rows of `columns` where `keep` [rows] is true."""
    return {name: column[keep] for name, column in columns.items()}


def _text(rows: Sequence[Row], name: str) -> Column:
    return np.array(["" if (value := row.get(name)) is None else str(value) for row in rows], dtype=object)
