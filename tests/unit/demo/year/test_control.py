"""The control year: days in another order, and alarms counted as the loop would count them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rendezvous.demo.year.control import control, counts
from rendezvous.demo.year.permuting import permuted
from rendezvous.demo.year.stream import DAY_US, Stream


def test_days_move_whole() -> None:
    """Every day is there once, its flights together, in their order, with labels as late as they were."""
    start = pd.Timestamp("2013-01-01T10:00:00Z")
    rows = 600
    asked = pd.Series([start + pd.Timedelta(hours=0.4 * number) for number in range(rows)])
    observed = (asked + pd.Timedelta(hours=3)).mask(pd.Series(range(rows)) % 5 == 0)
    table = pd.DataFrame(
        {"request_id": [f"f{number:03}" for number in range(rows)], "scheduled_utc": asked, "observed_utc": observed}
    )

    changed = permuted(table, 1)

    assert changed["scheduled_utc"].is_monotonic_increasing
    known = changed["observed_utc"].notna()
    assert (changed["observed_utc"] - changed["scheduled_utc"])[known].eq(pd.Timedelta(hours=3)).all()
    both = table.merge(changed, on="request_id")
    shift = both["scheduled_utc_y"] - both["scheduled_utc_x"]
    assert (shift == shift.dt.round("D")).all()
    day = (both["scheduled_utc_x"] - pd.Timedelta(hours=5)).dt.floor("D")
    assert shift.groupby(day).nunique().eq(1).all()
    assert shift.nunique() > 5
    assert sorted(set(_days(changed))) == sorted(set(_days(table)))
    pd.testing.assert_frame_equal(permuted(table, 1), changed)


def _days(table: pd.DataFrame) -> list[pd.Timestamp]:
    return list((table["scheduled_utc"] - pd.Timedelta(hours=5)).dt.floor("D"))


def test_a_cool_down_leaves_fewer_events_than_alarms() -> None:
    """Inputs alone lead to none."""
    days = (3, 4, 20, 40)
    alarms = [
        {"kind": "concept", "time": (pd.Timestamp("2013-01-01", tz="UTC") + pd.Timedelta(days=day)).isoformat()}
        for day in days
    ]
    alarms += [{"kind": "input", "time": "2013-01-02T00:00:00Z"}] * 3

    assert counts(alarms, 17 * DAY_US) == {"alarms": 4, "events": 3, "inputs": 3}
    assert counts(alarms[4:], 17 * DAY_US) == {"alarms": 0, "events": 0, "inputs": 3}
    assert counts(alarms, 1)["events"] == len(days)


class Sure:
    """A model that knows the probability."""

    def predict_proba(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        """As scikit-learn's."""
        late = frame["x"].to_numpy(np.float64)
        return np.column_stack([1 - late, late])


def test_warmer_days_alone_lead_to_no_event(tmp_path: Path) -> None:
    """The very monitor, over files: it hears the temperature, and leaves the model in peace."""
    random = np.random.default_rng(5)
    rows = 180 * 510
    asked = 5 * 3_600_000_000 + np.arange(rows, dtype=np.int64) * (DAY_US // 510)
    late = random.uniform(0.05, 0.6, rows).astype(np.float32)
    frame = pd.DataFrame({"x": late, "temp": random.normal(50, 9, rows).astype(np.float32), "who": "a"})
    label = (random.random(rows) < late).astype(float)
    stream = Stream(tuple(map(str, range(rows))), frame, label, asked, asked + 3_600_000_000)

    found = control(stream, lambda *_: Sure(), 27 * DAY_US, tmp_path)

    assert found["temperature"]["inputs"] > found["control"]["inputs"]
    assert found["temperature"]["events"] == 0
    assert found["temperature"]["alarms"] == found["control"]["alarms"]
    assert found["control"]["days"] == 60
