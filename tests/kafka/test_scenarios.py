"""The scenarios on a real broker, under the real clock."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rendezvous.local.stack import Addresses
from scenarios import (
    SCENARIOS,
    clean_restart,
    left_behind,
    preferred,
    redelivery_after_crash,
    reply_refused,
    unusable_records,
)
from worlds import HASTY, KafkaWorld, World

# the one that waits longest first: a broker's first transactions are slow, until its code is compiled
TRANSACTIONAL = [clean_restart, preferred, redelivery_after_crash, unusable_records, reply_refused]
"""Played with `exactly_once` too: each way of ending a request, a crash and a stop."""
PLAYED = [(scenario, False) for scenario in SCENARIOS] + [(scenario, True) for scenario in TRANSACTIONAL]


def name(value: object) -> str:
    """Of a scenario, or of a mode."""
    return getattr(value, "__name__", "exactly once" if value else "default")


@pytest.mark.kafka
@pytest.mark.parametrize(("scenario", "exactly_once"), PLAYED, ids=name)
def test_scenario(scenario: Callable[[World], None], exactly_once: bool, stack: Addresses) -> None:  # noqa: FBT001 - one
    """Each scenario holds on real Kafka."""
    world = KafkaWorld(stack.kafka, exactly_once=exactly_once)
    try:
        scenario(world)
    finally:
        world.stop()


@pytest.mark.kafka
@pytest.mark.parametrize("exactly_once", [False, True], ids=name)
def test_what_is_skipped_is_answered_later(exactly_once: bool, stack: Addresses) -> None:  # noqa: FBT001 - one
    """A server that skips at once."""
    world = KafkaWorld(stack.kafka, exactly_once=exactly_once, mailbox=HASTY)
    try:
        left_behind(world)
    finally:
        world.stop()
