"""Open-loop load in phases, each at a rate of its own; what is done to the system is done as a phase begins."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import merge
from itertools import accumulate

from loadtest.driving.books import Case, cases, within
from loadtest.driving.traffic import Traffic
from loadtest.noise import busy_cores, other_cores, spent
from rendezvous.settings import Endpoint

SETTLE_S = 20.0
"""After the last request: as long as an answer is waited for before the request is lost."""
REPEATS_S = 1.0
LOOK_EVERY_S = 0.1


@dataclass(frozen=True, slots=True)
class Phase:
    """So many requests a second for so long, and on top `burst` of them at the same moment every `every_s` seconds."""

    name: str
    rate: float
    seconds: float
    burst: int = 0
    every_s: float = 1.0


@dataclass(frozen=True, slots=True)
class Window:
    """A phase as it was: requests due from `begun_ms` on and before `ended_ms` are its own.

    busy_cores: kept busy by anybody; other_cores: by what is not ours; None where nobody can say.
    """

    phase: Phase
    begun_ms: float
    ended_ms: float
    busy_cores: float | None
    other_cores: float | None


@dataclass(frozen=True, slots=True)
class Played:
    """What happened: windows in order, every request with its answers, and how late the driver was with each."""

    deadline_ms: float
    windows: Sequence[Window]
    cases: Sequence[Case]
    sent_late_ms: Sequence[float]

    @property
    def started_ms(self) -> float:
        """When the first request was due."""
        return self.windows[0].begun_ms

    @property
    def lost(self) -> int:
        """Requests that the broker took and nobody ever answered."""
        return sum(case.lost for case in self.cases)

    @property
    def most_other_cores(self) -> float | None:
        """In the most disturbed window; None where nobody can say."""
        found = [window.other_cores for window in self.windows if window.other_cores is not None]
        return max(found, default=None)

    def of(self, name: str) -> list[Case]:
        """The requests of the phases of this name."""
        return [case for window in self.windows if window.phase.name == name for case in self.in_window(window)]

    def in_window(self, window: Window) -> list[Case]:
        """Its requests."""
        return within(self.cases, window.begun_ms, window.ended_ms)

    def window(self, name: str) -> Window:
        """The first one of that name."""
        return next(window for window in self.windows if window.phase.name == name)


def due_s(phases: Sequence[Phase]) -> Iterator[float]:
    """When each request is due, in seconds from the start of the first phase."""
    begins = [0.0, *accumulate(phase.seconds for phase in phases)]
    for begin, phase in zip(begins, phases, strict=False):
        steady = (begin + number / phase.rate for number in range(round(phase.rate * phase.seconds)))
        bursts = (begin + at_s for at_s in bursts_s(phase) for _ in range(phase.burst))
        yield from merge(steady, bursts)


def bursts_s(phase: Phase) -> list[float]:
    """When its bursts come, in seconds from its begin; the first half a pause after it."""
    count = int(phase.seconds / phase.every_s) if phase.burst else 0
    return [(number + 0.5) * phase.every_s for number in range(count)]


def play(
    endpoint: Endpoint,
    kafka: str,
    values: Sequence[bytes],
    phases: Sequence[Phase],
    *,
    acts: Mapping[str, Callable[[], None]] | None = None,
    settle_s: float = SETTLE_S,
) -> Played:
    """Send what the phases say, do what `acts` says when a phase of that name begins, and wait for the answers.

    Raises:
        Exception: whatever ended the driver's threads.
    """
    gc.collect()
    gc.freeze()  # the collector must not walk what is there already while we measure
    with Traffic(endpoint, kafka, due_s(phases), values) as traffic:
        begins_s = [0.0, *accumulate(phase.seconds for phase in phases)]
        marks = [spent()]
        for begin_s, end_s, phase in zip(begins_s, begins_s[1:], phases, strict=False):
            _sleep_until(traffic, begin_s)
            (acts or {}).get(phase.name, _nothing)()
            _sleep_until(traffic, end_s)
            marks.append(spent())
        traffic.settle(settle_s, repeats_s=REPEATS_S)
        found = cases(traffic.asked(), traffic.answers, set(traffic.buried()))
        started_ms = traffic.started_ms
        late = traffic.sent_late_ms
    windows = [
        Window(
            phase,
            started_ms + begin_s * 1e3,
            started_ms + end_s * 1e3,
            busy_cores(before, after),
            other_cores(before, after),
        )
        for phase, begin_s, end_s, before, after in zip(phases, begins_s, begins_s[1:], marks, marks[1:], strict=False)
    ]
    return Played(endpoint.request.deadline_ms, windows, found, late)


def _nothing() -> None:
    """Nothing is done as the phase begins."""


def _sleep_until(traffic: Traffic, at_s: float) -> None:
    while (left_s := traffic.started_ms / 1e3 + at_s - time.time()) > 0:
        traffic.check()
        time.sleep(min(left_s, LOOK_EVERY_S))
