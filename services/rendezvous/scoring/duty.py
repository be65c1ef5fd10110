"""What control asks of one version: to score or to rest, for users or for comparison, and what to leave out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rendezvous.envelope import draw_of
from rendezvous.registry.events import State
from rendezvous.registry.naming import is_live
from rendezvous.registry.shedding import shed_shares
from rendezvous.registry.state import Control, Pair

SHED_PERSON = b"shedding"
"""Of the hash: who is left out has nothing to do with who is drawn by a policy."""
BACK_SHARE = 4
BACK_MOST_US = 20_000
"""Whoever is asked from some moment on stands back for a quarter of the time until then, at most for so long: those
that are asked first have the cores to themselves, and three quarters are left to be in time."""


@dataclass(frozen=True, slots=True)
class Duty:
    """What a version does.

    state: RETIRED when control does not know it. live: it may answer users. shed: the share of its requests that it
    leaves out, by partition; none where that is absent. back_us: how long a request waits here, from its append, while
    those that are asked before score it.
    """

    state: State
    live: bool
    shed: Mapping[int, float]
    back_us: int = 0

    def stands_back_us(self, appended_us: int, now_us: int) -> int:
        """How long from now on the oldest request that waits shall wait; clocks may differ."""
        return max(0, min(self.back_us, appended_us + self.back_us - now_us))

    def rests(self, partition: int) -> bool:
        """Whether nothing of a partition is scored now, so that it need not be read."""
        return self.state is not State.ACTIVE or self.shed.get(partition, 0.0) >= 1

    def leaves_out(self, partition: int, key: bytes) -> bool:
        """Whether requests with this key are not scored now; the same keys by all versions of one kind."""
        share = self.shed.get(partition, 0.0)
        return share > 0 and draw_of(key, SHED_PERSON) < share


def duty_of(control: Control, pair: Pair) -> Duty:
    """The duty of a version as control stands."""
    version = control.versions.get(pair)
    live = is_live(control, pair)
    state = State.RETIRED if version is None else version.state
    return Duty(
        state,
        live,
        shed_shares(control, pair),
        min(_asked_us(control, pair) // BACK_SHARE, BACK_MOST_US) if live else 0,
    )


def _asked_us(control: Control, pair: Pair) -> int:
    """From when on after a request's append a step may take what this version says; the earliest of all partitions.

    Before that it may be asked all the same, when nobody of the steps before can score a request.
    """
    found = []
    for suspended in {frozenset[Pair](), *control.suspended.values()}:
        from_ms = 0
        for step in control.rules.schedule if control.rules is not None else ():
            named = {control.resolve(name) for name in step.models} - suspended
            asked = {one for one in named if one and control.versions[one].state is State.ACTIVE}
            if pair in asked:
                found.append(from_ms)
                break
            if asked:  # else the step is passed by
                from_ms = step.until_ms or from_ms
    return min(found, default=0) * 1_000
