"""Training writes models that are what scikit-learn fitted, once."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import ModelProto

from rendezvous.demo import flights
from rendezvous.scoring import export
from rendezvous.scoring.columns import to_columns
from rendezvous.scoring.fidelity import MAX_DIFFERENCE
from rendezvous.scoring.models import OnnxModel, load_model
from rendezvous.settings import Endpoint, load_endpoint

CHECKOUT = Path(__file__).resolve().parents[3]
SCRIPT = CHECKOUT / "models/flights/train.py"
EVERY = 25
"""One in this many rows of January and February is enough for the machinery, if not for a good model."""
MODELS = ("trees", "forest", "logistic", "rule")


def import_script() -> Any:  # noqa: ANN401 - a script, not a module that mypy could follow
    """models/flights/train.py, by its path."""
    spec = spec_from_file_location("flights_train", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


train = import_script()
forest = train.RECIPES["forest"]
# converting a hundred trees would take most of these tests' time
train.RECIPES["forest"] = replace(forest, parameters={**forest.parameters, "n_estimators": 10})


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """A thin sample of January and February."""
    published, *others = flights.read_sources()
    winter = published[published["month"] <= 2].reset_index(drop=True)
    return flights.requests(winter, *others).iloc[::EVERY]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, table: pd.DataFrame) -> Path:
    """A home in which everything has been trained on the sample."""
    home = tmp_path_factory.mktemp("home")
    for part in ("models/flights/endpoint.toml", "models/flights/rule/model.py", "schemas/flights/features.avsc"):
        home.joinpath(part).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(CHECKOUT / part, home / part)
    train.run(home, load=lambda: table, data_sha256=lambda: "a" * 64)
    return home


@pytest.fixture
def home(trained: Path, tmp_path: Path) -> Path:
    """A copy of that home, to be damaged."""
    return Path(shutil.copytree(trained, tmp_path / "home"))


@pytest.fixture(scope="module")
def endpoint(trained: Path) -> Endpoint:
    """The endpoint in the trained home."""
    return load_endpoint("flights", trained)


@pytest.fixture(scope="module")
def fitted(endpoint: Endpoint, table: pd.DataFrame) -> dict[str, tuple[Any, OnnxModel]]:
    """Each recipe's scikit-learn pipeline beside its graph."""
    sample = train.sample(table, endpoint.features, train.FIRST, train.LAST)
    pairs = {}
    for name, recipe in train.RECIPES.items():
        pipeline = recipe.pipeline(endpoint.features).fit(sample.table, sample.label)
        pairs[name] = (pipeline, OnnxModel(export.to_graph(pipeline, endpoint.features, "flights")))
    return pairs


def forbidden() -> pd.DataFrame:
    """Stands where the flights are loaded, when nothing should be trained."""
    raise AssertionError("trained although everything was current")


def artefacts(home: Path) -> dict[str, bytes]:
    """The bytes of every graph."""
    return {path.parent.name: path.read_bytes() for path in home.glob("models/flights/*/model.onnx")}


def test_every_model_of_the_endpoint_can_be_served(endpoint: Endpoint) -> None:
    """Each has an artefact that fits, and a card with a window, figures and versions."""
    assert set(endpoint.models) == set(MODELS)
    for name in MODELS:
        card = load_model(endpoint, name).card
        assert 0.5 < card.metrics.figures["auc"] < 1
        assert card.metrics.train.last < card.metrics.held_out.first <= card.data.last
        assert "skl2onnx" in card.packages


NUMBER = st.none() | st.floats(-(2.0**100), 2.0**100, width=32) | st.floats(-100, 3000, width=32)


