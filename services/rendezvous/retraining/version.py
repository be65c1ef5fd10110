"""A version's folder, made of what a job has found: graph, code, and the card that tells its history."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from rendezvous.archive.manifest import Manifest
from rendezvous.monitoring.reference import Reference
from rendezvous.monitoring.shipped import write_reference
from rendezvous.registry.evidence import Check
from rendezvous.registry.naming import written
from rendezvous.registry.state import Pair
from rendezvous.retraining.contract import GRAPH_FILE, Params
from rendezvous.retraining.events import RetrainEvent
from rendezvous.retraining.judgement import Measured
from rendezvous.retraining.limits import RetrainingLimits
from rendezvous.retraining.sources import Code
from rendezvous.retraining.splitting import day_of
from rendezvous.retraining.tables import Table
from rendezvous.retraining.workshop import Run
from rendezvous.scoring.card import (
    VERSION_DIGITS,
    Asked,
    Card,
    Data,
    Environment,
    History,
    Metrics,
    Result,
    Span,
    Window,
    write_card,
)
from rendezvous.settings import Endpoint

CODE_FOLDER = "code"
"""In a version's folder: the training code that ran."""


@dataclass(frozen=True, slots=True)
class Made:
    """Everything that a job knows when its last run is accepted."""

    event: RetrainEvent
    span: Span
    source: str
    table: Table
    split: int
    champion: Pair | None
    code: Code
    params: Params
    limits: RetrainingLimits
    results: Sequence[Check]
    judged: Measured
    trial: Run
    final: Run
    reference: Reference
    manifest: Manifest | None


def write_version(folder: Path, endpoint: Endpoint, made: Made) -> str:
    """Fill `folder`; returns the version."""
    folder.mkdir()
    shutil.copyfile(made.final.graph, folder / GRAPH_FILE)
    made.code.copy_to(folder / CODE_FOLDER)
    card = card_of(endpoint, made, (folder / GRAPH_FILE).read_bytes(), write_reference(folder, made.reference))
    write_card(folder, card)
    return card.version


def card_of(endpoint: Endpoint, made: Made, graph: bytes, reference_sha256: str) -> Card:
    """The card of what a job has made."""
    digest, table, offset = sha256(graph).hexdigest(), made.table, endpoint.monitoring.block_offset
    about = made.final.about
    whole = made.judged.judged[0].candidate
    return Card(
        endpoint=endpoint.name,
        model=made.params.model,
        version=digest[:VERSION_DIGITS],
        kind="onnx",
        artefact=GRAPH_FILE,
        sha256=digest,
        data=Data(source=made.source, sha256=table.sha256, **dict(_window(table, offset))),
        features=tuple(made.params.names),
        parameters={**made.params.parameters, **about.parameters},
        metrics=Metrics(
            train=_window(table.where(table.asked_us < made.split), offset),
            held_out=_window(table.where(table.asked_us >= made.split), offset),
            figures={name: round(value, 6) for name, value in whole.items() if value is not None},
        ),
        packages=about.packages,
        code_sha256=made.code.sha256,
        created_utc=datetime.now(UTC),
        notes=about.notes,
        reference_sha256=reference_sha256,
        history=_history(made),
    )


def _history(made: Made) -> History:
    event = made.event
    return History(
        span=made.span,
        manifest=None if made.manifest is None else made.manifest.model_dump(mode="json"),
        split_us=made.split,
        code=made.code.digests,
        command=made.code.command,
        given=made.params.parameters,
        transformations=made.final.about.transformations,
        environment=environment(),
        champion="" if made.champion is None else written(made.champion),
        limits=made.limits.acceptance.model_dump(mode="json"),
        results=tuple(Result(name=check.name, met=check.met, finding=check.finding) for check in made.results),
        judged=tuple(judged.model_dump(mode="json") for judged in made.judged.judged),
        seconds=round(made.trial.spent.seconds + made.final.spent.seconds, 3),
        peak_mb=max(made.trial.spent.peak_mb, made.final.spent.peak_mb),
        asked=Asked(
            key=event.key,
            causes=event.causes,
            evidence=event.evidence,
            reason=event.reason,
            by=event.by,
            at_us=event.at_us,
        ),
    )


def environment() -> Environment:
    """Where this process runs, and so do those that train."""
    return Environment(
        python=platform.python_version(),
        platform=platform.platform(),
        machine=platform.machine(),
        cores=os.cpu_count() or 1,
    )


def _window(table: Table, offset_us: int) -> Window:
    return Window(
        first=day_of(int(table.asked_us[0]), offset_us),
        last=day_of(int(table.asked_us[-1]), offset_us),
        rows=len(table),
    )
