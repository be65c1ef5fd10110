"""A process that does not outlive the one which started it, whatever way that one ends."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from rendezvous.local import guard
from rendezvous.local.failure import LocalStackError

GRACE_S = 10.0
"""From the gentle signal to SIGKILL: a broker takes half a second, a loaded machine a few."""

GUARD_MARGIN_S = 5.0
"""After the grace, the guard needs milliseconds; if it does not answer, it is ended itself."""


class GuardedProcess:
    """A running command with a guard beside it (`guard.py`); make one with `start`, and always `stop` it.

    Its standard input is empty, both outputs go to one place, and Ctrl-C at a terminal does not reach it.
    """

    def __init__(self, watcher: subprocess.Popen[bytes], pid: int, grace_s: float) -> None:
        self._watcher = watcher
        self._grace_s = grace_s
        self.pid = pid
        """Of the command itself, not of its guard: what SIGSTOP and SIGCONT are for."""

    @classmethod
    def start(
        cls,
        command: Sequence[str | Path],
        *,
        log: Path | None,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        grace_s: float = GRACE_S,
        keep_fds: Sequence[int] = (),
    ) -> Self:
        """Start `command` in `folder`, with `environment` on top of ours; a `log` is begun anew.

        Args:
            command: program and arguments.
            log: file for what the command writes; None: our own standard error.
            environment: variables to add or replace.
            folder: working folder; ours when None.
            grace_s: seconds from SIGTERM to SIGKILL when this process dies, and the default of `stop`.
            keep_fds: file descriptors that guard and command inherit, e.g. of a lock.

        Raises:
            LocalStackError: the command cannot be run.
        """
        arguments = [str(os.getpid()), str(grace_s), ",".join(map(str, keep_fds)), *map(str, command)]
        with contextlib.nullcontext() if log is None else log.open("wb") as output:
            watcher = subprocess.Popen(  # noqa: S603 - callers pass their own commands
                [sys.executable, "-I", "-S", guard.__file__, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                cwd=folder,
                env={**os.environ, **(environment or {})},
                process_group=0,
                pass_fds=keep_fds,
            )
        answer = _first_line(watcher)
        if answer.isdigit():
            return cls(watcher, int(answer), grace_s)
        cls(watcher, 0, 0.0).stop()
        reason = answer.removeprefix("error: ") or f"its guard did not start, see {log or 'above'}"
        raise LocalStackError(f"{command[0]} cannot be run: {reason}")

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        code = self._watcher.poll()
        return code if code is None or code < 128 else 128 - code  # noqa: PLR2004 - as a shell says it

    @property
    def returncode(self) -> int | None:
        """As `poll`."""
        return self.poll()

    def wait(self, timeout_s: float) -> None:
        """Wait for its end by itself.

        Raises:
            TimeoutError: it still runs after `timeout_s` seconds.
        """
        try:
            self._watcher.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            raise TimeoutError(f"process {self.pid} still runs after {timeout_s:g} s") from error

    def stop(self, grace_s: float | None = None) -> None:
        """End it: SIGTERM, and SIGKILL after `grace_s` seconds. Does nothing to one that has ended."""
        grace_s = self._grace_s if grace_s is None else grace_s
        if control := self._watcher.stdin:
            with contextlib.suppress(BrokenPipeError):
                os.write(control.fileno(), b"stop %f\n" % grace_s)
        try:
            self._watcher.wait(grace_s + GUARD_MARGIN_S)
        except subprocess.TimeoutExpired:
            self._kill()
        if control:
            control.close()
            self._watcher.stdin = None

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._watcher.kill()
        self._watcher.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


@dataclass(frozen=True, slots=True)
class Reachable:
    """A server that is ready: its address, and the process that one may want to kill."""

    address: str
    process: GuardedProcess


def _first_line(watcher: subprocess.Popen[bytes]) -> str:
    if watcher.stdout is None:
        return ""
    with watcher.stdout as said:
        return said.readline().decode().strip()
