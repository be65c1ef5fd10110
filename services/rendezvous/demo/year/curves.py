"""Two of the year's three curves, computed offline: the frozen champion's, and a cron's.

The cron is the yardstick of the loop: it retrains at evenly spaced moments, as often as the loop did and on the same
window (every label known at that moment), and takes the new model at once, without asking whether it is better. The
loop cannot promote at once, for it waits for labels: a cron is hard to beat where the world changes all the time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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

    Trained on all labelled requests that were *asked* before the start: 1 January to 28 February, as the demo's models.
    """
    known = ~np.isnan(stream.label) & (stream.asked_us < start_us)
    return _said(stream, fit, [(start_us, known)], end_us)


def cron(stream: Stream, fit: Fit, moments_us: Sequence[int], start_us: int, end_us: int) -> NDArray[np.float64]:
    """[rows] P(late) of whoever was in charge when each request was asked: the frozen one before the first moment."""
    known = ~np.isnan(stream.label) & (stream.asked_us < start_us)
    plan = [(start_us, known), *((moment, stream.mature(moment)) for moment in moments_us)]
    return _said(stream, fit, plan, end_us)


def evenly(count: int, start_us: int, end_us: int) -> list[int]:
    """`count` moments that cut [start, end) in equal parts."""
    return [start_us + (end_us - start_us) * number // (count + 1) for number in range(1, count + 1)]


def _said(stream: Stream, fit: Fit, plan: Sequence[tuple[int, NDArray[np.bool_]]], end_us: int) -> NDArray[np.float64]:
    """`plan`: from when, and the rows that the model which then takes over is trained on."""
    late = np.full(len(stream), np.nan)
    ends = [moment for moment, _ in plan[1:]] + [end_us]
    for (moment, rows), end in zip(plan, ends, strict=True):
        asked = stream.asked(moment, end)
        if asked.any():
            late[asked] = fit(stream.frame[rows], stream.label[rows]).predict_proba(stream.frame[asked])[:, 1]
    return late
