"""The endpoint under test: four partitions, and models that cost nothing: what is measured is the taking over.

Flights would need training, and its models half of a small machine; its schedule (one champion first, then whoever
has) is kept, with twice its times, so that the noise of a busy two-core machine is no fault. A champion that was passed
by is trusted again after five seconds instead of thirty, so that the next fault need not wait for it.
"""

from __future__ import annotations

from pathlib import Path

from loadtest import plain
from rendezvous.settings import Endpoint

NAME = "failover"
MODES = ("default", "exactly_once")
"""Each but the first is a switch in the endpoint's document."""
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
CODE = {model: MODEL.format(factor=factor) for model, factor in FACTORS.items()}


def write_home(folder: Path, mode: str) -> Endpoint:
    """Write models/ and schemas/ of the endpoint in one of MODES under `folder`, which must not have it yet."""
    switch = "" if mode == MODES[0] else f"{mode} = true\n"
    return plain.write_home(folder, NAME, switch + DOCUMENT, CODE, FEATURES)
