"""When a rate is kept, and which one is tried next."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

pytest.importorskip("hdrh", reason="hdrhistogram has no wheel for Linux on arm64")

from loadtest.driving.fates import figures
from loadtest.driving.phases import Phase
from loadtest.saturation.criterion import Step, growth, step
from loadtest.saturation.search import CLOSE, LEAST_RATE, STAIR, Search
from phased import NEVER, played, stream
from rendezvous.messages import Reason

WELL = Step(100.0, 1.0, 1.0, 1.0, 0.0, left_out=False)


def test_a_step_that_shows_nothing_wrong_is_kept() -> None:
    """At the limits too."""
    assert WELL.faults() == []
    assert Step(100.0, 1.0, 0.99, 0.9, 0.05, left_out=False).faults() == []


@pytest.mark.parametrize(
    ("found", "word"),
    [
        (Step(100.0, 0.999, 1.0, 1.0, 0.0, left_out=False), "not answered"),
        (Step(100.0, 1.0, 0.98, 1.0, 0.0, left_out=False), "in time"),
        (Step(100.0, 1.0, 1.0, 0.8, 0.0, left_out=False), "first choice"),
        (Step(100.0, 1.0, 1.0, 1.0, 0.06, left_out=False), "backlog"),
        (Step(100.0, 1.0, 1.0, 1.0, 0.0, left_out=True), "left out"),
    ],
)
def test_each_limit_alone_ends_it(found: Step, word: str) -> None:
    """And the reason says which."""
    (fault,) = found.faults()
    assert word in fault


def test_a_backlog_that_stays_does_not_grow() -> None:
    """Whatever its size."""
    assert growth(stream(100, [200.0] * 300), 0, 3_000) == pytest.approx(0, abs=0.02)


def test_a_backlog_grows_by_what_is_too_much() -> None:
    """Each request waits as much longer as one in five is too many."""
    waits = [number * 10.0 * 0.25 for number in range(400)]
    assert growth(stream(100, waits), 0, 4_000) == pytest.approx(0.2, abs=0.03)


def test_what_is_never_answered_stays_in_the_backlog() -> None:
    """From some moment on nothing is."""
    assert growth(stream(100, [10.0] * 200 + [NEVER] * 200), 0, 4_000) > 0.45


def test_a_step_is_told_by_its_figures() -> None:
    """One of four by the default, one too late."""
    cases = stream(4, [10.0, 20.0, 300.0]) + stream(4, [30.0], Reason.DEFAULT, begin_ms=750)
    history = played(cases, Phase("step", 4, 1))
    found = step(4.0, figures(history, history.windows[0]), 0.0, left_out=False)
    assert (found.answered, found.good, found.preferred) == (1.0, 0.5, 0.5)


def searched(keeps: Callable[[float], bool], first: float = 200.0) -> Search:
    """A search that has come to its end."""
    search = Search(first)
    for _ in range(60):
        if search.done:
            return search
        search.tell(kept=keeps(search.rate))
    raise AssertionError(search)


@pytest.mark.parametrize("truth", [37.0, 150.0, 205.0, 731.0, 1_000.0, 9_999.0])
def test_the_search_comes_close_to_the_truth(truth: float) -> None:
    """From below, whether it begins above or below it."""
    search = searched(lambda rate: rate <= truth)
    assert search.kept is not None
    assert search.kept <= truth <= search.kept * CLOSE


def test_a_single_pause_of_the_machine_does_not_end_the_staircase() -> None:
    """A rate that was not kept is tried again."""
    failures = iter([False, True])
    search = searched(lambda rate: next(failures, True) if rate == 200.0 * STAIR else rate <= 1_000)
    assert search.kept is not None
    assert search.kept * CLOSE >= 1_000


def test_a_system_that_keeps_nothing_has_no_saturation() -> None:
    """The search ends all the same."""
    search = searched(lambda _: False)
    assert search.kept is None
    assert search.rate < LEAST_RATE


def test_a_search_among_noise_ends() -> None:
    """Whatever each step says."""
    for seed in range(50):
        said = iter(np.random.default_rng(seed).random(100) < 0.5)
        searched(lambda _, said=said: bool(next(said)))  # type: ignore[misc] # a default binds this round's
