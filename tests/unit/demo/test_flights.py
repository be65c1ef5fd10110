"""The 2013 flights: identities, labels as late as they were, and features that know nothing of the future."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fastavro import parse_schema
from fastavro.validation import validate
from hypothesis import given, settings
from hypothesis import strategies as st

from rendezvous.demo import flights

CHECKOUT = Path(__file__).parents[3]
SCHEMA = json.loads(CHECKOUT.joinpath("schemas/flights/features.avsc").read_text())
DAYS = 3
"""Days of flights in `few`: enough for delays that pile up, little enough to be recomputed often."""

Sources = tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame]


@pytest.fixture(scope="module")
def sources() -> Sources:
    """The files as published."""
    return flights.read_sources()


@pytest.fixture(scope="module")
def year(sources: Sources) -> pd.DataFrame:
    """The whole year's requests."""
    return flights.requests(*sources)


@pytest.fixture(scope="module")
def few(sources: Sources) -> Sources:
    """The same with the flights of the first days only."""
    published, *others = sources
    first = published[(published["month"] == 1) & (published["day"] <= DAYS)]
    return first.reset_index(drop=True), others[0], others[1], others[2]


def instants(published: pd.DataFrame) -> tuple[pd.Series[Any], pd.Series[Any]]:
    """Scheduled and actual departures."""
    scheduled = pd.to_datetime(published["time_hour"]) + pd.to_timedelta(published["minute"], unit="min")
    return scheduled, scheduled + pd.to_timedelta(published["dep_delay"], unit="min")


def features_of(sources: Sources, request_id: str) -> dict[str, Any]:
    """One request's features."""
    table = flights.requests(*sources)
    return flights.rows(table[table["request_id"] == request_id])[0]


def test_every_scheduled_departure_is_one_request_with_an_id_of_its_own(year: pd.DataFrame) -> None:
    """336,776 departures give as many different ids."""
    assert len(year) == 336_776
    assert year["request_id"].is_unique
    assert year["request_id"].iloc[0] == "EWR-UA-1545-2013-01-01T0515"


def test_requests_come_in_the_order_in_which_they_are_asked(year: pd.DataFrame) -> None:
    """The table is sorted by scheduled departure, UTC."""
    assert year["scheduled_utc"].is_monotonic_increasing
    assert year["scheduled_utc"].iloc[0] == pd.Timestamp("2013-01-01T10:15Z")


def test_clocks_that_change_do_not_move_local_departures(year: pd.DataFrame) -> None:
    """The local minute of every request is its sched_dep_min, on the days of the change too."""
    local = year["scheduled_utc"].dt.tz_convert(flights.HOME_ZONE)
    assert (local.dt.hour * 60 + local.dt.minute == year["sched_dep_min"]).all()


def test_labels_become_known_as_late_as_measured(year: pd.DataFrame) -> None:
    """Half an hour after the 2.3 h (p99 7 h) that FACTS measured without taxiing, and later for late flights."""
    hours = (year["observed_utc"] - year["scheduled_utc"]).dt.total_seconds() / 3600
    assert hours.median() == pytest.approx(2.8, abs=0.1)
    assert hours.quantile(0.99) == pytest.approx(7.7, abs=0.2)
    assert hours.min() > 0
    assert hours[year["label"] == 1].mean() == pytest.approx(4.1, abs=0.1)
    assert hours[year["label"] == 0].mean() == pytest.approx(3.0, abs=0.1)


def test_a_plane_never_lands_before_it_has_flown(sources: Sources) -> None:
    """Arrival minus departure minus air time leaves minutes to taxi, for every zone and over midnight."""
    published, _, _, airports = sources
    _, departed = instants(published)
    arrived = flights._arrived(published, departed, airports)  # noqa: SLF001 - its result, before it is sorted
    taxi = (arrived - departed).dt.total_seconds() / 60 - published["air_time"]
    assert taxi.min() >= 5
    assert taxi.median() == 28
    assert taxi.max() < 240


def test_cancelled_and_diverted_flights_never_get_a_label(year: pd.DataFrame) -> None:
    """8,255 and 1,175 of them, with neither label nor time."""
    assert year["label"].isna().sum() == 8_255 + 1_175
    assert (year["label"].isna() == year["observed_utc"].isna()).all()
    assert set(year["label"].dropna()) == {0.0, 1.0}


def test_rows_are_what_the_schema_encodes(year: pd.DataFrame) -> None:
    """Every row of a sample is valid Avro, with None for what is missing, and in the schema's order."""
    schema = parse_schema(SCHEMA)
    rows = flights.rows(year.iloc[::3_000])
    assert [field["name"] for field in SCHEMA["fields"]] == list(rows[0])
    assert all(validate(row, schema, strict=True) for row in rows)
    assert any(row["plane_year"] is None for row in rows)


