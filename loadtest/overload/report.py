"""From what happened to the figures of an overload, and the targets. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from loadtest.driving.fates import good, in_time, preferred
from loadtest.driving.flights import around, told
from loadtest.driving.phases import Played
from loadtest.driving.recovery import recovered_ms
from loadtest.latency import PERCENTILES, Run, histogram, percentile_ms
from loadtest.saturation.criterion import FIRST_CHOICE, IN_TIME

LEAD, FULL, TWICE, AFTER = "lead-in", "saturation", "twice as many", "half as many"
SIMULATED, PROCESSOR = "simulated service time", "processor"
LIMITS = {SIMULATED: 0.9, PROCESSOR: 0.7}
"""The targets: of what saturation gave, at least, by what the bottleneck is."""


def figures(bottleneck: str, played: Played) -> dict[str, Any]:
    """One part's entry: every phase, what is left of goodput, and how long each kind of recovery took."""
    entries = told(played)
    goodput = {phase["phase"]: phase["goodput_per_s"] for phase in entries["phases"]}
    after, over_ms = played.of(AFTER), played.window(TWICE).ended_ms
    kinds = {
        "answered in time": (in_time, IN_TIME),
        "by a model": (good, IN_TIME),
        "by the first choice": (preferred, FIRST_CHOICE),
    }
    return {
        "bottleneck": bottleneck,
        **entries,
        "goodput_kept": round(goodput[TWICE] / goodput[FULL], 3) if goodput[FULL] else None,
        "recovery_ms": {
            name: recovered_ms(after, over_ms, partial(well, deadline_ms=played.deadline_ms), share)
            for name, (well, share) in kinds.items()
        },
    }


def floor_figures(relayed: Run, seconds: float, played: Played) -> dict[str, Any]:
    """What raw relays answered in time at twice the rate, as a share of the system's own goodput at saturation.

    No system of this shape can do better beside this driver on this machine, whatever it sheds.
    """
    in_time_per_s = (len(relayed.latencies_ms) - relayed.late - relayed.unanswered) / seconds
    goodput = next(phase["goodput_per_s"] for phase in told(played)["phases"] if phase["phase"] == FULL)
    return {
        "floor_in_time_per_s": round(in_time_per_s, 1),
        "floor_kept": round(in_time_per_s / goodput, 3) if goodput else None,
        "floor_sent_late_ms": percentile_ms(histogram(relayed.sent_late_ms), PERCENTILES["p50"]),
    }


def targets(parts: Mapping[str, Mapping[str, Any]], played: Mapping[str, Played]) -> list[dict[str, Any]]:
    """What must be left of goodput at twice saturation."""
    found = []
    for bottleneck, entry in parts.items():
        value, limit = entry["goodput_kept"], LIMITS[bottleneck]
        met, window = value is not None and value >= limit, played[bottleneck].window(TWICE)
        twice = next(phase for phase in entry["phases"] if phase["phase"] == TWICE)
        found.append(
            {
                "name": f"goodput at 2 x saturation, {bottleneck} the bottleneck: of saturation's, at least",
                "value": value,
                "limit": limit,
                "met": met,
                "reason": None if met else _reason(entry, twice, around(played[bottleneck], window)),
            }
        )
    return found


def _reason(part: Mapping[str, Any], twice: Mapping[str, Any], beside: str) -> str:
    reasons = ", ".join(f"{count} {name}" for name, count in twice["reasons"].items())
    kept = "" if part["saturation_kept"] else "saturation itself was not kept; "
    late = twice["sent"] - twice["in_time"]
    if part.get("floor_kept") is not None:
        beside += f"; raw relays at this rate answered {part['floor_kept']:.0%} of it in time"
    return f"{kept}of {twice['sent']}: {reasons}; {late} later than the deadline; {beside}"
