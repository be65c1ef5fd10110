"""Blocks: a conformal e-detector of Shiryaev-Roberts kind. Pure.

Each block's value is ranked among all blocks before it, those of the reference included. As long as blocks are
exchangeable, whatever their distribution and however much rows within a block depend on each other, these ranks are
independent and uniform: exactly so, also after a handful of reference blocks, and no mean or spread has to be estimated
(Vovk, Gammerman, Shafer, Algorithmic Learning in a Random World, 2022; Vovk et al., Retrain or not retrain: conformal
test martingales for change-point detection, 2021). A rank becomes a normal score z, and z a likelihood ratio exp(delta
z) against a shift by delta standard deviations, scaled so that its mean over all ranks is 1; among equal values a block
counts as the best, which only errs towards silence. Then R <- (R + 1) L for each delta, and the mean of these R is the
evidence (Shin, Ramdas, Rinaldo, E-detectors, 2024). R - t is a martingale, so the average run length to a false alarm
is at least the threshold: the run length that is asked for is the threshold, and holds for any reference.

What it cannot do: after K blocks one block multiplies the evidence by at most K + 1; a drift so slow that each block
looks like those just before is learned, not found; so is a new level, some time after its alarm. Blocks that resemble
their neighbours (a week of storms) are not exchangeable: such a week may well be an alarm.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import exp, isnan
from typing import Any, ClassVar, Literal, Self

import numpy as np
from scipy.special import ndtri

from rendezvous.monitoring.detectors.detector import Worse

SHIFTS = (0.5, 1.0, 2.0)
"""Alternatives, in standard deviations between blocks: a creeping change, a clear one, a break."""


@dataclass(slots=True)
class ConformalBlocks:
    """Alarm when blocks have moved in the harmful direction.

    >>> detector = ConformalBlocks.calibrated([0.2, 0.23, 0.19, 0.22, 0.21] * 6, "higher", run_length=100)
    >>> for rate in (0.21, 0.2, 0.26, 0.25, 0.27, 0.24):
    ...     detector.update(rate)
    ...     print(f"{detector.value:.1f}", detector.alarm)
    0.5 False
    0.5 False
    9.1 False
    41.5 False
    458.3 True
    2.1 False
    """

    name: ClassVar[str] = "block"
    per: ClassVar[Literal["block", "row"]] = "block"
    assumes_independence: ClassVar[bool] = False

    worse: Worse
    threshold: float
    known: list[float]
    """What blocks were, sorted, larger is worse."""
    evidence: list[float] = field(default_factory=lambda: [0.0] * len(SHIFTS))
    alarm: bool = False

    @classmethod
    def calibrated(cls, reference: Sequence[float], worse: Worse, run_length: float) -> Self:
        """Reference: the value of each block in which all was well; `run_length` counts blocks."""
        signed = [value if worse == "higher" else -value for value in reference if not isnan(value)]
        return cls(worse, float(run_length), sorted(signed))

    @property
    def value(self) -> float:
        """The evidence after the last block."""
        return sum(self.evidence) / len(self.evidence)

    def update(self, value: float) -> None:
        """Take the next block's value."""
        if self.alarm:
            self.evidence = [0.0] * len(SHIFTS)
        self.alarm = False
        if isnan(value):
            return
        signed = value if self.worse == "higher" else -value
        ratios = _ratios(len(self.known) - bisect_left(self.known, signed), len(self.known) + 1)
        self.evidence = [(before + 1) * ratio for before, ratio in zip(self.evidence, ratios, strict=True)]
        insort(self.known, signed)
        self.alarm = self.value >= self.threshold

    def snapshot(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return {
            "detector": self.name,
            "worse": self.worse,
            "threshold": self.threshold,
            "known": list(self.known),
            "evidence": list(self.evidence),
            "alarm": self.alarm,
        }

    @classmethod
    def restored(cls, saved: Mapping[str, Any]) -> Self:
        """What `snapshot` gave."""
        return cls(saved["worse"], saved["threshold"], list(saved["known"]), list(saved["evidence"]), saved["alarm"])


def _ratios(as_bad: int, ranks: int) -> list[float]:
    """For each shift the likelihood ratio of a rank, which is how many of the blocks before were as bad, of `ranks`."""
    scores = -ndtri((np.arange(ranks) + 0.5) / ranks)
    return [exp(delta * scores[as_bad]) / float(np.exp(delta * scores).mean()) for delta in SHIFTS]
