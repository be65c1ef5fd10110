"""A card is read only together with the artefact that it describes."""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from pydantic import ValidationError

from rendezvous.scoring.card import CARD_FILE, REFERENCE_FILE, Card, CardError, load_card, write_card

from .conftest import Install, card_of


@pytest.fixture
def folder(install: Install) -> Path:
    """A model's folder in good order."""
    return install("graph", b"artefact", "onnx")


def test_what_was_written_is_read(folder: Path) -> None:
    """Every field survives."""
    card = card_of("graph", b"artefact", "onnx", "model.onnx")
    write_card(folder, card)
    assert load_card(folder) == card
    assert sorted(path.name for path in folder.iterdir()) == [CARD_FILE, "model.onnx"]


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: folder.joinpath("model.onnx").write_bytes(b"other"), "changed since its card"),
        (lambda folder: folder.joinpath("model.onnx").unlink(), "named by its card, and not readable"),
        (lambda folder: folder.joinpath(CARD_FILE).unlink(), "no readable card"),
        (lambda folder: folder.joinpath(CARD_FILE).write_text("{"), "not a valid card"),
    ],
)
def test_a_fault_says_what_where_and_what_to_do(folder: Path, damage: Callable[[Path], object], said: str) -> None:
    """A changed or missing artefact, and a missing or unreadable card."""
    damage(folder)
    with pytest.raises(CardError, match=said) as raised:
        load_card(folder)
    assert str(folder) in str(raised.value)
    assert "make demo" in str(raised.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [("version", "000000000000"), ("artefact", "../other/model.onnx"), ("surprise", 1), ("sha256", "ab")],
)
def test_a_card_that_contradicts_itself_is_refused(folder: Path, field: str, value: object) -> None:
    """A version of its own, a path out of the folder, an unknown field, half a digest."""
    path = folder / CARD_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))
    with pytest.raises(CardError, match="not a valid card"):
        load_card(folder)


def test_the_reference_is_verified_too(folder: Path) -> None:
    """A card that names one is read only beside that very file."""
    reference = folder / REFERENCE_FILE
    reference.write_bytes(b"{}")
    known = load_card(folder).model_copy(update={"reference_sha256": sha256(b"{}").hexdigest()})
    write_card(folder, known)
    assert load_card(folder) == known
    reference.write_bytes(b"{ }")
    with pytest.raises(CardError, match="changed since its card"):
        load_card(folder)
    reference.unlink()
    with pytest.raises(CardError, match="not readable"):
        load_card(folder)


def test_a_card_is_frozen(folder: Path) -> None:
    """What was verified cannot change afterwards."""
    card: Card = load_card(folder)
    with pytest.raises(ValidationError, match="frozen"):
        card.version = "0"
