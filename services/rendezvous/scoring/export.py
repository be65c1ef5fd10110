"""A scikit-learn pipeline as the ONNX graph that a scorer runs, proven to be the same model.

Known conversions are silently wrong (HistGradientBoosting with categorical_features, a random forest on raw NaN), so
every graph is compared with scikit-learn's own probabilities, through the very class that serves it.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from onnx import ModelProto, TensorProto, helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.pipeline import Pipeline

from rendezvous.scoring.columns import to_columns
from rendezvous.scoring.models import OUTPUT, OnnxModel
from rendezvous.settings import Feature

MAX_DIFFERENCE = 1e-5
"""Largest |P(onnx) - P(scikit-learn)|; float32 sums over 200 trees stay below 1e-6."""
REFERENCE_ROWS = 2_000
OPSET = 21
"""skl2onnx 1.20 knows operators up to 22."""

Rows: TypeAlias = list[dict[str, Any]]


class ExportError(Exception):
    """The graph is not the model; nothing was written."""


def reference_rows(rows: Rows, features: Sequence[Feature]) -> dict[str, Rows]:
    """Rows to compare on, by what is done to them: as they came, gaps, unseen text, and extreme numbers."""
    plain = rows[:: max(1, len(rows) // REFERENCE_ROWS)]
    few = plain[:: max(1, len(plain) // 20)]
    cases = {
        "as they came": plain,
        "everything nullable missing": [row | {f.name: None for f in features if f.nullable} for row in few],
    }
    for feature in features:
        if feature.is_text:
            changes: list[Any] = ["", "never seen", "\N{SNOWMAN}", "NUL\0inside"]
        else:
            changes = [None, 0, -1e6, 1e6, -1e30, 1e30]
        for change in changes:
            cases[f"{feature.name} = {change!r}"] = [row | {feature.name: change} for row in few]
    return cases


def export(pipeline: Pipeline, features: Sequence[Feature], rows: Rows, name: str) -> tuple[bytes, float]:
    """The fitted binary classifier as an ONNX graph that is the same model, and its largest difference on `rows`.

    `rows` are varied: see `reference_rows`. `name` is the graph's.

    Raises:
        ExportError: when any reference row differs by more than `MAX_DIFFERENCE`; nothing is written.
    """
    graph = to_graph(pipeline, features, name)
    model = OnnxModel(graph)
    worst, where = 0.0, ""
    for case, reference in reference_rows(rows, features).items():
        columns = to_columns(reference, features)
        ours = model.score(columns)[:, 0]
        theirs = pipeline.predict_proba(pd.DataFrame(columns))[:, 1]
        difference = float(np.max(np.abs(ours - theirs)))
        if not difference <= worst:  # also true of NaN
            worst, where = difference, case
    if not worst <= MAX_DIFFERENCE:
        raise ExportError(
            f"the ONNX graph is not the scikit-learn model: P(positive) differs by {worst:.2g} (allowed "
            f"{MAX_DIFFERENCE:g}) on rows with {where}; encode text and fill gaps in front of the estimator, and keep "
            f"protobuf pinned as in pyproject.toml. Nothing was written."
        )
    return graph, worst


def to_graph(pipeline: Pipeline, features: Sequence[Feature], name: str) -> bytes:
    """One input [rows, 1] per feature, one output `output` [rows, 1]: P(positive). Not yet verified."""
    inputs = [
        (feature.name, (StringTensorType if feature.is_text else FloatTensorType)([None, 1])) for feature in features
    ]
    with warnings.catch_warnings():
        # skl2onnx hands protobuf booleans for integers; it warns now and refuses from 7 on, hence the pin
        warnings.filterwarnings("ignore", message=".*Expected an int, got a boolean", category=DeprecationWarning)
        model: ModelProto = to_onnx(
            pipeline,
            initial_types=inputs,
            options={id(pipeline): {"zipmap": False}},
            target_opset=OPSET,
            name=name,
        )
    graph = model.graph
    probabilities = next(value.name for value in graph.output if "prob" in value.name)
    graph.initializer.append(helper.make_tensor("positive_class", TensorProto.INT64, [1], [1]))
    graph.node.append(helper.make_node("Gather", [probabilities, "positive_class"], [OUTPUT], axis=1))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [None, 1]))
    # skl2onnx keeps these in a set: unsorted, the same model would get another version in the next process
    opsets = sorted((entry.domain, entry.version) for entry in model.opset_import)
    del model.opset_import[:]
    model.opset_import.extend(helper.make_opsetid(*opset) for opset in opsets)
    serialised: bytes = model.SerializeToString(deterministic=True)
    return serialised
