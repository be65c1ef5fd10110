"""A home folder with a tiny endpoint, so that the real services run without training anything; and those services.

| model   | answers | does                                                           |
|---------|---------|----------------------------------------------------------------|
| quick   | x       | answers at once; the schedule's first choice                   |
| failing | 0.4     | raises for a row whose x is negative                           |
| slow    | 0.3     | sleeps for the largest slow_ms of its batch first              |
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from loadtest import plain
from rendezvous import topics
from rendezvous.local.ports import LOOPBACK, free_port
from rendezvous.local.process import GuardedProcess
from rendezvous.local.services import RunningService
from rendezvous.registry.deploy import deploy
from rendezvous.settings import Endpoint, load_endpoint

PATIENCE_S = 40.0
"""For what takes a second, or a dead member's session of six, on a machine that may be busy."""
LOOK_EVERY_S = 0.02

_logger = logging.getLogger("tests.homes")

DEFAULT = 0.25
STEP_MS = 200
DEADLINE_MS = 1_000
CLOSE_MS = 2_500

FEATURES = {
    "type": "record",
    "name": "Features",
    "namespace": "rendezvous.tests",
    "fields": [
        {"name": "x", "type": ["null", "float"], "default": None},
        {"name": "slow_ms", "type": "float"},
        {"name": "who", "type": "string"},
    ],
}

DOCUMENT = """
name = "{name}"
description = "an endpoint for tests"
request = {{ deadline_ms = {deadline_ms}, max_deadline_ms = 2000, reply_margin_ms = 50, max_bytes = 4096 }}
output = {{ kind = "binary", names = ["yes"], default = [{default}] }}
topics = {{ partitions = {partitions} }}
mailbox = {{ close_ms = {close_ms}, silent_ms = 1000, capacity = 4096 }}
fallback = {{ requests = 1000000 }} # nobody is passed by: these tests are about who answers while a model misses

[[schedule]]
until_ms = {step_ms}
models = ["champion"]

[[schedule]]
models = ["champion", "failing", "slow"]

[aliases]
champion = "quick"

[models]
quick = {{ kind = "python" }}
failing = {{ kind = "python" }}
slow = {{ kind = "python" }}
"""

MODELS = {
    "quick": """
def score(columns):
    return columns["x"]
""",
    "failing": """
import numpy as np
def score(columns):
    if (columns["x"] < 0).any():
        raise ValueError("x is negative")
    return np.full(len(columns["x"]), 0.4)
""",
    "slow": """
import time
import numpy as np
def score(columns):
    time.sleep(float(columns["slow_ms"].max()) / 1e3)
    return np.full(len(columns["x"]), 0.3)
""",
}


def until(condition: Callable[[], object], what: str | Callable[[], str], timeout_s: float = PATIENCE_S) -> None:
    """Wait for something that others do; fails naming it."""
    give_up = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < give_up, f"not within {timeout_s:g} s: {what if isinstance(what, str) else what()}"
        time.sleep(LOOK_EVERY_S)


def write_home(folder: Path, partitions: int = 1) -> Endpoint:
    """Write models/ and schemas/ of an endpoint with a name of its own under `folder`."""
    name = f"h-{uuid.uuid4().hex[:10]}"
    document = DOCUMENT.format(
        name=name,
        partitions=partitions,
        default=DEFAULT,
        step_ms=STEP_MS,
        deadline_ms=DEADLINE_MS,
        close_ms=CLOSE_MS,
    )
    return plain.write_home(folder, name, document, MODELS, FEATURES)


@dataclass(frozen=True, slots=True)
class Home:
    """A written home, its topics made and its models deployed, on a broker."""

    folder: Path
    kafka: str
    endpoint: Endpoint

    @classmethod
    def make(cls, folder: Path, kafka: str, partitions: int = 1) -> Home:
        """Write a home, create its endpoint's topics, and deploy its models."""
        home = cls(folder, kafka, write_home(folder, partitions))
        topics.create(kafka, home.endpoint)
        deploy(kafka, home.endpoint, report=_logger.info)
        return home

    def written_to(self, more: str) -> Home:
        """The same home, with more at the end of its endpoint's document."""
        document = self.endpoint.folder / "endpoint.toml"
        document.write_text(document.read_text() + more)
        return Home(self.folder, self.kafka, load_endpoint(self.endpoint.name, self.folder))

    def start(self, name: str) -> RunningService:
        """Start a server ("server", "server-2", ...), an archiver, or the scorer of a model, as an operator would."""
        port, log = free_port(), self.folder / f"{name}-{uuid.uuid4().hex[:6]}.log"
        role = name.partition("-")[0]
        what = [role] if role in {"server", "archiver"} else ["scorer", "--model", name]
        command = [sys.executable, "-m", "rendezvous", "run", *what, "--endpoint", self.endpoint.name]
        variables = {
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka,
            "RENDEZVOUS_HOME": str(self.folder),
            "RENDEZVOUS_ARCHIVE": "",
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
        }
        process = GuardedProcess.start([*command, "--http-port", str(port)], log=log, environment=variables)
        return RunningService(name, process, port, log)


class Services:
    """The processes of one home by name: started, ended, and started anew."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.running: dict[str, RunningService] = {}

    def __getitem__(self, name: str) -> RunningService:
        return self.running[name]

    def start(self, *names: str) -> None:
        """Start those that do not run; does not wait."""
        for name in names:
            if name not in self.running:
                self.running[name] = self.home.start(name)

    def ready(self, *names: str) -> None:
        """Start those that do not run, and wait until these are ready."""
        self.start(*names)
        for name in names:
            until(self.running[name].ready, f"{name} is ready; see {self.running[name].log}")

    def signal(self, name: str, number: int) -> RunningService:
        """Send a signal that ends a process, wait for its end, and forget it; returns what it was."""
        service = self.running.pop(name)
        os.kill(service.process.pid, number)
        service.process.wait(PATIENCE_S)
        service.process.stop()
        return service

    def stop(self) -> None:
        """End all."""
        for service in self.running.values():
            service.process.stop()
        self.running.clear()


@contextlib.contextmanager
def services_of(home: Home) -> Iterator[Services]:
    """Services that end with the block."""
    services = Services(home)
    try:
        yield services
    finally:
        services.stop()


def page(service: RunningService, path: str) -> tuple[int, str]:
    """(status, body) of one of a service's pages; 0 while nobody listens."""
    try:
        with urllib.request.urlopen(f"http://{LOOPBACK}:{service.port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError:
        return 0, ""


def sample(service: RunningService, metric: str, **labels: str) -> float:
    """A metric's value on a service's page, summed over the labels that are not given."""
    _, text = page(service, "/metrics")
    return sum(
        found.value
        for family in text_string_to_metric_families(text)
        for found in family.samples
        if found.name == metric and labels.items() <= found.labels.items()
    )
