"""What `rendezvous tune schedule` says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rendezvous.replay.bootstrapping import Interval
from rendezvous.replay.tuning import FIRST_PART, Proof, Tried, Tuned
from rendezvous.rules import Step


def lines(tuned: Tuned, miss_rate: float) -> list[str]:
    """For people."""
    scope = f"{len(tuned.tried)} schedules tried on the first {FIRST_PART:.0%} of the span"
    told = [f"{scope}, {tuned.within} keep the miss rate of {miss_rate:g}"]
    for proof in (tuned.first, tuned.later):
        told += ["", f"{proof.name}: {proof.requests} labelled requests", *_proof(proof, tuned.metric)]
    told.append("")
    gain = tuned.later.gain
    if tuned.proven:
        told.append(f"the proposed schedule is better on the held-out part ({tuned.blocks}) beyond the noise")
    else:
        told.append(f"the schedule in force is NOT beaten beyond the noise on the held-out part ({tuned.blocks}):")
        told.append(
            f"the gain lies between {gain.low:+.4g} and {gain.high:+.4g}: a change for quality would be a guess"
        )
    if tuned.later.proposed.missed > miss_rate:
        told.append(f"on the held-out part it MISSES {tuned.later.proposed.missed:.3%}, more than {miss_rate:.3%}")
    return [*told, "", "# proposed", *toml(tuned.later.proposed.schedule)]


def _proof(proof: Proof, metric: str) -> list[str]:
    told = [f"  {'':10} {metric:>28} {'missed':>9} {'p50, ms':>9} {'p99, ms':>9}"]
    told += [_tried(name, tried) for name, tried in (("in force", proof.current), ("proposed", proof.proposed))]
    return [*told, f"  {'gain':10} {_interval(proof.gain, '+'):>28}  (above 0: better)"]


def _tried(name: str, tried: Tried) -> str:
    return f"  {name:10} {_interval(tried.quality):>28} {tried.missed:9.3%} {tried.p50_ms:9.1f} {tried.p99_ms:9.1f}"


def _interval(found: Interval, sign: str = "") -> str:
    return f"{found.value:{sign}.4f} [{found.low:{sign}.4f}, {found.high:{sign}.4f}]"


def toml(schedule: Sequence[Step]) -> list[str]:
    """Ready for endpoint.toml, or for `rendezvous replay --policy`."""
    told = []
    for step in schedule:
        told.append("[[schedule]]")
        if step.until_ms is not None:
            told.append(f"until_ms = {step.until_ms}")
        told.append(f"models = [{', '.join(f'{chr(34)}{name}{chr(34)}' for name in step.models)}]")
        if step.policy != "prefer":
            told.append(f'policy = "{step.policy}"')
        told.append("")
    return told


def report(tuned: Tuned, miss_rate: float) -> dict[str, Any]:
    """For programs."""

    def tried(one: Tried) -> dict[str, Any]:
        return {
            "schedule": [step.model_dump(mode="json", exclude_defaults=True) for step in one.schedule],
            "quality": [one.quality.value, one.quality.low, one.quality.high],
            "missed": one.missed,
            "p50_ms": one.p50_ms,
            "p99_ms": one.p99_ms,
        }

    def proof(one: Proof) -> dict[str, Any]:
        gain = [one.gain.value, one.gain.low, one.gain.high]
        sides = {"in_force": tried(one.current), "proposed": tried(one.proposed)}
        return {"requests": one.requests, **sides, "gain": gain}

    return {
        "metric": tuned.metric,
        "miss_rate": miss_rate,
        "proven": tuned.proven,
        "within": tuned.within,
        "tried": [tried(one) for one in tuned.tried],
        "chosen_on": proof(tuned.first),
        "held_out": proof(tuned.later),
    }
