"""Days that pass in seconds, with everybody in step.

What takes a day takes a second or two here. So event time stands still at the end of a day until the monitor has closed
what is due, while a retraining runs (a real one takes minutes of a day; here it would take weeks of the year), and
while a new version's process starts or the champion changes. All parts go by `ce_time`: nothing else is different from
a year that takes a year.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import date

import numpy as np
from numpy.typing import NDArray

from rendezvous.demo.year.crew import Crew
from rendezvous.demo.year.listening import Listening
from rendezvous.demo.year.stream import midnight_us
from rendezvous.local.failure import LocalStackError
from rendezvous.registry.events import State

HISTORY_S = 180.0
"""Two months of requests, which nobody scores."""
COMPARED_S = 30.0
"""close_ms, and a busy broker's breath."""
CONCLUDED_S = 60.0
"""The monitor closes a day within a second."""
RETRAINED_S = 900.0
"""More than a job's own limits allow."""
SETTLE_S = 1.6
"""The retrainer concludes a second after it first heard of a closing: while it may conclude something, a day takes at
least this long."""
HANDED_OVER_S = 2.5
"""A change of roles takes another member of each scorer's group: it joins, a second later the first one leaves."""


class Pace:
    """Keeps the year in step with its services.

    Args:
        listening: what the loop says.
        crew: the processes.
        cool_down_us: of the endpoint's retraining.
        first_us: no day before it can be closed.
    """

    def __init__(self, listening: Listening, crew: Crew, cool_down_us: int, first_us: int) -> None:
        self._listening = listening
        self._crew = crew
        self._cool_down_us = cool_down_us
        self._first_us = first_us
        self._moved = 0
        self.stood_still_s = 0.0
        """For retrainings and hand-offs."""

    def past(self, rows: NDArray[np.int64]) -> None:
        """What was asked before the first day has been dealt with.

        Raises:
            LocalStackError: it does not come to an end.
        """
        listening = self._listening
        self._await(lambda: bool(listening.compared[rows].all()), self._first_us, HISTORY_S, "what came before")
        self._moved = len(listening.chronicle.moved)

    def settle(self, day: date, rows: NDArray[np.int64], now_us: int) -> None:
        """After a day's requests: what hangs on them is done before the next day begins.

        Raises:
            LocalStackError: a service has ended, or does not come to an end.
        """
        listening = self._listening
        self._await(lambda: bool(listening.compared[rows].all()), now_us, COMPARED_S, f"{day}: the comparisons")
        begin_us = midnight_us(day)
        if begin_us > self._first_us:
            self._await(
                lambda: listening.chronicle.concluded_us >= begin_us, now_us, CONCLUDED_S, f"{day}: the day before"
            )
        if self._tense(now_us):
            listening.until(lambda: False, now_us, SETTLE_S)
        begun = time.monotonic()
        while self._stand_still(now_us):
            self.stood_still_s += time.monotonic() - begun
            begun = time.monotonic()
        self._crew.check()

    def _tense(self, now_us: int) -> bool:
        """Whether the retrainer may conclude something: a candidate awaits its verdict, or an alarm speaks."""
        control, chronicle = self._listening.control, self._listening.chronicle
        unnamed = [pair for pair in control.deployed if not control.aliases_of(pair)]
        candidates = [pair for pair in unnamed if control.versions[pair].state is State.ACTIVE]
        return bool(candidates) or chronicle.speaks(now_us, self._cool_down_us)

    def _stand_still(self, now_us: int) -> bool:
        """Wait for whatever is under way; whether there was anything."""
        listening, chronicle = self._listening, self._listening.chronicle
        busy = bool(chronicle.under_way)
        self._await(lambda: not chronicle.under_way, now_us, RETRAINED_S, f"{chronicle.under_way}: the retraining")
        busy = self._crew.follow(listening.control) or busy
        if len(chronicle.moved) > self._moved:
            self._moved = len(chronicle.moved)
            listening.until(lambda: False, now_us, HANDED_OVER_S)
            busy = True
        return busy

    def _await(self, done: Callable[[], bool], now_us: int, timeout_s: float, what: str) -> None:
        deadline = time.monotonic() + timeout_s
        while not self._listening.until(done, now_us, 1.0):
            self._crew.check()
            if time.monotonic() >= deadline:
                raise LocalStackError(f"{what} did not come within {timeout_s:.0f} s: see the logs beside the picture")
