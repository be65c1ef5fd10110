"""Windows held against a reference: how far features and scores moved, and when that is worth an alarm. Pure.

Rows of a window hang together: one day's temperature is never that of two months, and any test on rows says so every
day. What counts is whether a window is further away than the reference's own windows are from the rest of it. So a
subject has *moved* when it is flagged (large, and not by chance) and further away than 19 of 20 windows of the
reference; and detectors that know these windows listen for moves that last. An alarm comes once, until the subject is
back.

Of numbers two things are looked at. The size of a move, PSI, says nothing of its direction, and is at its largest as
soon as a window lies in one bin: a cold day and a warm one are as far from all days. The *level*, a window's mean rank
among the reference's values (0 to 1), is what tells a warm spring from days that are now cold, now warm.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self, TypeAlias

import numpy as np

from rendezvous.monitoring.concept import Crossed
from rendezvous.monitoring.detectors import ConformalBlocks, Worse
from rendezvous.monitoring.findings import DriftKind
from rendezvous.monitoring.histograms import Histogram, NumberBins
from rendezvous.monitoring.shifts import Finding, Limits, drifted

Effects: TypeAlias = Mapping[str, Mapping[str, Sequence[float]]]
"""By kind of drift and by subject, one value for each window of the reference, held against the others."""

KINDS: Mapping[str, DriftKind] = {
    "distribution": DriftKind.INPUT,
    "missing": DriftKind.MISSING,
    "out_of_range": DriftKind.RANGE,
    "unseen": DriftKind.UNSEEN,
}
LIMITS = Limits()
Key: TypeAlias = tuple[str, str, str]
"""Kind of drift, subject, and side."""
SIZE = "size"
MIDDLE = 0.5
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


@dataclass(frozen=True, slots=True)
class Moves:
    """What detectors are told of a window, by subject: sizes, 0 where nothing is flagged, and levels, there MIDDLE."""

    sizes: dict[str, float]
    levels: dict[str, float]

    @classmethod
    def of(
        cls, findings: Sequence[Finding], reference: Mapping[str, Histogram], window: Mapping[str, Histogram]
    ) -> Self:
        """Of findings of one kind."""
        levels = {
            finding.name: level(reference[finding.name], window[finding.name]) if finding.flagged else MIDDLE
            for finding in findings
            if finding.what == "distribution" and isinstance(window[finding.name].bins, NumberBins)
        }
        return cls({finding.name: abs(finding.effect) * finding.flagged for finding in findings}, levels)


def level(reference: Histogram, window: Histogram) -> float:
    """The mean rank of a window's values among the reference's: MIDDLE for the reference itself."""
    counts = reference.counts
    ranks = (np.cumsum(counts) - counts / 2) / max(reference.present, 1)
    return float(window.counts @ ranks) / window.present if window.present else MIDDLE


@dataclass(slots=True)
class DriftWatch:
    """One reference's detectors, by kind, subject and side: the size, or the level higher or lower than it was.

    usual: what the reference's windows rarely exceed on that side. quiet: who gave an alarm and is not back yet.
    """

    independent: bool
    usual: dict[Key, float] = field(default_factory=dict)
    detectors: dict[Key, ConformalBlocks] = field(default_factory=dict)
    quiet: set[tuple[str, str]] = field(default_factory=set)

    @classmethod
    def calibrated(cls, effects: Effects, levels: Effects, run_length: int, *, independent: bool) -> Self:
        """`run_length` counts windows to a false alarm of any one of all these detectors together."""
        known: dict[Key, tuple[list[float], Worse, float]] = {}
        for kind, by_name in effects.items():
            known |= {(kind, name, SIZE): (list(values), "higher", USUAL) for name, values in by_name.items()}
        for kind, by_name in levels.items():
            for name, values in by_name.items():
                known[kind, name, "higher"] = list(values), "higher", (1 + USUAL) / 2
                known[kind, name, "lower"] = list(values), "lower", (1 - USUAL) / 2
        length = run_length * max(len(known), 1)
        return cls(
            independent,
            {
                key: float(np.quantile(values, share, method="higher" if share > MIDDLE else "lower"))
                for key, (values, _, share) in known.items()
                if values
            },
            {key: ConformalBlocks.calibrated(values, worse, length) for key, (values, worse, _) in known.items()},
        )

    def moved(self, kind: DriftKind, finding: Finding, moves: Moves) -> bool:
        """Whether a subject is further away than it usually is."""
        if not finding.flagged or self.independent:
            return finding.flagged
        name, here = finding.name, moves.levels.get(finding.name, MIDDLE)
        return (
            moves.sizes[name] > self.usual.get((kind, name, SIZE), 0.0)
            or here > self.usual.get((kind, name, "higher"), MIDDLE)
            or here < self.usual.get((kind, name, "lower"), MIDDLE)
        )

    def update(self, kind: DriftKind, findings: Sequence[Finding], moves: Moves) -> list[Crossed]:
        """Take a window's findings of one kind; the alarms that follow."""
        crossed = []
        for finding in findings:
            key = (kind.value, finding.name)
            moved = self.moved(kind, finding, moves)
            alarms = self._alarms(key, finding, moves, moved=moved)
            if alarms and key not in self.quiet:
                self.quiet.add(key)
                crossed.append(max(alarms, key=lambda alarm: alarm.value))
            if not moved:
                self.quiet.discard(key)
        return crossed

    def _alarms(self, key: tuple[str, str], finding: Finding, moves: Moves, *, moved: bool) -> list[Crossed]:
        if self.independent:
            limit = LIMITS.psi if finding.what == "distribution" else LIMITS.rate
            return [Crossed(finding.name, ALONE, abs(finding.effect), limit)] if moved else []
        told = {SIZE: moves.sizes[finding.name]}
        if finding.name in moves.levels:
            told |= dict.fromkeys(("higher", "lower"), moves.levels[finding.name])
        crossed = []
        for side, value in told.items():
            detector = self.detectors.get((*key, side))
            if detector is not None:
                detector.update(value)
                if detector.alarm:
                    crossed.append(Crossed(finding.name, f"{detector.name}/{side}", detector.value, detector.threshold))
        return crossed

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
            {(kind, name, side): value for kind, name, side, value in saved["usual"]},
            {(kind, name, side): ConformalBlocks.restored(one) for kind, name, side, one in saved["detectors"]},
            {(kind, name) for kind, name in saved["quiet"]},
        )
