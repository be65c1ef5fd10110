"""A command in a process group of its own, with limits of wall time, memory and file size; it ends when we do."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from rendezvous.local.failure import LocalStackError, tail
from rendezvous.local.process import GuardedProcess
from rendezvous.retraining import limited
from rendezvous.retraining.training import MB, SECOND_US, TrainingLimits

LOOK_S = 0.05
"""How often memory and time are looked at; a process fills at most a few hundred MB in so long."""
GRACE_S = 2.0
"""From SIGTERM to SIGKILL for what has had its time."""
PROCESSES = Path("/proc")
RESERVED_BYTES = 4_000_000_000
"""What a process may reserve beyond memory_mb, where somebody watches what it uses: see `limited.py`."""
LINE_CHARACTERS = 500
"""As much of a line as is passed on; the log has all of it."""


class ConfinedError(Exception):
    """A command failed or was ended at a limit; the message says which, and ends with its log's last lines."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What a run took: wall time, and the most memory that its processes had together (0 where nobody counts)."""

    seconds: float
    peak_mb: float


def run(
    command: Sequence[str],
    *,
    folder: Path,
    environment: Mapping[str, str],
    log: Path,
    limits: TrainingLimits,
    report: Callable[[str], None],
) -> Spent:
    """Run `command` in `folder` to its end; each line of its outputs goes to `log`, and is passed on.

    Raises:
        ConfinedError: it ended with another code than 0, or had to be ended.
    """
    started = time.monotonic()
    data = limits.memory_mb * MB + (RESERVED_BYTES if PROCESSES.is_dir() else 0)
    bounds = (limits.nice, data, limits.file_mb * MB)
    wrapped = [sys.executable, "-I", "-S", limited.__file__, *map(str, bounds)]
    try:
        process = GuardedProcess.start(
            [*wrapped, *command], log=log, environment=environment, folder=folder, grace_s=GRACE_S
        )
    except LocalStackError as error:
        raise ConfinedError(str(error)) from error
    peak = 0
    with process, log.open(errors="replace") as said:
        while (code := process.poll()) is None:
            peak = max(peak, used_bytes(process.pid))
            fault = _overrun(time.monotonic() - started, peak, limits)
            if fault is not None:
                process.stop()
                raise ConfinedError(f"{fault}: ended. {tail(log)}")
            _pass_on(said, report)
            time.sleep(LOOK_S)
        _pass_on(said, report)
    if code != 0:
        how = f"ended by signal {-code}" if code < 0 else f"ended with {code}"
        raise ConfinedError(f"{how}, after using {peak / MB:.0f} MB of memory_mb = {limits.memory_mb}. {tail(log)}")
    return Spent(round(time.monotonic() - started, 3), round(peak / MB, 1))


def _overrun(seconds: float, peak: int, limits: TrainingLimits) -> str | None:
    if seconds > limits.time / SECOND_US:
        return f"still ran after time = {limits.time / SECOND_US:g} s"
    if peak > limits.memory_mb * MB:
        return f"its processes used {peak / MB:.0f} MB, more than memory_mb = {limits.memory_mb}"
    return None


def _pass_on(said: IO[str], report: Callable[[str], None]) -> None:
    for line in said.read().splitlines():
        if line.strip():
            report(line.rstrip()[:LINE_CHARACTERS])


def used_bytes(group: int) -> int:
    """Memory that the processes of a group have for themselves; 0 where there is no /proc, or nobody left."""
    page, total = os.sysconf("SC_PAGE_SIZE"), 0
    try:
        processes = [path for path in PROCESSES.iterdir() if path.name.isdigit()]
    except OSError:
        return 0
    for process in processes:
        try:
            if int((process / "stat").read_text().rpartition(")")[2].split()[2]) == group:
                _, resident, shared, *_ = (process / "statm").read_text().split()
                total += (int(resident) - int(shared)) * page
        except (OSError, IndexError, ValueError):  # it has just ended
            continue
    return total
