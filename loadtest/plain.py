"""Endpoints of plain Python models, written without training: what is measured, or tested, is not the models."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from rendezvous.monitoring.reference import Reference
from rendezvous.monitoring.shipped import write_reference
from rendezvous.scoring.card import VERSION_DIGITS, Card, Data, Metrics, Window, write_card
from rendezvous.settings import Endpoint, load_endpoint

A_DAY = date(2013, 1, 1)
"""Cards name their data's days; here there is no data."""


def write_home(
    folder: Path,
    name: str,
    document: str,
    models: Mapping[str, str],
    features: Mapping[str, Any],
    reference: Callable[[Endpoint], Reference] | None = None,
) -> Endpoint:
    """Write models/ and schemas/ of an endpoint under `folder`, which must not have one of that name.

    Args:
        folder: the home.
        name: of the endpoint.
        document: its endpoint.toml.
        models: the code of each model.
        features: the schema of the requests' values.
        reference: makes what each model is shipped with, for its monitor.
    """
    schemas, workbench = folder / "schemas" / name, folder / "models" / name
    schemas.mkdir(parents=True)
    (schemas / "features.avsc").write_text(json.dumps(features))
    workbench.mkdir(parents=True)
    (workbench / "endpoint.toml").write_text(document)
    endpoint = load_endpoint(name, folder)
    shipped = None if reference is None else reference(endpoint)
    for model, code in models.items():
        write_model(endpoint, model, code, shipped)
    return endpoint


def write_model(endpoint: Endpoint, model: str, code: str, reference: Reference | None = None) -> str:
    """What training does: write an artefact and its card to the model's workbench; returns its version."""
    folder = endpoint.folder / model
    folder.mkdir(exist_ok=True)
    (folder / "model.py").write_text(code)
    digest = sha256(code.encode()).hexdigest()
    nothing = Window(first=A_DAY, last=A_DAY, rows=0)
    card = Card(
        endpoint=endpoint.name,
        model=model,
        version=digest[:VERSION_DIGITS],
        kind="python",
        artefact="model.py",
        sha256=digest,
        data=Data(first=A_DAY, last=A_DAY, rows=0, source="none", sha256=digest),
        features=tuple(feature.name for feature in endpoint.features),
        parameters={},
        metrics=Metrics(train=nothing, held_out=nothing, figures={}),
        packages={},
        code_sha256=digest,
        created_utc=datetime(2013, 1, 1, tzinfo=UTC),
        reference_sha256=None if reference is None else write_reference(folder, reference),
    )
    write_card(folder, card)
    return card.version
