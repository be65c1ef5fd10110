"""From a person's request to a candidate: archiver, retrainer and a real training job, as processes."""

from __future__ import annotations

import json
import shutil
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from found import block, closing, start_of
from homes import until
from loadtest.plain import write_model
from rendezvous import topics
from rendezvous.cli import main
from rendezvous.envelope import write_envelope
from rendezvous.local.process import GuardedProcess
from rendezvous.local.stack import Addresses
from rendezvous.log import KafkaSink, read_to_end
from rendezvous.messages import Envelope, Label
from rendezvous.registry.control import ControlLog
from rendezvous.registry.deploy import deploy
from rendezvous.registry.events import State
from rendezvous.registry.store import folder_of
from rendezvous.retraining.events import Outcome, Retrained, RetrainEvent
from rendezvous.retraining.jobs import LOG_FILE
from rendezvous.scoring.card import load_card
from rendezvous.settings import Endpoint, load_endpoint
from rendezvous.wire import Codec, decode_any, encode

pytestmark = pytest.mark.kafka

FIT = Path(__file__).parents[1] / "unit" / "retraining" / "fit.py"
DAYS, ROWS_A_DAY = 30, 60
DOCUMENT = """
name = "{name}"
description = "an endpoint for tests"
request = {{ deadline_ms = 100, max_deadline_ms = 200, reply_margin_ms = 10 }}
output = {{ kind = "binary", names = ["p"], default = [0.5] }}
[[schedule]]
models = ["champion"]
[aliases]
champion = "rule"
[models]
rule = {{ kind = "python" }}
first = {{ max_batch = 16 }}
[archive]
age = "1s"
[monitoring]
time = "ce_time"
label_delay = "8h"
[retraining]
model = "first"
[retraining.training]
command = ['{python}', 'fit.py']
code = ['fit.py']
[retraining.acceptance]
held_out = "10d"
min_rows = 300
slower = 1000
"""
FEATURES = {
    "type": "record",
    "name": "Features",
    "namespace": "toy",
    "fields": [{"name": name, "type": ["null", "float"], "default": None} for name in ("x", "z")],
}
RULE = "def score(columns):\n    return columns['x'] * 0 + 0.5\n"


@pytest.fixture
def endpoint(stack: Addresses, tmp_path: Path) -> Endpoint:
    """A rule is champion, `first` has training code and no version yet; a month of requests and labels is there."""
    name = f"r-{uuid.uuid4().hex[:10]}"
    folder, schemas = tmp_path / "models" / name, tmp_path / "schemas" / name
    (folder / "first").mkdir(parents=True)
    schemas.mkdir(parents=True)
    (schemas / "features.avsc").write_text(json.dumps(FEATURES))
    (folder / "endpoint.toml").write_text(DOCUMENT.format(name=name, python=sys.executable))
    shutil.copyfile(FIT, folder / "first" / "fit.py")
    endpoint = load_endpoint(name, tmp_path)
    write_model(endpoint, "rule", RULE)
    topics.create(stack.kafka, endpoint)
    deploy(stack.kafka, endpoint, ["rule"], report=lambda _: None)
    write_month(stack.kafka, endpoint)
    return endpoint


def write_month(kafka: str, endpoint: Endpoint) -> None:
    """The label follows x and z; labels come within the hour."""
    sink, codec, chance = KafkaSink(kafka), Codec(endpoint.features_schema), np.random.default_rng(1)
    for number in range(DAYS * ROWS_A_DAY):
        x, z = chance.normal(size=2).tolist()
        day, row = divmod(number, ROWS_A_DAY)
        asked_us = start_of(day) + row * 60_000_000
        asked = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=asked_us)
        label = float(chance.random() < 1 / (1 + np.exp(-2 * x - z)))
        headers = write_envelope(Envelope(f"q-{number}", "tests", None, None), asked)
        sink.send(endpoint.topic("requests"), codec.encode({"x": x, "z": z}), partition=0, headers=headers)
        known = Label(f"q-{number}", label, asked_us + 3_600_000_000, "tests")
        sink.send(endpoint.topic("labels"), encode(known), partition=0)
    sink.send(endpoint.topic("accuracy"), encode(block(DAYS - 1, ("rule", "v"))), partition=0)
    assert sink.flush(30) == 0


@pytest.fixture
def services(stack: Addresses, endpoint: Endpoint, tmp_path: Path) -> Iterator[dict[str, str]]:
    """An archiver and a retrainer, as an operator starts them; what their environment says."""
    variables = {
        "KAFKA_BOOTSTRAP_SERVERS": stack.kafka,
        "RENDEZVOUS_HOME": str(tmp_path),
        "RENDEZVOUS_DATA": str(tmp_path / "data"),
        "OMP_NUM_THREADS": "1",
    }
    with ExitStack() as running:
        for name in ("archiver", "retrainer"):
            command = [sys.executable, "-m", "rendezvous", "run", name, "--endpoint", endpoint.name]
            log = tmp_path / f"{name}.log"
            running.enter_context(GuardedProcess.start(command, log=log, environment=variables))
        yield variables


def outcomes(kafka: str, endpoint: Endpoint) -> list[Retrained]:
    """What became of events."""
    records = read_to_end(kafka, endpoint.topic("retrain"), 0, 0, uncommitted=True)
    said = [decode_any(record.value, (RetrainEvent, Retrained)) for record in records]
    return [message for message in said if isinstance(message, Retrained)]


def test_a_request_becomes_a_candidate(
    stack: Addresses, endpoint: Endpoint, services: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job waits for the archive, trains on what was known, and its version stands on control with its history."""
    for name, value in services.items():
        monkeypatch.setenv(name, value)
    words = ["--endpoint", endpoint.name, "--model", "first", "--reason", "to begin with"]
    assert main(["retrain", "request", *words]) == 0
    until(lambda: outcomes(stack.kafka, endpoint), "the job has ended", 120)
    (outcome,) = outcomes(stack.kafka, endpoint)
    assert (outcome.outcome, outcome.reasons) == (Outcome.REGISTERED, ())
    pair = "first", outcome.version
    assert ControlLog(stack.kafka, endpoint).read().versions[pair].state is State.ACTIVE
    card = load_card(folder_of(endpoint, pair))
    assert card.history is not None
    assert (card.history.asked.key, card.history.asked.reason) == (outcome.key, "to begin with")
    assert (card.history.span.as_of_us, card.history.span.until_us) == (closing(DAYS - 1), start_of(DAYS))
    assert card.data.rows == DAYS * ROWS_A_DAY
    folder = Path(services["RENDEZVOUS_DATA"]) / "retraining" / endpoint.name / outcome.key
    assert "is a candidate" in (folder / LOG_FILE).read_text()
