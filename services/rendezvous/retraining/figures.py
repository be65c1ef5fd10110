"""Figures of outputs against labels, by scikit-learn; the names are those of `acceptance.HIGHER_IS_BETTER`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics

from rendezvous.retraining.acceptance import Kind

Floats: TypeAlias = NDArray[Any]
Metric: TypeAlias = Callable[[Floats, Floats], float]
"""From labels [rows] and outputs [rows, width]."""
THRESHOLD = 0.5


def _auc(label: Floats, output: Floats) -> float:
    return float(metrics.roc_auc_score(label, output[:, 0])) if len(np.unique(label)) > 1 else math.nan


def _average_precision(label: Floats, output: Floats) -> float:
    return float(metrics.average_precision_score(label, output[:, 0])) if label.any() else math.nan


METRICS: Mapping[Kind, Mapping[str, Metric]] = {
    "binary": {
        "auc": _auc,
        "average_precision": _average_precision,
        "log_loss": lambda label, output: float(metrics.log_loss(label, output[:, 0], labels=[0, 1])),
        "brier": lambda label, output: float(metrics.brier_score_loss(label, output[:, 0])),
        "accuracy": lambda label, output: float(metrics.accuracy_score(label, output[:, 0] >= THRESHOLD)),
    },
    "multiclass": {
        "log_loss": lambda label, output: float(metrics.log_loss(label, output, labels=range(output.shape[1]))),
        "accuracy": lambda label, output: float(metrics.accuracy_score(label, output.argmax(axis=1))),
    },
    "regression": {
        "mae": lambda label, output: float(metrics.mean_absolute_error(label, output[:, 0])),
        "rmse": lambda label, output: float(metrics.root_mean_squared_error(label, output[:, 0])),
        "r2": lambda label, output: float(metrics.r2_score(label, output[:, 0])) if len(label) > 1 else math.nan,
    },
}


def figures(kind: Kind, label: Floats, output: Floats) -> dict[str, float | None]:
    """Every figure of the rows whose outputs are finite; None where it is not defined.

    Args:
        kind: of the output.
        label: [rows].
        output: [rows, width].
    """
    finite = np.isfinite(output).all(axis=1)
    label, output = label[finite], output[finite].astype(np.float64)
    if kind != "regression":
        output = np.clip(output, 0.0, 1.0)
    found = {name: metric(label, output) if len(label) else math.nan for name, metric in METRICS[kind].items()}
    return {name: value if math.isfinite(value) else None for name, value in found.items()}
