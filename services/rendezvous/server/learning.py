"""How `hedge` learns: shares of models that follow their losses, which labels tell.

Every model is scored on every request, so nothing needs to be explored.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FLOOR = 1e-6
"""Of a share: a model that was bad for long comes back within about 14 / rate losses, not never."""


def hedged(shares: NDArray[np.float64], losses: NDArray[np.float64], rate: float) -> NDArray[np.float64]:
    """Shares after some labelled requests: float64 [models], summing to 1.

    losses: float64 [rows, models] in [0, 1] (for probabilities the Brier score), NaN where a model had no score: such a
    model's share moves as the others' mean does (sleeping experts: Freund, Schapire, Singer and Warmuth 1997).
    rate: above 0; 0.5 for the squared loss on [0, 1], which is exp-concave up to there (Cesa-Bianchi and Lugosi, 3.3).

    Raises:
        ValueError: a loss lies outside [0, 1], shapes do not fit, shares are not shares, or the rate is not above 0.
    """
    if losses.ndim != 2 or losses.shape[1] != len(shares):  # noqa: PLR2004 - rows and models
        raise ValueError(f"losses must be [rows, {len(shares)}], not {losses.shape}")
    if not bool((np.isnan(losses) | ((losses >= 0) & (losses <= 1))).all()):
        raise ValueError("losses must lie in [0, 1]: scale them, or use the Brier score for probabilities")
    if not ((shares >= 0).all() and 0 < shares.sum() < np.inf):
        raise ValueError(f"shares must be finite, not negative, and not all 0: {shares.tolist()}")
    if not 0 < rate < np.inf:
        raise ValueError(f"rate must be above 0 and finite, not {rate}")
    learned = _floored(shares / shares.sum())
    for row in losses:
        awake = ~np.isnan(row)
        if not awake.any():
            continue
        mass = learned[awake].sum()
        weights = learned[awake] * np.exp(-rate * (row[awake] - row[awake].min()))
        learned[awake] = weights * (mass / weights.sum())
        learned = _floored(learned)
    return learned


def _floored(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shares that sum to 1 with none below FLOOR: what lies above it pays. The same again when none was below."""
    above = np.maximum(shares - FLOOR, 0.0)
    floored: NDArray[np.float64] = FLOOR + above * ((1 - len(shares) * FLOOR) / above.sum())
    return floored
