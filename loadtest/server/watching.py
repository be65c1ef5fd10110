"""Looks on from outside while a process answers: where the answers' topic ends, and what the process has cost.

Nothing is asked of the process itself: a look costs the broker a question, and the kernel two files.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from loadtest import raw
from loadtest.noise import PROC, Spent, own_ticks, processes, spent
from rendezvous.local.failure import LocalStackError
from rendezvous.log import read_to_end
from rendezvous.messages import Int64s

LOOK_EVERY_S = 0.05
QUIET_S = 0.5
"""After the last answer: what is still to be written about it has been written by then."""
STALLED_S = 30.0
"""So long without any answer, the run has failed."""
CORRELATION = "kafka_correlationId"


@dataclass(frozen=True, slots=True)
class Look:
    """One moment: where the answers end, seconds of processor time so far (None where the kernel does not say)."""

    at_s: float
    end: int
    cpu_s: float | None
    loop_cpu_s: float | None
    machine: Spent | None


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What stands on the answers' topic: when each was handed over (ms by the wall clock, sorted), how many differ."""

    at_ms: Int64s
    distinct: int
    value_bytes: float


class Watcher:
    """Follows one process that answers to one partition."""

    def __init__(self, bootstrap: str, topic: str, pid: int, alive: Callable[[], None]) -> None:
        self._bootstrap, self._topic, self._pid, self._alive = bootstrap, topic, pid, alive
        self._consumer = raw.reader(bootstrap, topic, 0)

    def look(self) -> Look:
        """As it is now."""
        cpu_s, loop_s = cpu(self._pid)
        return Look(time.time(), raw.end_of(self._consumer, self._topic, 0), cpu_s, loop_s, spent())

    def until(self, count: int) -> list[Look]:
        """Look until there are so many answers, and no more come.

        Raises:
            LocalStackError: the process ended, or stands still.
        """
        looks = [self.look()]
        grew_s = looks[0].at_s
        while looks[-1].end < count or looks[-1].at_s - grew_s < QUIET_S:
            time.sleep(LOOK_EVERY_S)
            self._alive()
            looks.append(self.look())
            if looks[-1].end > looks[-2].end:
                grew_s = looks[-1].at_s
            elif looks[-1].at_s - grew_s > STALLED_S:
                raise LocalStackError(f"{self._topic}: {looks[-1].end} of {count} answers, and no more come")
        return looks

    def answers(self) -> Answers:
        """What was answered in all, read back."""
        at_ms, seen, size = [], set(), 0
        for record in read_to_end(self._bootstrap, self._topic, 0, 0):
            at_ms.append(record.timestamp_ms)
            seen.add(dict(record.headers)[CORRELATION])
            size += len(record.value)
        return Answers(np.sort(np.array(at_ms, np.int64)), len(seen), size / max(len(at_ms), 1))

    def close(self) -> None:
        """Look no more."""
        self._consumer.close()


def cpu(pid: int) -> tuple[float | None, float | None]:
    """Seconds so far of a process with all that it has started, and of its first thread, which runs the loop."""
    try:
        name_and_state = (PROC / str(pid) / "task" / str(pid) / "stat").read_text()
    except OSError:
        return None, None
    tick_s = 1 / os.sysconf("SC_CLK_TCK")
    fields = name_and_state.rpartition(")")[2].split()
    return own_ticks(processes(), pid) * tick_s, (int(fields[11]) + int(fields[12])) * tick_s
