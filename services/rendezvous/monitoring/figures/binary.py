"""The tally of a probability: P(positive) held against 0 or 1. Pure.

AUC and average precision come from counts in 4,096 bins of the score's logit. A bin is .98 % of the odds wide
wherever it is, so that 1e-5 and 2e-5 are 71 bins apart; scores below 2.1e-9 share the first bin, above 1 - 2.1e-9 the
last. Scores of one bin count as equal, so AUC is wrong by at most half the share of pairs (one positive, one
negative) that share a bin: `auc_error`. Where scores are spread over a few hundred bins that is below .001, where a
model says one number it is exact, since these are equal indeed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from rendezvous.messages import Floats, Int64s
from rendezvous.monitoring.figures.sums import ONE, fixed
from rendezvous.replay.bootstrapping import Float64s
from rendezvous.replay.quality import nats, usable

BINS = 4_096
LOGIT_SPAN = 20.0
"""Logits from -20 to 20: odds from 2.1e-9. float32 says nothing between 1 - 6e-8 (logit 16.6) and 1."""
EDGES: Float64s = 1 / (1 + np.exp(-np.linspace(-LOGIT_SPAN, LOGIT_SPAN, BINS + 1)[1:-1]))
"""[BINS - 1]: bin i holds the scores from EDGES[i - 1] up to, and without, EDGES[i]."""
ECE_BINS = 15
"""Equal widths of the score (Guo et al., On Calibration of Modern Neural Networks, ICML 2017)."""
THRESHOLD = 0.5
"""From this score on a row is said to be positive."""
_NEGATIVE, _POSITIVE = 0, 1
_COUNT, _LABELS, _SCORES = 0, 1, 2


@dataclass(slots=True)
class BinaryTally:
    """Counts and sums over rows; a score beyond [0, 1] counts as the nearer end.

    cells: int64 [2, BINS], negatives and positives by bin of the logit. said, hits: rows at or over the threshold, and
    the positives among them. log_loss, brier, scores: units of 2**-32. calibration: int64 [3, ECE_BINS], rows,
    positives, scores (units of 2**-32, good for 2**31 rows a bin).
    """

    threshold: float = THRESHOLD
    unusable: int = 0
    said: int = 0
    hits: int = 0
    log_loss: int = 0
    brier: int = 0
    scores: int = 0
    cells: Int64s = field(default_factory=lambda: np.zeros((2, BINS), np.int64))
    calibration: Int64s = field(default_factory=lambda: np.zeros((3, ECE_BINS), np.int64))

    @property
    def rows(self) -> int:
        """Rows that count."""
        return int(self.cells.sum())

    @property
    def positives(self) -> int:
        """Rows whose label is 1."""
        return int(self.cells[_POSITIVE].sum())

    def add(self, outputs: Floats, labels: Float64s) -> None:
        """Count rows: outputs float32 [rows, 1], labels float64 [rows], NaN for none."""
        fit = usable("binary", labels, 1) & np.isfinite(outputs[:, 0])
        self.unusable += len(labels) - int(np.count_nonzero(fit))
        scores = np.clip(outputs[fit, 0].astype(np.float64), 0.0, 1.0)
        positive = labels[fit] == 1
        self._add_counts(scores, positive)
        self.log_loss += fixed(nats(np.where(positive, scores, 1 - scores)))
        self.brier += fixed((scores - positive) ** 2)
        self.scores += fixed(scores)

    def _add_counts(self, scores: Float64s, positive: NDArray[np.bool_]) -> None:
        np.add.at(self.cells, (positive.astype(np.int64), np.searchsorted(EDGES, scores, side="right")), 1)
        places = np.minimum((scores * ECE_BINS).astype(np.int64), ECE_BINS - 1)
        np.add.at(self.calibration[_COUNT], places, 1)
        np.add.at(self.calibration[_LABELS], places, positive)
        np.add.at(self.calibration[_SCORES], places, np.rint(scores * ONE).astype(np.int64))
        over = scores >= self.threshold
        self.said += int(np.count_nonzero(over))
        self.hits += int(np.count_nonzero(over & positive))

    def merge(self, other: Self) -> None:
        """Count another tally's rows too.

        Raises:
            ValueError: when the other one's threshold is another.
        """
        self._add(other, 1)

    def subtract(self, other: Self) -> None:
        """Take back rows that were counted.

        Raises:
            ValueError: when the other one's threshold is another.
        """
        self._add(other, -1)

    def _add(self, other: Self, sign: int) -> None:
        if other.threshold != self.threshold:
            message = f"tallies at thresholds {self.threshold} and {other.threshold} cannot be merged: count again"
            raise ValueError(message)
        for name in ("unusable", "said", "hits", "log_loss", "brier", "scores"):
            setattr(self, name, getattr(self, name) + sign * getattr(other, name))
        self.cells += sign * other.cells
        self.calibration += sign * other.calibration

    def figures(self) -> dict[str, float]:
        """AUC, average precision, losses, calibration, and what holds at the threshold; NaN where undefined.

        calibration_residual is mean(label) - mean(score): above 0, what is asked about happens more often than said.
        """
        rows, positives = self.rows, self.positives
        right = rows - self.said - positives + 2 * self.hits
        return {
            "auc": auc(self.cells[_NEGATIVE], self.cells[_POSITIVE]),
            "average_precision": self._average_precision(),
            "log_loss": _ratio(self.log_loss, rows * ONE),
            "brier": _ratio(self.brier, rows * ONE),
            "accuracy": _ratio(right, rows),
            "precision": _ratio(self.hits, self.said),
            "recall": _ratio(self.hits, positives),
            "f1": _ratio(2 * self.hits, self.said + positives),
            "ece": self._calibration_error(),
            "calibration_residual": _ratio(positives * ONE - self.scores, rows * ONE),
            "positives": _ratio(positives, rows),
        }

    @property
    def auc_error(self) -> float:
        """AUC is at most this far from that of the scores themselves: half the share of pairs within one bin."""
        shared = int((self.cells[_NEGATIVE] * self.cells[_POSITIVE]).sum())
        return _ratio(shared, 2 * self.positives * (self.rows - self.positives))

    def _average_precision(self) -> float:
        """Mean precision at each positive, equal scores taken together."""
        negatives, positives = (np.cumsum(counts[::-1]) for counts in self.cells)
        found = np.flatnonzero(self.cells[_POSITIVE, ::-1])
        if not len(found):
            return float("nan")
        precision = positives[found] / (positives[found] + negatives[found])
        return float(self.cells[_POSITIVE, ::-1][found] @ precision / positives[-1])

    def _calibration_error(self) -> float:
        gaps = [abs(labels * ONE - scores) for _, labels, scores in self.calibration.T.tolist()]
        return _ratio(sum(gaps), self.rows * ONE)

    def to_json(self) -> dict[str, Any]:
        """All of it; only bins that hold something."""
        bins = np.flatnonzero(self.cells.any(axis=0))
        return {
            **{name: getattr(self, name) for name in _SCALARS},
            "bins": bins.tolist(),
            "cells": self.cells[:, bins].tolist(),
            "calibration": self.calibration.tolist(),
        }

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Self:
        """What `to_json` gave."""
        found = cls(**{name: saved[name] for name in _SCALARS})
        found.cells[:, np.array(saved["bins"], np.int64)] = saved["cells"]
        found.calibration[:] = saved["calibration"]
        return found


_SCALARS = ("threshold", "unusable", "said", "hits", "log_loss", "brier", "scores")


def auc(negatives: NDArray[Any], positives: NDArray[Any]) -> float:
    """The share of pairs that are in order, equal ones count half, from counts by rising score; NaN for one class."""
    below = np.cumsum(negatives) - negatives
    ordered = 2 * int((positives * below).sum()) + int((positives * negatives).sum())
    return _ratio(ordered, 2 * int(positives.sum()) * int(negatives.sum()))


def _ratio(over: int, under: int) -> float:
    """Of integers of any size, rounded once."""
    return over / under if under else float("nan")
