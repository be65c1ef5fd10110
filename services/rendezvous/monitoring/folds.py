"""Days in turns: so that each row can be scored by a model that had not seen its day. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from rendezvous.messages import Floats, Int64s

FOLDS = 5
Fit: TypeAlias = Callable[[Int64s, Int64s], Floats]
"""Train on the rows of the first, and score those of the second: float32 [rows, width]."""


def folds(blocks: Int64s, count: int = FOLDS) -> list[Int64s]:
    """Rows in parts of about as many whole blocks each, blocks that follow one another in the same part."""
    numbers, of = np.unique(blocks, return_inverse=True)
    parts = of * min(count, len(numbers)) // len(numbers)
    return [np.flatnonzero(parts == part) for part in range(min(count, len(numbers)))]


def unseen_scores(blocks: Int64s, width: int, fit: Fit, count: int = FOLDS) -> Floats:
    """For every row the outputs of a model that was trained on the other folds, float32 [rows, width].

    Raises:
        ValueError: when there is one block only: no row could be scored by a model that has not seen its block.
    """
    parts = folds(blocks, count)
    if len(parts) == 1:
        raise ValueError("all rows are of one block: there is no other one to train on")
    outputs = np.full((len(blocks), width), np.nan, np.float32)
    for part in parts:
        others = np.setdiff1d(np.arange(len(blocks)), part, assume_unique=True)
        outputs[part] = fit(others, part)
    return outputs
