"""An endpoint whose models take a stated time for each row: they are the bottleneck, and the processor is idle.

All take the same, so that none can stand in for another that is behind.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from loadtest import plain
from rendezvous.settings import Endpoint

NAME = "simulated"
ROW_MS = 5.0
"""Makes 200 rows a second, a fraction of what the rest of the system does on the smallest machine."""
RATE = 1e3 / ROW_MS
FACTORS = {"first": 0.9, "second": 0.8, "third": 0.7}
"""Each answers something else, so that each has a version of its own."""
FEATURES: dict[str, Any] = {
    "type": "record",
    "name": "Features",
    "namespace": "rendezvous.simulated",
    "fields": [{"name": "x", "type": "float"}],
}
ROWS = [{"x": number / 100} for number in range(100)]
DOCUMENT = """
name = "{name}"
description = "models that take a stated time for each row"
request = {{ deadline_ms = 250, max_deadline_ms = 2000, reply_margin_ms = 20 }}
output = {{ kind = "binary", names = ["yes"], default = [0.5] }}
topics = {{ partitions = 1 }}
fallback = {{ recover_s = 5 }}
schedule = [{{ until_ms = 80, models = ["champion"] }}, {{ models = ["champion", "challenger", "baseline"] }}]
aliases = {{ champion = "first", challenger = "second", baseline = "third" }}
models = {{ first = {{ kind = "python" }}, second = {{ kind = "python" }}, third = {{ kind = "python" }} }}
"""
"""Deadline, margin and schedule are those of `flights`."""
MODEL = """
import time


def score(columns):
    time.sleep(len(columns["x"]) * {row_s})
    return columns["x"] * {factor}
"""


def write_home(folder: Path, name: str) -> Endpoint:
    """Write models/ and schemas/ of the endpoint under `folder`, anew."""
    shutil.rmtree(folder, ignore_errors=True)
    code = {model: MODEL.format(row_s=ROW_MS / 1e3, factor=factor) for model, factor in FACTORS.items()}
    return plain.write_home(folder, name, DOCUMENT.format(name=name), code, FEATURES)
