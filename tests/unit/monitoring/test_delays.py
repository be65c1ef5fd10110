"""Durations as counts."""

from __future__ import annotations

import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rendezvous.monitoring.delays import NONE, Durations

DURATIONS = st.lists(st.integers(0, 1 << 62), min_size=1, max_size=50)


@given(DURATIONS, st.floats(0.01, 1.0))
def test_a_quantile_is_right_to_a_sixteenth(durations: list[int], share: float) -> None:
    """Never too large, and at most 1/16 too small."""
    counted = Durations()
    counted.add(np.array(durations, np.int64))
    truth = int(np.quantile(np.array(durations, dtype=object), share, method="inverted_cdf"))
    assert truth * 15 / 16 - 1 <= counted.quantile_us(share) <= truth


@given(DURATIONS, DURATIONS)
def test_what_is_merged_can_be_taken_back(one: list[int], other: list[int]) -> None:
    """Bit for bit, and through JSON."""
    mine, theirs = Durations(), Durations()
    mine.add(np.array(one, np.int64))
    theirs.add(np.array(other, np.int64))
    both = Durations.from_json(json.loads(json.dumps(mine.to_json())))
    both.merge(theirs)
    assert both.total == len(one) + len(other)
    both.subtract(theirs)
    assert both.to_json() == mine.to_json()


def test_of_nothing_there_is_no_quantile() -> None:
    """It is said, not made up."""
    assert Durations().quantile_us(0.5) == NONE


def test_clocks_that_disagree_give_a_duration_of_zero() -> None:
    """A label cannot be known before it was asked for."""
    counted = Durations()
    counted.add(np.array([-5, 3], np.int64))
    assert (counted.quantile_us(0.5), counted.quantile_us(1.0)) == (0, 3)
