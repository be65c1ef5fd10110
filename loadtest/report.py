"""The figures of `steady`: system beside floor, and the targets. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loadtest.latency import PERCENTILES, Run, figures
from loadtest.stages import told

SIDES = ("system", "floor")
FACTORS = {"p50": 1.3, "p99": 2.0}
"""The targets at half of saturation: at most so many times the floor, and the champion's bare batch time on top."""
IDLE_FACTORS = {"p50": 1.5}
"""Those of an idle system: times the floor, and nothing on top."""
SHARES = {"25 %": 0.25, "50 %": 0.5, "75 %": 0.75}
"""Of saturation."""
IDLE, HALF = "idle", "50 %"


@dataclass(frozen=True, slots=True)
class Bare:
    """The champion in a bare loop: batches of `rows`, about as many as the system's had."""

    model: str
    rows: int
    batch_ms: float


@dataclass(frozen=True, slots=True)
class Pair:
    """Both sides at one rate; runs in the order in which they were measured, each with its side.

    load: what the rate is, IDLE or one of SHARES.
    """

    load: str
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
    limits = limits_of(pair.load, pair.bare.batch_ms)
    latencies = {name: (system["latency_ms"][name], floor["latency_ms"][name]) for name in PERCENTILES}
    return {
        "load": pair.load,
        "rate": pair.rate,
        "order": [side for side, _ in pair.runs],
        "system": system,
        "floor": floor,
        "ratio": {name: round(ours / least, 3) for name, (ours, least) in latencies.items()},
        "difference_ms": {name: round(ours - least, 3) for name, (ours, least) in latencies.items()},
        "limit_ms": {
            name: round(factor * floor["latency_ms"][name] + on_top, 3) for name, (factor, on_top) in limits.items()
        },
        "champion": {
            "model": pair.bare.model,
            "mean_batch_rows": round(mean_batch_rows(pair.of("system")), 2),
            "bare_batch_rows": pair.bare.rows,
            "bare_batch_ms": pair.bare.batch_ms,
        },
    }


def limits_of(load: str, batch_ms: float) -> dict[str, tuple[float, float]]:
    """For each percentile that has a target at this load: how many times the floor, and milliseconds on top."""
    if load == IDLE:
        return {name: (factor, 0.0) for name, factor in IDLE_FACTORS.items()}
    return {name: (factor, batch_ms) for name, factor in FACTORS.items()} if load == HALF else {}


def targets(rates: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Each rate that has targets against each of them, with what was measured beside it when it is not met."""
    found = []
    for rate in rates:
        for name, (factor, on_top) in limits_of(rate["load"], rate["champion"]["bare_batch_ms"]).items():
            value, limit = rate["system"]["latency_ms"][name], rate["limit_ms"][name]
            added = " + bare batch" if on_top else ""
            found.append(
                {
                    "name": f"{name} {_at(rate)}, ms: {factor:g} x floor{added}",
                    "value": value,
                    "limit": limit,
                    "met": value <= limit,
                    "reason": None if value <= limit else reason(rate, name),
                }
            )
    return found


def _at(rate: Mapping[str, Any]) -> str:
    if rate["load"] == IDLE:
        return f"idle ({rate['rate']:.0f}/s)"
    return f"at {rate['load']} of saturation ({rate['rate']:.0f}/s)"


def reason(rate: Mapping[str, Any], name: str) -> str:
    """What was measured where a target is not met."""
    system, floor = rate["system"], rate["floor"]
    parts = [f"floor {floor['latency_ms'][name]:.2f} ms, the system {rate['difference_ms'][name]:.2f} ms more"]
    busy = {side: _mean(rate[side]["busy_cores_of_runs"]) for side in SIDES}
    if None not in busy.values():
        parts.append(f"cores busy: system {busy['system']:.1f}, floor {busy['floor']:.1f}")
    others = _mean([*system["other_cores_of_runs"], *floor["other_cores_of_runs"]])
    if others is not None:
        parts.append(f"by other work {others:.1f}")
    if stages := told(system["stages_ms"], floor["stages_ms"]):
        parts.append(f"the median request, ms (the floor's): {stages}")
    if any(system["left_out_of_runs"]):
        parts.append("models were left out to save work")
    return ", ".join(parts)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def lost(rates: Sequence[Mapping[str, Any]]) -> int:
    """Requests that never had an answer, on either side."""
    return sum(int(rate[side]["unanswered"]) for rate in rates for side in SIDES)


def most_other_cores(rates: Sequence[Mapping[str, Any]]) -> float | None:
    """Cores that other work kept busy in the most disturbed run; None where nobody can say."""
    found = [cores for rate in rates for side in SIDES for cores in rate[side]["other_cores_of_runs"]]
    return max((cores for cores in found if cores is not None), default=None)
