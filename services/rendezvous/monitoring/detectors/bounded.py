"""Rows: an e-detector for errors (0 or 1) or any loss in [0, 1], if rows are independent. Pure.

M <- (M + 1)(1 + lambda (x - m)) for a few lambda; their mean is the evidence (Shin, Ramdas, Rinaldo, E-detectors, New
England Journal of Statistics in Data Science, 2024). As long as losses are at most m on average, whatever came before,
the average run length to a false alarm is at least the threshold. For x of 0 and 1 the factor is the likelihood ratio
of a rate q against m, with lambda = (q - m) / (m (1 - m)).

m is not known: it is estimated from the reference and the rows since, before each row, and put UNSURE standard errors
above the estimate. With a known m the run length would be a theorem; with an estimated one it is what was measured: .15
to .8 false alarms in a run length, for references of 100 to 10,000 rows and error rates of .005 to .8 (docs).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import fsum, isnan, sqrt
from typing import Any, ClassVar, Literal, Self

from rendezvous.monitoring.detectors.detector import Worse

ODDS = (1.25, 1.5, 2.0, 4.0)
"""Alternatives: by how much the odds of an error have risen."""
MORE_ODDS = tuple(odds - 1 for odds in ODDS)
UNSURE = 1.0
"""Standard errors. An alarm is false when m is too low by about half of the smallest alternative's shift."""


@dataclass(slots=True)
class BoundedLoss:
    """Alarm when losses have become larger.

    >>> detector = BoundedLoss.calibrated([0.0, 1.0, 0.0, 0.0] * 500, "higher", run_length=1_000)
    >>> for row in range(1_000):
    ...     detector.update(float(row % 2 if row > 100 else row % 4 == 0))
    ...     if detector.alarm:
    ...         print(row)
    ...         break
    133
    """

    name: ClassVar[str] = "row"
    per: ClassVar[Literal["block", "row"]] = "row"
    assumes_independence: ClassVar[bool] = True

    worse: Worse
    threshold: float
    rows: int
    total: float
    """Rows so far, those of the reference included, and the sum of their losses."""
    evidence: list[float] = field(default_factory=lambda: [0.0] * len(ODDS))
    alarm: bool = False

    @classmethod
    def calibrated(cls, reference: Sequence[float], worse: Worse, run_length: float) -> Self:
        """Reference: the losses of rows on which all was well; `run_length` counts rows.

        Raises:
            ValueError: when there are none, or one is outside of [0, 1].
        """
        losses = [_loss(value, worse) for value in reference if not isnan(value)]
        if not losses:
            raise ValueError("no reference rows: what is a change is known only beside what was before")
        return cls(worse, float(run_length), len(losses), fsum(losses))

    @property
    def value(self) -> float:
        """The evidence after the last row."""
        return sum(self.evidence) / len(self.evidence)

    def update(self, value: float) -> None:
        """Take the next row's loss.

        Raises:
            ValueError: when it is outside of [0, 1].
        """
        if self.alarm:
            self.evidence = [0.0] * len(ODDS)
        self.alarm = False
        if isnan(value):
            return
        loss, most = _loss(value, self.worse), self._most()
        # of the alternative with odds r times those of m: lambda = (r - 1) / (1 + m (r - 1))
        self.evidence = [
            (before + 1) * (1 + more / (1 + most * more) * (loss - most))
            for before, more in zip(self.evidence, MORE_ODDS, strict=True)
        ]
        self.alarm = self.value >= self.threshold
        self.rows += 1
        self.total += loss

    def _most(self) -> float:
        """What losses are on average, at most: the spread of errors is the largest that a mean in [0, 1] allows.

        One more row of loss 1 is taken for seen: without any loss so far an estimate of 0 is no certainty.
        """
        mean = self.total / self.rows
        return min(mean + UNSURE * sqrt(mean * max(1 - mean, 0.0) / self.rows) + 1 / (self.rows + 1), 1.0)

    def snapshot(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return {
            "detector": self.name,
            "worse": self.worse,
            "threshold": self.threshold,
            "rows": self.rows,
            "total": self.total,
            "evidence": list(self.evidence),
            "alarm": self.alarm,
        }

    @classmethod
    def restored(cls, saved: Mapping[str, Any]) -> Self:
        """What `snapshot` gave."""
        return cls(
            saved["worse"], saved["threshold"], saved["rows"], saved["total"], list(saved["evidence"]), saved["alarm"]
        )


def _loss(value: float, worse: Worse) -> float:
    if not 0 <= value <= 1:
        raise ValueError(f"{value} is no loss in [0, 1]: this detector takes errors (0 or 1) or scaled losses")
    return value if worse == "higher" else 1 - value
