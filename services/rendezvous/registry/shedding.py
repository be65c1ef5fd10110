"""Who leaves out how much under load: the same for the scorer that rests and for who would wait for it. Pure."""

from __future__ import annotations

from rendezvous.registry.naming import is_live
from rendezvous.registry.state import Control, Pair


def shed_shares(control: Control, pair: Pair) -> dict[int, float]:
    """The share of its requests that a version leaves out, by partition; none where that is absent."""
    found = {number: shed_share(control, pair, number) for number in control.shedding}
    return {number: share for number, share in found.items() if share > 0}


def shed_share(control: Control, pair: Pair, partition: int) -> float:
    """The same of one partition.

    The first model of the first step and the last of the last, champion and safety net, leave nothing out; other
    live ones are challengers.
    """
    said = control.shedding.get(partition)
    if said is None:
        return 0.0
    if control.rules is None or not is_live(control, pair):
        return said.candidates
    schedule = control.rules.schedule
    kept = control.resolve(schedule[0].models[0]), control.resolve(schedule[-1].models[-1])
    return 0.0 if pair in kept else said.challengers


def resting(control: Control, partition: int) -> frozenset[Pair]:
    """Versions that leave out all requests of a partition: their scorers do not even read them."""
    return frozenset(pair for pair in control.deployed if shed_share(control, pair, partition) >= 1)
