"""What Python's `train(table, params)` may return: a fitted scikit-learn estimator, or a graph of its own making."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rendezvous.retraining.contract import About, Params
from rendezvous.scoring.columns import Columns
from rendezvous.scoring.export import to_graph


@dataclass(frozen=True, slots=True)
class Trained:
    """A model that `train` has exported itself: the graph, and what the model it was made from predicts.

    predict: [rows, outputs] for one column [rows] per feature; the graph is compared with it.
    """

    graph: bytes
    predict: Callable[[Columns], NDArray[Any]]
    about: About = field(default_factory=About)


def exported(estimator: Any, params: Params) -> Trained:  # noqa: ANN401 - scikit-learn has no types
    """A fitted scikit-learn estimator, most often a Pipeline, with its graph; the last step's parameters are told."""

    def predict(columns: Columns) -> NDArray[Any]:
        frame = pd.DataFrame(columns)
        if params.kind == "regression":
            return np.asarray(estimator.predict(frame)).reshape(-1, 1)
        said: NDArray[Any] = estimator.predict_proba(frame)
        return said[:, 1:] if params.kind == "binary" else said

    steps = [step for _, step in getattr(estimator, "steps", [("", estimator)])]
    plain = {name: value for name, value in steps[-1].get_params(deep=False).items() if _is_scalar(value)}
    about = About(
        parameters=plain,
        transformations=tuple(" ".join(str(step).split()) for step in steps[:-1]),
        notes=type(steps[-1]).__name__,
    )
    return Trained(to_graph(estimator, params.features, params.endpoint, params.kind), predict, about)


def _is_scalar(value: object) -> bool:
    return (
        value is None or isinstance(value, str | bool | int) or (isinstance(value, float) and bool(np.isfinite(value)))
    )
