"""The tally of a number held against a number; of several outputs the first one is judged. Pure.

Targets have any scale, so nothing is counted in fixed units: sums are exact whatever the size of what is summed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Any, Self

import numpy as np

from rendezvous.messages import Floats
from rendezvous.monitoring.figures.sums import EXACT_BITS, exact, exact_squares, packed, unpacked
from rendezvous.replay.bootstrapping import Float64s

LARGEST = 1e150
"""A label or an error beyond it has no square in float64: its row is unusable."""
_UNIT = 1 << EXACT_BITS
_SUMS = ("absolute", "square", "label", "label_square")


@dataclass(slots=True)
class RegressionTally:
    """Exact sums (units of 2**-1126) of |error|, error**2, label and label**2."""

    rows: int = 0
    unusable: int = 0
    absolute: int = 0
    square: int = 0
    label: int = 0
    label_square: int = 0

    def add(self, outputs: Floats, labels: Float64s) -> None:
        """Count rows: outputs float32 [rows, width], labels float64 [rows], NaN for none."""
        errors = outputs[:, 0].astype(np.float64) - labels
        fit = (np.abs(errors) < LARGEST) & (np.abs(labels) < LARGEST)
        errors, truth = errors[fit], labels[fit]
        self.rows += len(truth)
        self.unusable += len(labels) - len(truth)
        self.absolute += exact(np.abs(errors))
        self.square += exact(errors**2)
        self.label += exact(truth)
        self.label_square += exact_squares(truth)

    def merge(self, other: Self) -> None:
        """Count another tally's rows too."""
        for name in ("rows", "unusable", *_SUMS):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def subtract(self, other: Self) -> None:
        """Take back rows that were counted."""
        for name in ("rows", "unusable", *_SUMS):
            setattr(self, name, getattr(self, name) - getattr(other, name))

    def figures(self) -> dict[str, float]:
        """MAE, RMSE and R²; NaN without rows, and R² where all labels are equal."""
        if not self.rows:
            return dict.fromkeys(("mae", "rmse", "r2"), float("nan"))
        spread = self.rows * self.label_square * _UNIT - self.label**2
        return {
            "mae": self.absolute / (self.rows * _UNIT),
            "rmse": sqrt(self.square / (self.rows * _UNIT)),
            "r2": 1 - self.rows * self.square * _UNIT / spread if spread > 0 else float("nan"),
        }

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return {"rows": self.rows, "unusable": self.unusable, **{name: packed(getattr(self, name)) for name in _SUMS}}

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Self:
        """What `to_json` gave."""
        return cls(saved["rows"], saved["unusable"], *(unpacked(saved[name]) for name in _SUMS))
