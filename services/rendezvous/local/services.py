"""The endpoint's services as processes on this machine: started, awaited, frozen, stopped."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from rendezvous.local.failure import LocalStackError, tail
from rendezvous.local.ports import LOOPBACK, free_port
from rendezvous.local.process import GuardedProcess
from rendezvous.registry.control import ControlLog
from rendezvous.registry.naming import active_names, written
from rendezvous.settings import Endpoint

PATIENT = {"OMP_WAIT_POLICY": "PASSIVE"}
"""OpenMP's threads wait for one another by turning round: on a busy machine training took 30 times as long."""
READY_S = 60.0
"""From start to ready; a model is loaded and warm in about two seconds."""


@dataclass(frozen=True, slots=True)
class RunningService:
    """One process and where it shows its pages."""

    name: str
    process: GuardedProcess
    port: int
    log: Path

    def alive(self) -> None:
        """Nothing, as long as it runs.

        Raises:
            LocalStackError: it has ended; the message ends with its log.
        """
        if self.process.poll() is not None:
            raise LocalStackError(f"{self.name} ended with {self.process.poll()}. {tail(self.log)}")

    def ready(self) -> bool:
        """Whether it says that it does its work.

        Raises:
            LocalStackError: it has ended.
        """
        self.alive()
        return shows_ready(LOOPBACK, self.port)


def shows_ready(host: str, port: int, timeout_s: float = 1.0) -> bool:
    """Whether a service's page says that it does its work."""
    try:
        with urllib.request.urlopen(f"http://{host}:{port}/readyz", timeout=timeout_s) as answer:
            return bool(json.load(answer)["ready"])
    except (urllib.error.URLError, OSError):
        return False


def loop_of(endpoint: Endpoint) -> tuple[str, ...]:
    """The services that watch an endpoint's models, and retrain them where its document says when."""
    return ("archiver", "monitor") if endpoint.retraining is None else ("archiver", "monitor", "retrainer")


def lasting(endpoint: Endpoint, logs: Path, targets: Path) -> Mapping[str, Sequence[str]]:
    """What `rendezvous run` is told for each process of an endpoint that stays up: models come and go meanwhile.

    logs, targets: folders for the scorers' logs, and for what says to Prometheus where they are.
    """
    scorers = ["scorers", "--logs", str(logs), "--targets", str(targets / f"{endpoint.name}.scorers.json")]
    return {"server": ["server"], "scorers": scorers} | {name: [name] for name in loop_of(endpoint)}


@contextmanager
def running_services(
    endpoint: Endpoint,
    home: Path,
    kafka: str,
    logs: Path,
    report: Callable[[str], None],
    also: Sequence[str] = (),
    redis: str = "",
) -> Iterator[Mapping[str, RunningService]]:
    """The rendezvous server and a scorer for each active version on control, all ready; they are stopped at the end.

    By name: "server", and each scorer as `active_names` calls it; and those of `also`, such as "archiver". redis: for
    those that need one.

    Raises:
        LocalStackError: a service ended or did not become ready; the message ends with its log.
    """
    active = active_names(ControlLog(kafka, endpoint).read())
    commands = {"server": ["server"]} | {name: ["scorer", "--model", written(pair)] for pair, name in active.items()}
    commands |= {name: [name] for name in also}
    with all_of(endpoint, commands, surroundings_of(home, kafka, redis), logs, report) as services:
        yield services


def surroundings_of(home: Path, kafka: str, redis: str) -> Mapping[str, str]:
    """What a service is told by its environment."""
    return {"KAFKA_BOOTSTRAP_SERVERS": kafka, "RENDEZVOUS_HOME": str(home), "REDIS_URL": redis}


@contextmanager
def all_of(
    endpoint: Endpoint,
    commands: Mapping[str, Sequence[str]],
    surroundings: Mapping[str, str],
    logs: Path,
    report: Callable[[str], None],
) -> Iterator[Mapping[str, RunningService]]:
    """`rendezvous run` with each of these arguments, by name, all ready; they are stopped at the end.

    Raises:
        LocalStackError: a service ended or did not become ready; the message ends with its log.
    """
    with ExitStack() as stack:
        services = {}
        for name, arguments in commands.items():
            services[name] = started(name, [*arguments, "--endpoint", endpoint.name], surroundings, logs)
            stack.callback(services[name].process.stop)
        await_ready(services, report)
        yield services


def started(name: str, arguments: Sequence[str], surroundings: Mapping[str, str], logs: Path) -> RunningService:
    """`rendezvous run ARGUMENTS` as a process called `name`, not ready yet; its caller stops it.

    Raises:
        LocalStackError: it cannot be run.
    """
    logs.mkdir(parents=True, exist_ok=True)
    port, log = free_port(), logs / f"{name}.log"
    command = [sys.executable, "-m", "rendezvous", "run", *arguments, "--http-port", str(port)]
    process = GuardedProcess.start(command, log=log, environment={"OMP_NUM_THREADS": "1", **surroundings})
    return RunningService(name, process, port, log)


def await_ready(services: Mapping[str, RunningService], report: Callable[[str], None]) -> None:
    """Wait until all are ready.

    Raises:
        LocalStackError: one ended or did not become ready; the message ends with its log.
    """
    begun = time.monotonic()
    waiting = dict(services)
    while waiting:
        for name in [name for name, service in waiting.items() if service.ready()]:
            del waiting[name]
            report(f"{name} ready after {time.monotonic() - begun:.1f} s")
        if waiting and time.monotonic() - begun > READY_S:
            late = next(iter(waiting.values()))
            raise LocalStackError(f"{sorted(waiting)} not ready after {READY_S:.0f} s. {tail(late.log)}")
        time.sleep(0.05)


def train(endpoint: Endpoint, home: Path, report: Callable[[str], None]) -> None:
    """Run models/<endpoint>/train.py, which does nothing when its cards are current.

    An endpoint without one has its models from elsewhere. A process of its own, so that its memory goes with it.

    Raises:
        LocalStackError: it failed; the message is its last line.
    """
    script = endpoint.folder / "train.py"
    if not script.exists():
        return
    command = [sys.executable, str(script), "--home", str(home)]
    last = "no output"
    training = subprocess.Popen(  # noqa: S603 - the owner's own script
        command, env=os.environ | PATIENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    with training:
        for line in training.stdout or ():
            last = line.rstrip()
            report(f"  {last}")
    if training.returncode != 0:
        raise LocalStackError(f"{script} failed with {training.returncode}: {last}")
