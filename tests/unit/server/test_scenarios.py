"""The scenarios in memory, under a fake clock."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from scenarios import SCENARIOS
from worlds import MemoryWorld, World


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_scenario(scenario: Callable[[World], None]) -> None:
    """Each scenario holds in memory."""
    scenario(MemoryWorld())
