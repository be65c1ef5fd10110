"""Endpoint documents: what is refused, and that the message says in which file, at which field, and what to do."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from endpoints import endpoint
from rendezvous.settings import MAX_MODELS, Endpoint, Feature, SettingsError, environment, load_endpoint
from rendezvous.wire import Codec

REPOSITORY = Path(__file__).parents[2]
DOCUMENT = """
name = "toy"
description = "a toy"
[request]
deadline_ms = 100
max_deadline_ms = 200
reply_margin_ms = 10
[output]
kind = "binary"
names = ["p"]
default = [0.5]
[mailbox]
close_ms = 1000
[[schedule]]
until_ms = 50
models = ["first"]
[[schedule]]
models = ["first", "second"]
[models.first]
[models.second]
required = ["x"]
"""
FEATURES = {
    "type": "record",
    "name": "Features",
    "fields": [
        {"name": "x", "type": ["null", "float"]},
        {"name": "who", "type": "string"},
        {"name": "n", "type": "int"},
    ],
}


def home_with(folder: Path, document: str = DOCUMENT, features: str = json.dumps(FEATURES)) -> Path:
    """A home with one endpoint, `toy`."""
    for path, text in (
        (folder / "models" / "toy" / "endpoint.toml", document),
        (folder / "schemas" / "toy" / "features.avsc", features),
    ):
        path.parent.mkdir(parents=True)
        path.write_text(text)
    return folder


def fault_of(home: Path, name: str = "toy") -> str:
    """What loading says; it always names the file."""
    with pytest.raises(SettingsError) as caught:
        load_endpoint(name, home)
    return str(caught.value)


# -------------------------------------------------------------------------------------------------------- what loads


def test_the_repositorys_own_endpoint_loads() -> None:
    """`flights` is as its documents say."""
    flights = load_endpoint("flights", REPOSITORY)
    assert flights.live == {"trees", "forest", "logistic"}
    assert set(flights.models) - flights.live == {"rule"}
    assert flights.aliases == {"champion": "trees", "challenger": "forest", "baseline": "logistic", "canary": "trees"}
    assert flights.folder == REPOSITORY / "models" / "flights"
    assert {feature.name for feature in flights.features} >= {"carrier", "origin_delay_1h"}
    assert not Codec(flights.features_schema, flights.older_features_schemas).knows(b"")


def test_a_document_becomes_an_endpoint(tmp_path: Path) -> None:
    """Features come from the schema, everything else from the document or its stated default."""
    toy = load_endpoint("toy", home_with(tmp_path))
    assert toy.features == (
        Feature(name="x", type="float", nullable=True),
        Feature(name="who", type="string", nullable=False),
        Feature(name="n", type="int", nullable=False),
    )
    assert [feature.is_text for feature in toy.features] == [False, True, False]
    assert [step.until_ms for step in toy.schedule] == [50, None]
    assert toy.topics.partitions == 1
    assert toy.topic("scores") == "toy.scores"


def test_released_features_schemas_are_kept(tmp_path: Path) -> None:
    """features.1.avsc and the like are read beside the newest, oldest first."""
    home = home_with(tmp_path)
    for number in (2, 1):
        (home / "schemas" / "toy" / f"features.{number}.avsc").write_text(f'"{number}"')
    assert load_endpoint("toy", home).older_features_schemas == ('"1"', '"2"')


def test_settings_do_not_change() -> None:
    """Nobody edits an endpoint while it runs."""
    with pytest.raises(ValueError, match="frozen"):
        setattr(endpoint(), "name", "other")  # noqa: B010 - mypy would not let it through


# ----------------------------------------------------------------------------------------------------- what does not


@pytest.mark.parametrize(
    ("old", "new", "field", "words"),
    [
        ('name = "toy"', "", "name", "required"),
        ('name = "toy"', 'name = "Toy"', "name", "pattern"),
        ('name = "toy"', 'name = "t.y"', "name", "pattern"),
        ('name = "toy"', 'name = "toys"', "name", "its folder is 'toy'"),
        ('description = "a toy"', "colour = 1", "colour", "not permitted"),
        ('description = "a toy"', "", "description", "required"),
        ("deadline_ms = 100", "deadline_ms = 0", "request.deadline_ms", "greater than 0"),
        ("deadline_ms = 100", "deadline_ms = 1.5", "request.deadline_ms", "integer"),
        ("deadline_ms = 100", "deadline_ms = 300", "request", "deadline_ms (300) exceeds max_deadline_ms (200)"),
        ("max_deadline_ms = 200", "max_deadline_ms = 2000", "document", "mailbox.close_ms (1000) is shorter than"),
        ("reply_margin_ms = 10", "reply_margin_ms = 100", "request", "reply_margin_ms (100) leaves nothing of"),
        ("reply_margin_ms = 10", "reply_margin_ms = -1", "request.reply_margin_ms", "greater than or equal to 0"),
        ("reply_margin_ms = 10", "reply_margin_ms = 10\nmax_bytes = 900001", "request.max_bytes", "900000"),
        ('kind = "binary"', 'kind = "words"', "output.kind", "'binary'"),
        ("default = [0.5]", "default = [0.5, 0.5]", "output", "default has 2 numbers for 1 names"),
        ('names = ["p"]', 'names = ["p", "q"]', "output", "default has 1 numbers for 2 names"),
        ('names = ["p"]\ndefault = [0.5]', 'names = ["p", "q"]\ndefault = [0.5, 0.5]', "output", "give one name"),
        ('names = ["p"]\ndefault = [0.5]', "names = []\ndefault = []", "output.names", "at least 1"),
        ("close_ms = 1000", "close_ms = 0", "mailbox.close_ms", "greater than 0"),
        ("close_ms = 1000", "close_ms = 1000\nsilent_ms = 0", "mailbox.silent_ms", "greater than 0"),
        ("close_ms = 1000", "close_ms = 1000\ncapacity = 1000", "mailbox", "capacity (1000) must be a power of two"),
        ("close_ms = 1000", "close_ms = 1000\ncapacity = 8", "mailbox.capacity", "greater than or equal to 16"),
        ("until_ms = 50", "", "document", "schedule step 1: until_ms must be given"),
        ("until_ms = 50", "until_ms = 0", "schedule.0.until_ms", "greater than 0"),
        ('models = ["first", "second"]', 'models = ["second"]\nuntil_ms = 80', "document", "remove its until_ms"),
        ('models = ["first", "second"]', "models = []", "schedule.1.models", "at least 1"),
        (
            'models = ["first", "second"]',
            'models = ["third"]',
            "document",
            "schedule step 2 names ['third']; models are",
        ),
        (
            'required = ["x"]',
            'required = ["y"]',
            "document",
            "models.second.required names unknown features ['y']; known",
        ),
        ('required = ["x"]', "max_batch = 0", "models.second.max_batch", "greater than or equal to 1"),
        ('required = ["x"]', "threads = 0", "models.second.threads", "greater than or equal to 1"),
        ('required = ["x"]', 'kind = "pickle"', "models.second.kind", "'python'"),
        ("[models.first]", "[models.First]\n[models.first]", "models.First.[key]", "pattern"),
        ("[mailbox]", "[topics]\npartitions = 0\n[mailbox]", "topics.partitions", "greater than or equal to 1"),
    ],
)
def test_a_wrong_document_is_refused_by_file_and_field(
    tmp_path: Path, old: str, new: str, field: str, words: str
) -> None:
    """The message names the file, the field, and what was expected there."""
    assert old in DOCUMENT
    # at the line's start: `deadline_ms` is also the end of `max_deadline_ms`
    message = fault_of(home_with(tmp_path, re.sub(f"(?m)^{re.escape(old)}$", new, DOCUMENT, count=1)))
    assert message.startswith(str(tmp_path / "models" / "toy" / "endpoint.toml"))
    assert re.search(rf"[:;] {re.escape(field)}(:| is) ", message)
    assert words in message


def test_steps_must_grow(tmp_path: Path) -> None:
    """A step that ends before the one before it is a mistake."""
    step = '[[schedule]]\nuntil_ms = 50\nmodels = ["second"]\n[[schedule]]\nmodels = ["first", "second"]'
    document = DOCUMENT.replace('[[schedule]]\nmodels = ["first", "second"]', step)
    assert "schedule step 2: until_ms must be given and grow" in fault_of(home_with(tmp_path, document))


def test_every_fault_is_named_at_once(tmp_path: Path) -> None:
    """Nobody mends a document one fault a start."""
    message = fault_of(
        home_with(tmp_path, DOCUMENT.replace("deadline_ms = 100", "deadline_ms = 0").replace("50", "-1"))
    )
    assert "request.deadline_ms" in message
    assert "schedule.0.until_ms" in message


@pytest.mark.parametrize("document", ["name = ", "[request\n", "a = 1\na = 2"])
def test_what_is_no_toml_is_refused(tmp_path: Path, document: str) -> None:
    """With the file, and the parser's line and column."""
    message = fault_of(home_with(tmp_path, document))
    assert "endpoint.toml: " in message
    assert "line" in message or "end of document" in message


