"""Restarts what dies, as systemd with Restart=on-failure and RestartSec=1; and does to processes what a fault does."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from rendezvous.local.failure import LocalStackError
from rendezvous.local.ports import free_port
from rendezvous.local.process import GuardedProcess
from rendezvous.local.services import RunningService

BACK_OFF_S = 1.0
"""From a death to the next start."""
LOOK_EVERY_S = 0.05


@dataclass(frozen=True, slots=True)
class Death:
    """A process that ended without having been stopped: its exit code, negative for a signal."""

    name: str
    at_ms: float
    code: int
    log: Path


class Supervisor:
    """Services by name. One that dies is started anew; one that was stopped stays down until it is started."""

    def __init__(self, commands: Mapping[str, Sequence[str]], variables: Mapping[str, str], logs: Path) -> None:
        self._commands = dict(commands)
        self._variables = variables
        self._logs = logs
        self._running: dict[str, RunningService] = {}
        self._due: dict[str, float] = {}
        self._down: set[str] = set()
        self._starts = 0
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)
        self.deaths: list[Death] = []

    def __enter__(self) -> Self:
        for name in self._commands:
            self.start(name)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join()
        for service in self._running.values():
            service.process.stop()

    def __getitem__(self, name: str) -> RunningService | None:
        with self._lock:
            return self._running.get(name)

    def add(self, name: str, command: Sequence[str]) -> None:
        """Start one more."""
        self._commands[name] = command
        self.start(name)

    def start(self, name: str) -> None:
        """Start what was stopped."""
        with self._lock:
            self._down.discard(name)
            self._start(name)

    def _start(self, name: str) -> None:
        self._starts += 1
        port, log = free_port(), self._logs / f"{self._starts:03}-{name}.log"
        command = [sys.executable, "-m", "rendezvous", "run", *self._commands[name], "--http-port", str(port)]
        process = GuardedProcess.start(command, log=log, environment=self._variables)
        self._running[name] = RunningService(name, process, port, log)

    def stop(self, name: str) -> None:
        """Stop it cleanly: SIGTERM, and wait for its end; it stays down."""
        with self._lock:
            service = self._alive(name)
            self._down.add(name)
            del self._running[name]
        service.process.stop()

    def kill(self, name: str) -> None:
        """SIGKILL; it is started anew after the back-off."""
        self._signal(name, signal.SIGKILL)

    def freeze(self, name: str) -> None:
        """SIGSTOP."""
        self._signal(name, signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        """SIGCONT."""
        self._signal(name, signal.SIGCONT)

    def _signal(self, name: str, number: signal.Signals) -> None:
        with self._lock:
            os.kill(self._alive(name).process.pid, number)

    def _alive(self, name: str) -> RunningService:
        if name not in self._running:
            raise LocalStackError(f"{name} has died by itself, so nothing can be done to it. Logs: {self._logs}")
        return self._running[name]

    def ready(self) -> bool:
        """Whether all services but the stopped ones run and say that they do their work."""
        with self._lock:
            running = dict(self._running)
            if running.keys() | self._down != self._commands.keys():
                return False
        with contextlib.suppress(LocalStackError):  # it has ended
            return all(service.ready() for service in running.values())
        return False

    def _watch(self) -> None:
        while not self._stopping.wait(LOOK_EVERY_S):
            with self._lock:
                for name, service in list(self._running.items()):
                    if (code := service.process.poll()) is not None:
                        self._note_death(name, service, code)
                for name in [name for name, due in self._due.items() if time.monotonic() >= due]:
                    del self._due[name]
                    self._start(name)

    def _note_death(self, name: str, service: RunningService, code: int) -> None:
        del self._running[name]
        service.process.stop()
        self.deaths.append(Death(name, time.time() * 1e3, code, service.log))
        self._due[name] = time.monotonic() + BACK_OFF_S