@pytest.mark.parametrize("name", ["trees", "forest", "logistic"])
def test_a_graph_answers_what_scikit_learn_answers(
    endpoint: Endpoint, fitted: dict[str, tuple[Any, OnnxModel]], name: str
) -> None:
    """For known and unseen text, and any numbers, extreme and missing ones included."""
    pipeline, model = fitted[name]
    values = {
        feature.name: st.sampled_from(["", "UA", "EWR", "IAH", "nowhere", "N\0L"]) if feature.is_text else NUMBER
        for feature in endpoint.features
    }

    @settings(max_examples=25)
    @given(st.lists(st.fixed_dictionaries(values), min_size=1, max_size=8))
    def agrees(rows: list[dict[str, Any]]) -> None:
        columns = to_columns(rows, endpoint.features)
        expected = pipeline.predict_proba(pd.DataFrame(columns))[:, 1:]
        np.testing.assert_allclose(model.score(columns), expected, atol=MAX_DIFFERENCE)

    agrees()


def test_what_is_current_is_left_alone(home: Path) -> None:
    """A second run loads no flights and changes no file."""
    before = {path: path.stat().st_mtime_ns for path in home.glob("models/flights/*/*.*")}
    train.run(home, load=forbidden, data_sha256=lambda: "a" * 64)
    assert {path: path.stat().st_mtime_ns for path in home.glob("models/flights/*/*.*")} == before


def test_the_same_inputs_give_the_same_version(home: Path, table: pd.DataFrame) -> None:
    """Forced to train again, every graph comes out byte for byte."""
    before = artefacts(home)
    train.run(home, force=True, load=lambda: table, data_sha256=lambda: "a" * 64)
    assert artefacts(home) == before


def test_no_order_in_a_graph_depends_on_the_process(
    endpoint: Endpoint, fitted: dict[str, tuple[Any, OnnxModel]]
) -> None:
    """The operator sets, which skl2onnx keeps in a Python set, are sorted, or versions would follow the hash seed."""
    graph = ModelProto.FromString(export.to_graph(fitted["logistic"][0], endpoint.features, "flights"))
    domains = [entry.domain for entry in graph.opset_import]
    assert domains == sorted(domains)


def test_a_damaged_artefact_is_made_anew(home: Path, table: pd.DataFrame, capsys: pytest.CaptureFixture[str]) -> None:
    """That one alone, and the same as before."""
    path = home / "models/flights/logistic/model.onnx"
    sound = path.read_bytes()
    path.write_bytes(b"damaged")
    train.run(home, load=lambda: table, data_sha256=lambda: "a" * 64)
    assert path.read_bytes() == sound
    assert "trees      current" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("model", "changes"),
    [
        ("trees", {"parameters": {"categorical_features": [0, 1, 2]}}),
        ("forest", {"numbers": lambda: "passthrough"}),
    ],
)
def test_a_conversion_that_is_silently_wrong_is_caught(
    endpoint: Endpoint, table: pd.DataFrame, model: str, changes: dict[str, Any]
) -> None:
    """Categorical features in boosted trees and raw NaN in a forest are the two known ones."""
    sample = train.sample(table, endpoint.features, train.FIRST, train.LAST)
    recipe = replace(train.RECIPES[model], **changes)
    pipeline = recipe.pipeline(endpoint.features).fit(sample.table, sample.label)
    with pytest.raises(export.ExportError, match=r"is not the scikit-learn model: P\(positive\) differs"):
        export.export(pipeline, endpoint.features, sample.rows, "flights")


def test_a_refused_model_leaves_no_trace(home: Path, table: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model that was there stays, byte for byte, and nothing half written lies beside it."""
    monkeypatch.setattr(export, "MAX_DIFFERENCE", -1.0)
    before = {path: path.read_bytes() for path in home.glob("models/flights/trees/*")}
    with pytest.raises(train.TrainingError, match="trees: the ONNX graph is not"):
        train.run(home, load=lambda: table, data_sha256=lambda: "c" * 64)
    assert {path: path.read_bytes() for path in home.glob("models/flights/trees/*")} == before


def test_the_command_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A home without the endpoint ends with 1 and a sentence, not with a traceback."""
    assert train.main(["--home", str(tmp_path)]) == 1
    assert "endpoint.toml does not exist" in capsys.readouterr().err
