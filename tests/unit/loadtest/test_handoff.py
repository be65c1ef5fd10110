"""The figures of `handoff`: windows, switches, a freeze, gaps in scores; its home and picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from loadtest.driving.books import Answer, Asked, Case
from loadtest.handoff import home, picture
from loadtest.handoff.report import (
    FALLEN_BACK,
    FROZEN,
    PROMOTE,
    QUIET,
    SWITCHES,
    History,
    Window,
    Written,
    figures,
    targets,
    who,
)
from loadtest.handoff.scored import Scored, coverage, longest_gap, percentiles, scored
from rendezvous.messages import Reason, Scores, Status
from rendezvous.registry.events import Cause, Deployment, HandOff, Move, State, Suspension
from rendezvous.registry.state import Pair
from rendezvous.scoring.card import load_card

OLD, NEW, OTHER = ("old", "1"), ("new", "1"), ("other", "1")
DEADLINE_MS, STEP_MS = 500.0, 160.0


def case(number: int, due_ms: float, waited_ms: float, pair: Pair = OLD, reason: Reason = Reason.PREFERRED) -> Case:
    """A request and its one answer."""
    asked = Asked(number, 0, due_ms, acknowledged=True, offset=number, appended_ms=due_ms)
    return Case(
        asked, [Answer(number, (0, number), reason, due_ms + waited_ms, due_ms + waited_ms, pair)], buried=False
    )


def history(windows: Sequence[Window], cases: Sequence[Case], control: Sequence[Written] = ()) -> History:
    """A run that ends with its last request."""
    ended_ms = max(each.asked.due_ms for each in cases) + 1
    return History(DEADLINE_MS, STEP_MS, windows, control, cases, {}, ended_ms)


def handed_to(pair: Pair, at_ms: float) -> Written:
    """The champion is another one."""
    return Written(at_ms, HandOff((Move("champion", *pair),), Cause.PROMOTE, (), 0, "tests", 0))


def passed(pair: Pair, at_ms: float, *, suspended: bool = True) -> Written:
    """A version is passed by."""
    return Written(at_ms, Suspension(0, *pair, suspended, 1.0, 0.0, 100, "tests", 0))


def test_what_is_late_in_quiet_time_too_is_not_because_of_the_act() -> None:
    """The quiet window before is scaled to as many requests."""
    late = DEADLINE_MS + 1
    quiet = [case(number, number, late if number < 2 else 5) for number in range(10)]
    act = [case(number, number, late if number < 15 else 5) for number in range(10, 30)]
    _, entry = figures(history([Window(QUIET, 0), Window("deploy", 10)], [*quiet, *act]))
    assert (entry["late"], entry["late_in_quiet"], entry["late_because_of_it"]) == (5, 4.0, 1.0)
    assert not [target for target in targets([entry], {"lost": 0, "duplicates": 0}) if target["met"] is False][1:]


def test_a_switch_is_told_from_control_on() -> None:
    """Until the first answer by the new champion, and the last by the former."""
    found = [case(n, n * 10.0, 5) for n in range(10)]
    found += [case(10, 100, 40, OLD), case(11, 110, 7, NEW), case(12, 120, 5, OTHER, Reason.FALLBACK)]
    windows = [Window(QUIET, 0), Window(PROMOTE, 50, command_ms=(55, 130))]
    run = history(windows, found, [handed_to(NEW, 105)])
    entry = figures(replace(run, scored={NEW: Scored(np.array([90.0] * 11 + [125.0, 3_000.0]))}))[1]
    switch = entry["switch"]
    assert (switch["new"], switch["former"]) == ("new/1", "old/1")
    assert (switch["effect_ms"], switch["last_of_former_ms"]) == (12.0, 35.0)
    assert switch["gaps_ms"] == {"new/1": 2_875.0}
    assert (switch["record_after_command_ms"], entry["command_ms"]) == (50.0, 75.0)
    beside = [part["answers"] for part in switch["around"] if part["from_ms"] == 0.0]
    assert beside == [{"new/1 preferred": 1, "other/1 fallback": 1}]


def test_a_switch_that_never_came_is_not_met() -> None:
    """Whether control refused it or nobody answered by it."""
    entries = figures(history([Window(QUIET, 0), Window(PROMOTE, 5)], [case(n, n, 5) for n in range(10)]))
    assert entries[1]["switch"] is None
    (target,) = (each for each in targets(entries, {"lost": 0, "duplicates": 0}) if "first answer" in each["name"])
    assert not target["met"]


def test_a_frozen_champion_is_told_before_and_after_the_fallback() -> None:
    """From the first request on to what control says, and from there to the end of the next window."""
    calm = [case(n, n, 5) for n in range(10)]
    waiting = [case(n, n, 161, OTHER, Reason.FALLBACK) for n in range(10, 20)]
    after = [case(n, n, 6, OTHER, Reason.FALLBACK) for n in range(20, 30)]
    windows = [Window(QUIET, 0), Window(FROZEN, 10), Window(FALLEN_BACK, 22)]
    entries = figures(history(windows, [*calm, *waiting, *after], [passed(OLD, 20)]))
    freeze = entries[1]["freeze"]
    assert freeze["fallback_after_ms"] == 10.0
    assert freeze["first_request"] == {"latency_ms": 161.0, "by": "other/1"}
    assert freeze["at_step_end"]["latency_ms"] == {"p50": 161.0, "p99": 161.0, "max": 161.0}
    assert freeze["after_fallback"]["latency_ms"]["max"] == 6.0
    assert all(each["met"] for each in targets(entries, {"lost": 0, "duplicates": 0}))


def test_a_champion_that_is_waited_for_after_all_is_not_met() -> None:
    """When answers come at the step's end after the fallback too, or it never comes."""
    found = [case(n, n, 5) for n in range(10)] + [case(n, n, 161, OTHER, Reason.FALLBACK) for n in range(10, 30)]
    windows = [Window(QUIET, 0), Window(FROZEN, 10), Window(FALLEN_BACK, 22)]
    for control in ([], [passed(OLD, 20)]):
        missed = [
            each
            for each in targets(figures(history(windows, found, control)), {"lost": 0, "duplicates": 0})
            if not each["met"]
        ]
        assert [each["name"] for each in missed] == ["after the fallback: p99 ms: half the step"]


