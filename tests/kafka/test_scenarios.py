"""The scenarios on a real broker, under the real clock."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rendezvous.local.stack import Addresses
from scenarios import SCENARIOS
from worlds import KafkaWorld, World


@pytest.mark.kafka
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_scenario(scenario: Callable[[World], None], stack: Addresses) -> None:
    """Each scenario holds on real Kafka."""
    world = KafkaWorld(stack.kafka)
    try:
        scenario(world)
    finally:
        world.stop()
