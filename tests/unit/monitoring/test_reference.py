"""What is shipped with a version: sketches, and how unlike one another the training's own days were."""

from __future__ import annotations

import numpy as np
import pytest

from rendezvous.monitoring.folds import folds, unseen_scores
from rendezvous.monitoring.limits import MonitoringLimits
from rendezvous.monitoring.reference import History, Reference, make_reference, windows_of

LIMITS = MonitoringLimits.model_validate({"block": "1d", "label_delay": "8h", "window": 500})
DAY_US = 86_400_000_000


def history(seed: int = 0, days: int = 20, a_day: int = 600) -> History:
    """Each day has a temperature of its own; the last is far out, and has a colour that no other has."""
    chance = np.random.default_rng(seed)
    day = np.repeat(np.arange(days), a_day)
    temperature = chance.normal(0, 1, days)[day] + chance.normal(0, 0.1, len(day)) + 20 * (day == days - 1)
    scores = chance.random(len(day))
    colours = np.array(["red", "blue"], object)[chance.integers(0, 2, len(day))]
    colours[day == days - 1] = "pink"
    return History(
        asked_us=day * DAY_US + chance.integers(0, DAY_US, len(day)),
        features={"temperature": temperature, "colour": colours, "empty": np.full(len(day), np.nan)},
        outputs=scores.astype(np.float32)[:, None],
        names=("p",),
        labels=(chance.random(len(day)) < scores).astype(np.float64),
        delays_us=np.full(len(day), 60_000_000),
    )


REFERENCE = make_reference(history(), LIMITS, "binary")


def test_it_comes_back_from_json_as_it_was() -> None:
    """A file beside the card."""
    assert Reference.model_validate_json(REFERENCE.model_dump_json()) == REFERENCE


def test_it_holds_no_rows() -> None:
    """Ten times the rows take no more place, but for the digits of counts and one number for each day."""
    large = make_reference(history(a_day=6_000), LIMITS, "binary")
    assert len(large.model_dump_json()) < 1.2 * len(REFERENCE.model_dump_json()) < 12_000


def test_days_are_held_against_the_other_days() -> None:
    """A day's temperature is never that of all days: that is usual, and what a detector knows."""
    usual = REFERENCE.effects["input"]["temperature"]
    assert len(usual) == 20
    assert min(usual) > 0.1
    assert not any(REFERENCE.effects["score"]["p"])
    levels = REFERENCE.levels["input"]["temperature"]
    assert levels[-1] == max(levels) > 0.9  # the warmest day
    assert set(REFERENCE.levels["score"]["p"]) == {0.5}


def test_what_one_day_alone_has_is_strange_to_the_others() -> None:
    """The range and the categories of all days are those of that day too; it would not be strange to itself."""
    beyond = np.array(REFERENCE.effects["range"]["temperature"])
    assert np.flatnonzero(beyond > 0.5).size == 2  # the coldest day and the warmest one
    assert beyond[-1] > 0.9
    assert [size > 0.9 for size in REFERENCE.effects["unseen"]["colour"]] == [False] * 19 + [True]


def test_a_column_without_values_is_left_out() -> None:
    """There is nothing to compare with."""
    assert set(REFERENCE.features) == {"temperature", "colour"}


def test_quality_is_by_block() -> None:
    """Scores that are calibrated by construction: what is said happens."""
    assert REFERENCE.blocks == 20
    assert np.mean(REFERENCE.known_quality()["calibration_residual"]) == pytest.approx(0, abs=0.02)
    assert np.mean(REFERENCE.known_quality()["auc"]) == pytest.approx(5 / 6, abs=0.02)
    assert REFERENCE.label_delays_us == {"0.5": 60_000_000, "0.9": 60_000_000, "0.99": 60_000_000}


def test_it_is_of_use_for_its_own_blocks_only() -> None:
    """Another block or window: in words, and no alarm is made of it."""
    assert REFERENCE.misfit(LIMITS) is None
    assert "endpoint" in (REFERENCE.misfit(LIMITS.model_copy(update={"block": 2 * DAY_US})) or "")


def test_windows_are_whole_blocks() -> None:
    """As many as it takes; a rest that is too small is left out."""
    blocks = np.array([3, 1, 1, 2, 2, 2, 3, 4], np.int64)
    assert [sorted(window.tolist()) for window in windows_of(blocks, 2)] == [[1, 2], [3, 4, 5], [0, 6]]
    assert [sorted(window.tolist()) for window in windows_of(blocks, 3)] == [[1, 2, 3, 4, 5], [0, 6, 7]]


def test_each_row_is_scored_by_who_has_not_seen_its_day() -> None:
    """Folds are of whole days, next to each other, and every row is in one."""
    blocks = np.random.default_rng(1).integers(0, 13, 300)
    parts = folds(blocks)
    assert sorted(np.concatenate(parts).tolist()) == list(range(300))
    days = [set(blocks[part].tolist()) for part in parts]
    assert not any(one & other for i, one in enumerate(days) for other in days[:i])

    def fit(known: np.ndarray, asked: np.ndarray) -> np.ndarray:
        assert not set(blocks[known].tolist()) & set(blocks[asked].tolist())
        return np.full((len(asked), 1), len(known), np.float32)

    assert np.isfinite(unseen_scores(blocks, 1, fit)).all()
    with pytest.raises(ValueError, match="one block"):
        unseen_scores(np.zeros(5, np.int64), 1, fit)
