"""Decided requests, decided once more by the server's own `choose`. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rendezvous.messages import Bytes, Floats, Int64s, Reason
from rendezvous.replay.block import Block
from rendezvous.replay.evidence import Cells, columns_of, deadlines, seen, told
from rendezvous.server.choosing import choose, reasons
from rendezvous.server.plan import Plan
from rendezvous.server.policies import NOBODY

BY_SCHEDULE = (Reason.PREFERRED, Reason.FALLBACK, Reason.DEFAULT, Reason.COMBINED)
"""Reasons that models had their chance with; the other answers were given at once."""
WAITING = 255
"""Stands for a reason where replay would not have answered yet."""


class Again:
    """Of some rows with one plan: what replay gives, column by column as in `Said`."""

    def __init__(self, plan: Plan, rows: int) -> None:
        self.winners = np.full(rows, NOBODY, np.int64)
        self.reasons: Bytes = np.zeros(rows, np.uint8)
        self.steps: Bytes = np.zeros(rows, np.uint8)
        self.arrived: NDArray[np.uint64] = np.zeros(rows, np.uint64)
        self.propensities: Floats = np.ones(rows, np.float32)
        self.outputs: Floats = np.repeat(plan.default[None, :], rows, axis=0)
        self.deadline_us: Int64s = np.zeros(rows, np.int64)
        self.by_word: NDArray[np.bool_] = np.zeros(rows, np.bool_)

    def put(self, at: Int64s, walked: Mapping[str, NDArray[Any]]) -> None:
        """Columns by their names, for some rows."""
        for name, values in walked.items():
            getattr(self, name)[at] = values


def decide_again(block: Block, plan: Plan, rows: Int64s) -> Again:
    """What the log makes of decided requests of one plan."""
    said, asked = block.said, block.asked
    replayed = Again(plan, len(rows))
    replayed.deadline_us = deadlines(block, plan, rows)
    rejected = np.array([row in asked.fault for row in rows.tolist()], np.bool_)
    walks = np.isin(said.reasons[rows], BY_SCHEDULE) & ~rejected
    at = np.flatnonzero(~walks)
    replayed.reasons[at] = _at_once(block, rows[at], replayed.deadline_us[at], rejected[at])
    at = np.flatnonzero(walks)
    if len(at):
        cells, own = seen(block, plan.axis, rows[at])
        replayed.put(at, _walked(block, plan, rows[at], replayed.deadline_us[at], cells))
        # nothing had arrived, it says, and that explains the decision: then it does not matter whose word that is
        at = at[~own & ((said.arrived[rows[at]] != 0) | (replayed.reasons[at] == WAITING))]
        replayed.by_word[at] = True
    if len(at):
        cells = told(block, plan, rows[at], replayed.deadline_us[at])
        replayed.put(at, _walked(block, plan, rows[at], replayed.deadline_us[at], cells))
    return replayed


def _walked(block: Block, plan: Plan, rows: Int64s, deadline_us: Int64s, cells: Cells) -> dict[str, NDArray[Any]]:
    """The schedule's word at the moments of decision."""
    columns = columns_of(plan, block.asked.appended_us[rows], deadline_us, block.asked.draw[rows], cells)
    chosen = choose(columns, plan, np.arange(len(rows)), block.said.decided_us[rows])
    why = reasons(plan, chosen)
    why[~chosen.settled] = WAITING
    return {
        "winners": np.maximum(chosen.winners, NOBODY),
        "reasons": why,
        "steps": chosen.steps,
        "arrived": chosen.arrived,
        "propensities": chosen.propensities,
        "outputs": chosen.outputs,
    }


def _at_once(block: Block, rows: Int64s, deadline_us: Int64s, rejected: NDArray[np.bool_]) -> Bytes:
    """Overloaded, rejected, expired: the default. That too much was in flight cannot be known from the log."""
    overloaded = block.said.reasons[rows] == Reason.OVERLOADED
    expired = block.said.decided_us[rows] >= deadline_us
    choices = [np.uint8(Reason.OVERLOADED), np.uint8(Reason.REJECTED), np.uint8(Reason.EXPIRED)]
    return np.select([overloaded, rejected, expired], choices, np.uint8(WAITING)).astype(np.uint8)
