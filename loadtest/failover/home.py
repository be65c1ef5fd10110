"""The endpoint under test: four partitions, and models that cost nothing: what is measured is the taking over.

Flights would need training, and its models half of a small machine; its schedule (one champion first, then whoever
has) is kept, with twice its times, so that the noise of a busy two-core machine is no fault. A champion that was passed
by is trusted again after five seconds instead of thirty, so that the next fault need not wait for it.
"""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from hashlib import sha256
from pathlib import Path

from rendezvous.scoring.card import VERSION_DIGITS, Card, Data, Metrics, Window, write_card
from rendezvous.settings import Endpoint, SettingsError, load_endpoint

NAME = "failover"
MODES = ("default", "exactly_once")
KNOWN = frozenset(Endpoint.model_fields)
"""What endpoint documents may say; a mode is a switch among them."""
PARTITIONS = 4

FEATURES = {
    "type": "record",
    "name": "Features",
    "namespace": "rendezvous.failover",
    "fields": [{"name": "x", "type": "float"}],
}
DOCUMENT = f"""
name = "{NAME}"
description = "the endpoint of the failover load test"
request = {{ deadline_ms = 500, max_deadline_ms = 2000, reply_margin_ms = 40 }}
output = {{ kind = "binary", names = ["yes"], default = [0.5] }}
topics = {{ partitions = {PARTITIONS} }}
fallback = {{ recover_s = 5 }}
schedule = [{{ until_ms = 160, models = ["champion"] }}, {{ models = ["champion", "challenger", "baseline"] }}]
aliases = {{ champion = "first", challenger = "second", baseline = "third" }}
models = {{ first = {{ kind = "python" }}, second = {{ kind = "python" }}, third = {{ kind = "python" }} }}
"""
MODEL = """
def score(columns):
    return columns["x"] * {factor}
"""
FACTORS = {"first": 0.9, "second": 0.8, "third": 0.7}
"""Each answers something else, so that each has a version of its own."""


def check_modes(modes: tuple[str, ...]) -> None:
    """See that endpoint documents can say what each mode needs.

    Raises:
        SettingsError: naming the mode.
    """
    for mode in modes:
        if mode not in known_modes():
            raise SettingsError(f"--mode {mode}: endpoint documents know no `{mode}` in this version; leave it out")


def known_modes() -> tuple[str, ...]:
    """The modes that endpoint documents know."""
    return tuple(mode for mode in MODES if mode == MODES[0] or mode in KNOWN)


def write_home(folder: Path, mode: str) -> Endpoint:
    """Write models/ and schemas/ of the endpoint under `folder`, which must not exist.

    Raises:
        SettingsError: the endpoint's document does not know the mode.
    """
    schemas, models = folder / "schemas" / NAME, folder / "models" / NAME
    schemas.mkdir(parents=True)
    (schemas / "features.avsc").write_text(json.dumps(FEATURES))
    for model, factor in FACTORS.items():
        write_model(models / model, NAME, MODEL.format(factor=factor))
    switch = "" if mode == MODES[0] else f"{mode} = true\n"
    (models / "endpoint.toml").write_text(switch + DOCUMENT)
    return load_endpoint(NAME, folder)


def write_model(folder: Path, endpoint: str, code: str) -> str:
    """Write a model of plain Python to its workbench, with its card; returns its version."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.py").write_text(code)
    digest = sha256(code.encode()).hexdigest()
    nothing = Window(first=date(2013, 1, 1), last=date(2013, 1, 1), rows=0)
    card = Card(
        endpoint=endpoint,
        model=folder.name,
        version=digest[:VERSION_DIGITS],
        kind="python",
        artefact="model.py",
        sha256=digest,
        data=Data(first=nothing.first, last=nothing.last, rows=0, source="none", sha256=digest),
        features=("x",),
        parameters={},
        metrics=Metrics(train=nothing, held_out=nothing, figures={}),
        packages={},
        code_sha256=digest,
        created_utc=datetime(2013, 1, 1, tzinfo=UTC),
    )
    write_card(folder, card)
    return card.version
