"""Rows: an e-detector for errors (0 or 1) or any loss in [0, 1], if rows are independent. Pure.

M <- (M + 1)(1 + lambda (x - m)) for a few lambda; their mean is the evidence (Shin, Ramdas, Rinaldo, E-detectors, New
England Journal of Statistics in Data Science, 2024). As long as losses are m on average, whatever came before,
the average run length to a false alarm is at least the threshold. For x of 0 and 1 the factor is the likelihood ratio
of a rate q against m, with lambda = (q - m) / (m (1 - m)).

m is not known but estimated: it is put UNSURE standard errors above the reference's mean, so that a run length that is
said holds but in one of a hundred references, at the price of shifts that are as small as that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isnan, sqrt
from typing import Any, ClassVar, Literal, Self

from rendezvous.monitoring.detectors.detector import Worse

ODDS = (1.25, 1.5, 2.0, 4.0)
"""Alternatives: by how much the odds of an error have risen."""
UNSURE = 2.33
"""Standard errors: one reference in a hundred has a mean further below the truth."""


@dataclass(slots=True)
class BoundedLoss:
    """Alarm when losses have become larger.

    >>> detector = BoundedLoss.calibrated([0.0, 1.0, 0.0, 0.0] * 500, "higher", run_length=1_000)
    >>> for row in range(1_000):
    ...     detector.update(float(row % 2 if row > 100 else row % 4 == 0))
    ...     if detector.alarm:
    ...         print(row)
    ...         break
    """

    name: ClassVar[str] = "row"
    per: ClassVar[Literal["block", "row"]] = "row"
    assumes_independence: ClassVar[bool] = True

    worse: Worse
    threshold: float
    mean: float
    """What losses were at most, on average."""
    evidence: list[float] = field(default_factory=lambda: [0.0] * len(ODDS))
    alarm: bool = False
    bets: list[float] = field(init=False)

    def __post_init__(self) -> None:
        self.bets = [(odds - 1) / (1 + self.mean * (odds - 1)) for odds in ODDS]

    @classmethod
    def calibrated(cls, reference: Sequence[float], worse: Worse, run_length: int) -> Self:
        """Reference: the losses of rows on which all was well; `run_length` counts rows.

        Raises:
            ValueError: when there are none, or one is outside of [0, 1].
        """
        losses = [_loss(value, worse) for value in reference if not isnan(value)]
        if not losses:
            raise ValueError("no reference rows: what is a change is known only beside what was before")
        rows = len(losses)
        mean = sum(losses) / rows
        spread = sum((loss - mean) ** 2 for loss in losses) / rows
        # an estimate of 0 (no error at all) is no certainty: as if one more row had been an error
        sure = mean + UNSURE * sqrt(spread / rows) + 1 / (rows + 1)
        return cls(worse, float(run_length), min(sure, 1.0))

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
        gain = _loss(value, self.worse) - self.mean
        self.evidence = [(before + 1) * (1 + bet * gain) for before, bet in zip(self.evidence, self.bets, strict=True)]
        self.alarm = self.value >= self.threshold

    def snapshot(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return {
            "detector": self.name,
            "worse": self.worse,
            "threshold": self.threshold,
            "mean": self.mean,
            "evidence": list(self.evidence),
            "alarm": self.alarm,
        }

    @classmethod
    def restored(cls, saved: Mapping[str, Any]) -> Self:
        """What `snapshot` gave."""
        return cls(saved["worse"], saved["threshold"], saved["mean"], list(saved["evidence"]), saved["alarm"])


def _loss(value: float, worse: Worse) -> float:
    if not 0 <= value <= 1:
        raise ValueError(f"{value} is no loss in [0, 1]: this detector takes errors (0 or 1) or scaled losses")
    return value if worse == "higher" else 1 - value