def test_a_range_of_days_is_local_and_includes_both_ends(year: pd.DataFrame) -> None:
    """Two days in March hold exactly the flights whose ids carry those dates."""
    chosen = flights.between(year, date(2013, 3, 9), date(2013, 3, 10))
    days = year["request_id"].str.extract(r"(\d{4}-\d\d-\d\d)T")[0]
    assert set(chosen.index) == set(year.index[days.isin(["2013-03-09", "2013-03-10"])])


def test_origin_delay_is_the_mean_of_what_left_in_the_last_hour(year: pd.DataFrame, sources: Sources) -> None:
    """Recounted flight by flight for a sample of requests."""
    published = sources[0]
    scheduled, departed = instants(published)
    computed = flights._origin_delay_1h(  # noqa: SLF001 - in the file's order
        published["origin"], scheduled, published["dep_delay"]
    )
    for row in range(0, len(year), 5_000):
        asked = scheduled[row]
        counted = published["dep_delay"][
            (published["origin"] == published["origin"][row])
            & (departed >= asked - pd.Timedelta(hours=1))
            & (departed < asked)
            & (published.index != row)
        ]
        assert computed[row] == pytest.approx(counted.mean(), nan_ok=True)


def test_a_flight_that_left_early_does_not_tell_its_own_delay(few: Sources) -> None:
    """Alone at its origin, it leaves ten minutes early, and its request still knows nothing."""
    published, *others = few
    alone = published.iloc[:1].assign(dep_delay=-10.0)
    table = flights.requests(alone, others[0], others[1], others[2])
    assert np.isnan(table["origin_delay_1h"].iloc[0])


def test_weather_is_the_previous_hours(few: Sources) -> None:
    """A request at 5:15 sees the row of hour 4, which is observed at 4:51."""
    published, weather, *_ = few
    request_id = "EWR-UA-1545-2013-01-01T0515"
    row = weather[(weather["origin"] == "EWR") & (weather["month"] == 1) & (weather["day"] == 1)]
    expected = row[row["hour"] == 4]["temp"].iloc[0]
    assert published["hour"].iloc[0] == 5
    assert features_of(few, request_id)["temp"] == expected


def disturb_departures(sources: Sources, row: int, random: np.random.Generator) -> Sources:
    """Change all that is not known when `row` is asked: its own flight, what leaves later, how flights end."""
    published = sources[0].copy()
    scheduled, departed = instants(published)
    asked = scheduled[row]
    later = ~(departed < asked).to_numpy()
    wait = (asked - scheduled).dt.total_seconds().to_numpy() / 60
    delays = np.maximum(wait, -30) + random.integers(0, 300, len(published))
    delays[random.random(len(published)) < 0.1] = np.nan  # cancelled
    published["dep_delay"] = np.where(later, delays, published["dep_delay"])
    published.loc[row, "dep_delay"] = float(random.integers(-59, 300))
    for column in ("arr_delay", "air_time"):
        published[column] = random.integers(10, 300, len(published)).astype(float)
    published["arr_time"] = random.integers(0, 24, len(published)) * 100.0
    return (published, *sources[1:])


def disturb_weather(sources: Sources, row: int, random: np.random.Generator) -> Sources:
    """Change every observation made after `row` is asked."""
    published, weather, planes, airports = sources
    asked = instants(published)[0][row]
    future = pd.to_datetime(weather["time_hour"]) + pd.Timedelta(minutes=51) >= asked
    changed = weather.copy()
    for name in flights.WEATHER:
        changed[name] = changed[name].where(~future, random.normal())
    return published, changed, planes, airports


@pytest.mark.parametrize("disturb", [disturb_departures, disturb_weather])
def test_no_feature_knows_the_future(few: Sources, disturb: Callable[..., Sources]) -> None:
    """Whatever happens from a request on, to its own flight and to others, its features stay the same."""
    published = few[0]
    ids = flights._request_ids(published, instants(published)[0])  # noqa: SLF001 - in the file's order

    @settings(max_examples=12)
    @given(row=st.integers(0, len(published) - 1), seed=st.integers(0, 2**32))
    def holds(row: int, seed: int) -> None:
        disturbed = disturb(few, row, np.random.default_rng(seed))
        assert features_of(disturbed, ids[row]) == features_of(few, ids[row])

    holds()


def test_the_past_is_known(few: Sources) -> None:
    """A departure within the hour before a request does move its origin_delay_1h."""
    published, *others = few
    scheduled, departed = instants(published)
    row = 500
    known = (departed < scheduled[row]) & (published["origin"] == published["origin"][row])
    before = published.assign(dep_delay=published["dep_delay"].where(~known, published["dep_delay"] - 1))
    ids = flights._request_ids(published, scheduled)  # noqa: SLF001 - in the file's order
    changed = features_of((before, others[0], others[1], others[2]), ids[row])
    assert changed["origin_delay_1h"] != features_of(few, ids[row])["origin_delay_1h"]
