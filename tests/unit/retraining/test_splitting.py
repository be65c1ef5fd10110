"""Judging begins at a block that the champion has not seen."""

from __future__ import annotations

from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from rendezvous.retraining.splitting import DAY_US, day_of, end_of, split_us

TIMES = st.integers(0, 10**16)


@given(TIMES, st.integers(1, 10**14), TIMES, st.integers(1, 10**13), st.integers(0, 10**12))
def test_a_split_is_the_first_block_that_is_late_enough_and_unseen(
    last: int, held_out: int, seen: int, block: int, offset: int
) -> None:
    """On the grid of blocks, at or after both bounds, and less than a block after the later one."""
    split = split_us(last, held_out, seen, block, offset)
    bound = max(last - held_out, seen)
    assert (split - offset) % block == 0
    assert bound <= split < bound + block


def test_days_are_the_owners() -> None:
    """A New York day begins at 5:00 UTC; four in the morning belongs to the day before."""
    fifth_us = 5 * DAY_US
    assert day_of(fifth_us + 4 * 3_600_000_000, 5 * 3_600_000_000) == date(1970, 1, 5)
    assert day_of(fifth_us + 5 * 3_600_000_000, 5 * 3_600_000_000) == date(1970, 1, 6)


def test_a_day_is_over_when_it_is_over_everywhere() -> None:
    """Twelve hours after midnight in Greenwich: later than in New York."""
    assert end_of(date(1970, 1, 2)) == 2 * DAY_US + DAY_US // 2
