"""What a server had in hand when it decided some requests of a block, put into a mailbox's own columns."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rendezvous.messages import Bytes, Floats, Int64s, Status
from rendezvous.replay.block import NEVER, Block
from rendezvous.server.columns import Columns
from rendezvous.server.plan import Axis, Plan

NONE, OK = int(Status.NONE), int(Status.OK)
ONE = np.uint64(1)


class Cells(NamedTuple):
    """Of some rows, by model: statuses, arrivals in µs (undefined for NONE), outputs."""

    status: Bytes
    arrival_us: Int64s
    output: Floats


def columns_of(plan: Plan, appended_us: Int64s, deadline_us: Int64s, draw: Floats, cells: Cells) -> Columns:
    """A mailbox's columns, slot i holding row i."""
    rows, models = cells.status.shape
    columns = Columns(rows, models, plan.width)
    columns.appended_us, columns.end_us = appended_us, deadline_us - plan.margin_us
    columns.draw, columns.status = draw, cells.status
    columns.arrival_us, columns.output = cells.arrival_us, cells.output
    columns.usable = bits_of(cells.status == OK)
    columns.reported = bits_of(cells.status != NONE)
    return columns


def bits_of(flags: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """Bool [rows, models] to bits, the first model's the lowest."""
    weights = ONE << np.arange(flags.shape[1], dtype=np.uint64)
    bits: NDArray[np.uint64] = np.where(flags, weights, np.uint64(0)).sum(axis=1, dtype=np.uint64)
    return bits


def flags_of(bits: NDArray[np.uint64], models: int) -> NDArray[np.bool_]:
    """The opposite."""
    flags: NDArray[np.bool_] = (bits[:, None] >> np.arange(models, dtype=np.uint64)) & ONE != 0
    return flags


def deadlines(block: Block, plan: Plan, rows: Int64s) -> Int64s:
    """Until when the requests were to be answered."""
    budget = block.asked.budget_us[rows]
    budget = np.minimum(np.where(budget == NEVER, plan.deadline_us, budget), plan.max_deadline_us)
    found: Int64s = block.asked.appended_us[rows] + budget
    return found


def seen(block: Block, axis: Axis, rows: Int64s) -> tuple[Cells, NDArray[np.bool_]]:
    """By the comparison: what had arrived when it was decided; and the rows where it is surely the decider's own.

    A comparison that closed before the decision is another server's. One in which nothing had arrived by the decision
    may be: a successor reads all scores again, later.
    """
    places, said = block.places(axis), block.said
    decided = said.decided_us[rows][:, None]
    status = block.status[rows[:, None], places]
    latency = block.latency_us[rows[:, None], places].astype(np.int64)
    arrival = block.asked.appended_us[rows][:, None] + latency
    # latencies do not go below 0, where a server's clock is behind the broker's
    arrival = np.where(latency == 0, np.minimum(arrival, decided), arrival)
    arrived = flags_of(said.arrived[rows], len(axis))
    # who left it out unread said nothing: its status is the server's own
    came = (
        (status != NONE) & (latency >= 0) & (arrival <= decided) & ~((arrival == decided) & (status == OK) & ~arrived)
    )
    own = (block.closed_us[rows] >= decided[:, 0]) & came.any(axis=1)
    cells = Cells(np.where(came, status, np.uint8(NONE)), arrival, block.scores.output[rows[:, None], places])
    return cells, own


def told(block: Block, plan: Plan, rows: Int64s, deadline_us: Int64s) -> Cells:
    """By the decision's own word: usable is what it says had arrived, just in time for the step that it names.

    Whoever failed at any time is taken to have failed before: a decision that waited for nobody is not found out.
    """
    said, asked = block.said, block.asked
    places = block.places(plan.axis)
    arrived = flags_of(said.arrived[rows], len(plan.axis))
    status = block.scores.status[rows[:, None], places]
    failed = (status != NONE) & (status != OK)
    appended, decided = asked.appended_us[rows], said.decided_us[rows]
    ends = _ends(plan, appended, deadline_us)
    step = np.minimum(said.steps[rows].astype(np.int64), ends.shape[1] - 1)
    every = np.arange(len(rows))
    end, before = ends[every, step], ends[every, np.maximum(step - 1, 0)]
    final = step == ends.shape[1] - 1  # the last step takes all that is in hand, however late it came
    late = (step > 0) & (decided >= before) & ((before < end) | final)
    arrival = np.repeat(np.where(late, before, np.minimum(appended, decided))[:, None], len(plan.axis), axis=1)
    statuses = np.where(arrived, np.uint8(OK), np.where(failed, status, np.uint8(NONE)))
    return Cells(statuses, arrival, block.scores.output[rows[:, None], places])


def _ends(plan: Plan, appended_us: Int64s, deadline_us: Int64s) -> Int64s:
    """int64 [rows, steps]: when each step is over."""
    end = deadline_us - plan.margin_us
    ends = [end if step.until_us is None else np.minimum(end, appended_us + step.until_us) for step in plan.steps]
    return np.stack(ends, axis=1)
