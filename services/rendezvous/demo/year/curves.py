"""Two of the year's three curves, computed offline: the frozen champion's, and a cron's.

The cron is the yardstick of the loop: it retrains at evenly spaced moments, as often as the loop did and on the same
window (every label known at that moment), and takes the new model at once, without asking whether it is better. The
loop cannot promote at once, for it waits for labels: a cron is hard to beat where the world changes all the time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rendezvous.demo.year.stream import Stream


class Model(Protocol):
    """A fitted classifier, scikit-learn's way."""

    def predict_proba(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        """[rows, 2]: P(on time), P(late)."""


Fit = Callable[[pd.DataFrame, NDArray[np.float64]], Model]


def frozen(stream: Stream, fit: Fit, start_us: int, end_us: int) -> NDArray[np.float64]:
    """[rows] P(late) of one model for the whole of [start, end), NaN outside it.

    Trained on what was known then: January and February.
    """
    return cron(stream, fit, [], start_us, end_us)


def cron(stream: Stream, fit: Fit, moments_us: Sequence[int], start_us: int, end_us: int) -> NDArray[np.float64]:
    """[rows] P(late) of whoever was in charge when each request was asked: the frozen one before the first moment."""
    late = np.full(len(stream), np.nan)
    for moment, end in pairwise([start_us, *moments_us, end_us]):
        asked, known = stream.asked(moment, end), stream.mature(moment)
        if asked.any():
            late[asked] = fit(stream.frame[known], stream.label[known]).predict_proba(stream.frame[asked])[:, 1]
    return late


def evenly(count: int, start_us: int, end_us: int) -> list[int]:
    """`count` moments that cut [start, end) in equal parts."""
    return [start_us + (end_us - start_us) * number // (count + 1) for number in range(1, count + 1)]
