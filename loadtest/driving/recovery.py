"""How long after something was over requests went well again. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence

from loadtest.driving.books import Case

LOOK_MS = 100.0
STEADY_MS = 1_000.0
"""For so long it must go well."""


def recovered_ms(found: Sequence[Case], over_ms: float, well: Callable[[Case], bool], share: float) -> float | None:
    """From `over_ms` to the first tenth of a second from which on, for a second, `share` of the requests went well.

    found: in the order of due. None when it never came.
    """
    due = [case.asked.due_ms for case in found]
    fine = [well(case) for case in found]
    at_ms = over_ms
    while due and at_ms + STEADY_MS <= due[-1]:
        first, last = bisect_left(due, at_ms), bisect_left(due, at_ms + STEADY_MS)
        if last > first and sum(fine[first:last]) >= share * (last - first):
            return at_ms - over_ms
        at_ms += LOOK_MS
    return None
