"""A backtest of the flights: what is stale is found, what is only warm is not taken for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from rendezvous.demo import flights
from rendezvous.monitoring.backtest import Past, Told, backtest
from rendezvous.monitoring.findings import AlarmKind
from rendezvous.monitoring.limits import MonitoringLimits
from rendezvous.settings import load_endpoint

HOME = Path(__file__).parents[3]
LIMITS: MonitoringLimits = load_endpoint("flights", HOME).monitoring.model_copy(update={"lateness": 0})
LEARNED_DAYS = 59
"""January and February."""
WARMER_F = 20


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """January to May, each with its day, and P(late) by a model that is frozen in February and has not seen the day.

    The model: how often flights of this hour were late with the origin's last hour as late as now, one more than seen.
    """
    known = flights.load()
    asked_us = flights.microseconds(known["scheduled_utc"])
    day = (asked_us - LIMITS.block_offset) // LIMITS.block
    known = known.assign(asked_us=asked_us, day=day - day.min())
    known = known[known["day"] < 151]
    cell = known["sched_dep_min"] // 60 * 100 + pd.cut(known["origin_delay_1h"].fillna(0), 12, labels=False)
    learned = known[(known["day"] < LEARNED_DAYS) & known["label"].notna()]
    half = learned["day"] % 2
    rates: dict[int, dict[Any, float]] = {}
    for part in (0, 1):
        seen = learned["label"][half == part].groupby(cell).agg(["sum", "count"])
        rates[part] = ((seen["sum"] + 0.2) / (seen["count"] + 1)).to_dict()
    unseen = 1 - known["day"] % 2
    return known.assign(score=np.where(unseen == 1, cell.map(rates[1]), cell.map(rates[0])))


def past(table: pd.DataFrame) -> Past:
    """Rows of the table."""
    asked_us = table["asked_us"].to_numpy()
    observed = table["observed_utc"].fillna(table["scheduled_utc"])
    names = ("temp", "humid", "pressure", "sched_dep_min", "origin_delay_1h")
    return Past(
        asked_us,
        np.maximum(flights.microseconds(observed), asked_us),
        table["score"].fillna(0.2).to_numpy(np.float32)[:, None],
        ("late",),
        table["label"].to_numpy(),
        {name: table[name].to_numpy(np.float32) for name in names},
        {},
    )


def told(before: Past, after: Past) -> Told:
    """A backtest."""
    return backtest(after, before.reference(LIMITS, "binary"), LIMITS, "binary")


def test_a_champion_of_the_winter_is_stale_in_spring(table: pd.DataFrame) -> None:
    """The first concept alarm comes in spring; that it is warm by then is another alarm."""
    learned = table["day"] < LEARNED_DAYS
    alarms = [spoken.alarm for spoken in told(past(table[learned]), past(table[~learned])).alarms]
    concept = [alarm for alarm in alarms if alarm.kind is AlarmKind.CONCEPT]
    first = pd.Timestamp(concept[0].at_us, unit="us")
    assert pd.Timestamp("2013-03-20") < first < pd.Timestamp("2013-05-15")
    assert any(alarm.kind is AlarmKind.INPUT and alarm.subject == "temp" for alarm in alarms)


def test_temperature_alone_is_no_concept_drift(table: pd.DataFrame) -> None:
    """Every other day of the winter against the rest; the same, warmer from the middle on."""
    winter = table[table["day"] < LEARNED_DAYS]
    before, after = past(winter[winter["day"] % 2 == 0]), past(winter[winter["day"] % 2 == 1])
    assert not [one for one in told(before, after).alarms if one.alarm.kind is AlarmKind.CONCEPT]
    late = after.asked_us >= np.median(after.asked_us)
    warmer = after.numbers["temp"] + np.float32(WARMER_F) * late
    alarms = told(before, replace(after, numbers={**after.numbers, "temp": warmer.astype(np.float32)})).alarms
    assert {(one.alarm.kind, one.alarm.subject) for one in alarms} >= {(AlarmKind.INPUT, "temp")}
    assert not [one for one in alarms if one.alarm.kind is AlarmKind.CONCEPT]
