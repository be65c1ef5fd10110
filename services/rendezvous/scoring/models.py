"""What runs a model: an ONNX graph, or a Python file with a `score` function. Pickles are never loaded."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnxruntime

from rendezvous.messages import Floats
from rendezvous.scoring.card import Card, check_card, load_card
from rendezvous.scoring.columns import Columns, Model, to_columns
from rendezvous.settings import Endpoint, Feature, ModelSettings, SettingsError

OUTPUT = "output"
"""The one output of a graph that is used: tensor(float) [rows, width]."""
TEXT_TENSOR = "tensor(string)"
NUMBER_TENSOR = "tensor(float)"
WARM_UP_ROUNDS = 3
"""Batches of each size before the model counts as warm; the first one allocates, later ones only compute."""

onnxruntime.disable_telemetry_events()  # nothing about a model leaves the machine that it runs on


class ModelError(SettingsError):
    """A model cannot serve its endpoint; the message names model, what was expected and found, and what to do."""


class OnnxModel:
    """A graph with one input [rows, 1] per feature, in one onnxruntime session of `threads` threads.

    Idle threads do not spin: several models share a machine's cores.
    """

    def __init__(self, graph: Path | bytes, threads: int = 1) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        source = graph if isinstance(graph, bytes) else str(graph)
        self._session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        self.inputs: dict[str, str] = {value.name: value.type for value in self._session.get_inputs()}
        self.outputs: dict[str, tuple[str, list[int | str | None]]] = {
            value.name: (value.type, value.shape) for value in self._session.get_outputs()
        }

    def score(self, columns: Columns) -> Floats:
        """See `Model.score`. Columns that the graph does not take are left out."""
        feeds = {name: columns[name].reshape(-1, 1) for name in self.inputs}
        scores: Floats = self._session.run([OUTPUT], feeds)[0]
        return scores


class PythonModel:
    """A file with `score(columns)`, which answers [rows] or [rows, width] numbers."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._score = _score_function(path)

    def score(self, columns: Columns) -> Floats:
        """See `Model.score`."""
        rows = len(next(iter(columns.values())))
        answer = np.asarray(self._score(columns), dtype=np.float32)
        scores = answer[:, np.newaxis] if answer.ndim == 1 else answer
        if scores.ndim != 2 or len(scores) != rows:  # noqa: PLR2004 - [rows, width]
            raise ModelError(f"{self._path}: answered {rows} rows with shape {answer.shape}")
        return scores


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model that is verified and warm, and its card."""

    model: Model
    card: Card


def load_model(endpoint: Endpoint, name: str, folder: Path | None = None) -> LoadedModel:
    """Verify, open and warm up the model `name` of `endpoint`: what is in `folder`, else what was trained last.

    Raises:
        CardError: when its card or artefact is missing, changed, or another model's.
        ModelError: when it is not the endpoint's, its signature does not fit the endpoint's features and output, or it
            fails on synthetic rows.
    """
    settings = endpoint.models.get(name)
    if settings is None:
        raise ModelError(f"endpoint {endpoint.name} has no model {name!r}; it has {sorted(endpoint.models)}")
    folder = folder or endpoint.folder / name
    card = load_card(folder)
    check_card(endpoint, name, card, folder)
    where = f"model {endpoint.name}/{name} ({folder / card.artefact})"
    if card.kind != settings.kind:
        raise ModelError(f"{where}: the card says {card.kind}, models.{name}.kind in endpoint.toml {settings.kind}")
    model = _open(folder / card.artefact, settings, where)
    if isinstance(model, OnnxModel):
        _check_signature(model, endpoint, where)
    _warm_up(model, endpoint, settings, where)
    return LoadedModel(model, card)


def load_graph(endpoint: Endpoint, name: str, graph: Path) -> Model:
    """Open and warm up a graph that has no card yet, as it will be served when it is a version of model `name`.

    Raises:
        ModelError: it does not fit the endpoint, or fails on synthetic rows.
    """
    settings = endpoint.models[name]
    where = f"model {endpoint.name}/{name} ({graph})"
    model = _open(graph, settings.model_copy(update={"kind": "onnx"}), where)
    _check_signature(cast("OnnxModel", model), endpoint, where)
    _warm_up(model, endpoint, settings, where)
    return model


def _open(artefact: Path, settings: ModelSettings, where: str) -> Model:
    try:
        if settings.kind == "python":
            return PythonModel(artefact)
        return OnnxModel(artefact, settings.threads)
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(f"{where}: cannot be opened as {settings.kind} ({error}): is it the right file?") from error


def _score_function(path: Path) -> Callable[[Columns], Any]:
    """`score` of the file at `path`, imported under a name of its own."""
    spec = spec_from_file_location(f"rendezvous_model_{path.parent.parent.name}_{path.parent.name}", path)
    if spec is None or spec.loader is None:
        raise ModelError(f"{path}: not a Python file")
    module = module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up there
    spec.loader.exec_module(module)
    score = getattr(module, "score", None)
    if not callable(score):
        raise ModelError(f"{path}: defines no function score(columns) -> [rows] or [rows, width]")
    return score  # type: ignore[no-any-return] # a file outside the package: callable is all that is known


def _check_signature(model: OnnxModel, endpoint: Endpoint, where: str) -> None:
    """Inputs are features of the right type; the output is named, float, and as wide as the endpoint's."""
    expected = {f.name: TEXT_TENSOR if f.is_text else NUMBER_TENSOR for f in endpoint.features}
    for name, found in model.inputs.items():
        if name not in expected:
            raise ModelError(
                f"{where}: input {name!r} is no feature of {endpoint.name}; features are {sorted(expected)}: add it to "
                f"schemas/{endpoint.name}/features.avsc, or export the model without it"
            )
        if found != expected[name]:
            raise ModelError(
                f"{where}: input {name!r} is {found}, expected {expected[name]} by its type in features.avsc: "
                f"export the model with that type"
            )
    width = len(endpoint.output.names)
    if OUTPUT not in model.outputs:
        raise ModelError(f"{where}: no output named {OUTPUT!r}, found {sorted(model.outputs)}: rename it")
    kind, shape = model.outputs[OUTPUT]
    fits = len(shape) == 2 and (shape[1] == width or not isinstance(shape[1], int))  # noqa: PLR2004 - [rows, width]
    if kind != NUMBER_TENSOR or not fits:
        raise ModelError(
            f"{where}: output {OUTPUT!r} is {kind} {shape}, expected {NUMBER_TENSOR} [rows, {width}] for output.names "
            f"{list(endpoint.output.names)} in endpoint.toml: export it so"
        )


def _warm_up(model: Model, endpoint: Endpoint, settings: ModelSettings, where: str) -> None:
    """Score batches of one and of max_batch rows, so that the first real request meets a warm model."""
    width = len(endpoint.output.names)
    for rows in (1, settings.max_batch):
        columns = to_columns(synthetic_rows(endpoint.features, settings.required, rows), endpoint.features)
        for _ in range(WARM_UP_ROUNDS):
            try:
                shape = model.score(columns).shape
            except Exception as error:
                raise ModelError(f"{where}: failed on {rows} synthetic rows ({error!r}): see its code") from error
            if shape != (rows, width):
                raise ModelError(
                    f"{where}: answered {rows} rows with shape {shape}, expected {(rows, width)} for output.names "
                    f"{list(endpoint.output.names)} in endpoint.toml"
                )


def synthetic_rows(features: Sequence[Feature], required: Sequence[str], count: int) -> list[dict[str, object]]:
    """Rows that the schema allows: ones and text, and in every second row null wherever that is legal and bearable."""
    full: dict[str, object] = {f.name: "x" if f.is_text else 1 for f in features}
    bare = full | {f.name: None for f in features if f.nullable and f.name not in required}
    return [bare if number % 2 else full for number in range(count)]
