"""Windows held against a reference: how far features and scores moved, and when that is worth an alarm. Pure.

Rows of a window hang together: one day's temperature is never that of two months, and any test on rows says so every
day. What counts is whether a window is further away than the reference's own windows are from the rest of it. So a
subject has *moved* when it is flagged (large, and not by chance) and larger than on 19 of 20 windows of the reference;
and a detector that knows these windows listens for moves that last. An alarm comes once, until the subject is back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self, TypeAlias

import numpy as np

from rendezvous.monitoring.concept import Crossed
from rendezvous.monitoring.detectors import ConformalBlocks
from rendezvous.monitoring.findings import DriftKind
from rendezvous.monitoring.histograms import Histogram
from rendezvous.monitoring.shifts import Finding, Limits, drifted

Effects: TypeAlias = Mapping[str, Mapping[str, Sequence[float]]]
"""By kind of drift and by subject: how far each window of the reference is from the others, 0 where not flagged."""

KINDS: Mapping[str, DriftKind] = {
    "distribution": DriftKind.INPUT,
    "missing": DriftKind.MISSING,
    "out_of_range": DriftKind.RANGE,
    "unseen": DriftKind.UNSEEN,
}
LIMITS = Limits()
USUAL = 0.95
"""The share of the reference's windows that a moved subject is further away than."""
ALONE = "window"
"""The detector where rows are independent: then a flag is proof enough."""


def drifted_by_kind(
    reference: Mapping[str, Histogram], window: Mapping[str, Histogram], *, scores: bool = False
) -> dict[DriftKind, list[Finding]]:
    """What `drifted` finds; scores: the histograms are a model's, of which only the distribution counts."""
    known = {name: histogram for name, histogram in window.items() if name in reference}
    found: dict[DriftKind, list[Finding]] = {}
    for finding in drifted(reference, known, LIMITS):
        kind = KINDS[finding.what]
        if scores and kind is not DriftKind.INPUT:
            continue
        found.setdefault(DriftKind.SCORE if scores else kind, []).append(finding)
    return found


def calm(finding: Finding) -> float:
    """What a detector is told: the size of what is flagged; all that is not is alike."""
    return abs(finding.effect) if finding.flagged else 0.0


@dataclass(slots=True)
class DriftWatch:
    """One reference's detectors, by kind and subject. quiet: who gave an alarm and is not back yet."""

    independent: bool
    usual: dict[tuple[str, str], float] = field(default_factory=dict)
    detectors: dict[tuple[str, str], ConformalBlocks] = field(default_factory=dict)
    quiet: set[tuple[str, str]] = field(default_factory=set)

    @classmethod
    def calibrated(cls, effects: Effects, run_length: int, *, independent: bool) -> Self:
        """`run_length` counts windows to a false alarm of any one of all these detectors together."""
        known = {(kind, name): list(values) for kind, by_name in effects.items() for name, values in by_name.items()}
        length = run_length * max(len(known), 1)
        return cls(
            independent,
            {
                key: float(np.quantile(values, USUAL, method="higher")) if values else 0.0
                for key, values in known.items()
            },
            {key: ConformalBlocks.calibrated(values, "higher", length) for key, values in known.items()},
        )

    def moved(self, kind: DriftKind, finding: Finding) -> bool:
        """Whether a subject is further away than it usually is."""
        return finding.flagged and calm(finding) > (
            0.0 if self.independent else self.usual.get((kind, finding.name), 0.0)
        )

    def update(self, kind: DriftKind, findings: Sequence[Finding]) -> list[Crossed]:
        """Take a window's findings of one kind; the alarms that follow."""
        crossed = []
        for finding in findings:
            key = (kind.value, finding.name)
            moved = self.moved(kind, finding)
            alarm = self._alarm(key, finding, moved=moved)
            if alarm is not None and key not in self.quiet:
                self.quiet.add(key)
                crossed.append(alarm)
            if not moved:
                self.quiet.discard(key)
        return crossed

    def _alarm(self, key: tuple[str, str], finding: Finding, *, moved: bool) -> Crossed | None:
        if self.independent:
            limit = LIMITS.psi if finding.what == "distribution" else LIMITS.rate
            return Crossed(finding.name, ALONE, abs(finding.effect), limit) if moved else None
        detector = self.detectors.get(key)
        if detector is None:
            return None
        detector.update(calm(finding))
        return Crossed(finding.name, detector.name, detector.value, detector.threshold) if detector.alarm else None

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return {
            "independent": self.independent,
            "usual": [[*key, value] for key, value in self.usual.items()],
            "detectors": [[*key, detector.snapshot()] for key, detector in self.detectors.items()],
            "quiet": sorted(self.quiet),
        }

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Self:
        """What `to_json` gave."""
        return cls(
            saved["independent"],
            {(kind, name): value for kind, name, value in saved["usual"]},
            {(kind, name): ConformalBlocks.restored(one) for kind, name, one in saved["detectors"]},
            {(kind, name) for kind, name in saved["quiet"]},
        )
