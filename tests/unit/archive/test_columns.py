"""Features in columns: every value comes back, and no record is larger than a broker takes."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from endpoints import endpoint
from rendezvous.archive.columns import MAX_RECORD_BYTES, Decoded, feature_columns, records_of
from rendezvous.messages import FeatureColumns
from rendezvous.wire import decode

FEATURES = endpoint().features
ROWS = st.lists(
    st.tuples(st.none() | st.floats(width=32, allow_nan=False), st.text(max_size=3)), min_size=1, max_size=20
)


def decoded(rows: list[tuple[float | None, str]]) -> list[Decoded]:
    """Rows at every other offset."""
    return [Decoded(2 * i, 10 + i, {"x": x, "who": who}) for i, (x, who) in enumerate(rows)]


@settings(max_examples=30)
@given(ROWS)
def test_every_value_comes_back(rows: list[tuple[float | None, str]]) -> None:
    """Numbers, texts by their codes, what is missing as such; across the wire."""
    ((count, value),) = records_of(decoded(rows), FEATURES)
    columns = decode(value, FeatureColumns)
    assert count == len(rows)
    assert columns.offsets.tolist() == [2 * i for i in range(len(rows))]
    assert columns.asked_us.tolist() == [10 + i for i in range(len(rows))]
    names = (*columns.categories[0], None)
    for (x, who), number, code in zip(rows, columns.numbers[:, 0].tolist(), columns.codes[:, 0].tolist(), strict=True):
        assert np.isnan(number) if x is None else number == x
        assert names[code] == (who or None)
    assert len(set(columns.categories[0])) == len(columns.categories[0])


def test_what_is_too_large_is_halved() -> None:
    """Until each record fits, or is about a single request."""
    texts = ["w" * 300_000 + str(i) for i in range(7)]
    records = list(records_of(decoded([(0.0, text) for text in texts]), FEATURES))
    assert sum(rows for rows, _ in records) == 7
    assert all(len(value) <= MAX_RECORD_BYTES for _, value in records)
    found = [decode(value, FeatureColumns) for _, value in records]
    assert [offset for columns in found for offset in columns.offsets.tolist()] == list(range(0, 14, 2))
    ((rows, value),) = records_of(decoded([(0.0, "w" * 2_000_000)]), FEATURES)
    assert rows == 1
    assert len(value) > MAX_RECORD_BYTES


def test_columns_are_in_the_order_of_features() -> None:
    """Numbers apart from texts."""
    columns = feature_columns(decoded([(1.0, "a")]), FEATURES)
    assert (columns.numeric, columns.textual) == (("x",), ("who",))
