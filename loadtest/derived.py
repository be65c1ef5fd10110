"""`flights` with another number of models or partitions, or longer requests: an endpoint of its own, derived each time.

Nothing is written into models/. Each run has an endpoint of a name of its own, so that on a broker that scenarios share
none meets what another one left behind: suspensions, shedding, positions.
"""

from __future__ import annotations

import json
import shutil
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from rendezvous.scoring.card import load_card, write_card
from rendezvous.settings import Endpoint, RequestLimits, SettingsError, load_endpoint

MODELS = 5
"""Those of `flights`, and a copy of its first one as the candidate that every system has under way."""
COPIED = ("trees", "forest", "logistic")
"""Whom further models are copies of, in turns: the trained ones."""
PADDING = "padding"
"""The feature that makes requests longer; no model looks at it."""
LEFT_OUT = ("monitoring", "retraining")
"""Of the document: no monitor runs here."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What is asked for: how many models and partitions, and bytes added to each request."""

    models: int = MODELS
    partitions: int = 1
    payload: int = 0


def chosen(known: Mapping[str, Any], models: int) -> dict[str, str]:
    """For each model the one whose artefact it has: the first of the endpoint's own, then copies."""
    own = {name: name for name in islice(known, models)}
    copies = islice(cycle(COPIED), max(models - len(own), 0))
    return own | {f"{name}-{number}": name for number, name in enumerate(copies, len(own) + 1)}


def document(basis: Mapping[str, Any], name: str, shape: Shape) -> dict[str, Any]:
    """The endpoint's document, derived from that of `flights`.

    Raises:
        SettingsError: fewer models than the schedule and the aliases need.
    """
    models = chosen(basis["models"], shape.models)
    if missing := sorted(set(basis["aliases"].values()) - set(models)):
        raise SettingsError(f"{shape.models} models are too few: the schedule needs {missing} too: MODELS=3 or more")
    longest = RequestLimits.model_validate(basis["request"]).max_bytes + shape.payload
    return {key: value for key, value in basis.items() if key not in LEFT_OUT} | {
        "name": name,
        "request": basis["request"] | {"max_bytes": longest},
        "topics": {"partitions": shape.partitions},
        "models": {model: basis["models"][source] for model, source in models.items()},
    }


def toml(value: Any) -> str:  # noqa: ANN401 - whatever a document holds
    """A value of a document as TOML writes it; tables as inline ones."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(toml(part) for part in value) + "]"
    return json.dumps(value)


def features(schema: str, payload: int) -> str:
    """The schema of requests' values, with room for what makes them longer."""
    record = json.loads(schema)
    if payload:
        record["fields"].append({"name": PADDING, "type": "string", "default": ""})
    return json.dumps(record)


def write_home(folder: Path, basis: Endpoint, name: str, shape: Shape) -> Endpoint:
    """Write models/ and schemas/ of the derived endpoint under `folder`, anew.

    Raises:
        SettingsError: it cannot have this shape, or a model of `basis` has no card.
    """
    shutil.rmtree(folder, ignore_errors=True)
    workbench, schemas = folder / "models" / name, folder / "schemas" / name
    workbench.mkdir(parents=True)
    schemas.mkdir(parents=True)
    known = tomllib.loads((basis.folder / "endpoint.toml").read_text())
    derived = document(known, name, shape)
    lines = [f"{key} = {toml(value)}" for key, value in derived.items()]
    (workbench / "endpoint.toml").write_text("\n".join(lines) + "\n")
    (schemas / "features.avsc").write_text(features(basis.features_schema, shape.payload))
    for model, source in chosen(known["models"], shape.models).items():
        copy_model(basis.folder / source, workbench / model, name, model)
    return load_endpoint(name, folder)


def copy_model(source: Path, target: Path, endpoint: str, model: str) -> None:
    """A trained model as one of another endpoint.

    Raises:
        CardError: it has no card.
    """
    card = load_card(source)
    target.mkdir()
    shutil.copyfile(source / card.artefact, target / card.artefact)
    # without its reference, which the monitor reads
    write_card(target, card.model_copy(update={"endpoint": endpoint, "model": model, "reference_sha256": None}))
