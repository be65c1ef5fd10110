"""A version's reference on disk: `reference.json` beside its card, which names its digest."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from pydantic import ValidationError

from rendezvous.monitoring.reference import Reference
from rendezvous.scoring.card import REFERENCE_FILE, CardError, load_card


def write_reference(folder: Path, reference: Reference) -> str:
    """Write it, whole or not at all; returns the digest for the card, which is to be written after it."""
    document = (reference.model_dump_json() + "\n").encode()
    path = folder / REFERENCE_FILE
    part = path.with_suffix(".json.part")
    part.write_bytes(document)
    part.replace(path)
    return sha256(document).hexdigest()


def load_reference(folder: Path) -> Reference | None:
    """The reference of the version in a folder; None for one that was trained without.

    Raises:
        CardError: it, the card or the artefact is missing or changed, or this release cannot read it.
    """
    if load_card(folder).reference_sha256 is None:
        return None
    path = folder / REFERENCE_FILE
    try:
        return Reference.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise CardError(f"{path}: not a reference that this release reads ({error}): train the version anew") from error
