"""How long a model takes for a row, of late, and which of the rows that wait it can still score in time. Pure.

Past saturation the rows that wait longest are those that have the least time left. A model that takes them first, all
at once, has every score too late: it does as much as ever, and none of it is of use. So the newest rows are scored, as
many as are done before the oldest of them is due, and the others are left alone at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from statistics import median

FEWEST = 8
"""Rows of a batch that say what a row takes; what a call costs by itself would be most of a smaller one's."""
SEEN = 9
"""Batches of which the median counts: a pause of the machine is one of them."""


class Pace:
    """Takes in batches; `row_us` is what a row takes, 0 while nobody knows."""

    def __init__(self) -> None:
        self.row_us = 0.0
        self._seen: deque[float] = deque(maxlen=SEEN)

    def saw(self, rows: int, took_us: int) -> None:
        """A batch was scored. A small one counts when it was faster: else a slow time would never be forgotten."""
        if rows and (rows >= FEWEST or took_us < self.row_us * rows):
            self._seen.append(took_us / rows)
            self.row_us = median(self._seen)


def least_deadline_us(deadlines_us: Sequence[int], now_us: int, row_us: float) -> int:
    """Rows that are due from here on are worth scoring: together they are done before the first of them is due.

    The newest is always tried, so that a model that has become fast is found out.
    """
    ordered = sorted(deadlines_us, reverse=True)
    if now_us + len(ordered) * row_us <= ordered[-1]:
        return ordered[-1]
    worth = 1
    while worth < len(ordered) and now_us + (worth + 1) * row_us <= ordered[worth]:
        worth += 1
    return ordered[worth - 1]
