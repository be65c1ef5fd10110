"""How well answers were, by what turned out to be true, as sums over blocks of time. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from rendezvous.messages import Floats
from rendezvous.replay.bootstrapping import Figure, Float64s, TimeBlocks

CLIP = 1e-7
"""Probabilities are kept this far from 0 and 1 for the log loss: one that is sure and wrong costs 16 nats."""
METRICS: Mapping[str, tuple[str, ...]] = {
    "binary": ("auc", "brier", "log_loss"),
    "multiclass": ("accuracy", "log_loss"),
    "regression": ("mae", "rmse"),
}
LARGER_IS_BETTER = frozenset({"auc", "accuracy"})


def usable(kind: str, labels: Float64s, width: int) -> NDArray[np.bool_]:
    """Labels that answers can be held against: 0 or 1; the number of a class; any number."""
    finite: NDArray[np.bool_] = np.isfinite(labels)
    if kind == "regression":
        return finite
    classes = 2 if kind == "binary" else width
    fit: NDArray[np.bool_] = finite & (labels >= 0) & (labels < classes) & (labels == np.floor(labels))
    return fit


def figures(kind: str, outputs: Floats, labels: Float64s, blocks: TimeBlocks) -> dict[str, Figure]:
    """Every metric of this kind of output; outputs float32 [rows, width], labels as `usable` says.

    Of a regression with several outputs the first is judged: a label is one number.
    """
    if kind == "binary":
        said = outputs[:, 0].astype(np.float64)
        return {
            "auc": _auc(said, labels == 1, blocks),
            "brier": _mean((said - labels) ** 2, blocks),
            "log_loss": _mean(nats(np.where(labels == 1, said, 1 - said)), blocks),
        }
    if kind == "multiclass":
        classes = labels.astype(np.int64)
        of_truth = outputs[np.arange(len(labels)), classes].astype(np.float64)
        return {
            "accuracy": _mean((np.argmax(outputs, axis=1) == classes).astype(np.float64), blocks),
            "log_loss": _mean(nats(of_truth), blocks),
        }
    errors = outputs[:, 0].astype(np.float64) - labels
    square = _mean(errors**2, blocks)
    return {"mae": _mean(np.abs(errors), blocks), "rmse": lambda weights: np.sqrt(square(weights))}


def difference(one: Figure, other: Figure) -> Figure:
    """Of the same resamples: rows are paired."""
    return lambda weights: one(weights) - other(weights)


def nats(probabilities: Float64s) -> Float64s:
    """What each true outcome cost that was given this probability."""
    losses: Float64s = -np.log(np.clip(probabilities, CLIP, 1 - CLIP))
    return losses


def _mean(values: Float64s, blocks: TimeBlocks) -> Figure:
    sums = np.bincount(blocks.of, values, minlength=blocks.count)
    counts = np.bincount(blocks.of, minlength=blocks.count)

    def figure(weights: Float64s) -> Float64s:
        mean: Float64s = (weights @ sums) / (weights @ counts)
        return mean

    return figure


def _auc(said: Float64s, positive: NDArray[np.bool_], blocks: TimeBlocks) -> Figure:
    """The share of pairs, one positive and one negative, that are in order; equal ones count half.

    Pairs are counted once, by the blocks of both: a resample then costs a product of matrices and no sort.
    """
    pairs = np.zeros((blocks.count, blocks.count))
    of_positive, above = blocks.of[positive], said[positive]
    for number in range(blocks.count):
        below = np.sort(said[~positive & (blocks.of == number)])
        ahead = (np.searchsorted(below, above, "left") + np.searchsorted(below, above, "right")) / 2
        pairs[:, number] = np.bincount(of_positive, ahead, minlength=blocks.count)
    positives = np.bincount(of_positive, minlength=blocks.count)
    negatives = np.bincount(blocks.of[~positive], minlength=blocks.count)

    def figure(weights: Float64s) -> Float64s:
        ordered = np.einsum("ra,ab,rb->r", weights, pairs, weights, optimize=True)
        with np.errstate(invalid="ignore", divide="ignore"):  # one class only: there is nothing to rank
            auc: Float64s = ordered / ((weights @ positives) * (weights @ negatives))
        return auc

    return figure
