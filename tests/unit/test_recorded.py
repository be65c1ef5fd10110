"""What was on the wire once decodes for ever, and fingerprints are those of the Avro specification."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any, get_args

import pytest

from endpoints import FEATURES
from record import FOLDER, MAKERS, name_of, path_of, plain, plain_envelope, version_of, write_missing
from rendezvous.envelope import read_envelope
from rendezvous.messages import Decisions, Message
from rendezvous.rules import Rules
from rendezvous.wire import MARKER, Codec, contract_folder, decode

KINDS = {name_of(kind): kind for kind in get_args(Message)}
SCHEMAS = sorted(Path(__file__).parents[2].glob("schemas/**/*.avsc"))
EMPTY = 0xC15D213AA4D7A795
"""CRC-64-AVRO's polynomial, which is also its start value (Avro specification, "Schema Fingerprints")."""
PRIMITIVES = {"null", "boolean", "int", "long", "float", "double", "bytes", "string"}


def recordings(name: str, version: int | None = None) -> list[dict[str, Any]]:
    """What a recording file holds: the newest, or that of a version."""
    found: list[dict[str, Any]] = json.loads(path_of(name, version).read_text())["recordings"]
    return found


def every_recording() -> list[Any]:
    """Each recorded message, of every version, with the name of its kind."""
    found = []
    for path in sorted(FOLDER.glob("*.json")):
        document = json.loads(path.read_text())
        if document["message"] != "request":
            for number, recorded in enumerate(document["recordings"]):
                found.append(pytest.param(document["message"], recorded, id=f"{path.stem}-{number}"))
    return found


@pytest.mark.parametrize(
    ("name", "version"), [(name, number) for name in MAKERS for number in range(1, version_of(name) + 1)]
)
def test_every_version_of_every_message_has_a_recording(name: str, version: int) -> None:
    """Each release of every message of the contract, and of a request, is kept as bytes."""
    path = path_of(name, version)
    assert path.exists(), f"run `python tests/record.py` and commit {path}"
    document = json.loads(path.read_text())
    assert (document["message"], document["version"]) == (name, version)
    assert document["recordings"]


@pytest.mark.parametrize("name", KINDS)
def test_every_version_has_its_own_head(name: str) -> None:
    """A recording of version n begins with the head of schema n: the older ones were not written anew."""
    for version in range(1, version_of(name) + 1):
        released = contract_folder() / (f"{name}.{version}.avsc" if version < version_of(name) else f"{name}.avsc")
        head = (MARKER + fingerprint_of(released.read_text()).to_bytes(8, "little")).hex()
        assert all(recorded["bytes"].startswith(head) for recorded in recordings(name, version))


def test_decisions_of_version_1_know_nothing_of_control() -> None:
    """They were made before there was control: position -1, and zeros for steps, draws and propensities."""
    message = decode(bytes.fromhex(recordings("decisions", 1)[0]["bytes"]), Decisions)
    assert message.control == -1
    for column, dtype in ((message.steps, "u1"), (message.draws, "<f4"), (message.propensities, "<f4")):
        assert (column.dtype.str.lstrip("|"), column.tolist()) == (dtype, [0] * len(message.offsets))


def test_every_schema_of_the_contract_is_a_message() -> None:
    """The contract's folder and the Message union name the same messages."""
    assert {path.name.partition(".")[0] for path in contract_folder().glob("*.avsc")} == set(KINDS)


@pytest.mark.parametrize(("name", "recorded"), every_recording())
def test_recorded_bytes_decode_for_ever(name: str, recorded: dict[str, Any]) -> None:
    """Every recorded field has its recorded value; fields that were added later are not looked at."""
    message = decode(bytes.fromhex(recorded["bytes"]), KINDS[name])
    assert {field: plain(getattr(message, field)) for field in recorded["fields"]} == recorded["fields"]


@pytest.mark.parametrize("recorded", recordings("request"))
def test_recorded_requests_are_read_for_ever(recorded: dict[str, Any]) -> None:
    """A request's headers give the recorded envelope; its value decodes under the schema of that time."""
    envelope = plain_envelope(read_envelope([(name, bytes.fromhex(value)) for name, value in recorded["headers"]]))
    assert {field: envelope[field] for field in recorded["envelope"]} == recorded["envelope"]
    schema = json.loads(path_of("request").read_text())["features_schema"]
    assert Codec(schema).decode(bytes.fromhex(recorded["bytes"])) == recorded["features"]


