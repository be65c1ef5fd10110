"""From what was seen to what is reported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from loadtest.noise import busy_cores, other_cores
from loadtest.server.watching import Answers, Look

MODELS = 5
"""What the targets speak of."""
LEAST_SHARE = 0.5
"""Of the relay's rate."""
MOST_FURTHER = 0.03
"""Of the price of a decision, for each model more."""
MICRO = 1e6


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """One process that answered: looks from the moment that counts on, and what it had answered in the end."""

    looks: Sequence[Look]
    answers: Answers


def figures(run: Run) -> dict[str, Any]:
    """Rate and price, from the first look on.

    The rate is of the answers by the moment they were handed over, to the last of them; the price is all processor
    time until it was quiet, so that the comparisons and the commit of the last answer are in it.
    """
    first, last = run.looks[0], run.looks[-1]
    counted = run.answers.at_ms[run.answers.at_ms > first.at_s * 1e3]
    seconds = (int(counted[-1]) / 1e3 - first.at_s) if len(counted) else 0.0
    return {
        "answers": len(counted),
        "seconds": round(seconds, 3),
        "per_s": round(len(counted) / seconds) if seconds else 0,
        "cpu_us": _price(first.cpu_s, last.cpu_s, len(counted)),
        "loop_cpu_us": _price(first.loop_cpu_s, last.loop_cpu_s, len(counted)),
        "busy_cores": busy_cores(first.machine, last.machine),
        "other_cores": other_cores(first.machine, last.machine),
        "value_bytes": round(run.answers.value_bytes, 1),
        "rate_over_time": over_time(counted, first.at_s),
    }


def best(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The fastest of several runs of the same, with the least that a decision took in any."""
    found = dict(max(runs, key=lambda run: run["per_s"]))
    for name in ("cpu_us", "loop_cpu_us"):
        found[name] = min((run[name] for run in runs if run[name] is not None), default=None)
    kept = ("per_s", "cpu_us", "other_cores")
    return found | {f"{name}_of_runs": [run[name] for run in runs] for name in kept}


def _price(before_s: float | None, after_s: float | None, answers: int) -> float | None:
    if before_s is None or after_s is None or not answers:
        return None
    return round((after_s - before_s) / answers * MICRO, 2)


def over_time(at_ms: np.ndarray, begun_s: float, parts: int = 20) -> list[list[float]]:
    """[seconds since the beginning, answers a second] in so many equal parts."""
    if not len(at_ms):
        return []
    since_s = at_ms / 1e3 - begun_s
    counts, edges = np.histogram(since_s, bins=parts, range=(0.0, float(since_s[-1])))
    width = edges[1] - edges[0]
    return [[round(float(edge + width / 2), 3), round(float(count / width))] for edge, count in zip(edges, counts)]  # noqa: B905 - there is an edge more


def targets(servers: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What was promised; of servers with other numbers of models than were promised nothing is."""
    plain = [server for server in servers if not server["exactly_once"]]
    found = [
        {
            "name": f"decisions a second with {MODELS} models, as a share of the raw relay's, at least",
            "value": server["share_of_relay"],
            "limit": LEAST_SHARE,
            "met": server["share_of_relay"] >= LEAST_SHARE,
            "reason": None if server["share_of_relay"] >= LEAST_SHARE else reason(server),
        }
        for server in plain
        if server["models"] == MODELS
    ]
    further = further_model(plain)
    if further is not None:
        found.append(
            {
                "name": f"each model more, as a share of a decision's CPU with {MODELS}, at most",
                "value": further,
                "limit": MOST_FURTHER,
                "met": further <= MOST_FURTHER,
                "reason": None
                if further <= MOST_FURTHER
                else ", ".join(f"{one['models']} models: {one['cpu_us']} us" for one in plain),
            }
        )
    return found


def reason(server: Mapping[str, Any]) -> str:
    """Where the time goes, as far as it is measured from outside."""
    took = "a decision takes {cpu_us} us of processor time, {loop_cpu_us} of it the loop's, which is one thread".format(
        **server
    )
    return f"{took}; the relay {server['relay']['cpu_us']} and {server['relay']['loop_cpu_us']}"


def further_model(servers: Sequence[Mapping[str, Any]]) -> float | None:
    """The slope of the least-squares line through (models, CPU of a decision) from MODELS models on, by that CPU there.

    None with fewer than two such servers, or where the kernel does not tell processor time.
    """
    priced = {s["models"]: s["cpu_us"] for s in servers if s["models"] >= MODELS and s["cpu_us"] is not None}
    if MODELS not in priced or len(priced) < 2:  # noqa: PLR2004 - a line needs two points
        return None
    slope = float(np.polyfit(list(priced), list(priced.values()), 1)[0])
    return round(slope / float(priced[MODELS]), 4)
