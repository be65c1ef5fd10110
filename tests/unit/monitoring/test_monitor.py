"""The monitor's core: the same findings whatever the order, the batches, the restarts."""

from __future__ import annotations

import numpy as np
import pytest

from monitored import LIMITS, Watched, batched, out_of_order, reference, settled, world
from rendezvous.monitoring.findings import Alarm, AlarmKind

REFERENCE = reference()
EVENTS = world(1)
AT_ONCE = settled(Watched.fresh(REFERENCE).run([EVENTS]))


def test_a_world_has_something_to_say() -> None:
    """The scenario raises what it should: concept, input, score."""
    findings = Watched.fresh(REFERENCE).run([EVENTS])
    alarms = {(alarm.kind, alarm.subject) for alarm in findings if isinstance(alarm, Alarm)}
    assert (AlarmKind.CONCEPT, "brier") in alarms


@pytest.mark.parametrize("seed", range(6))
def test_any_order_of_arrival_gives_the_same(seed: int) -> None:
    """Shuffled within the lateness, in batches of any size, with restarts at random points: bit for bit the same."""
    chance = np.random.default_rng(seed)
    events = out_of_order(EVENTS, chance, LIMITS.lateness)
    sizes = chance.integers(1, 400, 60).tolist()
    restarts = chance.integers(0, 60, 5).tolist()
    assert settled(Watched.fresh(REFERENCE).run(batched(events, sizes), restarts)) == AT_ONCE
