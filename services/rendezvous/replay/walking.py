"""What rules would have answered, and when: each request's own arrivals, one after the other. Pure.

A server looks at its ticks; here each row is looked at exactly when something happens to it: when it is appended, when
a model reports, when a step ends. Row by row these moments differ, so the walk goes by rank: the first of every row,
then the second, at most models + steps + 1 of them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rendezvous.messages import Bytes, Floats, Int64s
from rendezvous.replay.evidence import NONE, OK, Cells, bits_of, columns_of
from rendezvous.server.choosing import FAR_FUTURE, choose, ends_of
from rendezvous.server.plan import Plan
from rendezvous.server.policies import NOBODY


class Walked(NamedTuple):
    """Of some rows: winners int64 (a column, COMBINED, or NOBODY: the default), what was said, when, by which step."""

    winners: Int64s
    outputs: Floats
    at_us: Int64s
    steps: Bytes


def walk(plan: Plan, appended_us: Int64s, deadline_us: Int64s, draw: Floats, cells: Cells) -> Walked:
    """Answer rows whose models report as `cells` says, at any time.

    deadline_us: of each request. cells: on the plan's axis. Requests are taken up at their append.
    """
    rows = len(appended_us)
    hidden = cells._replace(status=np.zeros_like(cells.status))
    columns = columns_of(plan, appended_us, deadline_us, draw, hidden)
    arrival = np.where(cells.status == NONE, FAR_FUTURE, np.maximum(cells.arrival_us, appended_us[:, None]))
    every = np.arange(rows)
    ends = np.stack([ends_of(columns, step, every) for step in plan.steps], axis=1)
    moments = np.concatenate([appended_us[:, None], arrival, np.maximum(ends, appended_us[:, None])], axis=1)
    moments.sort(axis=1)
    walked = Walked(
        np.full(rows, NOBODY, np.int64),
        np.repeat(plan.default[None, :], rows, axis=0),
        np.zeros(rows, np.int64),
        np.zeros(rows, np.uint8),
    )
    waiting = every
    for rank in range(moments.shape[1]):
        now_us = moments[waiting, rank]
        shown = np.where(arrival[waiting] <= now_us[:, None], cells.status[waiting], np.uint8(NONE))
        columns.status[waiting] = shown
        columns.usable[waiting] = bits_of(shown == OK)
        chosen = choose(columns, plan, waiting, now_us)
        done = waiting[chosen.settled]
        walked.winners[done], walked.outputs[done] = chosen.winners[chosen.settled], chosen.outputs[chosen.settled]
        walked.at_us[done], walked.steps[done] = now_us[chosen.settled], chosen.steps[chosen.settled]
        waiting = waiting[~chosen.settled]
        if not len(waiting):
            break
    return walked
