"""How long something took, as counts: any order of arrival gives the same quantiles. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import Any, Self

import numpy as np

from rendezvous.messages import Int64s

PARTS_BITS = 4
"""A power of two is divided into 16 bins: a quantile is at most 1/16 too small."""
_PARTS = 1 << PARTS_BITS
BINS = (63 - PARTS_BITS + 1) * _PARTS
NONE = -1
"""A quantile of nothing."""


@dataclass(slots=True)
class Durations:
    """Counts by microseconds, int64 [BINS]: exact below 16 µs, then 16 bins from each power of two to the next."""

    counts: Int64s = field(default_factory=lambda: np.zeros(BINS, np.int64))

    def add(self, durations_us: Int64s) -> None:
        """Count int64 [any]; one below zero, which only clocks that disagree give, counts as zero."""
        self.counts += np.bincount(_bins(np.maximum(durations_us, 0)), minlength=BINS)

    def merge(self, other: Self) -> None:
        """Count another one's too."""
        self.counts += other.counts

    def subtract(self, other: Self) -> None:
        """Take back what another one counted."""
        self.counts -= other.counts

    @property
    def total(self) -> int:
        """How many were counted."""
        return int(self.counts.sum())

    def quantile_us(self, share: float) -> int:
        """The least duration within which this share was done; NONE of nothing."""
        total = self.total
        if total <= 0:
            return NONE
        reached = np.searchsorted(np.cumsum(self.counts), max(1, ceil(share * total)))
        return _least(int(reached))

    def to_json(self) -> dict[str, Any]:
        """All of it; only bins that hold something."""
        bins = np.flatnonzero(self.counts)
        return {"bins": bins.tolist(), "counts": self.counts[bins].tolist()}

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Self:
        """What `to_json` gave."""
        made = cls()
        made.counts[np.array(saved["bins"], np.int64)] = saved["counts"]
        return made


def _bins(durations_us: Int64s) -> Int64s:
    """Below 16 the number itself; from there on octave and sixteenth, without a gap."""
    _, exponents = np.frexp(durations_us.astype(np.float64))
    shifts = np.maximum(exponents.astype(np.int64) - 1 - PARTS_BITS, 0)
    bins: Int64s = shifts * _PARTS + (durations_us >> shifts)
    return bins


def _least(number: int) -> int:
    """The smallest duration of a bin."""
    shift = max(number // _PARTS - 1, 0)
    return (number - shift * _PARTS) << shift
