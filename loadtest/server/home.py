"""The endpoint under test: models that are never run, and a deadline that outlasts the run.

Everything is written before the server comes to it, so nothing may run out meanwhile: not a request's time, nor the
step of the champion, nor what makes a model count as alive. And the ring has room for all, since what waits in one
topic is read some thousand records ahead of the other.
"""

from __future__ import annotations

import time
from pathlib import Path

from loadtest import plain
from rendezvous.registry.state import Pair
from rendezvous.scoring.card import load_card
from rendezvous.settings import Endpoint

TEXT = "payload"
NUMBERS = tuple(f"number_{index}" for index in range(15))
HOUR_MS = 3_600_000
"""The longest deadline that an endpoint may have."""
CHAMPION_MS = 1_800_000
SCHEDULED = 3
"""Models that may answer; the others are compared."""

FEATURES = {
    "type": "record",
    "name": "Features",
    "namespace": "rendezvous.server",
    "fields": [*({"name": name, "type": "float"} for name in NUMBERS), {"name": TEXT, "type": "string"}],
}
CODE = f'def score(columns):\n    return columns["{NUMBERS[0]}"] * 0 + 0.5\n'


def write_home(
    folder: Path,
    name: str,
    models: int,
    requests: int,
    *,
    partitions: int = 1,
    outputs: int = 1,
    exactly_once: bool = False,
) -> Endpoint:
    """Write models/ and schemas/ of an endpoint with so many models under `folder`, which must not have it yet.

    requests: that the ring of each partition must hold. outputs: numbers in an answer.
    """
    names = [f"model_{number:02d}" for number in range(models)]
    kind, answers = "binary" if outputs == 1 else "regression", [f"answer_{number}" for number in range(outputs)]
    document = f"""
name = "{name}"
description = "the endpoint of the server's load test"
exactly_once = {str(exactly_once).lower()}
request = {{ deadline_ms = {HOUR_MS}, max_deadline_ms = {HOUR_MS}, reply_margin_ms = 20 }}
output = {{ kind = "{kind}", names = {_quoted(answers)}, default = {[0.5] * outputs} }}
topics = {{ partitions = {partitions} }}
mailbox = {{ capacity = {_power_of_two(requests)}, close_ms = {HOUR_MS}, silent_ms = {HOUR_MS} }}
schedule = [
    {{ until_ms = {CHAMPION_MS}, models = ["{names[0]}"] }},
    {{ models = {_quoted(names[:SCHEDULED])} }},
]

[models]
{"".join(f'{model} = {{ kind = "python" }}{chr(10)}' for model in names)}
"""
    code = {model: f"{CODE}# {model}\n" for model in names}
    return plain.write_home(folder, name, document, code, FEATURES)


def new_name(name: str) -> str:
    """One that no endpoint on this broker has had: requests are counted from the first offset on."""
    return f"{name}-{time.time_ns() // 1_000_000:x}"


def versions_of(endpoint: Endpoint) -> list[Pair]:
    """What is deployed, the champion first."""
    return [(model, load_card(endpoint.folder / model).version) for model in endpoint.models]


def _quoted(names: list[str]) -> str:
    return "[" + ", ".join(f'"{name}"' for name in names) + "]"


def _power_of_two(least: int) -> int:
    return 1 << max(least - 1, 15).bit_length()
