"""Models are opened, checked against their endpoint, warmed up, and score."""

from __future__ import annotations

import shutil
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto

from rendezvous.scoring.card import CardError, write_card
from rendezvous.scoring.columns import to_columns
from rendezvous.scoring.models import ModelError, OnnxModel, PythonModel, load_model, synthetic_rows
from rendezvous.settings import Endpoint

from .conftest import Install, card_of, graph, word_graph

RULE = b"def score(columns):\n    return columns['maybe'] * 2\n"


def test_a_graph_scores_a_batch(endpoint: Endpoint, install: Install) -> None:
    """One float32 per row and output name, from the columns that it takes."""
    install("graph", graph(), "onnx")
    loaded = load_model(endpoint, "graph")
    columns = to_columns([{"maybe": 0.25}, {"maybe": None}], endpoint.features)
    scores = loaded.model.score(columns)
    assert loaded.card.model == "graph"
    assert scores.dtype == np.float32
    np.testing.assert_array_equal(scores, np.array([[0.25], [np.nan]], dtype=np.float32))


def test_a_python_file_scores_a_batch(endpoint: Endpoint, install: Install) -> None:
    """One number per row becomes a column of float32."""
    install("rule", RULE, "python")
    columns = to_columns([{"maybe": 2.0}], endpoint.features)
    scores = load_model(endpoint, "rule").model.score(columns)
    assert scores.dtype == np.float32
    assert scores.tolist() == [[4.0]]


def test_a_python_file_may_hold_dataclasses(tmp_path: Path) -> None:
    """They look their module up while the file is imported."""
    path = tmp_path / "model.py"
    path.write_text(
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        "@dataclass\nclass A:\n    x: int = 1\n"
        "def score(columns):\n    return columns['maybe'] + A().x\n"
    )
    columns = {"maybe": np.ones(2, dtype=np.float32)}
    assert PythonModel(path).score(columns).tolist() == [[2.0], [2.0]]


@pytest.mark.parametrize("word", ["plain", "", "NUL\0inside", "ends in NUL\0", "\N{SNOWMAN}", "x" * 70_000])
def test_text_reaches_the_graph_as_it_is(endpoint: Endpoint, word: str) -> None:
    """In a batch of one and among others, NUL included, which NumPy's own text type would cut off."""
    model = OnnxModel(word_graph(word))
    others = [{"word": word + "\0"}, {"word": "other"}]
    assert model.score(to_columns([{"word": word}], endpoint.features)).tolist() == [[1.0]]
    scores = model.score(to_columns([*others, {"word": word}], endpoint.features))
    assert scores.tolist() == [[0.0], [0.0], [1.0]]


@pytest.mark.parametrize(
    ("artefact", "said"),
    [
        (graph({"age": TensorProto.FLOAT}), r"input 'age' is no feature of toy; features are \['count'"),
        (graph({"word": TensorProto.FLOAT}), r"'word' is tensor\(float\), expected tensor\(string\)"),
        (graph({"count": TensorProto.INT64}), r"'count' is tensor\(int64\), expected tensor\(float\)"),
        (graph({"maybe": TensorProto.FLOAT}, width=3), r"expected tensor\(float\) \[rows, 1\]"),
        (graph(output="probability"), r"no output named 'output', found \['probability'\]"),
        (b"not a graph", "cannot be opened as onnx"),
    ],
)
def test_a_graph_that_does_not_fit_is_refused(endpoint: Endpoint, install: Install, artefact: bytes, said: str) -> None:
    """Naming the model, its file, and what was found and expected."""
    folder = install("graph", artefact, "onnx")
    with pytest.raises(ModelError, match=said) as raised:
        load_model(endpoint, "graph")
    assert f"toy/graph ({folder / 'model.onnx'})" in str(raised.value)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (b"score = 1", "defines no function score"),
        (b"def nothing(): pass", "defines no function score"),
        (b"import nowhere_to_be_found", "cannot be opened as python"),
        (b"def score(columns): raise ValueError('no')", "failed on 1 synthetic rows"),
        (b"def score(columns): return [0.5]", "answered 8 rows with shape"),
        (b"def score(columns): return [[1, 2]] * len(columns['word'])", r"shape \(1, 2\), expected \(1, 1\)"),
    ],
)
def test_a_python_file_that_does_not_work_is_refused(
    endpoint: Endpoint, install: Install, source: bytes, said: str
) -> None:
    """Before it has met a request."""
    install("rule", source, "python")
    with pytest.raises(ModelError, match=said):
        load_model(endpoint, "rule")


def test_an_unknown_model_is_refused(endpoint: Endpoint) -> None:
    """Naming those that there are."""
    with pytest.raises(ModelError, match=r"no model 'ghost'; it has \['graph', 'rule'\]"):
        load_model(endpoint, "ghost")


def test_a_model_without_a_card_is_refused(endpoint: Endpoint) -> None:
    """The card's own fault passes through."""
    with pytest.raises(CardError, match="no readable card"):
        load_model(endpoint, "graph")


def test_another_models_card_is_refused(endpoint: Endpoint, install: Install) -> None:
    """A folder copied without its card being written anew."""
    folder = install("graph", graph(), "onnx")
    write_card(folder, card_of("rule", graph(), "onnx", "model.onnx"))
    with pytest.raises(CardError, match=r"is of endpoint and model \('toy', 'rule'\), expected \('toy', 'graph'\)"):
        load_model(endpoint, "graph")


def test_a_card_of_another_kind_is_refused(endpoint: Endpoint, install: Install) -> None:
    """The document says how a model is run."""
    install("graph", b"def score(columns): return [0.5]", "python")
    with pytest.raises(ModelError, match=r"the card says python, models.graph.kind in endpoint.toml onnx"):
        load_model(endpoint, "graph")


def test_a_version_is_run_from_its_own_folder(endpoint: Endpoint, install: Install) -> None:
    """Whatever the workbench holds by then."""
    version = Path(shutil.copytree(install("graph", graph(), "onnx"), endpoint.folder / "graph" / "versions" / "v"))
    install("graph", b"not a graph", "onnx")
    assert load_model(endpoint, "graph", version).card.sha256 == sha256(graph()).hexdigest()


def test_synthetic_rows_have_gaps_where_the_schema_and_the_model_bear_them(endpoint: Endpoint) -> None:
    """Every second row, and never in a required feature."""
    full, bare = synthetic_rows(endpoint.features, ("maybe",), 2)
    assert full == {"word": "x", "note": "x", "count": 1, "maybe": 1}
    assert bare == full | {"note": None}
