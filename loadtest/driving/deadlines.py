"""By how much answers missed their deadline, or made it. Pure.

decided    the server had decided, by its own clock, counted from the request's append
left       the answer was appended to the reply topic, by the broker's clock, counted from the request's append: the
           answer has left the server, and the broker has it
in hand    the application had it, counted from when the request was due

Negative is before the deadline. A request without an answer is infinitely late.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from loadtest.driving.books import Case

LIMITS_MS = {99.9: 2.0, 99.99: 20.0}
"""The targets: so many percent of the answers by the deadline and so much."""
PROMISED = ("left", "in hand")


def _decided(case: Case, deadline_ms: float) -> float:
    return case.answers[0].decided_ms - _appended(case) - deadline_ms


def _left(case: Case, deadline_ms: float) -> float:
    return case.answers[0].appended_ms - _appended(case) - deadline_ms


def _in_hand(case: Case, deadline_ms: float) -> float:
    return case.answers[0].in_hand_ms - case.asked.due_ms - deadline_ms


def _appended(case: Case) -> float:
    return math.nan if case.asked.appended_ms is None else case.asked.appended_ms


VIEWS: Mapping[str, Callable[[Case, float], float]] = {"decided": _decided, "left": _left, "in hand": _in_hand}


def overshoots(found: Sequence[Case], deadline_ms: float, view: str) -> list[float]:
    """Of each request, sorted."""
    told = VIEWS[view]
    values = [told(case, deadline_ms) if case.answers else math.inf for case in found]
    return sorted(value for value in values if not math.isnan(value))


def at(values: Sequence[float], percent: float) -> float:
    """The value that so many percent do not exceed; of few values the largest."""
    return values[min(math.ceil(len(values) * percent / 100), len(values)) - 1] if values else math.inf


def figures(found: Sequence[Case], deadline_ms: float) -> dict[str, Any]:
    """One phase's entry: for each view how far beyond the deadline, in milliseconds."""
    entry: dict[str, Any] = {}
    for view in VIEWS:
        values = overshoots(found, deadline_ms, view)
        entry[view] = {
            "requests": len(values),
            **{f"p{percent:g}": _rounded(at(values, percent)) for percent in LIMITS_MS},
            "max": _rounded(values[-1]) if values else None,
            "beyond_2_ms": sum(value > LIMITS_MS[99.9] for value in values),
        }
    return entry


def _rounded(value: float) -> float | None:
    return None if math.isinf(value) else round(value, 1)


def targets(name: str, entry: Mapping[str, Any], around: str) -> list[dict[str, Any]]:
    """What is promised of one phase; `around`: what was measured beside it, for what is not met."""
    found = []
    for view in PROMISED:
        told = entry[view]
        for percent, limit in LIMITS_MS.items():
            value = told[f"p{percent:g}"]
            met = value is not None and value <= limit
            reason = f"{told['beyond_2_ms']} of {told['requests']} beyond 2 ms, {around}"
            found.append(
                {
                    "name": f"{name}: {percent:g} % {view}, ms after the deadline",
                    "value": value,
                    "limit": limit,
                    "met": met,
                    "reason": None if met else reason,
                }
            )
    return found
