"""Where a request's time goes, between the appends that the broker's clock tells: read from the log after a run.

    due -> appended -> scored (by the first choice; of the floor by the first relay) -> answered -> in hand

Of the requests in the middle, so that the parts add up to about the median. The broker's clock counts whole
milliseconds: half of one is added to each append.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

NAMES = ("to the log", "to the score", "to the answer", "to the application")
MIDDLE = (40.0, 60.0)
"""Percentiles between which requests count."""
HALF_MS = 0.5


@dataclass(frozen=True, slots=True)
class Passed:
    """One request's moments, in milliseconds since the epoch: due, its three appends, in hand."""

    due_ms: float
    appended_ms: float
    scored_ms: float
    answered_ms: float
    in_hand_ms: float


def middle(passed: Sequence[Passed]) -> dict[str, float] | None:
    """How long each part of the way took, on average, of the requests in the middle; None of nothing."""
    if not passed:
        return None
    moments = np.array([(p.due_ms, p.appended_ms, p.scored_ms, p.answered_ms, p.in_hand_ms) for p in passed])
    moments[:, 1:4] += HALF_MS
    latency = moments[:, 4] - moments[:, 0]
    low, high = np.percentile(latency, MIDDLE)
    parts = np.diff(moments[(latency >= low) & (latency <= high)], axis=1).mean(axis=0)
    return {name: round(float(part), 2) for name, part in zip(NAMES, parts, strict=True)}


def told(system: Mapping[str, float] | None, floor: Mapping[str, float] | None) -> str:
    """The parts of the system's way, the floor's in brackets; empty where one is not known."""
    if system is None or floor is None:
        return ""
    return ", ".join(f"{name} {system[name]:.1f} ({floor[name]:.1f})" for name in NAMES)
