"""What happened, in figures: the demo's JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rendezvous.demo.traffic import Asked


@dataclass(frozen=True, slots=True)
class Stall:
    """The freeze of one model's process, in seconds since the first request was due."""

    model: str
    start_s: float
    end_s: float

    def covers(self, asked: Asked) -> bool:
        """Whether a request was due while the process stood still."""
        return self.start_s <= asked.due_s < self.end_s


@dataclass(frozen=True, slots=True)
class Outcome:
    """All that the report is made of."""

    broker: str
    deadline_ms: int
    log: Sequence[Asked]
    stall: Stall
    duplicates: int
    too_late: int
    quality: Mapping[str, Any]
    seconds: float


def figures(outcome: Outcome) -> dict[str, Any]:
    """The report.

    `late`: answers after the deadline as the application sees it, from the moment the request was due, those included
    that came after the client had given up (`too_late`). `unanswered`: no answer ever came.
    """
    answered = [asked for asked in outcome.log if asked.answered]
    return {
        "broker": outcome.broker,
        "requests": len(outcome.log),
        "answered": len(answered) + outcome.too_late,
        "unanswered": len(outcome.log) - len(answered) - outcome.too_late,
        "duplicates": outcome.duplicates,
        "deadline_ms": outcome.deadline_ms,
        "late": _late(outcome.log, outcome.deadline_ms) + outcome.too_late,
        "latency_ms": latencies(answered),
        "answered_by": _by(answered),
        "stall": _stall(outcome),
        "quality": {model: asdict(quality) for model, quality in sorted(outcome.quality.items())},
        "seconds": round(outcome.seconds, 1),
    }


def latencies(log: Sequence[Asked]) -> dict[str, float | None]:
    """p50, p99, p999 and max of the latency in milliseconds; null without an answer."""
    if not log:
        return dict.fromkeys(("p50", "p99", "p999", "max"))
    values = np.array([asked.latency_ms for asked in log])
    p50, p99, p999 = np.percentile(values, [50, 99, 99.9])
    return {name: round(float(value), 3) for name, value in _named(p50, p99, p999, values.max())}


def _named(*values: float) -> zip[tuple[str, float]]:
    return zip(("p50", "p99", "p999", "max"), values, strict=True)


def _late(log: Sequence[Asked], deadline_ms: int) -> int:
    return sum(asked.answered and asked.latency_ms > deadline_ms for asked in log)


def _by(log: Sequence[Asked]) -> dict[str, int]:
    return dict(Counter(asked.who for asked in log).most_common())


def _stall(outcome: Outcome) -> dict[str, Any]:
    during = [asked for asked in outcome.log if outcome.stall.covers(asked)]
    answered = [asked for asked in during if asked.answered]
    return {
        "model": outcome.stall.model,
        "requests": len(during),
        "answered": len(answered),
        "late": _late(during, outcome.deadline_ms) + len(during) - len(answered),
        "answered_by": _by(answered),
    }


def write(report: Mapping[str, Any], path: Path) -> None:
    """Write the report as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=2) + "\n")
