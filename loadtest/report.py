"""The figures of `steady`: system beside floor, and the targets. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loadtest.latency import PERCENTILES, Run, figures

SIDES = ("system", "floor")
FACTORS = {"p50": 1.3, "p99": 2.0}
"""The targets: at most so many times the floor, and the champion's bare batch time on top."""


@dataclass(frozen=True, slots=True)
class Bare:
    """The champion in a bare loop: batches of `rows`, about as many as the system's had."""

    model: str
    rows: int
    batch_ms: float


@dataclass(frozen=True, slots=True)
class Pair:
    """Both sides at one rate; runs in the order in which they were measured, each with its side."""

    rate: float
    runs: Sequence[tuple[str, Run]]
    bare: Bare

    def of(self, side: str) -> list[Run]:
        """One side's runs."""
        return [run for name, run in self.runs if name == side]


def mean_batch_rows(runs: Sequence[Run]) -> float:
    """Rows in a micro-batch of the champion's, 1 where none was seen."""
    means = [run.batch_rows for run in runs if run.batch_rows]
    return sum(means) / len(means) if means else 1.0


def rate_figures(pair: Pair) -> dict[str, Any]:
    """One rate's entry in the report."""
    system, floor = (figures(pair.of(side)) for side in SIDES)
    latencies = {name: (system["latency_ms"][name], floor["latency_ms"][name]) for name in PERCENTILES}
    return {
        "rate": pair.rate,
        "order": [side for side, _ in pair.runs],
        "system": system,
        "floor": floor,
        "ratio": {name: round(ours / least, 3) for name, (ours, least) in latencies.items()},
        "difference_ms": {name: round(ours - least, 3) for name, (ours, least) in latencies.items()},
        "limit_ms": {
            name: round(factor * floor["latency_ms"][name] + pair.bare.batch_ms, 3) for name, factor in FACTORS.items()
        },
        "champion": {
            "model": pair.bare.model,
            "mean_batch_rows": round(mean_batch_rows(pair.of("system")), 2),
            "bare_batch_rows": pair.bare.rows,
            "bare_batch_ms": pair.bare.batch_ms,
        },
    }


def targets(rates: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Each rate against each target."""
    return [
        {
            "name": f"{name} at {rate['rate']:g}/s, ms: {factor:g} x floor + bare batch",
            "value": rate["system"]["latency_ms"][name],
            "limit": rate["limit_ms"][name],
            "met": rate["system"]["latency_ms"][name] <= rate["limit_ms"][name],
        }
        for rate in rates
        for name, factor in FACTORS.items()
    ]


def lost(rates: Sequence[Mapping[str, Any]]) -> int:
    """Requests that never had an answer, on either side."""
    return sum(int(rate[side]["unanswered"]) for rate in rates for side in SIDES)


def most_other_cores(rates: Sequence[Mapping[str, Any]]) -> float | None:
    """Cores that other work kept busy in the most disturbed run; None where nobody can say."""
    found = [cores for rate in rates for side in SIDES for cores in rate[side]["other_cores_of_runs"]]
    return max((cores for cores in found if cores is not None), default=None)
