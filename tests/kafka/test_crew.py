"""`rendezvous run scorers` on a real broker: versions come and go, and scorers are killed."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from homes import MODELS, Home, sample, until
from loadtest.plain import write_model
from rendezvous.local.ports import LOOPBACK
from rendezvous.local.services import RunningService, shows_ready, started, surroundings_of
from rendezvous.local.stack import Addresses
from rendezvous.registry.changes import change_of_state
from rendezvous.registry.control import ControlLog
from rendezvous.registry.deploy import author, deploy
from rendezvous.registry.events import State
from rendezvous.registry.naming import named, written
from rendezvous.registry.state import Pair

pytestmark = pytest.mark.kafka


@dataclass(frozen=True, slots=True)
class Crew:
    """A running `rendezvous run scorers`, and what it is about."""

    service: RunningService
    home: Home
    targets: Path

    @property
    def ports(self) -> dict[Pair, int]:
        """Each version's, as Prometheus is told."""
        groups = json.loads(self.targets.read_text()) if self.targets.exists() else []
        labels = [group["labels"] for group in groups]
        ports = [int(group["targets"][0].rpartition(":")[2]) for group in groups]
        return {(said["model"], said["version"]): port for said, port in zip(labels, ports, strict=True)}

    def process_of(self, pair: Pair) -> int:
        """The pid of a version's scorer, by its command line, which its guard's holds too."""
        for folder in Path("/proc").glob("[0-9]*"):
            pid = int(folder.name)
            try:
                words = (folder / "cmdline").read_bytes().decode().split("\0")
                guards = any("guard.py" in word for word in words)
                if {self.home.endpoint.name, written(pair)} <= set(words) and not guards:
                    return pid
            except OSError:  # it has ended meanwhile
                continue
        raise AssertionError(f"no scorer of {written(pair)}")


@pytest.fixture(scope="module")
def crew(stack: Addresses, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crew]:
    """An endpoint of three models, deployed; its scorers, ready."""
    home = Home.make(tmp_path_factory.mktemp("home"), stack.kafka)
    logs, targets = home.folder / "logs", home.folder / "targets" / "scorers.json"
    arguments = ["scorers", "--endpoint", home.endpoint.name, "--logs", str(logs), "--targets", str(targets)]
    service = started("scorers", arguments, surroundings_of(home.folder, home.kafka, ""), logs)
    try:
        until(service.ready, f"the crew is ready; see {service.log}")
        yield Crew(service, home, targets)
        service.process.stop()
        assert json.loads(targets.read_text()) == [], "nobody is named who has ended"
    finally:
        service.process.stop()


def test_each_deployed_version_has_a_scorer(crew: Crew) -> None:
    """All three models, each ready and shown to Prometheus under its own version."""
    control = ControlLog(crew.home.kafka, crew.home.endpoint).read()
    assert set(crew.ports) == set(control.deployed)
    assert {model for model, _ in crew.ports} == set(MODELS)
    for pair, port in crew.ports.items():
        assert shows_ready(LOOPBACK, port), pair
    assert sample(crew.service, "rendezvous_crew_wanted_scorers") == len(MODELS)
    assert sample(crew.service, "rendezvous_crew_ready_scorers") == len(MODELS)


def test_a_killed_scorer_is_started_again(crew: Crew) -> None:
    """Within seconds, counted, and the others stay as they are."""
    control = ControlLog(crew.home.kafka, crew.home.endpoint).read()
    quick, slow = named(control, "quick"), named(control, "slow")
    before = crew.ports
    os.kill(crew.process_of(quick), signal.SIGKILL)
    until(lambda: crew.ports.get(quick, before[quick]) != before[quick], "it is shown at another port")
    until(lambda: shows_ready(LOOPBACK, crew.ports[quick]), "it is ready again")
    assert sample(crew.service, "rendezvous_crew_restarts_total", model="quick") == 1
    assert crew.ports[slow] == before[slow]
    assert sample(crew.service, "rendezvous_crew_restarts_total", model="slow") == 0


def test_a_new_version_gets_a_scorer_and_a_retired_one_loses_it(crew: Crew) -> None:
    """What is deployed while the crew runs scores within seconds; what is retired ends, and is not started again."""
    home = crew.home
    log = ControlLog(home.kafka, home.endpoint)
    old = named(log.read(), "failing")
    new = "failing", write_model(home.endpoint, "failing", MODELS["failing"] + "\n# another one\n")
    control = deploy(home.kafka, home.endpoint, ["failing"], report=lambda _: None)
    until(lambda: new in crew.ports and shows_ready(LOOPBACK, crew.ports[new]), "the new version has a scorer")
    assert old in crew.ports
    log.append(change_of_state(control, old, State.RETIRED, author()), control)
    until(lambda: old not in crew.ports, "the retired version is shown no more")
    until(lambda: sample(crew.service, "rendezvous_crew_wanted_scorers") == len(MODELS), "three are wanted again")
    until(crew.service.ready, "the others are ready")
    assert sample(crew.service, "rendezvous_crew_restarts_total", model="failing") == 0


def test_scorers_end_with_their_crew(crew: Crew) -> None:
    """Also when that is killed: an orphan would score beside the successor's."""
    ports = crew.ports
    os.kill(crew.service.process.pid, signal.SIGKILL)
    until(lambda: not any(shows_ready(LOOPBACK, port) for port in ports.values()), "nobody shows pages any more")
    crew.targets.write_text("[]")  # whom a killed one named stays named: its successor says anew who runs
