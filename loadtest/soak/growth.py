"""Whether something grew: a slope that single outliers do not move, times how long it went on. Pure.

The slope is Theil and Sen's: the median of the slopes of all pairs of samples (Sen, "Estimates of the regression
coefficient based on Kendall's tau", 1968). A run's first tenth is left out: caches and allocators fill.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

WARM_UP_SHARE = 0.1
FEWEST = 4


@dataclass(frozen=True, slots=True)
class Limit:
    """What may grow in a run: a share of the median, or so much, whichever is more."""

    share: float
    least: float


LIMITS: Mapping[str, Limit] = {
    "memory": Limit(0.05, 4.0),
    "lag": Limit(0.25, 5.0),
    "p50": Limit(0.1, 0.5),
    "p99": Limit(0.25, 5.0),
}
"""By kind: MB, and milliseconds. Choices: a leak of a byte a request is beyond the first within minutes; the tails of a
machine that others use too differ by the second to the last from window to window."""


def growth(at_s: Sequence[float], values: Sequence[float]) -> float | None:
    """By how much a value grew from the end of the warm-up to the last sample; None of too few samples."""
    skipped = int(len(values) * WARM_UP_SHARE)
    times, found = np.array(at_s[skipped:]), np.array(values[skipped:])
    if len(found) < FEWEST:
        return None
    first, second = np.triu_indices(len(found), 1)
    slope = np.median((found[second] - found[first]) / (times[second] - times[first]))
    return float(slope * (times[-1] - times[0]))


def target(name: str, unit: str, kind: str, at_s: Sequence[float], values: Sequence[float]) -> dict[str, Any]:
    """One series against its limit."""
    grown, middle = growth(at_s, values), float(np.median(values)) if len(values) else 0.0
    limit = max(LIMITS[kind].share * middle, LIMITS[kind].least)
    met = grown is not None and grown <= limit
    reason = None
    if not met:
        reason = "too few samples" if grown is None else f"from {values[0]:.4g} to {values[-1]:.4g} {unit}"
    return {
        "name": f"{name}, growth in {unit}",
        "value": None if grown is None else round(grown, 3),
        "limit": round(limit, 3),
        "met": met,
        "reason": reason,
    }
