"""Retrainers on a real broker: killed again and again, two at once, and the commands beside them."""

from __future__ import annotations

import os
import signal
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from comparing import SPACING_US, comparisons
from found import alarm, block, closing, contest
from homes import Home, until
from rendezvous.cli import main
from rendezvous.local.process import GuardedProcess
from rendezvous.local.stack import Addresses
from rendezvous.log import KafkaSink, read_to_end
from rendezvous.messages import Comparisons, Message, Status
from rendezvous.registry.control import ControlLog
from rendezvous.registry.events import Cause, Deployment, HandOff, Verdict
from rendezvous.registry.state import Control, Pair
from rendezvous.retraining.events import Retrained, RetrainEvent
from rendezvous.settings import load_endpoint
from rendezvous.wire import decode_any, encode
from retraining_standin import RUNS
from retraining_worlds import WORDS

pytestmark = pytest.mark.kafka

RETRAINING = """
[monitoring]
time = "ce_time"
label_delay = "8h"

[promotion]
requests = 10
fresh_s = 3600

[retraining]
model = "quick"
new_labels = 500
cool_down = "1d"
promotion = "automatic"

[retraining.triggers]
code = false
"""


class Town:
    """A home whose endpoint retrains, what stands on its topics, and its retrainers."""

    def __init__(self, folder: Path, kafka: str) -> None:
        self.home = Home.make(folder, kafka)
        document = self.home.endpoint.folder / "endpoint.toml"
        document.write_text(document.read_text() + RETRAINING)
        self.endpoint = load_endpoint(self.home.endpoint.name, folder)
        self.kafka = kafka
        self.running: list[GuardedProcess] = []

    def start(self) -> GuardedProcess:
        """One more retrainer."""
        log = self.home.folder / f"retrainer-{uuid.uuid4().hex[:6]}.log"
        command = [sys.executable, str(Path(__file__).parents[1] / "retraining_standin.py"), "retrainer"]
        paths = os.pathsep.join(path for path in sys.path if path)
        process = GuardedProcess.start(
            [*command, str(self.home.folder), self.kafka, self.endpoint.name],
            log=log,
            environment={"PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )
        self.running.append(process)
        return process

    def kill(self, process: GuardedProcess) -> None:
        """As the kernel does when memory is short."""
        os.kill(process.pid, signal.SIGKILL)
        process.wait(10)
        process.stop()
        self.running.remove(process)

    def say(self, *messages: tuple[str, Message | Comparisons]) -> None:
        """What others write."""
        sink = KafkaSink(self.kafka)
        for topic, message in messages:
            sink.send(self.endpoint.topic(topic), encode(message), partition=0)
        assert sink.flush(10) == 0

    def said(self, topic: str) -> list[Message]:
        """All that stands on a topic."""
        records = read_to_end(self.kafka, self.endpoint.topic(topic), 0, 0, uncommitted=True)
        return [decode_any(record.value, WORDS) for record in records]

    def has(self, topic: str, kind: type) -> bool:
        """Whether a topic has a message of a kind."""
        return any(isinstance(message, kind) for message in self.said(topic))

    def control(self) -> Control:
        """What control says."""
        return ControlLog(self.kafka, self.endpoint).read()

    def candidate(self, champion: Pair) -> Pair | None:
        """The version of the same model that was deployed since."""
        found = [pair for pair in self.control().deployed if pair[0] == champion[0] and pair != champion]
        return found[-1] if found else None

    def runs(self) -> list[tuple[str, int]]:
        """Jobs that have begun: event and process."""
        path = self.home.folder / RUNS
        lines = path.read_text().splitlines() if path.exists() else []
        return [(line.split()[0], int(line.split()[1])) for line in lines]


@pytest.fixture
def town(stack: Addresses, tmp_path: Path) -> Iterator[Town]:
    """One of the test's own."""
    town = Town(tmp_path, stack.kafka)
    yield town
    for process in town.running:
        process.stop()


def is_alive(pid: int) -> bool:
    """Whether a process is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_killed_again_and_again(town: Town) -> None:
    """While a job runs, between its version and its outcome, after the hand-off: one event, outcome, version, verdict.

    A job ends with its retrainer, and the next one does it again; a second retrainer stands by, and takes over.
    """
    champion = town.control().aliases["champion"]
    town.say(("accuracy", block(0, champion)), ("drift", alarm(0, champion)))
    first, _ = town.start(), town.start()
    until(town.runs, "the job has begun")
    (_, pid) = town.runs()[0]
    leader = first if is_child_of(pid, first) else town.running[1]
    town.kill(leader)
    until(lambda: not is_alive(pid), "the job ended with it")
    town.start()

    until(lambda: len(town.runs()) > 1 and town.candidate(champion), "the other one did the job again")
    (leader,) = [process for process in town.running if is_child_of(town.runs()[-1][1], process)]
    town.kill(leader)
    town.start()
    until(lambda: town.has("retrain", Retrained), "the third one says what became of it")
    candidate = town.candidate(champion)
    assert candidate is not None

    start_us = time.time_ns() // 1_000 - 20 * SPACING_US
    town.say(
        (
            "comparisons",
            comparisons({champion: [(Status.OK, 1)] * 20, candidate: [(Status.OK, 1)] * 20}, start_us=start_us),
        ),
        *(("accuracy", block(day, champion)) for day in range(1, 6)),
        ("accuracy", contest(5, candidate, champion, better=25.0)),
    )
    until(lambda: town.control().aliases["champion"] == candidate, "the candidate is the champion")
    for process in tuple(town.running):
        town.kill(process)
    town.start()
    until(lambda: town.has("control", Verdict), "the verdict stands")

    retrain, control = town.said("retrain"), town.said("control")
    keys = [message.key for message in retrain if isinstance(message, RetrainEvent | Retrained)]
    assert keys == [f"quick-{champion[1]}-20130102T080000Z"] * 2
    assert len([m for m in control if isinstance(m, HandOff) and m.cause is Cause.PROMOTE]) == 1
    assert len([m for m in control if isinstance(m, Verdict)]) == 1
    versions = {(m.model, m.version) for m in control if isinstance(m, Deployment) and m.model == "quick"}
    assert versions == {champion, candidate}
    assert town.control().refusal is None


def is_child_of(pid: int, process: GuardedProcess) -> bool:
    """Whether a process stands below another one (job, its guard, the retrainer); False when it is gone."""
    while pid > 1:
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except FileNotFoundError:
            return False
        if pid == process.pid:
            return True
    return False


def test_a_person_asks(town: Town, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The event stands with its reason; the list tells how things are; what cannot be is one message."""
    champion = town.control().aliases["champion"]
    for name, value in {"KAFKA_BOOTSTRAP_SERVERS": town.kafka, "RENDEZVOUS_HOME": str(town.home.folder)}.items():
        monkeypatch.setenv(name, value)
    where = ["--endpoint", town.endpoint.name]

    def typed(*arguments: str) -> tuple[int, str, str]:
        code = main(["retrain", *arguments, *where])
        said = capsys.readouterr()
        return code, said.out, said.err

    assert "nothing has been concluded yet" in typed("list")[1]
    town.say(("accuracy", block(0, champion)))
    code, said, _ = typed("request", "--model", "quick", "--reason", "the airport moved")
    assert (code, "quick is to be trained again: the airport moved" in said) == (0, True)
    (event,) = town.said("retrain")
    assert isinstance(event, RetrainEvent)
    assert (event.reason, event.causes, event.at_us) == ("the airport moved", ("by hand",), closing(0))
    assert "stands already" in typed("request", "--model", "quick", "--reason", "again")[2]
    assert "names quick" in typed("request", "--model", "slow", "--reason", "x")[2]
    assert "a reason is needed" in typed("request", "--model", "quick", "--reason", " ")[2]
    listed = typed("list")[1]
    assert "under way" in listed
    assert "budget left: 0 of 1 events in 24 hours, 3 of 4 events in 31 days" in listed
