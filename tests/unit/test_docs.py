"""docs/messages.md says what the schemas and the code say: names, types, codes, reasons, fingerprints."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest

from endpoints import endpoint
from record import EXAMPLES, RULES, name_of
from rendezvous import envelope
from rendezvous.messages import DeadLetterReason, Message, Reason, Response, Status
from rendezvous.registry.events import ControlEvent
from rendezvous.rows import MAX_ROWS
from rendezvous.rules import MAX_STEPS, Rules, Step
from rendezvous.scoring import duty
from rendezvous.server import intake
from rendezvous.topics import topics_of
from rendezvous.wire import HEAD_BYTES, contract_folder, encode
from worlds import MemoryWorld, ask, say

PAGE = Path(__file__).parents[2] / "docs" / "messages.md"
TEXT = PAGE.read_text()
KINDS: tuple[type[Message], ...] = get_args(Message)
OWN_REASON = Reason.NO_ANSWER
"""The client's own, never on the wire."""

each_kind = pytest.mark.parametrize("kind", KINDS, ids=name_of)


def section(title: str) -> str:
    """What stands under a heading."""
    found = re.search(rf"^## {re.escape(title)}.*?\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert found is not None, f"{PAGE.name} has no section {title!r}"
    return found.group(1)


def tables(title: str) -> list[list[list[str]]]:
    """The tables of a section: rows of cells without their back-ticks, headings left out."""
    blocks = re.findall(r"(?:^\|.*\n?)+", section(title), re.MULTILINE)
    return [
        [
            [re.sub(r"^`([^`]*)`$", r"\1", cell.strip()) for cell in line.strip("|").split("|")]
            for line in block.strip().split("\n")[2:]
        ]
        for block in blocks
    ]


def fields_of(kind: type[Message]) -> list[dict[str, Any]]:
    """The fields of a message's newest schema."""
    found: list[dict[str, Any]] = json.loads((contract_folder() / f"{name_of(kind)}.avsc").read_text())["fields"]
    return found


def in_words(declared: Any) -> str:  # noqa: ANN401 - a schema is any JSON
    """An Avro type as the page writes it."""
    if isinstance(declared, list):
        return " or ".join(in_words(option) for option in declared)
    if isinstance(declared, str):
        return declared
    return f"array of {in_words(declared['items'])}" if declared["type"] == "array" else str(declared["type"])


def symbols(kind: type[Message], name: str) -> list[str]:
    """What an enum of a message's newest schema may be."""
    (found,) = (field["type"]["symbols"] for field in fields_of(kind) if field["name"] == name)
    return list(found)


def dead_letter_reasons() -> set[str]:
    """Every name that the code can write."""
    return {value for name, value in vars(DeadLetterReason).items() if name.isupper()}


# -------------------------------------------------------------------------------------------------------- messages


@each_kind
def test_every_field_has_its_row(kind: type[Message]) -> None:
    """In the schema's order, with its Avro type and a meaning."""
    rows = tables(kind.__name__)[0]
    assert [(row[0], row[1]) for row in rows] == [(field["name"], in_words(field["type"])) for field in fields_of(kind)]
    assert all(row[2] for row in rows)


@each_kind
def test_every_time_and_size_has_its_unit(kind: type[Message]) -> None:
    """Whatever is named in microseconds, milliseconds or bytes says so in the last column."""
    units = {"_us": "µs", "_ms": "ms", "_bytes": "bytes"}
    for name, _, _, unit in tables(kind.__name__)[0]:
        for end, begins in units.items():
            if name.endswith(end):
                assert unit.startswith(begins), name


@each_kind
def test_columns_name_their_numbers_as_they_are(kind: type[Message]) -> None:
    """A bytes field of a columnar message says which NumPy type and which axes it has."""
    for name, avro, meaning, _ in tables(kind.__name__)[0]:
        column = getattr(EXAMPLES[kind][0], name, None)
        if avro == "bytes" and not isinstance(column, bytes):
            assert column is not None
            found = re.match(r"(\w+) `\[(.*?)\]`", meaning)
            assert found is not None, name
            assert found.group(1) == column.dtype.name
            assert len(found.group(2).split(",")) == column.ndim


@each_kind
def test_the_head_of_every_message_is_the_one_it_has(kind: type[Message]) -> None:
    """Marker and fingerprint in hex, beside the schema's path."""
    rows = {row[0]: row[1:] for row in tables("Single-object encoding")[0]}
    assert set(rows) == {found.__name__ for found in KINDS}
    head = encode(EXAMPLES[kind][0])[:HEAD_BYTES].hex()
    assert rows[kind.__name__] == [f"schemas/rendezvous/{name_of(kind)}.avsc", head]


def test_limits_are_the_codes_own() -> None:
    """Figures in the text are those of the constants."""
    assert f"at most {MAX_ROWS:,}" in section("Columns")
    letter = " ".join(section("DeadLetter").split())
    assert f"the value to {intake.MAX_DEAD_BYTES:,} bytes" in letter
    assert (
        f"name and value to {intake.MAX_DEAD_HEADER_BYTES:,}, headers to the first {intake.MAX_DEAD_HEADERS}" in letter
    )


# ------------------------------------------------------------------------------------------------ codes and reasons


def test_statuses_have_their_codes() -> None:
    """Every status, by code and name."""
    rows = tables("Status: what one model says about one request")[0]
    assert [(row[0], row[1]) for row in rows] == [(str(int(status)), status.name.lower()) for status in Status]


def test_reasons_have_their_codes() -> None:
    """Every reason that travels, by code and name, as in the schema's enum; the client's own is told apart."""
    title = "Reason: why an answer is what it is"
    travels = [reason for reason in Reason if reason is not OWN_REASON]
    assert [(row[0], row[1]) for row in tables(title)[0]] == [(str(int(r)), r.name.lower()) for r in travels]
    assert symbols(Response, "reason") == [reason.name.lower() for reason in travels]
    assert f"`{OWN_REASON.name.lower()}` (code {int(OWN_REASON)})" in section(title)


def test_dead_letter_reasons_say_what_to_do() -> None:
    """Every reason that the code can write, with something in each column, and none besides."""
    rows = tables("DeadLetter")[1]
    assert sorted(row[0] for row in rows) == sorted(dead_letter_reasons())
    assert all(all(row) for row in rows)


# --------------------------------------------------------------------------------------------------------- control


def test_control_carries_every_event() -> None:
    """The topic's row names each kind that control's readers know."""
    (row,) = (row for row in tables("Topics")[0] if row[0] == "<endpoint>.control")
    assert row[2] == ", ".join(kind.__name__ for kind in get_args(ControlEvent))


def enums() -> list[tuple[type[Message], str]]:
    """Every field of a message that is an enum; reasons have a table of their own."""
    named = [(kind, field) for kind in KINDS if kind is not Response for field in fields_of(kind)]
    return [(kind, field["name"]) for kind, field in named if in_words(field["type"]) == "enum"]


@pytest.mark.parametrize(("kind", "name"), enums())
def test_enums_are_told_symbol_by_symbol(kind: type[Message], name: str) -> None:
    """The row of an enum names each of its symbols, in their order, which is their code on the wire."""
    (meaning,) = (row[2] for row in tables(kind.__name__)[0] if row[0] == name)
    assert re.findall(r"`(\w+)`", meaning) == symbols(kind, name)


def test_rules_are_told_field_by_field() -> None:
    """Each field of the rules has its row; those of a step stand in the schedule's."""
    rows = tables("RulesChange")[1]
    assert [row[0] for row in rows] == list(Rules.model_fields)
    assert sorted(re.findall(r"`(\w+)`:", rows[0][2])) == sorted(Step.model_fields)
    assert f"1 to {MAX_STEPS}" in rows[0][1]


def test_the_example_of_rules_holds() -> None:
    """It is what is recorded, too."""
    found = re.search(r"```json\n(.*?)```", section("RulesChange"), re.DOTALL)
    assert found is not None
    assert Rules.model_validate_json(found.group(1)) == RULES


def test_draws_are_as_the_page_computes_them() -> None:
    """Each key of the table has the digest and the number beside it."""
    rows = tables("Draws")[0]
    assert len(rows) >= 3
    for key, digest, number in rows:
        assert int(number) == int(digest[:6], 16)
        assert envelope.draw_of(key.removesuffix(" (UTF-8)").strip("`").encode()) * 2**24 == int(number)
    assert f"`{duty.SHED_PERSON.decode()}`" in section("Draws")
    assert f"`{envelope.DRAW_PERSON.decode()}`" in section("Draws")


# ---------------------------------------------------------------------------------------------- topics and headers


def test_topics_are_those_that_are_created() -> None:
    """Every topic of an endpoint, and which message is on it."""
    rows = tables("Topics")[0]
    assert {row[0].replace("<endpoint>", "tests") for row in rows} == {topic.name for topic in topics_of(endpoint())}
    values = {value for row in rows for value in row[2].split(", ")}
    assert values >= {kind.__name__ for kind in KINDS}


def test_request_headers_are_those_of_the_envelope() -> None:
    """The same names as in envelope.py's own table."""
    assert envelope.__doc__ is not None
    told = re.findall(r"^\| ([\w, -]+) \| (?!bytes)", envelope.__doc__, re.MULTILINE)
    names = [name.strip() for cell in told for name in cell.split(",")]
    assert len(names) >= 11
    assert sorted(row[0] for row in tables("A request")[0]) == sorted(names)


def test_answer_headers_are_those_that_are_sent() -> None:
    """The names of a real answer's headers, none missing."""
    world = MemoryWorld()
    world.start()
    say(world, "champion", [ask(world, "r")])
    world.turn()
    (record,) = world.log.records[world.endpoint.topic("responses"), 0]
    assert sorted(row[0] for row in tables("An answer")[0]) == sorted(name for name, _ in record.headers)
