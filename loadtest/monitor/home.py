"""The endpoint under test: twenty features, five models that are never run, and short blocks, so that many close."""

from __future__ import annotations

from pathlib import Path

from loadtest import plain
from rendezvous.settings import Endpoint

NAME = "monitored"
PARTITIONS = 4
NUMERIC = tuple(f"number_{index}" for index in range(15))
TEXTUAL = tuple(f"text_{index}" for index in range(5))
MODELS = ("champion", "challenger", "baseline", "candidate", "canary")
BLOCK_S = 5
LABEL_DELAY_S = 10

FEATURES = {
    "type": "record",
    "name": "Features",
    "namespace": "rendezvous.monitored",
    "fields": [
        *({"name": name, "type": "float"} for name in NUMERIC),
        *({"name": name, "type": "string"} for name in TEXTUAL),
    ],
}
DOCUMENT = f"""
name = "{NAME}"
description = "the endpoint of the monitor's load test"
request = {{ deadline_ms = 500, max_deadline_ms = 2000, reply_margin_ms = 40 }}
output = {{ kind = "binary", names = ["yes"], default = [0.5] }}
topics = {{ partitions = {PARTITIONS} }}
schedule = [{{ models = ["champion", "challenger", "baseline"] }}]
monitoring = {{ block = "{BLOCK_S}s", label_delay = "{LABEL_DELAY_S}s", lateness = "1s" }}

[models]
{"".join(f'{model} = {{ kind = "python" }}{chr(10)}' for model in MODELS)}
"""
CODE = {
    model: f'def score(columns):\n    return columns["{NUMERIC[0]}"] * 0 + 0.{1 + row}\n'
    for row, model in enumerate(MODELS)
}


def write_home(folder: Path) -> Endpoint:
    """Write models/ and schemas/ of the endpoint under `folder`, which must not have it yet."""
    return plain.write_home(folder, NAME, DOCUMENT, CODE, FEATURES)
