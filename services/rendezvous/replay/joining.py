"""Many columnar records decoded as one: NumPy's price is by the call, and a busy log has records of a row or two."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rendezvous.messages import Message, Scores
from rendezvous.rows import COLUMNS, OFFSET_BYTES, Row, WireError, unpack

Joined = dict[str, NDArray[Any]]


def joined(kind: type[Message], rows: Sequence[Row], models: Sequence[int]) -> Joined | None:
    """Columns of some records of the same kind and width, one record after the other; None when one does not fit.

    rows: as a codec gives them. models: how many each record's axis has; all the same where columns are by model.
    """
    width = rows[0]["width"]
    axes = {"width": width, "models": models[0] if models else 1}
    sizes = [len(row["offsets"]) // OFFSET_BYTES for row in rows]
    columns: Joined = {}
    if any(len(row["versions"]) != len(row["models"]) for row in rows if "models" in row):
        return None
    for name, column in COLUMNS[kind].items():
        shape = tuple(axes[axis] for axis in column.axes)
        each = column.dtype.itemsize * prod(shape)
        parts = [row[name] for row in rows]
        if column.later:
            parts = [part or bytes(size * each) for part, size in zip(parts, sizes, strict=True)]
        if [len(part) for part in parts] != [size * each for size in sizes]:
            return None
        values = np.frombuffer(b"".join(parts), column.dtype)
        if column.codes and values.max(initial=0) >= column.codes:
            return None
        columns[name] = values.reshape(-1, *shape)
    return columns if _sound(kind, columns, np.array(sizes), np.array(models)) else None


def _sound(kind: type[Message], columns: Joined, sizes: NDArray[np.int64], models: NDArray[np.int64]) -> bool:
    """What `rows.unpack` demands of one record: rows, offsets that increase, winners on the axis, no status 0."""
    offsets = columns["offsets"]
    starts = np.cumsum(sizes)[:-1]
    increasing = offsets[1:] > offsets[:-1]
    if not sizes.all():
        return False
    increasing[starts - 1] = True
    if not increasing.all() or (offsets < 0).any():
        return False
    if kind is Scores:
        return bool(columns["statuses"].all())
    winners = columns["winners"]
    return bool(((winners >= -1) & (winners < np.repeat(models, sizes))).all())


def fits(kind: type[Message], row: Row) -> bool:
    """Whether a record's columns fit together."""
    try:
        unpack(kind, dict(row))
    except WireError:
        return False
    return True
