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
        ValueError: a loss lies outside [0, 1], or shapes do not fit.
    """
    if losses.ndim != 2 or losses.shape[1] != len(shares):  # noqa: PLR2004 - rows and models
        raise ValueError(f"losses must be [rows, {len(shares)}], not {losses.shape}")
    if not bool((np.isnan(losses) | ((losses >= 0) & (losses <= 1))).all()):
        raise ValueError("losses must lie in [0, 1]: scale them, or use the Brier score for probabilities")
    learned: NDArray[np.float64] = shares / shares.sum()
    for row in losses:
        awake = ~np.isnan(row)
        if not awake.any():
            continue
        mass = learned[awake].sum()
        weights = learned[awake] * np.exp(-rate * row[awake])
        learned[awake] = weights * (mass / weights.sum())
        learned = np.maximum(learned, FLOOR)
        learned /= learned.sum()
    return learned
