"""The endpoint's services as processes on this machine: started, awaited, frozen, stopped."""

from __future__ import annotations

import json
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

READY_S = 60.0
"""From start to ready; a model is loaded and warm in about two seconds."""


@dataclass(frozen=True, slots=True)
class RunningService:
    """One process and where it shows its pages."""

    name: str
    process: GuardedProcess
    port: int
    log: Path

    def ready(self) -> bool:
        """Whether it says that it does its work.

        Raises:
            LocalStackError: it has ended.
        """
        if self.process.poll() is not None:
            raise LocalStackError(f"{self.name} ended with {self.process.poll()}. {tail(self.log)}")
        try:
            with urllib.request.urlopen(f"http://{LOOPBACK}:{self.port}/readyz", timeout=1) as answer:
                return bool(json.load(answer)["ready"])
        except (urllib.error.URLError, OSError):
            return False


@contextmanager
def running_services(
    endpoint: Endpoint, home: Path, kafka: str, logs: Path, report: Callable[[str], None], also: Sequence[str] = ()
) -> Iterator[Mapping[str, RunningService]]:
    """The rendezvous server and a scorer for each active version on control, all ready; they are stopped at the end.

    By name: "server", and each scorer as `active_names` calls it; and those of `also`, such as "archiver".

    Raises:
        LocalStackError: a service ended or did not become ready; the message ends with its log.
    """
    logs.mkdir(parents=True, exist_ok=True)
    active = active_names(ControlLog(kafka, endpoint).read())
    commands = {"server": ["server"]} | {name: ["scorer", "--model", written(pair)] for pair, name in active.items()}
    commands |= {name: [name] for name in also}
    environment = {"KAFKA_BOOTSTRAP_SERVERS": kafka, "RENDEZVOUS_HOME": str(home), "OMP_NUM_THREADS": "1"}
    with ExitStack() as stack:
        services = {}
        for name, arguments in commands.items():
            port, log = free_port(), logs / f"{name}.log"
            command = [sys.executable, "-m", "rendezvous", "run", *arguments, "--endpoint", endpoint.name]
            process = GuardedProcess.start([*command, "--http-port", str(port)], log=log, environment=environment)
            stack.callback(process.stop)
            services[name] = RunningService(name, process, port, log)
        _await(services, report)
        yield services


def _await(services: Mapping[str, RunningService], report: Callable[[str], None]) -> None:
    started = time.monotonic()
    waiting = dict(services)
    while waiting:
        for name in [name for name, service in waiting.items() if service.ready()]:
            del waiting[name]
            report(f"{name} ready after {time.monotonic() - started:.1f} s")
        if waiting and time.monotonic() - started > READY_S:
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
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as training:  # noqa: S603 - the owner's own script
        for line in training.stdout or ():
            last = line.rstrip()
            report(f"  {last}")
    if training.returncode != 0:
        raise LocalStackError(f"{script} failed with {training.returncode}: {last}")
