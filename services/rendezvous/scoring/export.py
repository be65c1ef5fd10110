"""A scikit-learn model as the ONNX graph that a scorer runs, proven to be the same model.

Known conversions are silently wrong, so every graph is compared with scikit-learn's own predictions (`fidelity.py`),
through the very class that serves it.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import pandas as pd
from onnx import ModelProto, TensorProto, helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType

from rendezvous.scoring.columns import to_columns
from rendezvous.scoring.fidelity import MAX_DIFFERENCE, Rows, largest_difference, reference_rows
from rendezvous.scoring.models import OUTPUT, OnnxModel
from rendezvous.settings import Feature

OPSET = 21
"""skl2onnx 1.20 knows operators up to 22."""

Kind: TypeAlias = Literal["binary", "multiclass", "regression"]


class ExportError(Exception):
    """The graph is not the model; nothing was written."""


def export(
    pipeline: Any,  # noqa: ANN401 - scikit-learn has no types
    features: Sequence[Feature],
    rows: Rows,
    name: str,
) -> tuple[bytes, float]:
    """The fitted binary classifier as an ONNX graph that is the same model, and its largest difference on `rows`.

    `rows` are varied: see `reference_rows`. `name` is the graph's.

    Raises:
        ExportError: when any reference row differs by more than `MAX_DIFFERENCE`; nothing is written.
    """
    graph = to_graph(pipeline, features, name)
    cases = reference_rows(rows, features)
    columns = to_columns([row for reference in cases.values() for row in reference], features)
    worst, where = largest_difference(
        [(case, len(reference)) for case, reference in cases.items()],
        OnnxModel(graph).score(columns),
        pipeline.predict_proba(pd.DataFrame(columns))[:, 1:],
    )
    if not worst <= MAX_DIFFERENCE:
        raise ExportError(
            f"the ONNX graph is not the scikit-learn model: P(positive) differs by {worst:.2g} (allowed "
            f"{MAX_DIFFERENCE:g}) on rows with {where}; encode text and fill gaps in front of the estimator, and keep "
            f"protobuf pinned as in pyproject.toml. Nothing was written."
        )
    return graph, worst


def to_graph(
    pipeline: Any,  # noqa: ANN401 - scikit-learn has no types
    features: Sequence[Feature],
    name: str,
    kind: Kind = "binary",
) -> bytes:
    """One input [rows, 1] per feature, one output `output`: P(positive), a probability per class, or a value.

    Not yet verified.
    """
    inputs = [
        (feature.name, (StringTensorType if feature.is_text else FloatTensorType)([None, 1])) for feature in features
    ]
    with warnings.catch_warnings():
        # skl2onnx hands protobuf booleans for integers; it warns now and refuses from 7 on, hence the pin
        warnings.filterwarnings("ignore", message=".*Expected an int, got a boolean", category=DeprecationWarning)
        model: ModelProto = to_onnx(
            pipeline,
            initial_types=inputs,
            options={} if kind == "regression" else {id(pipeline): {"zipmap": False}},
            target_opset=OPSET,
            name=name,
        )
    _name_output(model, kind)
    # skl2onnx keeps these in a set: unsorted, the same model would get another version in the next process
    opsets = sorted((entry.domain, entry.version) for entry in model.opset_import)
    del model.opset_import[:]
    model.opset_import.extend(helper.make_opsetid(*opset) for opset in opsets)
    serialised: bytes = model.SerializeToString(deterministic=True)
    return serialised


def _name_output(model: ModelProto, kind: Kind) -> None:
    """What the estimator answers, under the name by which scorers ask."""
    graph = model.graph
    (said,) = (value.name for value in graph.output if kind == "regression" or "prob" in value.name)
    if kind == "binary":
        graph.initializer.append(helper.make_tensor("positive_class", TensorProto.INT64, [1], [1]))
        graph.node.append(helper.make_node("Gather", [said, "positive_class"], [OUTPUT], axis=1))
    else:
        graph.node.append(helper.make_node("Identity", [said], [OUTPUT]))
    del graph.output[:]
    graph.output.append(
        helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [None, 1 if kind != "multiclass" else None])
    )
