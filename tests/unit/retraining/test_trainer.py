"""Python's default training run: train.py in, graph, predictions and a word about itself out."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rendezvous.retraining import contract, trainer
from rendezvous.retraining.contract import About, Params
from rendezvous.retraining.tables import Table, read_columns, read_predictions, read_table, write_rows, write_table
from rendezvous.scoring.fidelity import MAX_DIFFERENCE, reference_rows
from rendezvous.scoring.models import OnnxModel
from rendezvous.settings import Feature

FEATURES = (Feature(name="place", type="string", nullable=False), Feature(name="x", type="float", nullable=True))
OUTPUTS = {"binary": ("p",), "multiclass": ("a", "b", "c"), "regression": ("y",)}
SCRIPT = """
from beside import DEPTH
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoosting{kind} as Trees
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

def train(table, params):
    print("rows", len(table))
    text = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    encode = ColumnTransformer([("text", text, ["place"]), ("numbers", "passthrough", ["x"])])
    trees = Trees(max_depth=DEPTH, max_iter=params.parameters["rounds"], random_state=1)
    return make_pipeline(encode, trees).fit(table[params.names], table["label"])
"""
OWN = """
import numpy as np
from rendezvous.retraining.contract import About
from rendezvous.retraining.trained import Trained

def train(table, params):
    return Trained(b"graph", lambda columns: np.zeros(len(columns["x"])), About(notes=table.columns[-1]))
"""


def prepared(folder: Path, kind: str, monkeypatch: pytest.MonkeyPatch, script: str) -> tuple[Params, Path]:
    """A run's files, laid out as a workshop does; its working folder is ours."""
    chance = np.random.default_rng(3)
    x = chance.normal(size=600).astype(np.float32)
    x[::20] = np.nan
    place = chance.choice(np.array(["a", "b"], dtype=object), 600)
    label = {"binary": x > 0, "multiclass": np.digitize(x, [-0.5, 0.5]), "regression": np.nan_to_num(x) * 2}[kind]
    times = np.arange(600)
    table = Table({"place": place, "x": x}, label.astype(np.float64), times, times)
    rows = [{"place": str(p), "x": None if np.isnan(v) else float(v)} for p, v in zip(place, x, strict=True)]
    params = Params.model_validate(
        {
            "endpoint": "toy",
            "model": "trees",
            "kind": kind,
            "outputs": OUTPUTS[kind],
            "features": FEATURES,
            "parameters": {"rounds": 5},
        }
    )
    working, output = folder / "code", folder / "output"
    working.mkdir()
    output.mkdir()
    (working / "train.py").write_text(script)
    (working / "beside.py").write_text("DEPTH = 3\n")
    write_table(folder / "table.parquet", table)
    reference = [row for case in reference_rows(rows, FEATURES).values() for row in case]
    write_rows(folder / "reference.parquet", reference, FEATURES)
    (folder / "parameters.json").write_text(params.model_dump_json())
    monkeypatch.chdir(working)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "beside", raising=False)
    for name, file in (
        (contract.TABLE, "table.parquet"),
        (contract.PARAMETERS, "parameters.json"),
        (contract.REFERENCE, "reference.parquet"),
        (contract.OUTPUT, "output"),
    ):
        monkeypatch.setenv(name, str(folder / file))
    return params, output


@pytest.mark.parametrize("kind", list(OUTPUTS))
def test_a_scikit_learn_estimator_is_exported(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """For each kind of output the graph answers what the estimator predicts, gaps and unseen text included."""
    script = SCRIPT.format(kind="Regressor" if kind == "regression" else "Classifier")
    params, output = prepared(tmp_path, kind, monkeypatch, script)
    assert trainer.main() == 0
    columns = read_columns(tmp_path / "reference.parquet", FEATURES)
    said = read_predictions(output / contract.PREDICTIONS_FILE, params.outputs, len(columns["x"]))
    ours = OnnxModel(output / contract.GRAPH_FILE).score(columns)
    assert ours.shape == said.shape
    np.testing.assert_allclose(ours.astype(np.float64), said, atol=MAX_DIFFERENCE)
    about = About.model_validate_json((output / contract.ABOUT_FILE).read_bytes())
    assert {"rounds": 5, "max_depth": 3, "max_iter": 5}.items() <= about.parameters.items()
    assert {"scikit-learn", "numpy", "skl2onnx"} <= set(about.packages)
    assert "OrdinalEncoder" in about.transformations[0]
    assert about.notes.startswith("HistGradientBoosting")


def test_a_graph_of_ones_own_is_taken_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the predictions of the model that it was made from."""
    _, output = prepared(tmp_path, "binary", monkeypatch, OWN)
    assert trainer.main() == 0
    assert (output / contract.GRAPH_FILE).read_bytes() == b"graph"
    assert json.loads((output / contract.ABOUT_FILE).read_text())["notes"] == contract.ASKED_US


@pytest.mark.parametrize(
    ("script", "said"),
    [("x = 1\n", r"defines no function train\(table, params\)"), ("train = 3\n", "no function train")],
)
def test_a_script_without_train_says_so(
    tmp_path: Path, script: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log's last line is what a person has to know."""
    prepared(tmp_path, "binary", monkeypatch, script)
    with pytest.raises(SystemExit, match=said):
        trainer.main()


def test_what_a_run_sees_is_what_it_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Float32 with NaN, text, labels and times: nothing is changed on the way."""
    prepared(tmp_path, "binary", monkeypatch, OWN)
    seen: dict[str, Any] = {}
    table = read_table(tmp_path / "table.parquet", FEATURES)
    for name, column in table.columns.items():
        seen[name] = column.dtype
    assert seen == {"place": np.dtype(object), "x": np.dtype(np.float32)}
    assert np.isnan(table.columns["x"]).sum() == 30
