"""The year's offline curves: who was in charge when, on which labels it was trained, and how sure a difference is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from rendezvous.demo.year.curves import cron, evenly, frozen
from rendezvous.demo.year.stream import DAY_US, NEVER_US, WEEK_US, Stream, microseconds, midnight_us
from rendezvous.demo.year.weekly import auc_by_week, difference, weeks_of


@dataclass(frozen=True)
class Counted:
    """A model that says nothing but how many rows it was trained on."""

    rows: int

    def predict_proba(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        """As scikit-learn's."""
        return np.tile([1.0 - self.rows, self.rows], (len(frame), 1))


def count(frame: pd.DataFrame, label: NDArray[np.float64]) -> Counted:
    """A training that counts its rows."""
    assert not np.isnan(label).any()
    assert len(frame) == len(label)
    return Counted(len(label))


def a_stream() -> Stream:
    """One request a day for ten days, each known two days later; the fourth will never be known."""
    asked = np.arange(10, dtype=np.int64) * DAY_US
    label = np.tile([0.0, 1.0], 5)
    label[3] = np.nan
    observed = np.where(np.isnan(label), NEVER_US, asked + 2 * DAY_US)
    frame = pd.DataFrame({"x": np.zeros(10, np.float32)})
    return Stream(tuple("abcdefghij"), frame, label, asked, observed)


def test_frozen_is_trained_on_what_was_asked_before_the_start() -> None:
    """It never changes, and what was asked outside [start, end) is left unsaid."""
    late = frozen(a_stream(), count, 5 * DAY_US, 9 * DAY_US)

    np.testing.assert_array_equal(late, [*[np.nan] * 5, 4, 4, 4, 4, np.nan])


def test_cron_is_trained_on_what_was_known_at_its_moment() -> None:
    """On day 7 the labels of days 5 and later are unknown: a label that becomes known at the moment is too late."""
    late = cron(a_stream(), count, [7 * DAY_US, 9 * DAY_US], 5 * DAY_US, 10 * DAY_US)

    np.testing.assert_array_equal(late[5:], [4, 4, 4, 4, 6])


def test_retrainings_cut_the_year_in_equal_parts() -> None:
    """Neither at the start, where the frozen model is as new, nor at the end."""
    assert evenly(3, 100, 200) == [125, 150, 175]


def test_a_moment_is_in_microseconds_whatever_its_zone() -> None:
    """A label that never comes is never mature."""
    times = pd.Series(pd.to_datetime(["2013-03-01T05:00:00Z", "NaT"], utc=True)).dt.tz_convert("America/New_York")

    assert microseconds(times).tolist() == [midnight_us(date(2013, 3, 1)), NEVER_US]


def test_auc_is_by_week_over_what_is_known() -> None:
    """As scikit-learn says it week by week; a week of one class has none."""
    random = np.random.default_rng(1)
    asked = np.sort(random.integers(-WEEK_US, 3 * WEEK_US, 600))
    weeks = weeks_of(asked, 0)
    label = random.integers(2, size=600).astype(float)
    label[weeks == 2] = 1.0
    late = random.random(600)
    label[::7], late[::5] = np.nan, np.nan
    usable = ~np.isnan(label) & ~np.isnan(late) & (weeks == 0)

    by_week = auc_by_week(weeks, 3, label, late)

    assert by_week[0] == pytest.approx(roc_auc_score(label[usable], late[usable]))
    assert np.isnan(by_week).tolist() == [False, False, True]


def test_a_difference_is_sure_only_when_weeks_agree() -> None:
    """Blocks widen the interval where neighbouring weeks go together; empty weeks do not count."""
    random = np.random.default_rng(2)
    noise = random.normal(scale=0.01, size=44)
    weekly = np.full(44, 0.6)

    alone = difference(weekly + 0.02 + noise, weekly)
    together = difference(weekly + 0.02 + np.sort(noise), weekly)
    gap = difference(np.append(weekly + 0.02 + noise, np.nan), np.append(weekly, 0.6))

    assert alone.value == pytest.approx(0.02 + noise.mean())
    assert alone.low < alone.value < alone.high
    assert together.high - together.low > 1.5 * (alone.high - alone.low)
    assert gap == alone


def test_too_few_weeks_have_no_interval() -> None:
    """A bootstrap in blocks of four weeks needs four."""
    with pytest.raises(ValueError, match="3 weeks"):
        difference(np.ones(3), np.zeros(3))
