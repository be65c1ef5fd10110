"""The control year: 2013's days in another order, so that nothing drifts and every alarm is a false one. Pure.

Days are moved whole, for rows of a day err together: rows in random order would hide that, and any detector would look
better than it is. What happened within a day stays as it was, and so does how long its labels took.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

OFFSET_HOURS = 5
"""A day of the endpoint's blocks begins at 05:00 UTC; no flight leaves in the hour that this is off in summer."""


def permuted(table: pd.DataFrame, seed: int) -> pd.DataFrame:
    """The table of `flights.requests` with its days in random order, ordered by the new times."""
    begin = table["scheduled_utc"] - pd.Timedelta(hours=OFFSET_HOURS)
    day = (begin - begin.min().floor("D")).dt.days
    days = int(day.max()) + 1
    moved = np.random.default_rng(seed).permutation(days)
    shift = pd.to_timedelta(pd.Series(moved[day.to_numpy()] - day.to_numpy(), index=table.index), unit="D")
    changed = table.assign(scheduled_utc=table["scheduled_utc"] + shift, observed_utc=table["observed_utc"] + shift)
    return changed.sort_values(["scheduled_utc", "request_id"], ignore_index=True)
