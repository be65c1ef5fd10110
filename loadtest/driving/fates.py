"""What became of requests: how many were answered in time, by whom, how fast. Pure.

Everything counts from when a request was due, until the application had the answer in hand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from loadtest.driving.books import CLOCKS, Case
from loadtest.driving.phases import Played, Window
from loadtest.latency import PERCENTILES, histogram, percentile_ms
from rendezvous.messages import Reason

IN_HAND = CLOCKS["in_hand"]
BY_MODELS = frozenset({Reason.PREFERRED, Reason.FALLBACK, Reason.COMBINED})
"""An answer that a model gave: good, if it came in time. A default in time keeps a promise, and says nothing."""


def in_time(case: Case, deadline_ms: float) -> bool:
    """Whether any answer was in the application's hands by the deadline."""
    return case.waited_ms(IN_HAND) <= deadline_ms


def good(case: Case, deadline_ms: float) -> bool:
    """Whether a model's was."""
    return in_time(case, deadline_ms) and case.answers[0].reason in BY_MODELS


def preferred(case: Case, deadline_ms: float) -> bool:
    """Whether the first choice's was."""
    return in_time(case, deadline_ms) and case.answers[0].reason is Reason.PREFERRED


def waited_ms(found: Sequence[Case], until_ms: float) -> list[float]:
    """Of every request; one without an answer counts with the time that was waited for it."""
    return [case.waited_ms(IN_HAND) if case.answers else until_ms - case.asked.due_ms for case in found]


def figures(played: Played, window: Window) -> dict[str, Any]:
    """One phase's entry in a report."""
    found = played.in_window(window)
    deadline_ms, seconds = played.deadline_ms, window.phase.seconds
    good_ones = sum(good(case, deadline_ms) for case in found)
    return {
        "phase": window.phase.name,
        "rate": round(len(found) / seconds, 1),
        "seconds": seconds,
        **counts(found, deadline_ms),
        "goodput_per_s": round(good_ones / seconds, 1),
        "latency_ms": latency_ms(found, played),
        "busy_cores": window.busy_cores,
        "other_cores": window.other_cores,
    }


def counts(found: Sequence[Case], deadline_ms: float) -> dict[str, Any]:
    """How many were sent, answered, answered in time, by a model, by the first choice; first answers' reasons."""
    reasons = Counter(case.answers[0].reason.name.lower() for case in found if case.answers)
    return {
        "sent": len(found),
        "answered": sum(bool(case.answers) for case in found),
        "lost": sum(case.lost for case in found),
        "duplicates": sum(case.repeats for case in found),
        "in_time": sum(in_time(case, deadline_ms) for case in found),
        "good": sum(good(case, deadline_ms) for case in found),
        "preferred": sum(preferred(case, deadline_ms) for case in found),
        "reasons": dict(reasons.most_common()),
    }


def latency_ms(found: Sequence[Case], played: Played) -> dict[str, float] | None:
    """Percentiles of an HdrHistogram; None of nothing."""
    if not found:
        return None
    until_ms = max((answer.in_hand_ms for case in played.cases for answer in case.answers), default=played.started_ms)
    made = histogram(waited_ms(found, max(until_ms, played.windows[-1].ended_ms)))
    return {name: percentile_ms(made, at) for name, at in PERCENTILES.items()}


def sent_late_ms(played: Played) -> dict[str, float]:
    """How late the driver itself was."""
    made = histogram(played.sent_late_ms)
    return {name: percentile_ms(made, at) for name, at in PERCENTILES.items()}
