"""How well, and how sure: against scikit-learn, and against what is known of synthetic days."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from rendezvous.messages import Floats
from rendezvous.replay.bootstrapping import (
    DAY_US,
    HOUR_US,
    Float64s,
    TimeBlocks,
    interval,
    resampled,
    time_blocks,
)
from rendezvous.replay.quality import METRICS, difference, figures, usable


def binary(chance: np.random.Generator, rows: int, blocks: int) -> tuple[Floats, Float64s, TimeBlocks]:
    """Answers that know something, ties among them, labels, and blocks."""
    labels = (chance.random(rows) < 0.3).astype(np.float64)
    said = np.round(np.clip(0.3 * labels + chance.random(rows) * 0.6, 0, 1), 2).astype(np.float32)[:, None]
    return said, labels, TimeBlocks(chance.integers(0, blocks, rows), blocks, DAY_US, "days")


def test_figures_are_scikit_learns() -> None:
    """On all rows, and on a resample, whose blocks are rows written as often as they were drawn."""
    chance = np.random.default_rng(1)
    said, labels, blocks = binary(chance, 2_000, 15)
    weights = resampled(15, chance, 5)
    found = figures("binary", said, labels, blocks)
    assert tuple(found) == METRICS["binary"]
    for drawn, *values in zip(weights, *(found[name](weights) for name in METRICS["binary"]), strict=True):
        rows = np.repeat(np.arange(len(labels)), drawn[blocks.of].astype(np.int64))
        truth, answers = labels[rows], said[rows, 0].astype(np.float64)
        expected = [
            roc_auc_score(truth, answers),
            brier_score_loss(truth, answers),
            log_loss(truth, np.clip(answers, 1e-7, 1 - 1e-7)),
        ]
        assert values == pytest.approx(expected)


def test_figures_of_classes_and_of_numbers() -> None:
    """By hand."""
    blocks = TimeBlocks(np.zeros(2, np.int64), 1, DAY_US, "days")
    once = np.ones((1, 1))
    classes = figures(
        "multiclass", np.array([[0.2, 0.5, 0.3], [0.6, 0.3, 0.1]], np.float32), np.array([1.0, 2.0]), blocks
    )
    assert {name: float(of(once)[0]) for name, of in classes.items()} == pytest.approx(
        {"accuracy": 0.5, "log_loss": -(np.log(0.5) + np.log(0.1)) / 2}
    )
    numbers = figures("regression", np.array([[1.0], [5.0]], np.float32), np.array([2.0, 2.0]), blocks)
    assert {name: float(of(once)[0]) for name, of in numbers.items()} == pytest.approx({"mae": 2.0, "rmse": np.sqrt(5)})


def test_labels_that_fit() -> None:
    """A probability is held against 0 and 1, classes against their number, NaN against nothing."""
    labels = np.array([0.0, 1.0, 2.0, 0.5, -1.0, np.nan, np.inf])
    assert usable("binary", labels, 1).tolist() == [True, True, False, False, False, False, False]
    assert usable("multiclass", labels, 3).tolist() == [True, True, True, False, False, False, False]
    assert usable("regression", labels, 1).tolist() == [True] * 5 + [False] * 2


def test_one_class_alone_has_no_auc() -> None:
    """Not 0, not 1, and no warning."""
    said = np.array([[0.1], [0.2]], np.float32)
    found = figures("binary", said, np.zeros(2), TimeBlocks(np.array([0, 1]), 2, DAY_US, "days"))["auc"]
    assert np.isnan(interval(found, resampled(2, np.random.default_rng(1), 10)).value)


@pytest.mark.parametrize(
    ("times", "count", "name"),
    [
        (np.arange(0, 12 * DAY_US, HOUR_US), 12, "days"),
        (np.arange(0, 9 * DAY_US, HOUR_US), 9 * 24, "hours"),
        (np.arange(0, 3 * HOUR_US, HOUR_US // 60), 20, "equal parts"),
    ],
)
def test_blocks_are_as_long_as_there_are_ten_of_them(times: NDArray[np.int64], count: int, name: str) -> None:
    """Days, or hours, or twentieths."""
    blocks = time_blocks(times)
    assert (blocks.count, blocks.name, len(blocks.of), int(blocks.of.max())) == (count, name, len(times), count - 1)


DAYS, PER_DAY, REPEATS = 40, 50, 300


def days(chance: np.random.Generator) -> tuple[Any, Any, TimeBlocks]:
    """Losses of two sides whose true means are 0 and .1, with days that are hard for both and days for either."""
    of = np.repeat(np.arange(DAYS), PER_DAY)
    hard = chance.normal(0, 1, DAYS)[of]
    one = hard + chance.normal(0, 0.3, DAYS)[of] + chance.normal(0, 1, len(of))
    other = hard + chance.normal(0, 0.3, DAYS)[of] + chance.normal(0, 1, len(of)) + 0.1
    return one, other, TimeBlocks(of, DAYS, DAY_US, "days")


def covered(*, by_day: bool) -> float:
    """How often the 95 % interval of the mean difference holds the truth."""
    chance, hits = np.random.default_rng(7), 0
    for _ in range(REPEATS):
        one, other, blocks = days(chance)
        if not by_day:
            blocks = TimeBlocks(chance.permutation(blocks.of), DAYS, DAY_US, "days")
        zeros = np.zeros((len(one), 1), np.float32)
        mean = [figures("regression", zeros + 1e3, 1e3 - losses, blocks)["mae"] for losses in (one + 50, other + 50)]
        found = interval(difference(mean[1], mean[0]), resampled(DAYS, chance, 300))
        hits += found.low <= 0.1 <= found.high
    return hits / REPEATS


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """About 95 times of 100 on days that err together; with rows shuffled between days far too seldom."""
    assert 0.9 <= covered(by_day=True) <= 0.99
    assert covered(by_day=False) < 0.7


def test_the_same_seed_gives_the_same_interval() -> None:
    """A report can be made again."""
    said, labels, blocks = binary(np.random.default_rng(3), 500, 12)
    auc = figures("binary", said, labels, blocks)["auc"]
    first, second = (interval(auc, resampled(12, np.random.default_rng(9))) for _ in range(2))
    assert first == second
    assert first.low < first.value < first.high
