"""A rule in plain Python: a flight will be late if its origin has been late for the last hour."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

LATE_MIN = 15
"""The origin has been late when its departures of the last hour were this many minutes late on average."""
P_LATE = 0.40
"""Share of late arrivals after such an hour, January and February 2013."""
P_ON_TIME = 0.19
"""Share of late arrivals after any other hour, January and February 2013."""


def score(columns: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
    """P(late) [rows], one of two values. Needs `origin_delay_1h`; a row without it counts as an hour on time."""
    late = columns["origin_delay_1h"] > LATE_MIN
    return np.where(late, np.float32(P_LATE), np.float32(P_ON_TIME))
