"""When requests are due, and what became of them: fates, deadlines, recovery."""

from __future__ import annotations

from functools import partial

import pytest

pytest.importorskip("hdrh", reason="hdrhistogram has no wheel for Linux on arm64")

from loadtest.burst.scenario import burst_cases
from loadtest.burst.scenario import targets as burst_targets
from loadtest.driving import deadlines
from loadtest.driving.fates import figures, good, in_time, preferred
from loadtest.driving.phases import Phase, due_s
from loadtest.driving.recovery import recovered_ms
from phased import DEADLINE_MS, NEVER, case, played, stream
from rendezvous.messages import Reason


def test_phases_follow_one_another() -> None:
    """Each at its own rate, from where the one before ended."""
    found = list(due_s([Phase("a", 2, 1), Phase("b", 4, 0.5)]))
    assert found == [0.0, 0.5, 1.0, 1.25]


def test_a_burst_is_due_at_one_moment() -> None:
    """On top of the others, in order."""
    found = list(due_s([Phase("a", 2, 1, burst=3, every_s=1.0)]))
    assert found == [0.0, 0.5, 0.5, 0.5, 0.5]
    assert list(due_s([Phase("a", 1, 2, burst=1, every_s=1.0)])) == [0.0, 0.5, 1.0, 1.5]


@pytest.mark.parametrize(
    ("waited_ms", "reason", "judged"),
    [
        (250.0, Reason.PREFERRED, (True, True, True)),
        (249.0, Reason.FALLBACK, (True, True, False)),
        (1.0, Reason.DEFAULT, (True, False, False)),
        (1.0, Reason.OVERLOADED, (True, False, False)),
        (250.1, Reason.PREFERRED, (False, False, False)),
        (NEVER, Reason.PREFERRED, (False, False, False)),
    ],
)
def test_good_is_a_models_answer_in_time(waited_ms: float, reason: Reason, judged: tuple[bool, ...]) -> None:
    """From due; a default in time keeps the promise, and is no goodput."""
    found = case(0, 100.0, waited_ms, reason)
    assert tuple(judge(found, DEADLINE_MS) for judge in (in_time, good, preferred)) == judged


def test_a_phase_counts_its_own_requests() -> None:
    """By when they were due; one without an answer counts with the time that was waited."""
    history = played(stream(4, [10.0, 10.0, 300.0, NEVER, 20.0]), Phase("a", 4, 1), Phase("b", 4, 1))
    first, second = (figures(history, window) for window in history.windows)
    assert (first["sent"], first["answered"], first["in_time"], first["lost"]) == (4, 3, 2, 1)
    assert first["goodput_per_s"] == 2.0
    assert first["latency_ms"]["max"] >= 1_200
    assert (second["sent"], second["latency_ms"]["p50"]) == (1, pytest.approx(20, rel=1e-2))


def test_views_of_a_deadline_have_their_own_clocks() -> None:
    """Decided and left count from the append, in hand from due."""
    found = [case(0, 1_000.0, 260.0, decided_ms=240.0)]
    told = {view: deadlines.overshoots(found, DEADLINE_MS, view) for view in deadlines.VIEWS}
    assert told == {"decided": [pytest.approx(-11)], "left": [pytest.approx(7)], "in hand": [pytest.approx(10)]}


@pytest.mark.parametrize(("late", "met"), [(0, True), (10, True), (11, False)])
def test_one_in_a_thousand_may_be_later(late: int, *, met: bool) -> None:
    """Of ten thousand."""
    waits = [100.0] * (10_000 - late) + [DEADLINE_MS + 10] * late
    entry = deadlines.figures(stream(1_000, waits), DEADLINE_MS)
    told = {target["name"]: target for target in deadlines.targets("calm", entry, "around")}
    target = told["calm: 99.9 % in hand, ms after the deadline"]
    assert target["met"] is met
    assert (target["reason"] is None) is met
    assert told["calm: 99.99 % in hand, ms after the deadline"]["met"]


def test_an_answer_that_never_came_is_later_than_any() -> None:
    """Its target cannot be met."""
    entry = deadlines.figures(stream(10, [10.0, NEVER]), DEADLINE_MS)
    assert entry["in hand"]["p99.9"] is None
    assert not any(target["met"] for target in deadlines.targets("calm", entry, ""))


def test_recovery_is_when_a_whole_second_goes_well() -> None:
    """Half a second of good answers among bad ones is none."""
    well = partial(good, deadline_ms=DEADLINE_MS)
    waits = [300.0] * 100 + [10.0] * 50 + [300.0] * 50 + [10.0] * 300
    assert recovered_ms(stream(100, waits), 0.0, well, 0.99) == pytest.approx(2_000)
    assert recovered_ms(stream(100, [10.0] * 300), 0.0, well, 0.99) == 0.0
    assert recovered_ms(stream(100, [300.0] * 300), 0.0, well, 0.99) is None
    assert recovered_ms([], 0.0, well, 0.99) is None


def test_a_bursts_requests_are_told_from_the_stream() -> None:
    """By the moment at which they were due."""
    phase = Phase("bursts of 2", 10, 1, burst=2, every_s=1.0)
    cases = [case(number, at_s * 1e3, 300.0 if at_s == 0.5 else 1.0) for number, at_s in enumerate(due_s([phase]))]
    history = played(cases, phase)
    assert len(burst_cases(history, history.windows[0])) == 3  # and the one of the stream that is due then too
    (target,) = burst_targets(history, [{"size": 2, "sent": 2, "in_time": 0, "reasons": {"preferred": 2}}])
    assert not target["met"]
    assert "2 preferred" in target["reason"]
