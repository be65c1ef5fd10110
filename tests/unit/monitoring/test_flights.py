"""On the days of 2013, real and correlated as they are: what is promised of blocks holds."""

from __future__ import annotations

import numpy as np
import pytest

from rendezvous.demo import flights
from rendezvous.monitoring.betting import Wager
from rendezvous.monitoring.detectors import ConformalBlocks, Worse
from rendezvous.monitoring.figures import tally
from rendezvous.replay.bootstrapping import Float64s

REFERENCE_DAYS = 59
"""January and February."""
RUN_LENGTH = 100
PERMUTATIONS = 20
STATISTICS: tuple[tuple[str, Worse], ...] = (
    ("accuracy", "lower"),
    ("brier", "higher"),
    ("auc", "lower"),
    ("calibration_residual", "higher"),
)

DECISIVE = 20.0
"""An e-value that chance reaches in 1 of 20 cases, ever."""


@pytest.fixture(scope="module")
def year() -> tuple[Float64s, Float64s]:
    """Of each day: how much less Brier one rule has than another one; figures of the better one, [days, STATISTICS]."""
    table = flights.load()
    table = table[table["label"].notna()]
    day = (table["scheduled_utc"].dt.tz_convert(flights.HOME_ZONE).dt.day_of_year - 1).to_numpy()
    labels = table["label"].to_numpy()
    delay = np.nan_to_num(np.minimum(table["origin_delay_1h"].to_numpy(), 120.0))
    hours = table["sched_dep_min"].to_numpy() / 60 - 5
    rule = 1 / (1 + np.exp(2.1 - 0.025 * delay - 0.06 * hours))
    clock = 1 / (1 + np.exp(2.1 - 0.1 * hours))
    figures = []
    for number in range(365):
        made = tally("binary")
        made.add(rule[day == number].astype(np.float32)[:, None], labels[day == number])
        figures.append([made.figures()[name] for name, _ in STATISTICS])
    apart = (clock - labels) ** 2 - (rule - labels) ** 2
    return np.bincount(day, apart) / np.bincount(day), np.array(figures)


def alarms(values: Float64s, worse: Worse) -> list[int]:
    """Days of alarms, the first ones being the reference."""
    detector = ConformalBlocks.calibrated(values[:REFERENCE_DAYS].tolist(), worse, RUN_LENGTH)
    found = []
    for day, value in enumerate(values[REFERENCE_DAYS:].tolist(), REFERENCE_DAYS):
        detector.update(value)
        if detector.alarm:
            found.append(day)
    return found


@pytest.mark.parametrize("statistic", range(len(STATISTICS)), ids=[name for name, _ in STATISTICS])
def test_days_permuted_raise_no_more_alarms_than_stated(year: tuple[Float64s, Float64s], statistic: int) -> None:
    """Twenty permutations of whole days: on average at most one alarm in a run length of a hundred of them."""
    _, figures = year
    values, worse = figures[:, statistic], STATISTICS[statistic][1]
    chance = np.random.default_rng(1)
    counts = [len(alarms(values[chance.permutation(365)], worse)) for _ in range(PERMUTATIONS)]
    assert np.mean(counts) <= (365 - REFERENCE_DAYS) / RUN_LENGTH


def test_the_spring_is_noticed(year: tuple[Float64s, Float64s]) -> None:
    """A rule that held in winter does worse in April: error rate, Brier and calibration say so by the end of it."""
    _, figures = year
    for statistic in (0, 1, 3):
        first, *_ = alarms(figures[:, statistic], STATISTICS[statistic][1])
        assert 90 <= first < 120


def test_signs_of_whole_days_flipped_hardly_ever_decide(year: tuple[Float64s, Float64s]) -> None:
    """What decides for the better rule within the year does not, where neither is better: P(e ever >= 20) <= .05."""
    apart, _ = year
    chance = np.random.default_rng(2)

    def most(values: Float64s) -> float:
        wager = Wager()
        for value in values.tolist():
            wager.settle(value)
        return wager.most

    assert most(apart) >= DECISIVE
    assert np.mean([most(apart * chance.choice([-1, 1], 365)) >= DECISIVE for _ in range(1_000)]) <= 0.05
