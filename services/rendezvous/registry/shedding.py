"""Who leaves out how much under load: the same for the scorer that rests and for who would wait for it. Pure."""

from __future__ import annotations

from rendezvous.registry.naming import is_live
from rendezvous.registry.state import Control, Pair


def shed_shares(control: Control, pair: Pair) -> dict[int, float]:
    """The share of its requests that a version leaves out, by partition; none where that is absent.

    The first model of the first step and the last of the last, champion and safety net, leave nothing out; other
    live ones are challengers.
    """
    live = is_live(control, pair)
    if control.rules is not None and live:
        schedule = control.rules.schedule
        if pair in {control.resolve(schedule[0].models[0]), control.resolve(schedule[-1].models[-1])}:
            return {}
    shares = {
        number: shedding.challengers if live else shedding.candidates for number, shedding in control.shedding.items()
    }
    return {number: share for number, share in shares.items() if share > 0}


def resting(control: Control, partition: int) -> frozenset[Pair]:
    """Versions that leave out all requests of a partition: their scorers do not even read them."""
    if partition not in control.shedding:
        return frozenset()
    return frozenset(pair for pair in control.deployed if shed_shares(control, pair).get(partition, 0.0) >= 1)
