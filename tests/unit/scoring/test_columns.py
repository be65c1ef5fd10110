"""Rows to columns, and the rows that a model must not see."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rendezvous.scoring.columns import invalid_rows, take, to_columns
from rendezvous.settings import Feature

FEATURES = (
    Feature(name="word", type="string", nullable=False),
    Feature(name="note", type="string", nullable=True),
    Feature(name="count", type="long", nullable=False),
    Feature(name="flag", type="boolean", nullable=True),
    Feature(name="size", type="double", nullable=True),
    Feature(name="sure", type="float", nullable=False),
)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "word": st.text(),
    "note": st.none() | st.text(),
    "count": st.integers(-(2**63), 2**63 - 1),
    "flag": st.none() | st.booleans(),
    "size": st.none() | st.floats(),
    "sure": st.floats(width=32),
}
ROWS = st.lists(st.fixed_dictionaries(VALUES), max_size=40)


def as_float32(value: float | None) -> np.float32:
    """What one number becomes."""
    with np.errstate(over="ignore"):
        return np.float32(math.nan if value is None else value)


def is_missing(value: object) -> bool:
    """Null, empty text or NaN."""
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


@given(ROWS)
def test_every_value_stands_in_its_column_at_its_row(rows: list[dict[str, Any]]) -> None:
    """Numbers as float32 with NaN for null, text as str with "" for null, whatever the batch's length."""
    columns = to_columns(rows, FEATURES)
    assert list(columns) == [feature.name for feature in FEATURES]
    for feature in FEATURES:
        column, values = columns[feature.name], [row[feature.name] for row in rows]
        assert column.shape == (len(rows),)
        if feature.is_text:
            assert column.tolist() == [value or "" for value in values]
        else:
            expected = np.array([as_float32(value) for value in values], dtype=np.float32)
            np.testing.assert_array_equal(column, expected)
            assert column.dtype == np.float32
            assert column.flags.c_contiguous


@given(ROWS, st.sets(st.sampled_from([feature.name for feature in FEATURES])))
def test_a_row_is_invalid_when_something_indispensable_is_missing(
    rows: list[dict[str, Any]], required: set[str]
) -> None:
    """Required and empty, or a number that the schema does not let be null and that is NaN."""
    mask = invalid_rows(to_columns(rows, FEATURES), FEATURES, required)
    for row, invalid in zip(rows, mask, strict=True):
        missing = {name for name, value in row.items() if is_missing(value)}
        assert invalid == bool(missing & (required | {"sure"}))


def test_a_key_that_a_row_lacks_is_null() -> None:
    """An older writer's row has no such key, and the row is then judged like any with a gap."""
    columns = to_columns([{"word": "a"}], FEATURES)
    assert np.isnan(columns["count"][0])
    assert columns["note"][0] == ""
    assert invalid_rows(columns, FEATURES, ()).tolist() == [True]


def test_text_that_is_not_str_becomes_str() -> None:
    """A model's text input takes nothing else."""
    assert to_columns([{"word": 7}, {"word": b"x"}], FEATURES)["word"].tolist() == ["7", "b'x'"]


def test_a_number_beyond_float32_is_infinite_not_a_warning() -> None:
    """The model decides what to make of it."""
    assert to_columns([{"size": 1e300}], FEATURES)["size"][0] == np.inf


def test_a_number_that_is_none_is_refused() -> None:
    """A reader of the schema never lets it through, so this is a fault of the caller."""
    with pytest.raises(ValueError, match="could not convert"):
        to_columns([{"size": "much"}], FEATURES)


def test_take_keeps_the_rows_that_are_wanted() -> None:
    """The same rows of every column, in their order."""
    columns = to_columns([{"word": "a", "count": 1}, {"word": "b", "count": 2}], FEATURES)
    kept = take(columns, np.array([False, True]))
    assert (kept["word"].tolist(), kept["count"].tolist()) == (["b"], [2.0])
