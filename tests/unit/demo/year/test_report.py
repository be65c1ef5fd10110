"""What is said of the year: what the loop did, each thing once, the figures, the picture."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from rendezvous.demo.year import picture
from rendezvous.demo.year.chronicle import Chronicle, heat
from rendezvous.demo.year.report import CURVES, Year, figures
from rendezvous.demo.year.screen import Screen
from rendezvous.demo.year.stream import DAY_US, NEVER_US, WEEK_US, Stream, midnight_us
from rendezvous.monitoring.findings import Accuracy, Alarm, AlarmKind, Drift, DriftKind, Span, Stage
from rendezvous.registry.events import Cause, HandOff, Move, Rule, Ruling, Verdict
from rendezvous.registry.state import Control
from rendezvous.retraining.events import Outcome, Retrained, RetrainEvent

START_US = midnight_us(date(2013, 3, 1))
WEEKS = 8
ALARM = Alarm(AlarmKind.CONCEPT, "brier", "trees", "1", "blocks", 3, START_US + 9 * DAY_US, 250.0, 200.0, ("temp",))
EVENT = RetrainEvent(
    "e1", "trees", "1", ("concept",), "{}", "", 0, START_US, START_US + 9 * DAY_US, (7,), (), "test", START_US
)
RETRAINED = Retrained("e1", Outcome.REGISTERED, "trees", "2", (), 1, 2, "test")
VERDICT = Verdict("trees", "2", Rule.REFRESH, Ruling.PROMOTED, "{}", "test", 1)


def drift(start_us: int, effects: tuple[float, ...]) -> Drift:
    """Of the inputs temp and visib."""
    return Drift(
        DriftKind.INPUT,
        "",
        "",
        0,
        start_us,
        start_us + DAY_US,
        900,
        ("temp", "visib"),
        effects,
        (0.0, 1.0),
        (True, False),
    )


def accuracy(stage: Stage, end_us: int) -> Accuracy:
    """Of a block."""
    return Accuracy(
        "trees", "1", Span.BLOCK, 1, 0, stage, end_us - DAY_US, end_us, 9, 8, 1, 1, 2, end_us, ("auc",), (0.7,)
    )


def hand_off(alias: str, version: str, cause: Cause) -> HandOff:
    """An alias moves."""
    return HandOff((Move(alias, "trees", version),), cause, (), 0, "test", 1)


def a_chronicle() -> Chronicle:
    """One alarm, one retraining, one promotion and its roll-back."""
    chronicle = Chronicle("champion")
    chronicle.controlled(hand_off("champion", "1", Cause.DEPLOY), Control(), -1)
    for message in (
        ALARM,
        EVENT,
        RETRAINED,
        drift(START_US, (0.1, 3.0)),
        drift(START_US + DAY_US, (0.5, float("nan"))),
    ):
        chronicle.found(message)
    chronicle.controlled(VERDICT, Control(), START_US + 14 * DAY_US)
    chronicle.controlled(hand_off("champion", "2", Cause.PROMOTE), Control(), START_US + 14 * DAY_US)
    chronicle.controlled(hand_off("champion", "1", Cause.ROLLBACK), Control(), START_US + 20 * DAY_US)
    return chronicle


def test_what_is_heard_twice_happened_once() -> None:
    """Findings and events are known by what they are about."""
    chronicle = a_chronicle()
    for message in (ALARM, EVENT, RETRAINED):
        chronicle.found(message)

    assert len(chronicle.alarms) == len(chronicle.concept_alarms) == len(chronicle.retrained) == 1
    chronicle.found(replace(ALARM, number=4, kind=AlarmKind.INPUT))
    assert (len(chronicle.alarms), len(chronicle.concept_alarms)) == (2, 1)


def test_alarms_about_the_champion_are_told_from_those_about_its_shadows() -> None:
    """Only they may lead to a retraining, and not within a cool-down of the last one."""
    chronicle = a_chronicle()
    late = replace(ALARM, number=15, at_us=START_US + 15 * DAY_US)
    chronicle.found(late)
    assert (len(chronicle.champion_alarms), len(chronicle.frozen_alarms)) == (1, 2)
    assert not chronicle.speaks(START_US + 15 * DAY_US, DAY_US)
    chronicle.found(replace(late, version="2"))
    assert chronicle.speaks(START_US + 15 * DAY_US, 6 * DAY_US)
    assert not chronicle.speaks(START_US + 15 * DAY_US, 7 * DAY_US)


def test_a_retraining_is_under_way_until_its_end_is_told() -> None:
    """Event time stands still meanwhile."""
    chronicle = Chronicle("champion")
    chronicle.found(EVENT)
    assert list(chronicle.under_way) == ["e1"]
    chronicle.found(RETRAINED)
    assert list(chronicle.under_way) == []


def test_only_the_champions_moves_that_took_effect_count() -> None:
    """Another alias's, and one that control refused, are no promotion; the first deployment is none either."""
    chronicle = Chronicle("champion")
    chronicle.controlled(hand_off("champion", "1", Cause.DEPLOY), Control(), 1)
    chronicle.controlled(hand_off("canary", "2", Cause.PROMOTE), Control(), 2)
    chronicle.controlled(hand_off("champion", "2", Cause.PROMOTE), Control(refusal="unseen"), 3)
    assert chronicle.promotions == []
    chronicle.controlled(hand_off("champion", "3", Cause.PROMOTE), Control(), 4)
    assert [(moved.at_us, moved.pair) for moved in chronicle.promotions] == [(4, ("trees", "3"))]