@pytest.mark.parametrize("recorded", recordings("rules-change"))
def test_recorded_rules_hold_for_ever(recorded: dict[str, Any]) -> None:
    """Rules that were in force once can be replayed: a field that is added has a default."""
    told = json.loads(recorded["fields"]["rules"])
    assert told.items() <= Rules.model_validate(told).model_dump(mode="json").items()


def test_recording_writes_only_what_is_missing(tmp_path: Path) -> None:
    """A recording that exists is left as it is, whatever it says."""
    kept = tmp_path / path_of("label").name
    kept.write_text("kept")
    assert {path.name for path in write_missing(tmp_path)} == {path_of(name).name for name in MAKERS} - {kept.name}
    assert write_missing(tmp_path) == []
    assert kept.read_text() == "kept"


# ------------------------------------------------------------------------------------------------------ fingerprints


def table() -> list[int]:
    """The 256 entries of CRC-64-AVRO's table."""
    entries = []
    for byte in range(256):
        entry = byte
        for _ in range(8):
            entry = entry >> 1 ^ EMPTY & -(entry & 1)
        entries.append(entry)
    return entries


def crc_64_avro(text: str) -> int:
    """The fingerprint of a schema in parsing canonical form."""
    entries, crc = table(), EMPTY
    for byte in text.encode():
        crc = crc >> 8 ^ entries[(crc ^ byte) & 0xFF]
    return crc


def canonical(schema: Any, namespace: str = "") -> Any:  # noqa: ANN401 - a schema is any JSON
    """Parsing canonical form: full names, only what decides the bytes, in the specification's order."""
    if isinstance(schema, list):
        return [canonical(option, namespace) for option in schema]
    if isinstance(schema, str):
        return schema if schema in PRIMITIVES or "." in schema or not namespace else f"{namespace}.{schema}"
    if set(schema) == {"type"} or schema["type"] in PRIMITIVES:
        return canonical(schema["type"], namespace)
    inner = schema.get("namespace", namespace)
    kept: dict[str, Any] = {"name": canonical(schema["name"], inner)} if "name" in schema else {}
    kept["type"] = schema["type"]
    if "fields" in schema:
        kept["fields"] = [
            {"name": field["name"], "type": canonical(field["type"], inner)} for field in schema["fields"]
        ]
    kept |= {key: schema[key] for key in ("symbols",) if key in schema}
    kept |= {key: canonical(schema[key], inner) for key in ("items", "values") if key in schema}
    return kept


def fingerprint_of(text: str) -> int:
    """The fingerprint of a schema document."""
    return crc_64_avro(json.dumps(canonical(json.loads(text)), separators=(",", ":"), ensure_ascii=False))


def test_the_independent_fingerprint_is_the_specifications() -> None:
    """The published fingerprints of the schemas "null" and "int" (Avro's own test data) come out."""
    assert crc_64_avro('"null"') == 0x63DD24E7CC258F8A
    assert crc_64_avro('"int"') == 0x7275D51A3F395C8F


@pytest.mark.parametrize(
    "text",
    [FEATURES, *(path.read_text() for path in SCHEMAS)],
    ids=["tests/endpoints.py", *(f"{path.parent.name}/{path.name}" for path in SCHEMAS)],
)
def test_heads_carry_the_specifications_fingerprint(text: str) -> None:
    """Bytes begin with C3 01 and the schema's CRC-64-AVRO fingerprint, little-endian, as any language computes it."""
    head = MARKER + fingerprint_of(text).to_bytes(8, "little")
    assert Codec(text).knows(head)
    assert not Codec(text).knows(head[::-1])


def test_no_two_schemas_share_a_fingerprint() -> None:
    """A reader can tell every schema of the repository from every other one."""
    counts = Counter(fingerprint_of(text) for text in [FEATURES, *(path.read_text() for path in SCHEMAS)])
    assert len(SCHEMAS) >= len(KINDS)
    assert max(counts.values()) == 1
