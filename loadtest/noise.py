"""What the machine's other work took while we measured: all processor time less that of our own processes.

Linux tells it in /proc; elsewhere nobody asks, and the report says null.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
BUSY = (0, 1, 2, 5, 6, 7)
"""Columns of /proc/stat's first line: user (guests are in it), nice, system, irq, softirq, and steal, which a neighbour
took; idle and iowait are left out."""


@dataclass(frozen=True, slots=True)
class Spent:
    """Processor seconds so far, at one moment: by everybody, and by this process and those it has started."""

    at_s: float
    all_s: float
    own_s: float


@dataclass(frozen=True, slots=True)
class Process:
    """One process: who started it, and its processor time in the kernel's ticks."""

    pid: int
    parent: int
    ticks: int


def spent() -> Spent | None:
    """As it is now."""
    try:
        everybody = busy_ticks((PROC / "stat").read_text())
    except OSError:
        return None
    tick_s = 1 / os.sysconf("SC_CLK_TCK")
    return Spent(time.perf_counter(), everybody * tick_s, own_ticks(processes(), os.getpid()) * tick_s)


def cpu_s(pid: int) -> float | None:
    """Processor seconds that one process has taken so far; None where nobody can say."""
    try:
        return process_of((PROC / str(pid) / "stat").read_text()).ticks / os.sysconf("SC_CLK_TCK")
    except OSError:
        return None


def other_cores(before: Spent | None, after: Spent | None) -> float | None:
    """How many cores others kept busy between two moments, to the hundredth; None where nobody can say."""
    if before is None or after is None:
        return None
    others_s = (after.all_s - before.all_s) - (after.own_s - before.own_s)
    return round(max(others_s, 0.0) / (after.at_s - before.at_s), 2)


def busy_cores(before: Spent | None, after: Spent | None) -> float | None:
    """How many cores anybody kept busy between two moments, to the hundredth; None where nobody can say."""
    if before is None or after is None:
        return None
    return round((after.all_s - before.all_s) / (after.at_s - before.at_s), 2)


def own_cores(before: Spent | None, after: Spent | None) -> float | None:
    """How many cores this process and those it has started kept busy, to the hundredth; None where nobody can say."""
    if before is None or after is None:
        return None
    return round((after.own_s - before.own_s) / (after.at_s - before.at_s), 2)


def busy_ticks(stat: str) -> int:
    """Of all cores, by the text of /proc/stat."""
    columns = stat.split("\n", 1)[0].split()[1:]
    return sum(int(columns[column]) for column in BUSY)


def own_ticks(processes: Iterable[Process], root: int) -> int:
    """Of `root` and of all that descend from it."""
    children: dict[int, list[Process]] = {}
    total = 0
    for process in processes:
        children.setdefault(process.parent, []).append(process)
        total += process.ticks if process.pid == root else 0
    waiting = [root]
    while waiting:
        found = children.get(waiting.pop(), [])
        total += sum(process.ticks for process in found)
        waiting += [process.pid for process in found]
    return total


def processes() -> list[Process]:
    """All that run now."""
    found = []
    for folder in PROC.glob("[0-9]*"):
        try:
            found.append(process_of((folder / "stat").read_text()))
        except OSError:
            continue  # it has ended meanwhile
    return found


def process_of(stat: str) -> Process:
    """By the text of /proc/PID/stat; its second field, a name in brackets, may hold anything."""
    pid, _, rest = stat.partition(" ")
    fields = rest.rpartition(")")[2].split()
    return Process(int(pid), int(fields[1]), int(fields[11]) + int(fields[12]))
