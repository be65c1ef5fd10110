"""A scorer as a process beside ours, and where its pages are, as Prometheus reads it."""

from __future__ import annotations

import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from rendezvous.local.ports import LOOPBACK, free_port
from rendezvous.local.process import GuardedProcess
from rendezvous.local.services import shows_ready
from rendezvous.local.targets import write_groups
from rendezvous.registry.naming import written
from rendezvous.registry.state import Pair

LOOK_TIMEOUT_S = 0.2
"""For a page on this machine; who does not answer within it is not ready."""
EVERYWHERE = "0.0.0.0"  # noqa: S104 - compared with, not bound


@dataclass(frozen=True, slots=True)
class ScorerProcess:
    """One version's `rendezvous run scorer`."""

    process: GuardedProcess
    host: str
    port: int

    @classmethod
    def start(cls, endpoint: str, host: str, logs: Path | None, pair: Pair) -> Self:
        """Start it, with our own environment and one OpenMP thread: a scorer's threads are those of endpoint.toml.

        Raises:
            LocalStackError: it cannot be run.
        """
        port = free_port()
        where = ["--http-host", host, "--http-port", str(port)]
        command = [sys.executable, "-m", "rendezvous", "run", "scorer", "--endpoint", endpoint, "--model"]
        if logs is not None:
            logs.mkdir(parents=True, exist_ok=True)
        log = None if logs is None else logs / f"{'.'.join(pair)}.log"
        environment = {"OMP_NUM_THREADS": "1"}
        process = GuardedProcess.start([*command, written(pair), *where], log=log, environment=environment)
        return cls(process, LOOPBACK if host == EVERYWHERE else host, port)

    def ended(self) -> int | None:
        """See `Worker`."""
        return self.process.poll()

    def is_ready(self) -> bool:
        """See `Worker`."""
        return shows_ready(self.host, self.port, LOOK_TIMEOUT_S)

    def stop(self, grace_s: float) -> None:
        """See `Worker`."""
        self.process.stop(grace_s)


def write_targets(path: Path | None, endpoint: str, host: str, ports: Mapping[Pair, int]) -> None:
    """Say to Prometheus (file_sd) where the pages of each version's scorer are."""
    if path is None:
        return
    name = socket.gethostname() if host == EVERYWHERE else host
    groups = {
        f"{name}:{port}": {"endpoint": endpoint, "service": "scorer", "model": model, "version": version}
        for (model, version), port in ports.items()
    }
    write_groups(path, groups)
