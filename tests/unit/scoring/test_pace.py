"""Which rows a model can still score in time, and how it knows."""

from __future__ import annotations

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rendezvous.scoring.pace import FEWEST, SEEN, Pace, least_deadline_us

MS = 1_000


def test_all_are_worth_it_while_there_is_time_for_all() -> None:
    """To the last microsecond."""
    assert least_deadline_us([300, 100, 200], 70, 10.0) == 100
    assert least_deadline_us([300, 100, 200], 71, 10.0) == 200


def test_the_newest_are_chosen_when_there_is_not() -> None:
    """As many as are done before the oldest of them is due."""
    deadlines = [number * 10 * MS for number in range(1, 24)]
    assert least_deadline_us(deadlines, 0, 10 * MS) == 120 * MS  # 12 rows take 120 ms


def test_the_newest_is_tried_whatever_it_takes() -> None:
    """So that a model that has become fast again is found out."""
    assert least_deadline_us([100, 200], 0, 1e9) == 200


@given(st.lists(st.integers(1, 500), min_size=1, max_size=40), st.floats(0, 100))
def test_what_is_chosen_is_done_in_time(deadlines: list[int], row_us: float) -> None:
    """But for the newest alone, and for those that are due at the same moment; nothing is left out without need."""
    least = least_deadline_us(deadlines, 0, row_us)
    later = [deadline for deadline in deadlines if deadline > least]
    assert not later or (len(later) + 1) * row_us <= least
    assert least == min(deadlines) or len(deadlines) * row_us > min(deadlines)


def test_a_single_pause_says_nothing() -> None:
    """The median of the last batches counts."""
    pace = Pace()
    for _ in range(SEEN):
        pace.saw(32, 32 * 50)
    pace.saw(32, 900 * MS)
    assert pace.row_us == 50


def test_small_batches_say_nothing_of_what_a_row_takes() -> None:
    """Most of them is what a call costs."""
    pace = Pace()
    pace.saw(FEWEST - 1, 70 * MS)
    pace.saw(0, 70 * MS)
    assert pace.row_us == 0


def test_a_slow_time_is_forgotten_by_small_batches_too() -> None:
    """While it is thought slow a model is given no large ones."""
    pace = Pace()
    for _ in range(SEEN):
        pace.saw(FEWEST, FEWEST * 100 * MS)
    for _ in range(SEEN):
        pace.saw(1, 300)
    assert pace.row_us == 300


def goodput(rate: int, row_ms: float, seconds: int, *, paced: bool) -> float:
    """Rows a second that are scored within 230 ms, by a model that takes what waits, 256 rows at most."""
    pace, now_us, waiting, good = Pace(), 0.0, [], 0
    arrivals = (number * 1_000_000 / rate for number in count())
    following = next(arrivals)
    while now_us < seconds * 1_000_000:
        while following <= now_us:
            waiting.append(following + 230 * MS)
            following = next(arrivals)
        batch, waiting = [due for due in waiting[:256] if due > now_us], waiting[256:]
        if not batch:
            now_us = max(now_us, following)
            continue
        if paced and pace.row_us:
            least = least_deadline_us([int(due) for due in batch], int(now_us), pace.row_us)
            batch = [due for due in batch if due >= least]
        took_us = len(batch) * row_ms * MS
        now_us += took_us
        pace.saw(len(batch), int(took_us))
        good += sum(due >= now_us for due in batch)
    return good / seconds


@pytest.mark.parametrize("rate", [400, 1_000, 5_000])
def test_past_saturation_a_model_does_as_much_that_is_of_use_as_at_it(rate: int) -> None:
    """200 rows a second is all it can do; taking whatever waits it does nothing that is of use."""
    assert goodput(rate, 5.0, 20, paced=True) >= 0.95 * 200
    assert goodput(rate, 5.0, 20, paced=False) <= 0.1 * 200


def test_below_saturation_nothing_is_left_out() -> None:
    """Nor at a burst's size that fits."""
    assert goodput(150, 5.0, 20, paced=True) == pytest.approx(150, rel=0.02)
