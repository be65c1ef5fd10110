"""Who answers which open request now: the walk through the schedule's steps."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rendezvous.messages import Bytes, Floats, Int64s, Reason, Status
from rendezvous.server.columns import Columns
from rendezvous.server.plan import Plan, PlannedStep
from rendezvous.server.policies import COMBINED, NOBODY, POLICIES, Ballot

OK = int(Status.OK)
NONE = int(Status.NONE)
FAR_FUTURE = np.iinfo(np.int64).max
PREFER = POLICIES["prefer"]
ONE_TRUE = np.ones(1, np.bool_)
ONE_CERTAIN: Floats = np.ones(1, np.float32)
for shared in (ONE_TRUE, ONE_CERTAIN):
    shared.setflags(write=False)
PREFERRED, FALLBACK = np.uint8(Reason.PREFERRED), np.uint8(Reason.FALLBACK)


class Chosen(NamedTuple):
    """For each slot looked at: who answers, what, by which step, and whether that is final.

    winners: int64, the column, COMBINED, or NOBODY (the default, once settled); steps: the step that decided; arrived:
    bits of those who had a usable score in time for it; propensities: see `Choice`. due_us: when the first of those
    not settled comes to the end of its step.
    """

    winners: Int64s
    outputs: Floats
    settled: NDArray[np.bool_]
    steps: Bytes
    arrived: NDArray[np.uint64]
    propensities: Floats
    due_us: int

    def of(self, rows: Int64s) -> Chosen:
        """The same for some of the slots, in their order."""
        if len(rows) == len(self.winners):
            return self
        return Chosen(
            self.winners[rows],
            self.outputs[rows],
            self.settled[rows],
            self.steps[rows],
            self.arrived[rows],
            self.propensities[rows],
            self.due_us,
        )


def choose(columns: Columns, plan: Plan, slots: Int64s, now_us: int | Int64s) -> Chosen:
    """Walk open slots, all of one plan, through its steps; `columns.step` moves on.

    A step's scores are those that arrived before its end. It is over at its end, or when nobody whom its policy would
    take can still report. The last step takes all that is in hand when it ends, so that no score is thrown away for the
    default. now_us: one for all slots, or int64 [slots].
    """
    rows, last = len(slots), len(plan.steps) - 1
    if rows == 1 and isinstance(now_us, int) and (chosen := _preferred(columns, plan, slots, now_us)) is not None:
        return chosen
    winners = np.full(rows, NOBODY, np.int64)
    outputs = plan.default[None, :].repeat(rows, axis=0)
    settled = np.zeros(rows, np.bool_)
    arrived = columns.usable[slots]
    propensities = np.ones(rows, np.float32)
    due_us = FAR_FUTURE
    for number, step in enumerate(plan.steps):
        at = (~settled & (columns.step[slots] == number)).nonzero()[0]
        if not len(at):
            continue
        here = slots[at]
        ends = ends_of(columns, step, here)
        over = (now_us if isinstance(now_us, int) else now_us[at]) >= ends
        # a row alone gets what it gets among others, also when the clock was set back
        until = np.where(over, ends, FAR_FUTURE) if number < last and np.count_nonzero(over) else None
        if len(step.columns):
            choice = step.policy.choose(_ballot(columns, step, here, over, until))
            found = choice.winners != NOBODY
            gone = ~found & (choice.hopeless | over)
            won = at[found]
            chosen = choice.winners[found]
            winners[won] = np.where(chosen >= 0, step.columns[chosen], COMBINED)
            outputs[won] = choice.outputs[found]
            propensities[won] = choice.propensities[found]
            settled[won] = True
            if until is not None:
                arrived[won] = _in_time(columns, here[found], until[found])
        else:
            found, gone = np.zeros(len(at), np.bool_), np.ones(len(at), np.bool_)
        if number == last:
            settled[at[gone]] = True
        else:
            columns.step[here[gone]] = number + 1
        if len(left := ends[~(found | gone)]):
            due_us = min(due_us, int(left.min()))
    return Chosen(winners, outputs, settled, columns.step[slots], arrived, propensities, due_us)


def _preferred(columns: Columns, plan: Plan, slots: Int64s, now_us: int) -> Chosen | None:
    """What `choose` finds for a request alone whose step prefers somebody who is there in time; None for any other.

    So it is of nearly every answer while little happens, and NumPy takes eight times as long for one row as this.
    """
    slot = slots.item()
    number = int(columns.step[slot])
    step = plan.steps[number]
    if step.policy is not PREFER or not len(step.columns):
        return None
    first, end_us = int(step.columns[0]), int(columns.end_us[slot])
    if step.until_us is not None:
        end_us = min(end_us, int(columns.appended_us[slot]) + step.until_us)
    if now_us >= end_us or not int(columns.usable[slot]) >> first & 1:
        return None
    return Chosen(
        winners=np.array([first]),
        outputs=columns.output[slots, first],
        settled=ONE_TRUE,
        steps=columns.step[slots],
        arrived=columns.usable[slots],
        propensities=ONE_CERTAIN,
        due_us=FAR_FUTURE,
    )


def reasons(plan: Plan, chosen: Chosen) -> Bytes:
    """Why these answers are what they are."""
    winners = chosen.winners
    preferred = (chosen.steps == 0) if plan.first_choice is None else winners == plan.first_choice
    found = np.where(preferred, PREFERRED, FALLBACK)
    found[winners == COMBINED], found[winners == NOBODY] = Reason.COMBINED, Reason.DEFAULT
    return found.astype(np.uint8)


def ends_of(columns: Columns, step: PlannedStep, slots: Int64s) -> Int64s:
    """When the step is over for each slot: at its own end, or at the request's."""
    ends: Int64s = columns.end_us[slots]
    return ends if step.until_us is None else np.minimum(ends, columns.appended_us[slots] + step.until_us)


def _ballot(
    columns: Columns, step: PlannedStep, slots: Int64s, over: NDArray[np.bool_], until: Int64s | None
) -> Ballot:
    """What the step sees; with `until`, only what had arrived before."""
    cells = slots[:, None], step.columns
    statuses = columns.status[cells]
    usable, reported = statuses == OK, statuses != NONE
    if until is not None:
        usable &= columns.arrival_us[cells] < until[:, None]
    return Ballot(
        usable=usable,
        reported=reported,
        outputs=columns.output[cells],
        draws=columns.draw[slots],
        weights=step.weights,
        closing=over | np.logical_and.reduce(reported, axis=1),
    )


def _in_time(columns: Columns, slots: Int64s, until: Int64s) -> NDArray[np.uint64]:
    """Bits of the models whose usable score arrived before `until`."""
    early = (columns.status[slots] == OK) & (columns.arrival_us[slots] < until[:, None])
    bits = np.uint64(1) << np.arange(early.shape[1], dtype=np.uint64)
    arrived: NDArray[np.uint64] = np.bitwise_or.reduce(np.where(early, bits, np.uint64(0)), axis=1)
    return arrived
