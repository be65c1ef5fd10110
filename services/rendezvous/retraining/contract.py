"""What a training run is given and what it has to leave, whatever language it is written in. Pure.

A run is one process. Its working folder holds copies of the owner's code; these variables name its files:

| variable | what |
|---|---|
| TRAINING_TABLE | Parquet, the rows to train on, in the order in which they were asked: one column per feature (float, or string; null for missing), `label` (double), `asked_us` (long) |
| TRAINING_PARAMETERS | JSON: `Params` |
| TRAINING_REFERENCE | Parquet, rows to predict: one column per feature |
| TRAINING_OUTPUT | the folder to write into, empty |

It ends with 0 and leaves, in that folder,

| file | what |
|---|---|
| model.onnx | the model: docs/extending.md says what a graph must look like |
| predictions.parquet | what the *original* model, not the graph, says of the reference rows: one double column per output, named as the output, in the rows' order |
| about.json | optional: `About` |

Whatever it writes to its standard outputs goes to its log, and is passed on as progress.
"""  # noqa: E501 - a table cannot be wrapped

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from pydantic import Field

from rendezvous.retraining.training import Scalar
from rendezvous.rules import Document, Name
from rendezvous.settings import Endpoint, Feature

TABLE = "TRAINING_TABLE"
PARAMETERS = "TRAINING_PARAMETERS"
REFERENCE = "TRAINING_REFERENCE"
OUTPUT = "TRAINING_OUTPUT"

GRAPH_FILE = "model.onnx"
PREDICTIONS_FILE = "predictions.parquet"
ABOUT_FILE = "about.json"

LABEL = "label"
ASKED_US = "asked_us"


class Params(Document):
    """What is to be trained: for which endpoint and model, from which features to which outputs, and the owner's own.

    A label is 0 or 1 for `binary`, the number of the output for `multiclass`, the value itself for `regression`.
    """

    endpoint: Name
    model: Name
    kind: Literal["binary", "multiclass", "regression"]
    outputs: tuple[str, ...]
    features: tuple[Feature, ...]
    parameters: dict[str, Scalar] = Field(default={})

    @property
    def names(self) -> list[str]:
        """The features' names: the table's columns that a model may see."""
        return [feature.name for feature in self.features]


class About(Document):
    """What a run says of itself, for the card."""

    parameters: dict[str, Scalar | None] = Field(default={})
    packages: dict[str, str] = Field(default={})
    transformations: tuple[str, ...] = ()
    figures: dict[str, float] = Field(default={})
    notes: str = ""


def params_of(endpoint: Endpoint, model: str, parameters: Mapping[str, Scalar] = MappingProxyType({})) -> Params:
    """What a run for `model` is told."""
    return Params(
        endpoint=endpoint.name,
        model=model,
        kind=endpoint.output.kind,
        outputs=endpoint.output.names,
        features=endpoint.features,
        parameters=dict(parameters),
    )
