"""`rendezvous rebuild`: makes a version again from its card, says what differs, and scores it on other days."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from rendezvous.archive.command import save
from rendezvous.archive.dataset import Dataset, build
from rendezvous.archive.files import Archive
from rendezvous.archive.manifest import Manifest
from rendezvous.registry.naming import RegistryError, written
from rendezvous.registry.state import Pair
from rendezvous.registry.store import VERSIONS, folder_of
from rendezvous.retraining.acceptance import AcceptanceLimits, slice_in_words
from rendezvous.retraining.answering import in_chunks
from rendezvous.retraining.contract import params_of
from rendezvous.retraining.measuring import judge
from rendezvous.retraining.sources import kept_code
from rendezvous.retraining.tables import Table, TableError, read_table
from rendezvous.retraining.training import TrainingLimits
from rendezvous.retraining.version import CODE_FOLDER, environment
from rendezvous.retraining.workshop import Workshop
from rendezvous.scoring.card import Card, History, load_card
from rendezvous.scoring.fidelity import MAX_DIFFERENCE
from rendezvous.scoring.models import OnnxModel
from rendezvous.settings import Endpoint

SAME, DIFFERENT = 0, 1
"""Exit codes: the same bytes or predictions; another model."""


@dataclass(frozen=True, slots=True)
class Desk:
    """Where versions of one endpoint are made again, of the data in `archive`; `say` takes lines for people."""

    endpoint: Endpoint
    archive: Archive
    say: Callable[[str], None]

    def rebuild(self, pair: Pair, data: Path | None = None, score: Path | None = None) -> int:
        """Make a version again, of the archive's data or of a table with the same content; score it on another table.

        Raises:
            RegistryError: it was not made by a retraining job, or a feature that it takes is gone.
            TableError: the data is not what it was trained on.
            SourceError: its code is not what it was.
            ConfinedError: the training failed.
        """
        folder = folder_of(self.endpoint, pair)
        card = load_card(folder)
        history = _history(card, folder)
        endpoint = _as_it_was(self.endpoint, card)
        for line in differences(card, history):
            self.say(f"differs from the card: {line}")
        code = kept_code(folder / CODE_FOLDER, history.code, history.command, endpoint.features_schema)
        limits = TrainingLimits() if endpoint.retraining is None else endpoint.retraining.training
        with tempfile.TemporaryDirectory(prefix="rebuild-") as name:
            place = Path(name).resolve()
            table = self._data(card, history, data, place)
            params = params_of(endpoint, card.model, history.given)
            run = Workshop(endpoint, params, code, limits, place, self.say).train("rebuilt", table)
            ended = self._compare(folder / card.artefact, run.graph, table)
            if score is not None:
                self._score(endpoint, history, OnnxModel(run.graph), score)
        return ended

    def _data(self, card: Card, history: History, data: Path | None, place: Path) -> Table:
        features = _as_it_was(self.endpoint, card).features
        if data is None:
            data = place / "data.parquet"
            save(self._from_archive(card, history), data)
        table = read_table(data, features)
        if table.sha256 != card.data.sha256:
            raise TableError(
                f"{data}: {len(table)} rows, sha256 {table.sha256[:12]}…; the card says {card.data.rows} rows, "
                f"{card.data.sha256[:12]}…: it is other data. The card's is {card.data.source}"
            )
        self.say(f"data: {len(table):,} rows, sha256 {table.sha256[:12]}… as the card says")
        return table

    def _from_archive(self, card: Card, history: History) -> Dataset:
        if history.manifest is None:
            raise RegistryError(
                f"{written((card.model, card.version))}: its data is of {card.data.source}, not of an archive: give "
                "it with --data FILE"
            )
        like = Manifest.model_validate(history.manifest)
        return build(
            self.endpoint,
            self.archive,
            like.from_us,
            like.until_us,
            like.as_of_us,
            label_delay_us=like.label_delay_us,
            positions=like.positions,
        )

    def _compare(self, kept: Path, made: Path, table: Table) -> int:
        if sha256(kept.read_bytes()).digest() == sha256(made.read_bytes()).digest():
            self.say(f"rebuilt: byte for byte {kept}")
            return SAME
        theirs, ours = (in_chunks(OnnxModel(graph), table.columns).astype(np.float64) for graph in (kept, made))
        worst = float(np.max(np.abs(ours - theirs), initial=0.0))
        same = worst <= MAX_DIFFERENCE
        self.say(
            f"rebuilt: other bytes; predictions differ by at most {worst:.2g} on {len(table):,} rows, "
            f"{'within' if same else 'more than'} {MAX_DIFFERENCE:g}"
        )
        return SAME if same else DIFFERENT

    def _score(self, endpoint: Endpoint, history: History, model: OnnxModel, path: Path) -> None:
        table = read_table(path, endpoint.features)
        if not len(table):
            raise TableError(f"{path}: has no row with a label: nothing to score on")
        try:
            limits = AcceptanceLimits.model_validate(history.limits)
        except ValidationError:  # limits of another release: all rows are what remains
            limits = AcceptanceLimits()
        for judged in judge(endpoint.output.kind, table, in_chunks(model, table.columns), None, limits):
            figures = ", ".join(
                f"{name} {'undefined' if value is None else f'{value:.6f}'}" for name, value in judged.candidate.items()
            )
            self.say(f"scored on {path}, {slice_in_words(judged.slice)}, {judged.rows:,} rows: {figures}")


def named_version(endpoint: Endpoint, text: str) -> Pair:
    """The version that is kept here under MODEL/VERSION, or VERSION alone.

    Raises:
        RegistryError: there is none, or there are two.
    """
    kept = sorted((path.parents[1].name, path.name) for path in endpoint.folder.glob(f"*/{VERSIONS}/[!.]*"))
    found = [pair for pair in kept if text in (written(pair), pair[1])]
    if len(found) != 1:
        said = "stands for several" if found else "is not kept here"
        raise RegistryError(
            f"{text} {said}; versions below {endpoint.folder}: {', '.join(map(written, kept)) or 'none'}"
        )
    return found[0]


def differences(card: Card, history: History) -> Iterator[str]:
    """What is not here as it was where the version was trained."""
    now, then = environment(), history.environment
    for name in ("python", "platform", "machine", "cores"):
        if getattr(now, name) != getattr(then, name):
            yield f"{name} is {getattr(now, name)}, was {getattr(then, name)}"
    for package, was in card.packages.items():
        try:
            found = version(package)
        except PackageNotFoundError:
            found = "not installed"
        if found != was:
            yield f"{package} is {found}, was {was}"


def _history(card: Card, folder: Path) -> History:
    if card.history is None:
        raise RegistryError(
            f"{folder}: its card has no history, so no retraining job has made it: {folder.parents[2] / 'train.py'} "
            "or whatever wrote the card makes it again"
        )
    return card.history


def _as_it_was(endpoint: Endpoint, card: Card) -> Endpoint:
    """The endpoint with the features that the version was trained with, in their order."""
    known = {feature.name: feature for feature in endpoint.features}
    if gone := [name for name in card.features if name not in known]:
        raise RegistryError(f"{written((card.model, card.version))} takes {gone}, which features.avsc has no longer")
    return endpoint.model_copy(update={"features": tuple(known[name] for name in card.features)})
