"""What one feature's values were: counts in fixed bins, which can be added, compared and kept in 80 bytes. Pure.

Numbers are counted at the reference's deciles, text by the reference's categories. What is missing, beyond the
reference's range or of no known category is counted apart as well: these are faults of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rendezvous.messages import Int64s
from rendezvous.replay.bootstrapping import Float64s

DECILES = np.linspace(0.1, 0.9, 9)
MAX_CATEGORIES = 255
"""The most frequent ones of the reference; all others share the cell of the unknown ones."""
_NONE = -1


@dataclass(frozen=True, slots=True)
class NumberBins:
    """Where numbers are counted: bin i holds edges[i - 1] <= x < edges[i]; `low` and `high` are the range seen."""

    edges: tuple[float, ...]
    low: float
    high: float

    @classmethod
    def of(cls, values: Float64s) -> Self:
        """Deciles of what is finite; fewer where values repeat. No bin is empty in these values.

        Raises:
            ValueError: when no value is finite.
        """
        finite = values[np.isfinite(values)].astype(np.float64)
        if not len(finite):
            raise ValueError("no finite value to take deciles of: leave the feature out, or give more rows")
        low, high = float(finite.min()), float(finite.max())
        edges = np.unique(np.quantile(finite, DECILES, method="inverted_cdf"))
        return cls(tuple(edges[edges > low].tolist()), low, high)

    @property
    def count(self) -> int:
        """How many bins."""
        return len(self.edges) + 1

    def place(self, column: Sequence[Any] | NDArray[Any]) -> tuple[Int64s, int]:
        """The bin of each value, int64 [rows], -1 for missing (NaN); how many are out of range."""
        values = np.asarray(column, dtype=np.float64)
        bins = np.searchsorted(self.edges, values, side="right")
        with np.errstate(invalid="ignore"):
            beyond = np.count_nonzero((values < self.low) | (values > self.high))
        return np.where(np.isnan(values), _NONE, bins), int(beyond)


@dataclass(frozen=True, slots=True)
class CategoryBins:
    """Where text is counted: a bin for each category, and one for all others."""

    categories: tuple[str, ...]

    @classmethod
    def of(cls, values: Sequence[Any] | NDArray[Any]) -> Self:
        """The most frequent categories, up to MAX_CATEGORIES, in alphabetical order."""
        names, counts = np.unique([str(value) for value in values if not _missing(value)], return_counts=True)
        most = np.lexsort((names, -counts))[:MAX_CATEGORIES]
        return cls(tuple(sorted(names[most].tolist())))

    @property
    def count(self) -> int:
        """How many bins, that of all others included."""
        return len(self.categories) + 1

    def place(self, column: Sequence[Any] | NDArray[Any]) -> tuple[Int64s, int]:
        """The bin of each value, int64 [rows], -1 for missing ("" or None); how many are of no known category."""
        other = len(self.categories)
        bins = dict(zip(self.categories, range(other), strict=True)) | {"": _NONE, None: _NONE}
        placed = np.array([bins.get(value, other) for value in column], np.int64)
        return placed, int(np.count_nonzero(placed == other))


Bins: TypeAlias = NumberBins | CategoryBins


@dataclass(slots=True)
class Histogram:
    """Counts by bin, int64 [bins]. missing: rows without a value. strange: out of range, or of no known category.

    Strange rows are in a bin too: the outermost ones, or that of all others.
    """

    bins: Bins
    missing: int = 0
    strange: int = 0
    counts: Int64s = field(default_factory=lambda: np.zeros(0, np.int64))

    def __post_init__(self) -> None:
        if not len(self.counts):
            self.counts = np.zeros(self.bins.count, np.int64)

    @classmethod
    def of(cls, bins: Bins, column: Sequence[Any] | NDArray[Any]) -> Self:
        """A histogram of one column."""
        made = cls(bins)
        made.add(column)
        return made

    @property
    def present(self) -> int:
        """Rows with a value."""
        return int(self.counts.sum())

    @property
    def rows(self) -> int:
        """All rows."""
        return self.present + self.missing

    @property
    def strangeness(self) -> str:
        """What a strange value is called here."""
        return "out_of_range" if isinstance(self.bins, NumberBins) else "unseen"

    @property
    def known(self) -> int:
        """How many bins tell of the distribution: not the last one of categories if it stands for unseen ones alone."""
        unseen = isinstance(self.bins, CategoryBins) and not self.counts[-1]
        return self.bins.count - unseen

    def add(self, column: Sequence[Any] | NDArray[Any]) -> None:
        """Count a column: numbers with NaN for missing, or text with "" or None for missing."""
        placed, strange = self.bins.place(column)
        here = placed[placed != _NONE]
        self.counts += np.bincount(here, minlength=self.bins.count)
        self.missing += len(placed) - len(here)
        self.strange += strange

    def merge(self, other: Self) -> None:
        """Count another histogram's rows too.

        Raises:
            ValueError: when its bins are others.
        """
        if other.bins != self.bins:
            raise ValueError("histograms with other bins cannot be merged: their references differ; count again")
        self.counts += other.counts
        self.missing += other.missing
        self.strange += other.strange

    def to_json(self) -> dict[str, Any]:
        """All of it, bins included."""
        if isinstance(self.bins, NumberBins):
            bins: dict[str, Any] = {"edges": list(self.bins.edges), "low": self.bins.low, "high": self.bins.high}
        else:
            bins = {"categories": list(self.bins.categories)}
        return {"bins": bins, "counts": self.counts.tolist(), "missing": self.missing, "strange": self.strange}

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Self:
        """What `to_json` gave."""
        told = saved["bins"]
        bins: Bins
        if "edges" in told:
            bins = NumberBins(tuple(told["edges"]), told["low"], told["high"])
        else:
            bins = CategoryBins(tuple(told["categories"]))
        return cls(bins, saved["missing"], saved["strange"], np.array(saved["counts"], np.int64))


def _missing(value: object) -> bool:
    return value is None or value == ""
