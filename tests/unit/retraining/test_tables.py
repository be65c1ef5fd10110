"""Tables are read as models take them, and known by their content."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from rendezvous.retraining.tables import (
    UNKNOWN,
    TableError,
    in_slice,
    read_columns,
    read_predictions,
    read_table,
    write_predictions,
    write_rows,
    write_table,
)
from rendezvous.scoring.fidelity import Rows
from rendezvous.settings import Feature

FEATURES = (Feature(name="place", type="string", nullable=True), Feature(name="x", type="int", nullable=True))
ROWS: dict[str, Any] = {
    "place": ["b", None, "a", "c"],
    "x": [2, 1, None, 3],
    "label": [1.0, 0.0, 1.0, None],
    "asked_us": [20, 10, 30, 40],
}


def written(folder: Path, **changes: Any) -> Path:  # noqa: ANN401 - any column
    """A file with the rows above, some columns replaced, or left out by None."""
    columns = {name: column for name, column in {**ROWS, **changes}.items() if column is not None}
    pq.write_table(pa.table(columns), folder / "table.parquet")
    return folder / "table.parquet"


def test_rows_come_in_the_order_in_which_they_were_asked(tmp_path: Path) -> None:
    """Missing numbers are NaN, missing text is empty, and rows without a label are left out."""
    table = read_table(written(tmp_path), FEATURES)
    assert table.asked_us.tolist() == [10, 20, 30]
    assert table.columns["place"].tolist() == ["", "b", "a"]
    np.testing.assert_array_equal(table.columns["x"], np.array([1, 2, np.nan], np.float32))
    assert table.label.tolist() == [0, 1, 1]
    assert table.observed_us.tolist() == [UNKNOWN] * 3
    assert (table.delays_us < 0).all()


def test_what_was_written_is_read_and_has_the_same_digest(tmp_path: Path) -> None:
    """Also from CSV, and whatever else the file has."""
    table = read_table(written(tmp_path, observed_us=[25, 15, 36, 41], extra=["a", "b", "c", "d"]), FEATURES)
    assert table.delays_us.tolist() == [5, 5, 6]
    write_table(tmp_path / "again.parquet", table)
    assert read_table(tmp_path / "again.parquet", FEATURES).sha256 == table.sha256
    pyarrow.csv.write_csv(pq.read_table(tmp_path / "table.parquet"), tmp_path / "table.csv")
    assert read_table(tmp_path / "table.csv", FEATURES).sha256 == table.sha256


@pytest.mark.parametrize(
    "change",
    [
        {"place": ["b", None, "a'", "c"]},
        {"place": ["b", "", "a", "c"], "x": [2, 1, 0, 3]},
        {"label": [1.0, 1.0, 1.0, None]},
        {"asked_us": [20, 11, 30, 40]},
        {"asked_us": [10, 20, 30, 40]},
    ],
)
def test_other_content_has_another_digest(tmp_path: Path, change: dict[str, Any]) -> None:
    """A letter, a missing number that becomes 0, a label, a time, the order."""
    before = read_table(written(tmp_path), FEATURES).sha256
    assert read_table(written(tmp_path, **change), FEATURES).sha256 != before


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"label": None}, r"lacks the columns \['label'\]"),
        ({"x": None, "asked_us": None}, r"lacks the columns \['x', 'asked_us'\]"),
        ({"x": ["a", "b", "c", "d"]}, "x is string, not a number"),
        ({"place": [1, 2, 3, 4]}, "place is int64, features.avsc says text"),
        ({"asked_us": [1, 2, None, 4]}, "asked_us must be microseconds"),
        ({"asked_us": ["a", "b", "c", "d"]}, "asked_us must be microseconds"),
    ],
)
def test_a_table_of_another_kind_is_refused(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    """With the file, the column and what it is."""
    with pytest.raises(TableError, match=said):
        read_table(written(tmp_path, **change), FEATURES)


def test_a_file_that_is_no_table_is_refused(tmp_path: Path) -> None:
    """Missing, or rubbish."""
    (tmp_path / "rubbish.parquet").write_bytes(b"rubbish")
    for name in ("rubbish.parquet", "missing.parquet", "missing.csv"):
        with pytest.raises(TableError, match="cannot be read"):
            read_table(tmp_path / name, FEATURES)


def test_reference_rows_survive_the_file(tmp_path: Path) -> None:
    """Extreme numbers, NUL inside text, and what is missing."""
    rows: Rows = [{"place": "NUL\0inside", "x": -1e30}, {"place": None, "x": None}]
    write_rows(tmp_path / "rows.parquet", rows, FEATURES)
    columns = read_columns(tmp_path / "rows.parquet", FEATURES)
    assert columns["place"].tolist() == ["NUL\0inside", ""]
    np.testing.assert_array_equal(columns["x"], np.array([-1e30, np.nan], np.float32))


def test_predictions_must_fit_the_reference_rows(tmp_path: Path) -> None:
    """One column per output, one row per row, whatever the order of columns."""
    path = tmp_path / "predictions.parquet"
    write_predictions(path, ("b", "a"), np.array([[2.0, 1.0], [4.0, 3.0]]))
    assert read_predictions(path, ("a", "b"), 2).tolist() == [[1, 2], [3, 4]]
    for names, rows in ((("a",), 2), (("a", "b"), 3)):
        with pytest.raises(TableError, match="one column per output, one row per reference row"):
            read_predictions(path, names, rows)


def test_a_slice_is_all_that_it_names(tmp_path: Path) -> None:
    """Text, a number, and a range without its end; what is missing is in none."""
    columns = read_table(written(tmp_path), FEATURES).columns
    assert in_slice(columns, {"place": "b"}).tolist() == [False, True, False]
    assert in_slice(columns, {"x": 2}).tolist() == [False, True, False]
    assert in_slice(columns, {"x": (1, 2)}).tolist() == [True, False, False]
    assert in_slice(columns, {"x": (1, 3), "place": "b"}).tolist() == [False, True, False]
    assert in_slice(columns, {}).all()
