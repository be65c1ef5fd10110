"""What became of each kind of hostile record, and of the good requests meanwhile. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from loadtest.driving.books import CLOCKS, Case
from loadtest.hostile.kind import FOLDED, Kind
from loadtest.hostile.pour import Place
from rendezvous.messages import Reason

FATES = ("kept", "duplicate", "late", "unknown", "passed")
BY_MODELS = (Reason.PREFERRED, Reason.FALLBACK, Reason.COMBINED)


@dataclass(slots=True)
class Phase:
    """One kind while it was poured: how long, and by how much the server's counters grew."""

    kind: Kind
    sent: int
    begun_ms: float
    ended_ms: float
    grown: Mapping[str, float]
    memory_mb: float
    other_cores: float | None = None
    """That other work kept busy meanwhile."""
    refusals: int = 0
    """Of control: how many every reader refuses."""
    places: list[Place] = field(default_factory=list)


Said = Mapping[Place, Sequence[str]]
"""For each place, the reasons of its dead letters, or of its answers."""


def figures(
    phase: Phase, letters: Said, answers: Said, good: Sequence[Case], deadline_ms: float, idle_cores: float
) -> dict[str, Any]:
    """One kind's entry. unaccounted: records of which nothing tells what became of them; twice: with two letters.

    idle_cores: what the server takes of a core for the good requests alone.
    """
    kind = phase.kind
    buried = Counter(reason for place in phase.places for reason in letters.get(place, ()))
    told = Counter(reason for place in phase.places for reason in answers.get(place, ()))
    rows = {fate: round(phase.grown.get(f"scores_total/ghost/{fate}", 0)) for fate in FATES}
    shut = round(phase.grown.get("shut_out_records_total", 0))
    known = _accounted(phase, letters, answers, rows, shut)
    return {
        "topic": kind.topic,
        "kind": kind.name,
        "right": kind.right,
        "sent": phase.sent,
        "dead_letters": dict(buried.most_common()),
        "wrong": sum(count for reason, count in buried.items() if reason != kind.right),
        "twice": sum(max(len(letters.get(place, ())) - 1, 0) for place in phase.places),
        "answers": dict(told.most_common()),
        "rows": {fate: count for fate, count in rows.items() if count},
        "shut_out": shut,
        "refused": round(phase.grown.get("refused_control_total", 0)),
        "unaccounted": phase.sent - known,
        "seconds": round((phase.ended_ms - phase.begun_ms) / 1e3, 1),
        "server_us_per_record": round(max(_busy_s(phase, idle_cores), 0.0) * 1e6 / phase.sent, 1),
        "server_memory_mb": round(phase.memory_mb, 1),
        "other_cores": phase.other_cores,
        "good": good_figures(good, deadline_ms),
    }


def _busy_s(phase: Phase, idle_cores: float) -> float:
    """Of the server's processor, for the hostile records alone."""
    idle_s = idle_cores * (phase.ended_ms - phase.begun_ms) / 1e3
    return phase.grown.get("process_cpu_seconds_total", 0.0) - idle_s


def _accounted(phase: Phase, letters: Said, answers: Said, rows: Mapping[str, int], shut: int) -> int:
    kind = phase.kind
    if kind.right == FOLDED:
        # what it takes leaves no trace but its effect: the server must refuse as many as any other reader
        return phase.sent - abs(phase.refusals - round(phase.grown.get("refused_control_total", 0)))
    told = sum(place in letters or place in answers for place in phase.places)
    return told if kind.topic == "requests" else told + shut + sum(rows.values()) // kind.rows


def good_figures(good: Iterable[Case], deadline_ms: float) -> dict[str, Any]:
    """Good requests: sent, and who answered them, how late."""
    found = list(good)
    first = [case.answers[0].reason for case in found if case.answers]
    waits = [case.waited_ms(CLOCKS["appended"]) for case in found if case.answers]
    return {
        "sent": len(found),
        "by_models": sum(reason in BY_MODELS for reason in first),
        "default": sum(reason not in BY_MODELS for reason in first),
        "late": sum(case.late(deadline_ms, CLOCKS["appended"]) for case in found),
        "lost": sum(case.lost for case in found),
        "worst_ms": round(max(waits, default=0.0), 1),
    }