def test_a_document_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    """With the file, and in words: not a trace from the depths of a codec."""
    home = home_with(tmp_path)
    (home / "models" / "toy" / "endpoint.toml").write_bytes(b'name = "\xff"')
    assert "endpoint.toml" in fault_of(home)


@pytest.mark.parametrize("field", ["folder", "features", "features_schema", "older_features_schemas"])
def test_what_comes_from_elsewhere_is_not_given_in_the_document(tmp_path: Path, field: str) -> None:
    """Features are the schema's: a document that has some too is told so, not ignored."""
    message = fault_of(home_with(tmp_path, f'{field} = "x"\n{DOCUMENT}'))
    assert "endpoint.toml" in message
    assert field in message


@pytest.mark.parametrize(("known", "words"), [(["toy"], "['toy']"), ([], "none")])
def test_a_missing_endpoint_names_the_known_ones(tmp_path: Path, known: list[str], words: str) -> None:
    """With the folder that was looked in, and how to look in another."""
    home = home_with(tmp_path) if known else tmp_path
    message = fault_of(home, "fligths")
    assert message.startswith(str(home / "models" / "fligths" / "endpoint.toml"))
    assert f"endpoints under {home}: {words}" in message
    assert "RENDEZVOUS_HOME" in message


@pytest.mark.parametrize(
    "features",
    [
        "",
        "[]",
        "{}",
        '{"fields": 1}',
        '{"fields": ["x"]}',
        '{"fields": [{"type": "int"}]}',
        '{"fields": [{"name": "x"}]}',
        '{"fields": [{"name": "x", "type": "bytes"}]}',
        '{"fields": [{"name": "x", "type": {"type": "array", "items": "int"}}]}',
        '{"fields": [{"name": "x", "type": ["null"]}]}',
        '{"fields": [{"name": "x", "type": ["null", "int", "string"]}]}',
    ],
)
def test_features_that_are_no_record_of_primitives_are_refused(tmp_path: Path, features: str) -> None:
    """The message names the schema's file."""
    message = fault_of(home_with(tmp_path, features=features))
    assert message.startswith(str(tmp_path / "schemas" / "toy" / "features.avsc"))
    assert "an Avro record of primitive fields" in message


