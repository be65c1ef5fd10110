"""The shell of `rendezvous run scorers`: follows control, and keeps a guarded process for each version on it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from rendezvous.crew.roster import Roster
from rendezvous.local.failure import LocalStackError
from rendezvous.log.records import Record
from rendezvous.registry.fold import folded
from rendezvous.registry.naming import written
from rendezvous.registry.state import Control, Pair
from rendezvous.telemetry import CrewMetrics

MOST = 10_000
TURN_S = 0.25
"""How long control is waited for: how late an ended process is seen."""
LOOK_S = 1.0
"""Between two looks whether scorers are ready; a frozen one takes the time of one attempt from each."""
GRACE_S = 5.0
"""For a scorer's end: it commits and leaves its group in a tenth of that. Shorter than the health check's patience."""

_logger = logging.getLogger(__name__)


class Worker(Protocol):
    """A scorer's process."""

    @property
    def port(self) -> int:
        """Where its pages are."""

    def ended(self) -> int | None:
        """Its exit code; None while it runs."""

    def is_ready(self) -> bool:
        """Whether it says that it does its work."""

    def stop(self, grace_s: float) -> None:
        """End it."""


class Following(Protocol):
    """What is new on control."""

    def poll(self, max_records: int, timeout_s: float) -> Sequence[Record]:
        """Wait for the first record, take whatever else is there."""

    def close(self) -> None:
        """Read no more."""


@dataclass(frozen=True, slots=True)
class Means:
    """What the crew does things with. shown: is told where each scorer's pages are, whenever that changes."""

    following: Following
    start: Callable[[Pair], Worker]
    shown: Callable[[Mapping[Pair, int]], None]
    clock_s: Callable[[], float]


class Crew:
    """A process for each version that is deployed, paused ones too: those rest, and are warm when they are resumed."""

    def __init__(self, control: Control, means: Means, metrics: CrewMetrics) -> None:
        self._control = control
        self._means = means
        self._metrics = metrics
        self._roster = Roster()
        self._workers: dict[Pair, Worker] = {}
        self._look_at_s = 0.0
        self._all_ready = False

    @property
    def ready(self) -> bool:
        """Every version that is deployed has a scorer that is ready."""
        return self._all_ready

    @property
    def over(self) -> bool:
        """Never: what is deployed next needs a scorer."""
        return False

    def turn(self) -> None:
        """Follow control, look who has ended, start and stop who is due."""
        self._control = folded(self._control, self._means.following.poll(MOST, TURN_S))
        now_s = self._means.clock_s()
        changed = self._bury(now_s)
        changed = self._do(now_s) or changed
        if changed:
            self._means.shown({pair: worker.port for pair, worker in self._workers.items()})
        if changed or now_s >= self._look_at_s:
            self._look(now_s)

    def stop(self) -> None:
        """End all of them, at the same time."""
        self._means.following.close()
        if self._workers:
            with ThreadPoolExecutor(len(self._workers)) as threads:
                list(threads.map(lambda worker: worker.stop(GRACE_S), self._workers.values()))
        self._workers.clear()
        self._means.shown({})

    def _bury(self, now_s: float) -> bool:
        """Those that have ended; whether any has."""
        gone = [(pair, code) for pair, worker in self._workers.items() if (code := worker.ended()) is not None]
        for pair, code in gone:
            self._workers.pop(pair).stop(0.0)
            pause_s = self._roster.ended(pair, now_s)
            if pair in self._control.deployed:
                self._metrics.restarts.labels(*pair).inc()
                _logger.warning("%s ended with %d: started again in %g s", written(pair), code, pause_s)
            else:
                _logger.info("%s is retired, and has ended", written(pair))
        return bool(gone)

    def _do(self, now_s: float) -> bool:
        """What is due; whether anything was."""
        deeds = self._roster.deeds(self._control.deployed, now_s)
        for pair in deeds.start:
            self._roster.started(pair, now_s)
            self._metrics.restarts.labels(*pair)  # shown from the start: or nobody would see that it grew
            try:
                self._workers[pair] = self._means.start(pair)
            except LocalStackError as error:
                pause_s = self._roster.ended(pair, now_s)
                self._metrics.restarts.labels(*pair).inc()
                _logger.warning("%s cannot be started: %s: tried again in %g s", written(pair), error, pause_s)
        for pair in deeds.stop:
            _logger.info("%s is retired: stopped", written(pair))
            self._workers.pop(pair).stop(GRACE_S)
            self._roster.ended(pair, now_s)
        return bool(deeds.start or deeds.stop)

    def _look(self, now_s: float) -> None:
        self._look_at_s = now_s + LOOK_S
        ready = sum(worker.is_ready() for worker in self._workers.values())
        wanted = len(self._control.deployed)
        self._all_ready = ready == wanted
        self._metrics.wanted.set(wanted)
        self._metrics.ready.set(ready)
