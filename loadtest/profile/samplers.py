"""Two ways to see where a process is: by a timer within it (`within.py`), and by py-spy, from outside."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from loadtest.profile.stacks import Stacks, parse
from rendezvous.local.failure import LocalStackError

PER_S = 200
"""Samples a second of py-spy's."""
WRITTEN_S = 30.0
"""A recording is written in milliseconds, by a process that may stand behind others."""
LOOK_EVERY_S = 0.05
_TOLD = re.compile(r"Samples: (\d+) Errors: (\d+)")


@dataclass(frozen=True, slots=True)
class Recording:
    """What was seen; unread: samples that failed."""

    stacks: Stacks
    unread: int


class Sampler(Protocol):
    """Of one process, from `begin` to `end`."""

    def begin(self, seconds: float) -> None:
        """For about so long."""

    def end(self) -> Recording:
        """What was seen.

        Raises:
            LocalStackError: nothing was.
        """


@dataclass(slots=True)
class Clock:
    """A timer on the processor time of the thread that runs the loop, in a process that was started `within`."""

    pid: int
    stem: Path
    number: int = 0

    def begin(self, seconds: float) -> None:
        """See `Sampler`."""
        del seconds
        self.number += 1
        self._path.unlink(missing_ok=True)  # of a process before this one
        os.kill(self.pid, signal.SIGUSR1)

    def end(self) -> Recording:
        """See `Sampler`."""
        os.kill(self.pid, signal.SIGUSR1)
        give_up_s = time.monotonic() + WRITTEN_S
        while not self._path.exists():
            if time.monotonic() > give_up_s:
                raise LocalStackError(f"process {self.pid} did not write {self._path} within {WRITTEN_S:g} s")
            time.sleep(LOOK_EVERY_S)
        return Recording(parse(self._path.read_text()), 0)

    @property
    def _path(self) -> Path:
        return self.stem.with_name(f"{self.stem.name}.{self.number}")


@dataclass(slots=True)
class PySpy:
    """py-spy, which reads the process' memory without holding it up."""

    pid: int
    stem: Path
    _spy: subprocess.Popen[str] | None = field(default=None, init=False)

    def begin(self, seconds: float) -> None:
        """See `Sampler`."""
        wanted = ["--duration", str(max(int(seconds), 1)), "--rate", str(PER_S), "--format", "raw", "--threads"]
        command = [program(), "record", "--nonblocking", "--pid", str(self.pid), *wanted, "--output", str(self.stem)]
        self._spy = subprocess.Popen(  # noqa: S603 - a development tool, beside our own Python
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def end(self) -> Recording:
        """See `Sampler`."""
        if self._spy is None:
            raise LocalStackError(f"py-spy was not started on process {self.pid}")
        told, _ = self._spy.communicate()
        if self._spy.returncode:
            raise LocalStackError(refused(self.pid, told))
        counts = _TOLD.search(told)
        return Recording(parse(self.stem.read_text()), int(counts[2]) if counts else 0)


def program() -> str:
    """py-spy, of the environment that this runs in.

    Raises:
        LocalStackError: it is not installed.
    """
    found = shutil.which("py-spy", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if found is None:
        raise LocalStackError("py-spy is not installed: `make loadtest` does, or `pip install py-spy`")
    return found


def check_attaching() -> None:
    """That py-spy may look into a process that it did not start.

    Raises:
        LocalStackError: it may not, with the way out.
    """
    looked = subprocess.run(  # noqa: S603 - ditto
        [program(), "dump", "--nonblocking", "--pid", str(os.getpid())], capture_output=True, text=True, check=False
    )
    if looked.returncode:
        raise LocalStackError(refused(os.getpid(), looked.stdout + looked.stderr))


def refused(pid: int, told: str) -> str:
    """Why py-spy saw nothing, and what to do."""
    lowered = told.lower()
    if "permi" in lowered or "not permitted" in lowered:
        return (
            f"py-spy may not look into process {pid}: run as root, or `sysctl kernel.yama.ptrace_scope=0`, or in a "
            "container with `--cap-add SYS_PTRACE`; or leave `--by py-spy` out, since the clock needs no permission"
        )
    last = told.strip().splitlines()[-1] if told.strip() else "it said nothing"
    return f"py-spy could not look into process {pid}: {last}"
