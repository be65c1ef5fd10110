"""Scores of one turn of the loop put together, and what became of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rendezvous.messages import Bytes, Floats, Int64s, Scores
from rendezvous.registry.state import Pair


@dataclass(frozen=True, slots=True, eq=False)
class Arrivals:
    """What several scores records say, one row after the other: columns int64 [rows] are places on the model axis.

    `rows` counts each record's.
    """

    rows: list[int]
    columns: Int64s
    offsets: Int64s
    statuses: Bytes
    outputs: Floats

    @staticmethod
    def of(batch: Sequence[Scores], column_of: Mapping[Pair, int]) -> Arrivals:
        """Put records of models on the axis together."""
        rows = [len(scores.offsets) for scores in batch]
        columns = np.array([column_of[scores.model, scores.version] for scores in batch], np.int64)
        if len(batch) == 1:
            (only,) = batch
            return Arrivals(rows, columns.repeat(rows), only.offsets, only.statuses, only.outputs)
        return Arrivals(
            rows,
            columns.repeat(rows),
            np.concatenate([scores.offsets for scores in batch]),
            np.concatenate([scores.statuses for scores in batch]),
            np.concatenate([scores.outputs for scores in batch]),
        )


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of some rows of scores, by model (rows for each place on the axis; empty when there are none)."""

    kept: list[int]
    duplicate: list[int]
    late: list[int]
    unknown: list[int]

    def by_fate(self) -> dict[str, list[int]]:
        """The same by name."""
        return {"kept": self.kept, "duplicate": self.duplicate, "late": self.late, "unknown": self.unknown}


def first_of_its_kind(keys: Int64s) -> NDArray[np.bool_]:
    """True where a key stands for the first time."""
    first = np.zeros(len(keys), np.bool_)
    first[np.unique(keys, return_index=True)[1]] = True
    return first
