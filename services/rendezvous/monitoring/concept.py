"""What of a closed block says that outputs and labels no longer hang together, and who listens to it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import nan
from typing import Any, Self

from rendezvous.monitoring.detectors import ConformalBlocks, Worse
from rendezvous.monitoring.figures import Kind, Tally

STATISTICS: Mapping[Kind, tuple[tuple[str, Worse], ...]] = {
    "binary": (
        ("error_rate", "higher"),
        ("brier", "higher"),
        ("auc", "lower"),
        ("calibration_residual", "higher"),
        ("calibration_residual", "lower"),
    ),
    "multiclass": (("error_rate", "higher"), ("log_loss", "higher")),
    "regression": (("mae", "higher"), ("rmse", "higher")),
}
"""Figures of a block, and which way is harm. Both ways for the calibration residual: what is asked about happens more
often than said, or less often."""
LEAST_LABELLED = 30
"""Of a block: below it its figures are noise."""


def statistics(kind: Kind, tally: Tally) -> dict[str, float]:
    """A block's figures by name; NaN where there are too few rows, or one class alone."""
    figures = tally.figures()
    if "accuracy" in figures:
        figures["error_rate"] = 1 - figures["accuracy"]
    enough = tally.rows >= LEAST_LABELLED
    return {name: figures[name] if enough else nan for name, _ in STATISTICS[kind]}


@dataclass(frozen=True, slots=True)
class Crossed:
    """A detector's alarm."""

    subject: str
    detector: str
    value: float
    threshold: float


@dataclass(slots=True)
class ConceptWatch:
    """One version's block detectors, in the order of STATISTICS."""

    kind: Kind
    detectors: list[ConformalBlocks] = field(default_factory=list)

    @classmethod
    def calibrated(cls, kind: Kind, blocks: Mapping[str, Sequence[float]], run_length: int) -> Self:
        """blocks: for each statistic its value on each block of the reference, NaN for none."""
        return cls(
            kind,
            [ConformalBlocks.calibrated(blocks.get(name, ()), worse, run_length) for name, worse in STATISTICS[kind]],
        )

    def update(self, values: Mapping[str, float]) -> list[Crossed]:
        """Take a closed block's statistics; the alarms that follow."""
        crossed = []
        for (name, worse), detector in zip(STATISTICS[self.kind], self.detectors, strict=True):
            detector.update(values[name])
            if detector.alarm:
                crossed.append(Crossed(name, f"{detector.name}/{worse}", detector.value, detector.threshold))
        return crossed

    def to_json(self) -> list[dict[str, Any]]:
        """All of it."""
        return [detector.snapshot() for detector in self.detectors]

    @classmethod
    def from_json(cls, kind: Kind, saved: Sequence[Mapping[str, Any]]) -> Self:
        """What `to_json` gave."""
        return cls(kind, [ConformalBlocks.restored(one) for one in saved])
