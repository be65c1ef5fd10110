"""How a schedule's step chooses among what has arrived: one function and one entry in POLICIES each.

A policy sees usable: bool [rows, models] in the step's order, and outputs: float32 [rows, models, width], undefined
where not usable. It returns the winner's index in the step's order, int64 [rows], -1 where nobody can answer, and
the answer, float32 [rows, width]. It is a function of its arguments alone, so that a decision can be replayed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from rendezvous.messages import Floats

Choice: TypeAlias = tuple[NDArray[np.int64], Floats]
Policy: TypeAlias = Callable[[NDArray[np.bool_], Floats], Choice]


def prefer(usable: NDArray[np.bool_], outputs: Floats) -> Choice:
    """The first model in the step's order that has a usable score."""
    first = np.argmax(usable, axis=1)
    rows = np.arange(len(usable))
    winner = np.where(usable[rows, first], first, -1)
    return winner, outputs[rows, first]


POLICIES: dict[str, Policy] = {"prefer": prefer}
