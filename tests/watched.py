"""A small endpoint that has all that operators look at: drift, labels, a retraining, a candidate, a hand-off.

Time is compressed: a request says in `ce_time` when it was asked, an hour is a block, and has ROWS requests.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from loadtest.plain import write_model
from rendezvous.envelope import write_envelope
from rendezvous.log import KafkaSink
from rendezvous.messages import Envelope, Label
from rendezvous.monitoring.reference import History, Reference, make_reference
from rendezvous.settings import Endpoint, load_endpoint
from rendezvous.wire import Codec, encode

FIT = Path(__file__).parent / "unit" / "retraining" / "fit.py"
START_US = 1_356_998_400_000_000
"""2013."""
HOUR_US = 3_600_000_000
ROWS = 60
LABELLED_US = 20 * 60_000_000
DOCUMENT = """
name = "{name}"
description = "an endpoint for tests"
request = {{ deadline_ms = 1500, max_deadline_ms = 2000, reply_margin_ms = 100 }}
output = {{ kind = "binary", names = ["p"], default = [0.5] }}
mailbox = {{ close_ms = 2500 }}
archive = {{ age = "1s" }}
[[schedule]]
until_ms = 800
models = ["champion"]
[[schedule]]
models = ["champion", "challenger"]
[aliases]
champion = "rule"
challenger = "flaky"
canary = "rule"
[models]
rule = {{ kind = "python" }}
flaky = {{ kind = "python" }}
first = {{ max_batch = 16 }}
[monitoring]
time = "ce_time"
block = "1h"
label_delay = "30m"
lateness = "1m"
window = 500
count = 100
run_length = 10
[retraining]
model = "first"
new_labels = 100
cool_down = "30m"
per_day = 1
per_month = 1
promotion = "proposal"
data = {{ last = "18h" }}
[retraining.triggers]
code = false
[[retraining.triggers.floors]]
metric = "auc"
value = 0.6
margin = 0.01
blocks = 2
labels = 20
[[retraining.triggers.floors]]
metric = "log_loss"
worse = "above"
value = 0.9
margin = 0.01
blocks = 2
labels = 20
[retraining.training]
command = ['{python}', 'fit.py']
code = ['fit.py']
folds = 0
[retraining.acceptance]
held_out = "6h"
min_rows = 200
slower = 1000
compared = true
"""
FEATURES = {
    "type": "record",
    "name": "Features",
    "namespace": "toy",
    "fields": [
        {"name": "x", "type": ["null", "float"], "default": None},
        {"name": "z", "type": ["null", "float"], "default": None},
        {"name": "who", "type": "string"},
    ],
}
RULE = """
import numpy as np
def score(columns):
    return 1 / (1 + np.exp(-2 * np.nan_to_num(columns["x"]) - np.nan_to_num(columns["z"])))
"""
FLAKY = """
import numpy as np
def score(columns):
    if (columns["z"] > 1.5).any():
        raise ValueError("z is large")
    return np.full(len(columns["x"]), 0.4)
"""
WHO = ("red", "green", "blue")


@dataclass(frozen=True, slots=True)
class Rows:
    """What is asked, and what turns out: columns of one length."""

    asked_us: NDArray[np.int64]
    x: NDArray[np.float64]
    z: NDArray[np.float64]
    who: NDArray[np.str_]
    labels: NDArray[np.float64]

    @property
    def said(self) -> NDArray[np.float32]:
        """What `rule` says of them, float32 [rows, 1]."""
        return (1 / (1 + np.exp(-2 * np.nan_to_num(self.x) - self.z)))[:, None].astype(np.float32)


def rows(hours: range, *, changed: bool, seed: int = 1) -> Rows:
    """ROWS requests of each hour. changed: x is larger, often missing, somebody new asks, labels mean the opposite."""
    chance = np.random.default_rng([seed, abs(hours.start)])
    count = len(hours) * ROWS
    asked_us = START_US + hours.start * HOUR_US + np.arange(count) * (HOUR_US // ROWS)
    x, z = chance.normal(2.0 * changed, 1, count), chance.normal(0, 1, count)
    likely = 1 / (1 + np.exp(-2 * (x - 2.0 * changed) - z))
    labels = (chance.random(count) < (1 - likely if changed else likely)).astype(np.float64)
    x[chance.random(count) < (0.2 if changed else 0.01)] = np.nan
    who = chance.choice([*WHO, "pink"] if changed else WHO, count)
    return Rows(asked_us, x, z, who, labels)


def reference_of(endpoint: Endpoint) -> Reference:
    """What `rule` was shipped with: two and a half days in which all was well."""
    known = rows(range(-60, 0), changed=False, seed=2)
    history = History(
        known.asked_us,
        {"x": known.x, "z": known.z, "who": known.who},
        known.said,
        ("p",),
        known.labels,
        np.full(len(known.x), LABELLED_US, np.int64),
    )
    return make_reference(history, endpoint.monitoring, "binary")


def write_home(folder: Path) -> Endpoint:
    """Two models that are there, and the training code of a third."""
    name = f"w-{uuid.uuid4().hex[:10]}"
    workbench, schemas = folder / "models" / name, folder / "schemas" / name
    (workbench / "first").mkdir(parents=True)
    schemas.mkdir(parents=True)
    (schemas / "features.avsc").write_text(json.dumps(FEATURES))
    (workbench / "endpoint.toml").write_text(DOCUMENT.format(name=name, python=sys.executable))
    shutil.copyfile(FIT, workbench / "first" / "fit.py")
    endpoint = load_endpoint(name, folder)
    for model, code in (("rule", RULE), ("flaky", FLAKY)):
        write_model(endpoint, model, code, reference_of(endpoint))
    return endpoint


class Town:
    """Asks, and says later what turned out."""

    def __init__(self, kafka: str, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._codec = Codec(endpoint.features_schema)
        self._sink = KafkaSink(kafka)

    def live(self, asked: Rows, rate: float) -> None:
        """Go through some hours, at `rate` requests a second; each label comes when its time has."""
        begun, waiting = time.monotonic(), 0
        for number, at_us in enumerate(asked.asked_us.tolist()):
            time.sleep(max(0.0, begun + number / rate - time.monotonic()))
            self._ask(asked, number, at_us)
            while asked.asked_us[waiting] + LABELLED_US <= at_us:
                self._tell(asked, waiting)
                waiting += 1
            self._sink.serve()
        for number in range(waiting, len(asked.x)):
            self._tell(asked, number)
        assert self._sink.flush(30) == 0

    def _ask(self, asked: Rows, number: int, at_us: int) -> None:
        x, z = float(asked.x[number]), float(asked.z[number])
        value = {"x": None if np.isnan(x) else x, "z": z, "who": str(asked.who[number])}
        when = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at_us)
        headers = write_envelope(Envelope(f"q-{at_us}", "tests", None, None), when)
        self._send("requests", self._codec.encode(value), headers)

    def _tell(self, asked: Rows, number: int) -> None:
        at_us = int(asked.asked_us[number])
        self._send("labels", encode(Label(f"q-{at_us}", float(asked.labels[number]), at_us + LABELLED_US, "tests")))

    def rubbish(self) -> None:
        """A record that is no request."""
        self._send("requests", b"rubbish")
        assert self._sink.flush(30) == 0

    def _send(self, topic: str, value: bytes, headers: Sequence[tuple[str, bytes]] = ()) -> None:
        self._sink.send(self._endpoint.topic(topic), value, partition=0, headers=headers)
