"""How sure a figure is: resampling blocks of time, because rows of a real stream are not independent. Pure.

A day's requests err together: resampling rows would give intervals that are many times too narrow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from rendezvous.messages import Int64s

Float64s: TypeAlias = NDArray[np.float64]
Figure: TypeAlias = Callable[[Float64s], Float64s]
"""Weights of blocks, float64 [resamples, blocks], to a figure each, float64 [resamples]."""

RESAMPLES = 1_000
LEAST_BLOCKS = 10
EQUAL_BLOCKS = 20
"""Where neither days nor hours are enough: the span in parts of the same length."""
TAILS = (2.5, 97.5)
"""Percentiles: a 95 % interval."""
HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US


@dataclass(frozen=True, slots=True)
class TimeBlocks:
    """Which block each row is in (int64 [rows], from 0), how many there are, and how long each is."""

    of: Int64s
    count: int
    length_us: int
    name: str


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with a 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """For differences: whether it is one beyond the noise."""
        return self.low > 0 or self.high < 0


def time_blocks(times_us: Int64s) -> TimeBlocks:
    """Days (UTC) when there are ten of them, else hours, else twenty equal parts of the span."""
    for length_us, name in ((DAY_US, "days"), (HOUR_US, "hours")):
        numbers, of = np.unique(times_us // length_us, return_inverse=True)
        if len(numbers) >= LEAST_BLOCKS:
            return TimeBlocks(of.astype(np.int64), len(numbers), length_us, name)
    first, last = int(times_us.min()), int(times_us.max())
    length_us = (last - first) // EQUAL_BLOCKS + 1
    numbers, of = np.unique((times_us - first) // length_us, return_inverse=True)
    return TimeBlocks(of.astype(np.int64), len(numbers), length_us, "equal parts")


def resampled(count: int, chance: np.random.Generator, resamples: int = RESAMPLES) -> Float64s:
    """How often each block is drawn: float64 [resamples, blocks]."""
    return chance.multinomial(count, np.full(count, 1 / count), size=resamples).astype(np.float64)


def interval(figure: Figure, weights: Float64s) -> Interval:
    """A figure of all blocks, with percentiles of its resamples; those without one (one class only) are left out."""
    value = float(figure(np.ones((1, weights.shape[1])))[0])
    values = figure(weights)
    values = values[np.isfinite(values)]
    if not len(values):
        return Interval(value, np.nan, np.nan)
    low, high = np.percentile(values, TAILS)
    return Interval(value, float(low), float(high))
