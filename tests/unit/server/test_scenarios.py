"""The scenarios in memory, under a fake clock."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from scenarios import SCENARIOS, left_behind
from worlds import HASTY, MemoryWorld, World


@pytest.mark.parametrize("exactly_once", [False, True], ids=["default", "exactly once"])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_scenario(scenario: Callable[[World], None], exactly_once: bool) -> None:  # noqa: FBT001 - a parameter
    """Each scenario holds in memory, in both modes."""
    scenario(MemoryWorld(exactly_once=exactly_once))


@pytest.mark.parametrize("exactly_once", [False, True], ids=["default", "exactly once"])
def test_what_is_skipped_is_answered_later(exactly_once: bool) -> None:  # noqa: FBT001 - a parameter
    """A server that skips at once."""
    left_behind(MemoryWorld(exactly_once=exactly_once, mailbox=HASTY))
