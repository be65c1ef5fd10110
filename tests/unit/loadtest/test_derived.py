"""Endpoints derived from `flights`: models, partitions, longer requests."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

pytest.importorskip("hdrh", reason="hdrhistogram has no wheel for Linux on arm64")

from loadtest import derived, plain
from loadtest.derived import Shape
from loadtest.overload import home
from rendezvous.scoring.models import load_model
from rendezvous.settings import Endpoint, SettingsError, load_endpoint
from rendezvous.wire import Codec

ROOT = Path(__file__).parents[3]
FLIGHTS = tomllib.loads((ROOT / "models" / "flights" / "endpoint.toml").read_text())


@pytest.fixture
def basis(tmp_path: Path) -> Endpoint:
    """An endpoint with the names of the flight models, which needs no training."""
    document = home.DOCUMENT.format(name="flights")
    for old, new in (("first", "trees"), ("second", "forest"), ("third", "logistic")):
        document = document.replace(old, new)
    code = {model: home.MODEL.format(row_s=0, factor=1) for model in derived.COPIED}
    return plain.write_home(tmp_path / "basis", "flights", document, code, home.FEATURES)


def test_five_models_are_the_endpoints_four_and_a_copy_of_the_first() -> None:
    """And more are copies of the trained ones in turns."""
    assert derived.chosen(FLIGHTS["models"], 5) == {
        "trees": "trees",
        "forest": "forest",
        "logistic": "logistic",
        "rule": "rule",
        "trees-5": "trees",
    }
    assert list(derived.chosen(FLIGHTS["models"], 8))[5:] == ["forest-6", "logistic-7", "trees-8"]


def test_the_derived_document_is_that_of_flights_but_for_what_was_asked() -> None:
    """Deadline, schedule, aliases and default stay; no monitor, no retrainer."""
    found = derived.document(FLIGHTS, "other", Shape(models=5, partitions=4, payload=100))
    for key in ("schedule", "aliases", "output", "fallback"):
        assert found[key] == FLIGHTS[key]
    assert found["request"] == FLIGHTS["request"] | {"max_bytes": FLIGHTS["request"]["max_bytes"] + 100}
    assert (found["name"], found["topics"]) == ("other", {"partitions": 4})
    assert not set(found) & set(derived.LEFT_OUT)


def test_a_document_survives_being_written() -> None:
    """As TOML, and back."""
    found = derived.document(FLIGHTS, "other", Shape())
    text = "\n".join(f"{key} = {derived.toml(value)}" for key, value in found.items())
    assert tomllib.loads(text) == found


def test_fewer_models_than_the_schedule_needs_are_refused() -> None:
    """With a word about how many are enough."""
    with pytest.raises(SettingsError, match="MODELS=3"):
        derived.document(FLIGHTS, "other", Shape(models=2))


def test_a_derived_endpoint_loads_and_its_models_are_copies(basis: Endpoint, tmp_path: Path) -> None:
    """Under names of their own, with cards that say so."""
    made = derived.write_home(tmp_path / "made", basis, "flights-x", Shape(models=4, partitions=2, payload=50))
    assert (made.name, made.topics.partitions, len(made.models)) == ("flights-x", 2, 4)
    assert load_model(made, "trees-4").card.version == load_model(made, "trees").card.version
    assert load_endpoint("flights-x", tmp_path / "made").schedule == basis.schedule


def test_a_payload_makes_requests_so_much_longer(basis: Endpoint, tmp_path: Path) -> None:
    """By the bytes asked for, and their length."""
    long = derived.write_home(tmp_path / "long", basis, "long", Shape(models=3, payload=1_000))
    plainly = len(Codec(basis.features_schema).encode({"x": 0.5}))
    padded = len(Codec(long.features_schema).encode({"x": 0.5, derived.PADDING: "x" * 1_000}))
    assert padded == plainly + 1_000 + 2
    assert json.loads(derived.features(basis.features_schema, 0)) == json.loads(basis.features_schema)
