"""The year as columns: what was asked when, what turned out to be true, and when that became known.

Pure: the table of `rendezvous.demo.flights` goes in. Times are microseconds since the epoch, in *event time*, i.e.
2013's; however fast the year is replayed, nothing here looks at a clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rendezvous.demo import flights
from rendezvous.settings import Feature

DAY_US = 86_400_000_000
WEEK_US = 7 * DAY_US
NEVER_US = np.iinfo(np.int64).max
"""When a label becomes known that never does."""

FIRST, END = date(2013, 3, 1), date(2014, 1, 1)
"""The year that is replayed: what was asked from FIRST until before END, in New York. What came before trained the
first champion."""


@dataclass(frozen=True, slots=True)
class Stream:
    """All requests of 2013 by the moment they were asked; row i of everything is the same request.

    frame: one column a feature, as models see it (float32 or text); label [rows], NaN when it will never be known;
    asked_us and observed_us [rows], the latter `NEVER_US` when there is no label.
    """

    request_ids: tuple[str, ...]
    frame: pd.DataFrame
    label: NDArray[np.float64]
    asked_us: NDArray[np.int64]
    observed_us: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.request_ids)

    def mature(self, moment_us: int) -> NDArray[np.bool_]:
        """[rows]: whose label is known *before* the moment: what a training of that moment may use."""
        return ~np.isnan(self.label) & (self.observed_us < moment_us)

    def asked(self, start_us: int, end_us: int) -> NDArray[np.bool_]:
        """[rows]: asked in [start, end)."""
        return (self.asked_us >= start_us) & (self.asked_us < end_us)


def stream(table: pd.DataFrame, features: Sequence[Feature]) -> Stream:
    """The table of `flights.requests` as columns, in its order."""
    columns = {
        feature.name: table[feature.name].to_numpy(dtype=object if feature.is_text else np.float32)
        for feature in features
    }
    return Stream(
        request_ids=tuple(table["request_id"]),
        frame=pd.DataFrame(columns),
        label=table["label"].to_numpy(dtype=np.float64),
        asked_us=microseconds(table["scheduled_utc"]),
        observed_us=microseconds(table["observed_utc"]),
    )


def microseconds(times: pd.Series[pd.Timestamp]) -> NDArray[np.int64]:
    """[rows] since the epoch; `NEVER_US` for NaT."""
    naive = times.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy(dtype="datetime64[us]")
    return np.where(np.isnat(naive), NEVER_US, naive.astype(np.int64))


def midnight_us(day: date) -> int:
    """When a day begins in New York."""
    return int(pd.Timestamp(day, tz=flights.HOME_ZONE).value // 1_000)
