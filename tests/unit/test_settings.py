"""Endpoint documents: what is refused, and that the message says in which file, at which field, and what to do."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from endpoints import endpoint
from rendezvous.rules import Rules, Step
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
    ("old", "new", "line", "field", "words"),
    [
        ('name = "toy"', "", 0, "name", "required"),
        ('name = "toy"', 'name = "Toy"', 2, "name", "pattern"),
        ('name = "toy"', 'name = "t.y"', 2, "name", "pattern"),
        ('name = "toy"', 'name = "toys"', 2, "name", "is 'toys', its folder is 'toy': they must agree"),
        ('description = "a toy"', 'description = "a toy"\ncolour = 1', 4, "colour", "not permitted"),
        ('description = "a toy"', "", 0, "description", "required"),
        ("deadline_ms = 100", "deadline_ms = 0", 5, "request.deadline_ms", "greater than 0"),
        ("deadline_ms = 100", "deadline_ms = 1.5", 5, "request.deadline_ms", "integer"),
        ("deadline_ms = 100", "", 4, "request.deadline_ms", "required"),
        ("deadline_ms = 100", "deadline_ms = 300", 4, "request", "deadline_ms (300) exceeds max_deadline_ms (200)"),
        ("max_deadline_ms = 200", "max_deadline_ms = 3600001", 6, "request.max_deadline_ms", "3600000"),
        (
            "max_deadline_ms = 200",
            "max_deadline_ms = 2000",
            13,
            "mailbox.close_ms",
            "close_ms (1000) is shorter than request.max_deadline_ms (2000): a mailbox would close before its",
        ),
        ("reply_margin_ms = 10", "reply_margin_ms = 100", 4, "request", "reply_margin_ms (100) leaves nothing of"),
        ("reply_margin_ms = 10", "reply_margin_ms = -1", 7, "request.reply_margin_ms", "greater than or equal to 0"),
        ("reply_margin_ms = 10", "reply_margin_ms = 10\nmax_bytes = 900001", 8, "request.max_bytes", "900000"),
        ('kind = "binary"', 'kind = "words"', 9, "output.kind", "'binary'"),
        ("default = [0.5]", "default = [0.5, 0.5]", 8, "output", "default has 2 numbers for 1 names"),
        ('names = ["p"]', 'names = ["p", "q"]', 8, "output", "default has 1 numbers for 2 names"),
        ('names = ["p"]\ndefault = [0.5]', 'names = ["p", "q"]\ndefault = [0.5, 0.5]', 8, "output", "give one name"),
        ('names = ["p"]\ndefault = [0.5]', "names = []\ndefault = []", 10, "output.names", "at least 1"),
        ("default = [0.5]", "default = [nan]", 11, "output.default.0", "finite"),
        ("close_ms = 1000", "close_ms = 0", 13, "mailbox.close_ms", "greater than 0"),
        ("close_ms = 1000", "close_ms = 1000\nsilent_ms = 0", 14, "mailbox.silent_ms", "greater than 0"),
        (
            "close_ms = 1000",
            "close_ms = 1000\ncapacity = 1000",
            12,
            "mailbox",
            "capacity (1000) must be a power of two",
        ),
        ("close_ms = 1000", "close_ms = 1000\ncapacity = 8", 14, "mailbox.capacity", "greater than or equal to 16"),
        (
            "close_ms = 1000",
            'close_ms = 1000\nexpected = ["third"]',
            14,
            "mailbox.expected",
            "names ['third']; models and aliases are ['first', 'second']",
        ),
        ("close_ms = 1000", 'close_ms = 1000\nexpected = ["3"]', 14, "mailbox.expected.0", "pattern"),
        ("until_ms = 50", "", 14, "schedule.0.until_ms", "until_ms must be given and grow from step to step"),
        ("until_ms = 50", "until_ms = 0", 15, "schedule.0.until_ms", "greater than 0"),
        ("until_ms = 50", "until_ms = 3600001", 15, "schedule.0.until_ms", "3600000"),
        ("until_ms = 50", f"until_ms = {10**30}", 15, "schedule.0.until_ms", "3600000"),
        (
            'models = ["first", "second"]',
            'models = ["second"]\nuntil_ms = 80',
            19,
            "schedule.1.until_ms",
            "the last step of the schedule ends with the deadline: remove its until_ms",
        ),
        ('models = ["first", "second"]', "models = []", 18, "schedule.1.models", "at least 1"),
        ('models = ["first", "second"]', 'models = ["Second"]', 18, "schedule.1.models.0", "pattern"),
        (
            'models = ["first", "second"]',
            'models = [\n  "first",\n  "third",\n]',
            18,
            "schedule.1.models",
            "names ['third']; models and aliases are ['first', 'second']",
        ),
        ('models = ["first", "second"]', 'models = ["first", "first"]', 17, "schedule.1", "names one twice"),
        (
            'models = ["first", "second"]',
            'models = ["first"]\nweights = { second = 1 }',
            17,
            "schedule.1",
            "weights names ['second'], which the step's models do not: ['first']",
        ),
        (
            'models = ["first", "second"]',
            'models = ["first"]\nweights = { first = 0 }',
            17,
            "schedule.1",
            "weights are all 0: nobody could answer",
        ),
        *(
            (
                'models = ["first", "second"]',
                f'models = ["first"]\n[schedule.weights]\nfirst = {weight}',
                20,
                "schedule.1.weights.first",
                words,
            )
            for weight, words in (
                ("-1", "greater than or equal to 0"),
                ("nan", "finite"),
                ("inf", "finite"),
                ("1e7", "1000000"),
            )
        ),
        (
            'models = ["first", "second"]',
            'models = ["first"]\npolicy = "most"',
            19,
            "schedule.1.policy",
            "policy 'most' is unknown; there are ['best', ",
        ),
        (
            'models = ["first", "second"]',
            'policy = "split"\nmodels = ["first"]',
            18,
            "schedule.1.policy",
            "policy 'split' needs weights, for example weights = {champion = 0.9, challenger = 0.1}",
        ),
        (
            'models = ["first", "second"]',
            'models = ["first"]\nweights = { first = 1 }\npolicy = "hedge"',
            20,
            "schedule.1.policy",
            "policy 'hedge' takes no weights from the document: remove them",
        ),
        (
            'kind = "binary"',
            'kind = "regression"\nextra = 1',
            10,
            "output.extra",
            "not permitted",
        ),
        (
            'required = ["x"]',
            'required = ["y"]',
            21,
            "models.second.required",
            "names unknown features ['y']; known: ['n', 'who', 'x']",
        ),
        ('required = ["x"]', "max_batch = 0", 21, "models.second.max_batch", "greater than or equal to 1"),
        ('required = ["x"]', "threads = 0", 21, "models.second.threads", "greater than or equal to 1"),
        ('required = ["x"]', 'kind = "pickle"', 21, "models.second.kind", "'python'"),
        ("[models.first]", "[models.First]\n[models.first]", 19, "models.First.[key]", "pattern"),
        ("[mailbox]", "[topics]\npartitions = 0\n[mailbox]", 13, "topics.partitions", "greater than or equal to 1"),
        (
            "[mailbox]",
            '[aliases]\nlead = "first"\nsecond = "first"\n[mailbox]',
            14,
            "aliases.second",
            "is the name of a model: choose another",
        ),
        (
            "[mailbox]",
            '[aliases]\nlead = "third"\n[mailbox]',
            13,
            "aliases.lead",
            "names 'third'; models are ['first', 'second']",
        ),
        ("[mailbox]", '[aliases]\nLead = "first"\n[mailbox]', 13, "aliases.Lead.[key]", "pattern"),
        *(
            ("[mailbox]", f"[{table}]\n{field} = {value}\n[mailbox]", 13, f"{table}.{field}", words)
            for table, field, value, words in (
                ("promotion", "requests", "0", "greater than or equal to 1"),
                ("promotion", "coverage", "1.1", "less than or equal to 1"),
                ("promotion", "coverage", "nan", ""),
                ("promotion", "in_time", "-0.1", "greater than or equal to 0"),
                ("promotion", "fresh_s", "0", "greater than 0"),
                ("promotion", "fresh_s", "nan", ""),
                ("fallback", "missed", "0", "greater than 0"),
                ("fallback", "missed", "nan", ""),
                ("fallback", "failed", "1.5", "less than or equal to 1"),
                ("fallback", "requests", "0", "greater than or equal to 1"),
                ("fallback", "window_s", "3601", "less than or equal to 3600"),
                ("fallback", "recover_s", "inf", "less than or equal to 86400"),
                ("fallback", "colour", "1", "not permitted"),
            )
        ),
        (
            "[mailbox]",
            '[monitoring]\nblock = "4h"\n[mailbox]',
            12,
            "monitoring",
            "4 h) is shorter than label_delay (8 h)",
        ),
        ("[mailbox]", '[monitoring]\nblock = "daily"\n[mailbox]', 13, "monitoring.block", "8h, 1d or 2w"),
        ("[mailbox]", '[topics]\nreply_prefixes = [""]\n[mailbox]', 13, "topics.reply_prefixes.0", "at least 1"),
    ],
)
def test_a_wrong_document_is_refused_by_file_line_and_field(
    tmp_path: Path, old: str, new: str, line: int, field: str, words: str
) -> None:
    """The message names the file, the line (0: what is missing has none), the field, and what was expected there."""
    # at the line's start: `deadline_ms` is also the end of `max_deadline_ms`
    document, count = re.subn(f"(?m)^{re.escape(old)}$", lambda _: new, DOCUMENT, count=1)
    assert count == 1
    path = tmp_path / "models" / "toy" / "endpoint.toml"
    message = fault_of(home_with(tmp_path, document))
    assert message.startswith(f"{path}{f':{line}' if line else ''}: {field}: ")
    assert words in message


def test_steps_must_grow(tmp_path: Path) -> None:
    """A step that ends before the one before it is a mistake."""
    step = '[[schedule]]\nuntil_ms = 50\nmodels = ["second"]\n[[schedule]]\nmodels = ["first", "second"]'
    document = DOCUMENT.replace('[[schedule]]\nmodels = ["first", "second"]', step)
    assert "endpoint.toml:18: schedule.1.until_ms: until_ms must be given and grow" in fault_of(
        home_with(tmp_path, document)
    )


def test_a_field_of_a_table_that_is_not_there_has_no_line(tmp_path: Path) -> None:
    """A default can be wrong beside what is given; then the field alone is named."""
    document = DOCUMENT.replace("[mailbox]\nclose_ms = 1000\n", "").replace("200", "6000")
    message = fault_of(home_with(tmp_path, document))
    assert "endpoint.toml: mailbox.close_ms: close_ms (5000) is shorter than" in message


def test_a_schedule_has_at_most_64_steps(tmp_path: Path) -> None:
    """As the rules on control have: what loads can be deployed."""
    steps = "".join(f'[[schedule]]\nuntil_ms = {number}\nmodels = ["first"]\n' for number in range(1, 65))
    message = fault_of(
        home_with(tmp_path, DOCUMENT.replace("[[schedule]]\nuntil_ms = 50", f"{steps}[[schedule]]\nuntil_ms = 66"))
    )
    assert "endpoint.toml:14: schedule: " in message
    assert "at most 64" in message


def test_rules_are_the_documents(tmp_path: Path) -> None:
    """Everything that decides an answer, as it will stand on control; and it can be read there."""
    document = DOCUMENT.replace("[mailbox]", '[aliases]\nlead = "second"\n[mailbox]\nexpected = ["lead"]').replace(
        'models = ["first", "second"]', 'models = ["lead", "first"]\npolicy = "mean"\nweights = { lead = 2 }'
    )
    toy = load_endpoint("toy", home_with(tmp_path, document))
    assert toy.rules == Rules(
        schedule=(
            Step(models=("first",), until_ms=50),
            Step(models=("lead", "first"), policy="mean", weights={"lead": 2.0}),
        ),
        expected=("lead",),
        default=(0.5,),
        deadline_ms=100,
        max_deadline_ms=200,
        reply_margin_ms=10,
    )
    assert Rules.model_validate_json(toy.rules.model_dump_json()) == toy.rules
    assert toy.rules.names == {"lead", "first"}
    assert toy.live == {"second", "first"}


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
