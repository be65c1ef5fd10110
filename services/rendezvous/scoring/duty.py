"""What control asks of one version: to score or to rest, for users or for comparison, and what to leave out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rendezvous.envelope import draw_of
from rendezvous.registry.events import State
from rendezvous.registry.naming import is_live
from rendezvous.registry.state import Control, Pair

SHED_PERSON = b"shedding"
"""Of the hash: who is left out has nothing to do with who is drawn by a policy."""


@dataclass(frozen=True, slots=True)
class Duty:
    """What a version does.

    state: RETIRED when control does not know it. live: it may answer users. shed: the share of its requests that it
    leaves out, by partition; none where that is absent.
    """

    state: State
    live: bool
    shed: Mapping[int, float]

    def leaves_out(self, partition: int, key: bytes) -> bool:
        """Whether requests with this key are not scored now; the same keys by all versions of one kind."""
        share = self.shed.get(partition, 0.0)
        return share > 0 and draw_of(key, SHED_PERSON) < share


def duty_of(control: Control, pair: Pair) -> Duty:
    """The duty of a version as control stands.

    The first model of the first step and the last of the last, champion and safety net, leave nothing out; other
    live ones are challengers.
    """
    version = control.versions.get(pair)
    live = is_live(control, pair)
    if control.rules is not None and live:
        schedule = control.rules.schedule
        kept = {control.resolve(schedule[0].models[0]), control.resolve(schedule[-1].models[-1])}
    else:
        kept = set()
    shares = {
        number: shedding.challengers if live else shedding.candidates
        for number, shedding in control.shedding.items()
        if pair not in kept
    }
    state = State.RETIRED if version is None else version.state
    return Duty(state, live, {number: share for number, share in shares.items() if share > 0})
