"""What stands on the scores topic, by version: which requests were scored, when, and where nothing came. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rendezvous.messages import Scores, Status
from rendezvous.registry.state import Pair

Numbers: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """One version: float64 [offsets], when its usable score of each request was appended; NaN without one."""

    at_ms: Numbers


def scored(records: Iterable[tuple[float, Scores]], requests: int) -> dict[Pair, Scored]:
    """By version, of the first `requests` requests of one partition; the first usable score counts.

    records: each with its append time, in the order of the log.
    """
    found: dict[Pair, Numbers] = {}
    for appended_ms, scores in records:
        at_ms = found.setdefault((scores.model, scores.version), np.full(requests, np.nan))
        offsets = scores.offsets[(scores.statuses == Status.OK) & (scores.offsets < requests)]
        new = offsets[np.isnan(at_ms[offsets])]
        at_ms[new] = appended_ms
    return {pair: Scored(at_ms) for pair, at_ms in found.items()}


def coverage(version: Scored, appended_ms: Numbers, begin_ms: float, end_ms: float, step_ms: float) -> dict[str, Any]:
    """One version in one window.

    Args:
        version: its scores, by offset.
        appended_ms: when each request was appended, by offset.
        begin_ms: requests appended from here on count,
        end_ms: and before here.
        step_ms: what counts as in time, from the append.
    """
    rows = (appended_ms >= begin_ms) & (appended_ms < end_ms)
    took_ms = version.at_ms[rows] - appended_ms[rows]
    usable = took_ms[~np.isnan(took_ms)]
    gap_ms, gap_at_ms = longest_gap(version.at_ms, begin_ms, end_ms)
    return {
        "asked": int(rows.sum()),
        "scored": len(usable),
        "in_step": int((usable <= step_ms).sum()),
        "longest_gap_ms": round(gap_ms, 1),
        "gap_after_s": round((gap_at_ms - begin_ms) / 1e3, 2),
        "took_ms": percentiles(usable),
    }


def longest_gap(at_ms: Numbers, begin_ms: float, end_ms: float) -> tuple[float, float]:
    """(the longest time without a score between two moments, when it began)."""
    inside = np.sort(at_ms[(at_ms >= begin_ms) & (at_ms < end_ms)])
    edges = np.concatenate([[begin_ms], inside, [end_ms]])
    longest = int(np.argmax(np.diff(edges)))
    return float(edges[longest + 1] - edges[longest]), float(edges[longest])


def percentiles(values: Numbers) -> dict[str, float | None]:
    """p50, p99 and maximum; None of nothing."""
    if not len(values):
        return {"p50": None, "p99": None, "max": None}
    p50, p99, most = np.quantile(values, [0.5, 0.99, 1.0], method="inverted_cdf")
    return {"p50": round(float(p50), 1), "p99": round(float(p99), 1), "max": round(float(most), 1)}
