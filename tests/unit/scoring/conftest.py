"""An endpoint of four features, and tiny ONNX graphs to serve it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from hashlib import sha256
from pathlib import Path
from typing import Literal, TypeAlias

import pytest
from onnx import TensorProto, helper

from rendezvous.scoring.card import Card, Data, Metrics, Window, write_card
from rendezvous.settings import Endpoint, load_endpoint

ENDPOINT = """
name = "toy"
description = "a toy"
[request]
deadline_ms = 100
max_deadline_ms = 200
reply_margin_ms = 10
[output]
kind = "binary"
names = ["p"]
default = [0.5]
[[schedule]]
models = ["graph"]
[models.graph]
max_batch = 8
[models.rule]
kind = "python"
max_batch = 8
required = ["maybe"]
"""
SCHEMA = """
{"type": "record", "name": "Features", "namespace": "toy", "fields": [
  {"name": "word", "type": "string"},
  {"name": "note", "type": ["null", "string"], "default": null},
  {"name": "count", "type": "int"},
  {"name": "maybe", "type": ["null", "float"], "default": null}
]}
"""
WINDOW = Window(first=date(2013, 1, 1), last=date(2013, 1, 2), rows=2)

Kind: TypeAlias = Literal["onnx", "python"]
Install: TypeAlias = "Callable[[str, bytes, Kind], Path]"


@pytest.fixture
def endpoint(tmp_path: Path) -> Endpoint:
    """The endpoint `toy` in a home of its own, without any artefact."""
    for folder, name, text in (
        ("models/toy", "endpoint.toml", ENDPOINT),
        ("schemas/toy", "features.avsc", SCHEMA),
    ):
        path = tmp_path / folder
        path.mkdir(parents=True)
        path.joinpath(name).write_text(text)
    return load_endpoint("toy", tmp_path)


@pytest.fixture
def install(endpoint: Endpoint) -> Install:
    """Puts an artefact and its card where the endpoint looks for them."""

    def put(name: str, artefact: bytes, kind: Kind) -> Path:
        folder = endpoint.folder / name
        folder.mkdir(exist_ok=True)
        file = "model.onnx" if kind == "onnx" else "model.py"
        folder.joinpath(file).write_bytes(artefact)
        write_card(folder, card_of(name, artefact, kind, file))
        return folder

    return put


def card_of(name: str, artefact: bytes, kind: Kind, file: str) -> Card:
    """A card that tells the truth about `artefact` and little else."""
    digest = sha256(artefact).hexdigest()
    return Card(
        endpoint="toy",
        model=name,
        version=digest[:12],
        kind=kind,
        artefact=file,
        sha256=digest,
        data=Data(source="toy", sha256=digest, **dict(WINDOW)),
        features=("word",),
        parameters={"depth": 1},
        metrics=Metrics(train=WINDOW, held_out=WINDOW, figures={"auc": 0.5}),
        packages={"numpy": "2"},
        code_sha256=digest,
        created_utc=datetime(2026, 1, 1, tzinfo=UTC),
    )


def graph(inputs: Mapping[str, int] | None = None, *, width: int = 1, output: str = "output") -> bytes:
    """A graph whose output is its last input that is a number, `width` times; TensorProto types by input name."""
    chosen = {"word": TensorProto.STRING, "maybe": TensorProto.FLOAT} if inputs is None else inputs
    last = [name for name, kind in chosen.items() if kind != TensorProto.STRING][-1]
    nodes = [helper.make_node("Concat", [last] * width, [output], axis=1)]
    made = helper.make_graph(
        nodes,
        "toy",
        [helper.make_tensor_value_info(name, kind, [None, 1]) for name, kind in chosen.items()],
        [helper.make_tensor_value_info(output, chosen[last], [None, width])],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    serialised: bytes = model.SerializeToString()
    return serialised


def word_graph(word: str) -> bytes:
    """A graph that answers 1.0 where the feature `word` is `word`, and 0.0 elsewhere."""
    # not helper.make_tensor, which loses a NUL at the end
    wanted = TensorProto(name="wanted", data_type=TensorProto.STRING, dims=[1], string_data=[word.encode()])
    made = helper.make_graph(
        [
            helper.make_node("Equal", ["word", "wanted"], ["same"]),
            helper.make_node("Cast", ["same"], ["output"], to=TensorProto.FLOAT),
        ],
        "word",
        [helper.make_tensor_value_info("word", TensorProto.STRING, [None, 1])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [None, 1])],
        [wanted],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    serialised: bytes = model.SerializeToString()
    return serialised
