"""Histograms count every row once, somewhere, and add up."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rendezvous.monitoring.histograms import MAX_CATEGORIES, Bins, CategoryBins, Histogram, NumberBins

INF = float("inf")
numbers = st.lists(st.floats(width=32) | st.integers(-3, 3).map(float), max_size=60)
words = st.lists(st.sampled_from(["", "a", "b", "c", "d", None]), max_size=60)


@given(known=numbers.filter(lambda values: bool(np.isfinite(values).any())), seen=numbers, cut=st.integers(0, 60))
def test_numbers_are_counted_once(known: list[float], seen: list[float], cut: int) -> None:
    """In one bin each, or as missing; what is beyond the reference's range is strange, besides."""
    bins = NumberBins.of(np.array(known))
    column = np.array(seen, np.float32)
    whole = Histogram.of(bins, column)
    assert whole.rows == len(seen)
    assert whole.missing == np.isnan(column).sum()
    assert whole.strange == sum(value < bins.low or value > bins.high for value in seen)
    check_parts(whole, bins, column, cut)


@given(known=words, seen=words, cut=st.integers(0, 60))
def test_categories_are_counted_once(known: list[str | None], seen: list[str | None], cut: int) -> None:
    """In one bin each, or as missing; what the reference does not know shares the last bin and is strange."""
    bins = CategoryBins.of(known)
    whole = Histogram.of(bins, seen)
    assert whole.rows == len(seen)
    assert whole.missing == seen.count("") + seen.count(None)
    assert whole.strange == whole.counts[-1] == sum(bool(value) and value not in known for value in seen)
    check_parts(whole, bins, np.array(seen, object), cut)


def check_parts(whole: Histogram, bins: Bins, column: Any, cut: int) -> None:  # noqa: ANN401 - any column
    """Two parts, one of them by way of JSON, are the whole."""
    first, second = Histogram.of(bins, column[:cut]), Histogram.of(bins, column[cut:])
    first.merge(Histogram.from_json(json.loads(json.dumps(second.to_json()))))
    assert first.to_json() == whole.to_json()
    assert first.bins == whole.bins


def test_deciles_hold_a_tenth_each() -> None:
    """Of what they were made of."""
    values = np.random.default_rng(1).normal(size=1_000)
    counts = Histogram.of(NumberBins.of(values), values).counts
    assert len(counts) == 10
    assert (abs(counts - 100) <= 1).all()


@pytest.mark.parametrize("values", [[1.0], [0.0, 0.0, 0.0, 5.0], [0, 1] * 50, [9.0] * 95 + [10.0] * 5, [3.0, np.nan]])
def test_no_bin_is_empty_where_values_repeat(values: list[float]) -> None:
    """Deciles that fall together are one edge."""
    histogram = Histogram.of(NumberBins.of(np.array(values)), values)
    assert (histogram.counts > 0).all()
    assert histogram.strange == 0


def test_infinite_numbers_are_out_of_range() -> None:
    """They do not make the range."""
    bins = NumberBins.of(np.array([1.0, 2.0, INF]))
    histogram = Histogram.of(bins, [INF, -INF, 2.0])
    assert (bins.high, histogram.strange, histogram.strangeness) == (2.0, 2, "out_of_range")


def test_a_column_without_a_number_has_no_bins() -> None:
    """It says so."""
    with pytest.raises(ValueError, match="no finite value"):
        NumberBins.of(np.array([np.nan]))


def test_the_rarest_categories_share_the_last_bin() -> None:
    """Beyond 255 of them: then that bin holds some of the reference's own rows too."""
    names = [f"n{number:03}" for number in range(MAX_CATEGORIES + 10)]
    values = [*names[10:], *names]
    histogram = Histogram.of(CategoryBins.of(values), values)
    assert histogram.bins.count == MAX_CATEGORIES + 1
    assert (histogram.counts[-1], histogram.strange, histogram.strangeness) == (10, 10, "unseen")


def test_histograms_of_other_bins_are_not_merged() -> None:
    """Counts would mean something else."""
    first, second = (Histogram(CategoryBins((name,))) for name in "ab")
    with pytest.raises(ValueError, match="other bins cannot be merged"):
        first.merge(second)
