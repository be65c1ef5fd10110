"""Who answers which open request now: the walk through the schedule's steps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rendezvous.messages import Floats, Int64s, Status
from rendezvous.server.columns import Columns
from rendezvous.server.plan import Plan, PlannedStep

OK = int(Status.OK)
FAR_FUTURE = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """For each slot looked at: the winning column (-1: the default), the answer, and whether that is final.

    due_us: when the first of those not settled comes to the end of its step.
    """

    winner: Int64s
    outputs: Floats
    settled: NDArray[np.bool_]
    due_us: int


def choose(columns: Columns, plan: Plan, slots: Int64s, now_us: int) -> Chosen:
    """Walk open slots through the steps; `columns.step` moves on.

    A step is over at its end, or when each of its models has reported without a usable score. The last step is
    consulted once more at its end, so that a score in hand is never thrown away for the default.
    """
    winner = np.full(len(slots), -1, np.int64)
    outputs = np.repeat(plan.default[None, :], len(slots), axis=0)
    settled = np.zeros(len(slots), np.bool_)
    due = np.full(len(slots), FAR_FUTURE, np.int64)
    final = len(plan.steps) - 1
    for number, step in enumerate(plan.steps):
        ends = _ends(columns, step, slots)
        here = ~settled & (columns.step[slots] == number)
        if number < final:
            over = here & (now_us >= ends)
            columns.step[slots[over]] = number + 1
            here &= ~over
        if here.any():
            at = np.flatnonzero(here)
            rows = slots[at]
            usable = columns.status[rows[:, None], step.columns] == OK
            chosen, answers = step.choose(usable, columns.output[rows[:, None], step.columns])
            found = chosen >= 0
            winner[at[found]] = step.columns[chosen[found]]
            outputs[at[found]] = answers[found]
            settled[at[found]] = True
            spent = at[~found & (columns.reported[rows] & step.mask == step.mask)]
            if number < final:
                columns.step[slots[spent]] = number + 1
            else:
                settled[spent] = True
        waiting = ~settled & (columns.step[slots] == number)
        due[waiting] = ends[waiting]
    settled |= now_us >= columns.end_us[slots]
    return Chosen(winner, outputs, settled, int(due[~settled].min(initial=FAR_FUTURE)))


def _ends(columns: Columns, step: PlannedStep, slots: Int64s) -> Int64s:
    """When the step is over for each slot: at its own end, or at the request's."""
    ends: Int64s = columns.end_us[slots]
    return ends if step.until_us is None else np.minimum(ends, columns.appended_us[slots] + step.until_us)