def test_who_answered() -> None:
    """A version, the default, or nobody."""
    assert who(case(0, 0, 1)) == "old/1"
    assert who(case(0, 0, 1, ("", ""))) == "default"
    assert who(replace(case(0, 0, 1), answers=())) == "nobody"


# ---------------------------------------------------------------------------------------------------- gaps in scores


def scores(at_ms: float, *offsets: int, status: Status = Status.OK) -> tuple[float, Scores]:
    """One record on the scores topic."""
    statuses = np.full(len(offsets), status, np.uint8)
    outputs = np.zeros((len(offsets), 1), np.float32)
    return at_ms, Scores(*OLD, 0, 0, np.array(offsets, np.int64), statuses, outputs)


def test_the_first_usable_score_of_a_request_counts() -> None:
    """Repeats do not, nor what is no score, nor requests that were not looked at."""
    found = scored([scores(5, 1, status=Status.EXPIRED), scores(10, 0, 1), scores(20, 1, 2, 9)], 4)
    assert found[OLD].at_ms[:3].tolist() == [10.0, 10.0, 20.0]
    assert np.isnan(found[OLD].at_ms[3])


def test_coverage_tells_what_was_scored_in_its_step_and_where_nothing_came() -> None:
    """Of the requests appended in the window."""
    appended = np.array([0.0, 100.0, 200.0, 300.0, 400.0])
    version = Scored(np.array([5.0, 105.0, 600.0, np.nan, 610.0]))
    told = coverage(version, appended, 100, 700, STEP_MS)
    assert (told["asked"], told["scored"], told["in_step"]) == (4, 3, 1)
    assert (told["longest_gap_ms"], told["gap_after_s"]) == (495.0, 0.01)
    assert told["took_ms"] == {"p50": 210.0, "p99": 400.0, "max": 400.0}


def test_a_window_without_any_score_is_one_gap() -> None:
    """From its begin to its end; there are no percentiles of nothing."""
    assert longest_gap(np.array([np.nan, 5.0]), 10, 110) == (100.0, 10.0)
    assert percentiles(np.array([])) == {"p50": None, "p99": None, "max": None}


# --------------------------------------------------------------------------------------------------- home and picture


def test_the_home_has_four_models_and_a_new_version_of_the_champions(tmp_path: Path) -> None:
    """The candidate is in no step; what is trained anew is another version."""
    endpoint = home.write_home(tmp_path)
    assert set(endpoint.models) == set(home.FACTORS)
    assert home.CANDIDATE not in endpoint.aliases.values()
    before = home.pair_of(endpoint, home.CHAMPION)
    new = home.train_champion(endpoint)
    assert new[0] == before[0]
    assert new[1] != before[1]
    assert load_card(endpoint.folder / home.CHAMPION).version == new[1]


@pytest.mark.parametrize("name", SWITCHES)
def test_a_picture_is_drawn(tmp_path: Path, name: str) -> None:
    """With a mark at each act, and at what control says of the champion."""
    found = [case(n, n * 100.0, 5) for n in range(100)] + [case(100, 10_000.0, 5, ("", ""), Reason.DEFAULT)]
    control = [Written(-5, Deployment(*OLD, "0", State.ACTIVE, "tests", 0)), handed_to(NEW, 5_000), passed(OLD, 6_000)]
    run = replace(
        history([Window(QUIET, 0), Window(name, 4_000)], found, control), scored={OLD: Scored(np.arange(101.0))}
    )
    report = {
        "rate": 100.0,
        "totals": {"sent": 101, "lost": 0, "duplicates": 0, "late": 0},
        "machine": {"cores": 2, "processor": "x", "load_average_at_start": [0.1]},
    }
    assert picture.marks(run) == [(4.0, name), (6.0, "passed by")]
    picture.draw(run, report, tmp_path / "handoff.png")
    assert (tmp_path / "handoff.png").stat().st_size > 10_000
