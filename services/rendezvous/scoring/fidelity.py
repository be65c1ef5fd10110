"""Is the graph the model that was trained? Rows to compare on, and by how much two models differ there.

Known conversions are silently wrong (HistGradientBoosting with categorical_features, a random forest on raw NaN): only
on some rows, so the rows are varied on purpose.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rendezvous.settings import Feature

MAX_DIFFERENCE = 1e-5
"""Largest |graph - original|; float32 sums over 200 trees stay below 1e-6."""
REFERENCE_ROWS = 2_000
VARIED_ROWS = 20
UNSEEN = ("", "never seen", "\N{SNOWMAN}", "NUL\0inside")
EXTREMES = (None, 0, -1e6, 1e6, -1e30, 1e30)

Rows: TypeAlias = list[dict[str, Any]]


def reference_rows(rows: Rows, features: Sequence[Feature]) -> dict[str, Rows]:
    """Rows to compare on, by what is done to them: as they came, gaps, unseen text, and extreme numbers."""
    plain = rows[:: max(1, len(rows) // REFERENCE_ROWS)]
    few = plain[:: max(1, len(plain) // VARIED_ROWS)]
    cases = {
        "as they came": plain,
        "everything nullable missing": [row | {f.name: None for f in features if f.nullable} for row in few],
        "everything missing": [{f.name: None for f in features}],
    }
    for feature in features:
        for change in UNSEEN if feature.is_text else EXTREMES:
            cases[f"{feature.name} = {change!r}"] = [row | {feature.name: change} for row in few]
    return cases


def largest_difference(cases: Sequence[tuple[str, int]], ours: NDArray[Any], theirs: NDArray[Any]) -> tuple[float, str]:
    """The largest |ours - theirs| of [rows, width], and in which case; NaN is larger than any.

    Args:
        cases: name and number of rows of each, in their order.
        ours: [rows, width].
        theirs: [rows, width].
    """
    worst, where, begin = 0.0, "", 0
    with np.errstate(invalid="ignore"):  # two infinities differ by NaN, and are no scores
        apart = np.abs(ours.astype(np.float64) - theirs.astype(np.float64))
    for name, count in cases:
        found = float(np.max(apart[begin : begin + count], initial=0.0))
        begin += count
        if not found <= worst:  # also true of NaN
            worst, where = found, name
    return worst, where
