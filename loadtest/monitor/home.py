"""The endpoint under test: twenty features, five models that are never run, and short blocks, so that many close."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loadtest import plain
from rendezvous.messages import Floats, Int32s
from rendezvous.monitoring.reference import History, Reference, make_reference
from rendezvous.settings import Endpoint

NAME = "monitored"
PARTITIONS = 4
NUMERIC = tuple(f"number_{index}" for index in range(15))
TEXTUAL = tuple(f"text_{index}" for index in range(5))
MODELS = ("champion", "challenger", "baseline", "candidate", "canary")
CATEGORIES = tuple(f"category {index}" for index in range(12))
POSITIVE = 0.3
TRAINED_BLOCKS, TRAINED_ROWS = 40, 1_500
SEED = 20130101
START_US = 1_700_000_000_000_000
"""Of event time; any will do."""
BLOCK_S = 10
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
    return plain.write_home(folder, NAME, DOCUMENT, CODE, FEATURES, reference_of)


def reference_of(endpoint: Endpoint) -> Reference:
    """What the models were trained on: blocks enough for every detector, of the same kind as what is asked."""
    rows = TRAINED_BLOCKS * TRAINED_ROWS
    random = np.random.default_rng(SEED)
    drawn = draw(random, rows)
    asked_us = START_US - rows + np.arange(rows, dtype=np.int64)
    asked_us -= (rows - np.arange(rows)) // TRAINED_ROWS * endpoint.monitoring.block
    texts = np.array(CATEGORIES, object)
    features: dict[str, Any] = {name: drawn.numbers[:, column] for column, name in enumerate(NUMERIC)}
    features |= {name: texts[drawn.codes[:, column]] for column, name in enumerate(TEXTUAL)}
    labels = drawn.truth.astype(np.float64)
    history = History(asked_us, features, drawn.outputs[:, 0], endpoint.output.names, labels)
    return make_reference(history, endpoint.monitoring, endpoint.output.kind)


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """Requests: their features, what each model says, and what turns out to be true."""

    numbers: Floats
    codes: Int32s
    outputs: Floats
    truth: NDArray[np.bool_]


def draw(random: np.random.Generator, rows: int) -> Drawn:
    """Requests of which models know something."""
    truth = random.random(rows) < POSITIVE
    scores = random.normal(size=(rows, len(MODELS))) + 2 * truth[:, None] - 1
    return Drawn(
        random.normal(size=(rows, len(NUMERIC))).astype(np.float32),
        random.integers(0, len(CATEGORIES), (rows, len(TEXTUAL)), np.int32),
        (1 / (1 + np.exp(-scores))).astype(np.float32)[:, :, None],
        truth,
    )