def test_the_monitor_is_as_far_as_its_last_closed_block() -> None:
    """A provisional figure does not say that a block is closed."""
    chronicle = Chronicle("champion")
    chronicle.found(accuracy(Stage.CLOSED, 5 * DAY_US))
    chronicle.found(accuracy(Stage.PROVISIONAL, 6 * DAY_US))
    chronicle.found(accuracy(Stage.CORRECTED, 3 * DAY_US))
    assert chronicle.concluded_us == 5 * DAY_US


def test_the_heat_of_a_week_is_its_loudest_window() -> None:
    """Weeks begin where the year does; nothing said is no zero."""
    grid = heat(a_chronicle().drift, ["visib", "temp"], START_US, 2)

    np.testing.assert_array_equal(grid, [[3.0, np.nan], [0.5, np.nan]])


def a_year(chronicle: Chronicle, cron: float) -> Year:
    """Eight weeks of random flights: frozen knows nothing, looped a lot, cron as much of it as is said."""
    random = np.random.default_rng(4)
    rows = 4_000
    asked = np.sort(random.integers(START_US - WEEK_US, START_US + WEEKS * WEEK_US, rows))
    label = random.integers(2, size=rows).astype(float)
    label[::50] = np.nan
    truth = np.where(np.isnan(label), 0.0, label)
    curves = {
        name: np.where(asked >= START_US, random.random(rows) + known * truth, np.nan)
        for name, known in zip(CURVES, (0.0, 0.5, cron), strict=True)
    }
    frame = pd.DataFrame({"temp": np.zeros(rows)})
    stream = Stream(tuple(map(str, range(rows))), frame, label, asked, np.full(rows, NEVER_US))
    end_us = START_US + WEEKS * WEEK_US - DAY_US
    return Year(stream, START_US, end_us, curves, chronicle, {"alarms": 1, "events": 0}, {"events": 0}, {"seconds": 1})


def test_the_report_says_what_the_issue_asks() -> None:
    """Curves by week on the same labelled requests, means, the difference with its interval, and what happened."""
    report = figures(a_year(a_chronicle(), 0.5))

    assert len(report["weeks"]) == WEEKS
    assert report["weeks"][0]["start"] == "2013-03-01"
    assert 0 < report["weeks"][0]["labelled"] < report["weeks"][0]["requests"]
    for name in CURVES:
        weekly = [week["auc"][name] for week in report["weeks"]]
        assert report["mean_auc"][name] == pytest.approx(np.mean(weekly), abs=1e-4)
    difference = report["difference"]["looped_frozen"]
    assert difference["low"] < difference["value"] < difference["high"]
    assert difference["value"] == pytest.approx(report["mean_auc"]["looped"] - report["mean_auc"]["frozen"], abs=2e-4)
    assert [report[name] for name in ("retrains", "promotions", "rollbacks", "alarms")] == [1, 1, 1, 1]
    assert report["control"] == {"alarms": 1, "events": 0}
    told = datetime.fromtimestamp((START_US + 9 * DAY_US) / 1e6, UTC).isoformat()
    retrained = {"at": told, "what": "retrain", "causes": ["concept"], "outcome": "registered", "version": "2"}
    assert report["happened"][0] == retrained


@pytest.mark.parametrize(
    ("cron", "verdict"), [(0.0, "yes"), (0.5, "no difference that can be told from chance"), (3.0, "no")]
)
def test_the_report_does_not_pretend_that_alarms_matter(cron: float, verdict: str) -> None:
    """It says yes or no only where the interval leaves no doubt."""
    assert figures(a_year(a_chronicle(), cron))["alarms_beat_cron"] == verdict
    assert figures(a_year(Chronicle("champion"), cron))["alarms_beat_cron"] == "nothing was retrained"


def test_the_picture_is_drawn(tmp_path: Path) -> None:
    """Also of features and weeks of which nothing was said."""
    year = a_year(a_chronicle(), 0.5)
    grid = heat(year.chronicle.drift, ["temp", "visib", "dewp"], START_US, WEEKS)

    png, svg = picture.draw(figures(year), year.chronicle, grid, ["temp", "visib", "dewp"], tmp_path / "out" / "year")

    assert png.read_bytes()[:4] == b"\x89PNG"
    assert "promotion (1)" in svg.read_text()


def test_the_screen_says_it_in_plain_lines() -> None:
    """Without a terminal: a line a week, and at the end what came out, with its doubts."""
    output = io.StringIO()
    screen = Screen(14, Console(file=output, width=200))
    with screen:
        for number in range(14):
            screen.day(date(2013, 3, 1 + number), 900 * (number + 1), 800, a_chronicle())
    calm = {"alarms": 1, "events": 1, "inputs": 0, "days": 245}
    year = a_year(a_chronicle(), 0.5)
    screen.summary(figures(replace(year, control=calm, temperature=calm | {"inputs": 7, "events": 0})))

    lines = output.getvalue().splitlines()
    assert lines[:2] == [
        f"{day}: requests {asked}, labels 800, concept alarms about the champion 1, retrainings 1, "
        "promotions 1, rejections 0, roll-backs 1"
        for day, asked in (("07 March", 6300), ("14 March", 12600))
    ]
    assert "Did alarms beat the cron? no difference that can be told from chance" in output.getvalue()
    assert "7 input alarms, 0 events more" in lines[-1]
