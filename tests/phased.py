"""Requests with their answers, as scenarios of phases have them."""

from __future__ import annotations

from collections.abc import Sequence

from loadtest.driving.books import Answer, Asked, Case
from loadtest.driving.phases import Phase, Played, Window
from rendezvous.messages import Reason

DEADLINE_MS = 250.0
NEVER = float("inf")


def case(
    number: int, due_ms: float, waited_ms: float, reason: Reason = Reason.PREFERRED, *, decided_ms: float = 0.0
) -> Case:
    """Request `number`, appended a millisecond after it was due, and answered so long after that; NEVER: not."""
    asked = Asked(number, 0, due_ms, acknowledged=True, offset=number, appended_ms=due_ms + 1)
    if waited_ms == NEVER:
        return Case(asked, [], buried=False)
    answer = Answer(
        number, (0, number), reason, due_ms + waited_ms - 2, due_ms + waited_ms, ("m", "1"), due_ms + decided_ms
    )
    return Case(asked, [answer], buried=False)


def stream(
    rate: float, waits_ms: Sequence[float], reason: Reason = Reason.PREFERRED, begin_ms: float = 0
) -> list[Case]:
    """Requests at a rate, each with its wait."""
    return [case(number, begin_ms + number * 1e3 / rate, waited, reason) for number, waited in enumerate(waits_ms)]


def played(cases: Sequence[Case], *phases: Phase, busy_cores: float | None = 1.5) -> Played:
    """Phases one after the other from 0 on."""
    windows, begin_ms = [], 0.0
    for phase in phases:
        end_ms = begin_ms + phase.seconds * 1e3
        windows.append(Window(phase, begin_ms, end_ms, busy_cores, None if busy_cores is None else 0.25))
        begin_ms = end_ms
    return Played(DEADLINE_MS, windows, cases, [0.1] * len(cases))
