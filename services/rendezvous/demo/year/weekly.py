"""AUC by week, and how sure a difference between two curves is.

A week is the unit because days differ wildly (the daily error rate's sd is .11 where binomial noise gives .014), and
neighbouring weeks share their weather: so the bootstrap draws blocks of four weeks, not weeks and not flights.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from rendezvous.demo.year.stream import WEEK_US

BLOCK_WEEKS = 4
RESAMPLES = 10_000
SEED = 2013
INTERVAL = (2.5, 97.5)
"""Percentiles of the bootstrap: a 95 % interval."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A mean weekly difference with its 95 % interval."""

    value: float
    low: float
    high: float


def weeks_of(asked_us: NDArray[np.int64], start_us: int) -> NDArray[np.int64]:
    """[rows]: the week of each request, 0 the one that begins at the start; negative before it."""
    return (asked_us - start_us) // WEEK_US


def auc_by_week(
    weeks: NDArray[np.int64], count: int, label: NDArray[np.float64], late: NDArray[np.float64]
) -> NDArray[np.float64]:
    """[count] AUC of P(late) in each week over what has both a label and a score; NaN without both classes."""
    usable = ~np.isnan(label) & ~np.isnan(late)
    return np.array([_auc(label[here], late[here]) for here in (usable & (weeks == week) for week in range(count))])


def _auc(label: NDArray[np.float64], late: NDArray[np.float64]) -> float:
    both = len(np.unique(label)) == 2  # noqa: PLR2004 - late and on time, or there is nothing to rank
    return float(roc_auc_score(label, late)) if both else np.nan


def difference(one: NDArray[np.float64], other: NDArray[np.float64]) -> Difference:
    """Mean of `one - other` [weeks] and the percentile interval of a circular bootstrap in blocks of four weeks.

    Weeks in which either is NaN are left out. Politis & Romano 1992, "A circular block-resampling procedure".

    Raises:
        ValueError: fewer weeks than a block has.
    """
    weekly = one - other
    weekly = weekly[~np.isnan(weekly)]
    if len(weekly) < BLOCK_WEEKS:
        raise ValueError(f"{len(weekly)} weeks with both figures: a bootstrap in blocks needs {BLOCK_WEEKS}")
    blocks = -(-len(weekly) // BLOCK_WEEKS)
    starts = np.random.default_rng(SEED).integers(len(weekly), size=(RESAMPLES, blocks, 1))
    drawn = weekly[(starts + np.arange(BLOCK_WEEKS)) % len(weekly)].reshape(RESAMPLES, -1)[:, : len(weekly)]
    low, high = np.percentile(drawn.mean(axis=1), INTERVAL)
    return Difference(float(weekly.mean()), float(low), float(high))