def test_an_endpoint_without_features_is_refused(tmp_path: Path) -> None:
    """A model with nothing to look at is a mistake, and no batch of it could be scored."""
    document = DOCUMENT.replace('required = ["x"]', "")
    assert "features" in fault_of(home_with(tmp_path, document, json.dumps(FEATURES | {"fields": []})))


@pytest.mark.parametrize("default", ["nan", "inf", "-inf", "1e39"])
def test_a_default_answer_is_a_number(tmp_path: Path, default: str) -> None:
    """No model's NaN or infinity is ever an answer, and neither is the endpoint's own, as float32 too."""
    message = fault_of(home_with(tmp_path, DOCUMENT.replace("[0.5]", f"[{default}]")))
    assert "output" in message
    assert "default" in message


def test_a_missing_features_schema_is_refused(tmp_path: Path) -> None:
    """By its path."""
    home = home_with(tmp_path)
    (home / "schemas" / "toy" / "features.avsc").unlink()
    assert str(tmp_path / "schemas" / "toy" / "features.avsc") in fault_of(home)


def test_an_endpoint_has_as_many_models_as_a_decision_has_bits() -> None:
    """64 are legal, one more is not."""
    models: dict[str, object] = {f"m{number}": {} for number in range(MAX_MODELS)}
    schedule = [{"models": ["m0"]}]
    assert len(endpoint(models=models, schedule=schedule).models) == MAX_MODELS
    with pytest.raises(ValueError, match="models"):
        endpoint(models=models | {"one-more": {}}, schedule=schedule)


# ---------------------------------------------------------------------------------------------------- the environment


def test_an_empty_environment_means_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working folder, its .local, and no addresses."""
    monkeypatch.chdir(tmp_path)
    found = environment({})
    assert (found.home, found.data) == (tmp_path.resolve(), tmp_path.resolve() / ".local")
    assert (found.kafka, found.redis) == ("", "")


def test_the_environment_is_taken_as_given(tmp_path: Path) -> None:
    """Each variable by its name."""
    found = environment(
        {
            "RENDEZVOUS_HOME": str(tmp_path),
            "RENDEZVOUS_DATA": str(tmp_path / "data"),
            "KAFKA_BOOTSTRAP_SERVERS": "k:1",
            "REDIS_URL": "redis://r:2",
        }
    )
    assert (found.home, found.data) == (tmp_path.resolve(), tmp_path.resolve() / "data")
    assert (found.kafka, found.redis) == ("k:1", "redis://r:2")


def test_the_live_models_are_those_of_the_schedule() -> None:
    """A model that no step names is a candidate."""
    found: Endpoint = endpoint()
    assert found.live == {"champion", "challenger", "baseline"}
    assert "candidate" in found.models
