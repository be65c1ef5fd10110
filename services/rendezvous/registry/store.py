"""Versions on disk: models/<endpoint>/<model>/versions/<version>/ holds an artefact and its card, and never changes.

The model's own folder is the workbench, which training writes to; storing copies what is there.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rendezvous.registry.events import State
from rendezvous.registry.naming import RegistryError, named, written
from rendezvous.registry.state import Control, Pair
from rendezvous.scoring.card import CARD_FILE, REFERENCE_FILE, Card, CardError, check_card, load_card
from rendezvous.settings import Endpoint

VERSIONS = "versions"
READABLE = 0o755
"""Of a version's folder: whoever deploys need not be who scores."""
LEFT_S = 3_600.0
"""A folder that is being copied is younger than this."""


def folder_of(endpoint: Endpoint, pair: Pair) -> Path:
    """Where a version is."""
    model, version = pair
    return endpoint.folder / model / VERSIONS / version


def store(endpoint: Endpoint, model: str) -> Card:
    """Keep what the workbench holds as a version, whole or not at all; one that is kept already stays as it is.

    Raises:
        CardError: the workbench's card or artefact is missing, changed, or another model's.
        RegistryError: the version's folder holds something else, or cannot be written.
    """
    workbench = endpoint.folder / model
    card = load_card(workbench)
    check_card(endpoint, model, card, workbench)
    folder = folder_of(endpoint, (model, card.version))
    try:
        if not folder.exists():
            reference = () if card.reference_sha256 is None else (REFERENCE_FILE,)
            _copy(workbench, (card.artefact, CARD_FILE, *reference), card, folder)
    except OSError as error:
        raise RegistryError(f"{folder}: cannot be written ({error.strerror}): versions are kept there") from error
    stored(endpoint, (model, card.version), card.sha256)
    return card


def keep(endpoint: Endpoint, made: Path) -> Card:
    """Keep a finished folder, with everything in it, as the version that its card says; whole or not at all.

    Raises:
        CardError: its card or artefact is missing, or of another endpoint.
        RegistryError: the version's folder holds something else, or cannot be written.
    """
    card = load_card(made)
    check_card(endpoint, card.model, card, made)
    names = [path.relative_to(made).as_posix() for path in sorted(made.rglob("*")) if path.is_file()]
    folder = folder_of(endpoint, (card.model, card.version))
    try:
        if not folder.exists():
            _copy(made, names, card, folder)
    except OSError as error:
        raise RegistryError(f"{folder}: cannot be written ({error.strerror}): versions are kept there") from error
    return stored(endpoint, (card.model, card.version), card.sha256)


def stored(endpoint: Endpoint, pair: Pair, sha256: str) -> Card:
    """The card of a version that is kept, whose artefact has this digest.

    Raises:
        RegistryError: it is not kept here, or it is not the same artefact.
    """
    folder = folder_of(endpoint, pair)
    name = written(pair)
    if not folder.is_dir():
        raise RegistryError(
            f"{name} is deployed, and {folder} does not exist: copy it from where it was deployed, or train it again, "
            f"then `rendezvous models deploy {pair[0]} --endpoint {endpoint.name}` there"
        )
    try:
        card = load_card(folder)
    except CardError as error:
        raise RegistryError(
            f"{name} is damaged: {error}. A version never changes: remove {folder}, then "
            f"`rendezvous models deploy {pair[0]} --endpoint {endpoint.name}` from the same artefact"
        ) from error
    if card.sha256 != sha256:
        raise RegistryError(
            f"{folder} holds another artefact: sha256 {card.sha256[:12]}…, deployed was {sha256[:12]}…: "
            "a version never changes, put the deployed one back"
        )
    check_card(endpoint, pair[0], card, folder)
    return card


def deployed_version(endpoint: Endpoint, control: Control, name: str) -> tuple[Pair, Path]:
    """The version to run that a name means, and its folder, whose artefact is the deployed one.

    A paused one may be started: it rests until it is resumed.

    Raises:
        RegistryError: it is not deployed, retired, or not kept here.
    """
    pair = named(control, name)
    version = control.versions[pair]
    if version.state is State.RETIRED:
        raise RegistryError(f"{written(pair)} is retired: `rendezvous models list` shows what can be run")
    stored(endpoint, pair, version.sha256)
    return pair, folder_of(endpoint, pair)


def _copy(workbench: Path, names: Sequence[str], card: Card, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    _sweep(folder.parent)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent, ignore_cleanup_errors=True) as made:
        part = Path(made) / folder.name
        part.mkdir(READABLE)
        for name in names:
            (part / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(workbench / name, part / name)
        if load_card(part).sha256 != card.sha256:
            raise RegistryError(f"{workbench}: changed while it was copied: is it being trained? Deploy it again after")
        try:
            part.rename(folder)
        except OSError:
            if not folder.exists():  # else somebody else was first: `store` looks whether it is the same
                raise


def _sweep(versions: Path) -> None:
    """Remove what a process that was killed while it copied has left; nobody copies for an hour."""
    for left in versions.glob(".*"):
        if time.time() - left.stat().st_mtime > LEFT_S:
            shutil.rmtree(left, ignore_errors=True)
