"""What the log says of a block of requests, one row each: requests, decisions, comparisons, scores side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rendezvous.messages import Bytes, Floats, Int32s, Int64s, Reason
from rendezvous.registry.state import Pair
from rendezvous.server.arrivals import first_of_its_kind
from rendezvous.server.columns import Columns
from rendezvous.server.plan import Axis

ROWS = 1 << 14
"""Offsets in a block: NumPy's price is by the call, and memory by the block (about 5 MB with five models)."""
NEVER = -1
MAX_REPEATS = 8
"""Kept for one request."""
ONE = np.uint64(1)


@dataclass(frozen=True, slots=True)
class Terms:
    """What the rows of one decisions record have in common: how far control was read, the policy's hash, the axis."""

    control: int
    policy: str
    axis: Axis


@dataclass(frozen=True, slots=True, eq=False)
class Repeat:
    """A later score of a version that had scored the request already, and that says something else."""

    column: int
    status: int
    output: Floats


class Asked:
    """The requests: appended_us is NEVER where none was read, budget_us where it names no deadline.

    fault: by row, why the value cannot be scored. no_request: the record has no usable envelope.
    """

    def __init__(self) -> None:
        self.appended_us: Int64s = np.full(ROWS, NEVER, np.int64)
        self.budget_us: Int64s = np.full(ROWS, NEVER, np.int64)
        self.draw: Floats = np.zeros(ROWS, np.float32)
        self.request_id: list[str] = [""] * ROWS
        self.fault: dict[int, str] = {}
        self.no_request: NDArray[np.bool_] = np.zeros(ROWS, np.bool_)


class Said:
    """The decisions: decided_us is NEVER where there is none. record: where it stands; terms: a place in a list."""

    def __init__(self, width: int) -> None:
        self.decided_us: Int64s = np.full(ROWS, NEVER, np.int64)
        self.record: Int64s = np.full(ROWS, NEVER, np.int64)
        self.terms: Int64s = np.zeros(ROWS, np.int64)
        self.winners: NDArray[np.int16] = np.full(ROWS, -1, np.int16)
        self.reasons: Bytes = np.zeros(ROWS, np.uint8)
        self.steps: Bytes = np.zeros(ROWS, np.uint8)
        self.arrived: NDArray[np.uint64] = np.zeros(ROWS, np.uint64)
        self.slacks_us: Int64s = np.zeros(ROWS, np.int64)
        self.draws: Floats = np.zeros(ROWS, np.float32)
        self.propensities: Floats = np.zeros(ROWS, np.float32)
        self.outputs: Floats = np.zeros((ROWS, width), np.float32)


FACTS = ("winners", "reasons", "steps", "arrived", "slacks_us", "draws", "propensities", "outputs")
"""Columns of `Said` that are those of Decisions."""
SUBSTANCE = ("terms", "winners", "reasons", "outputs")
"""In which two decisions about one request must agree."""


class Block:
    """Rows of the offsets from `first` on; models are columns in the order in which they were met.

    closed_us, status, latency_us, output: the comparison's; scores: the first ones on the scores topic,
    arrival_us being their append time. repeats: by row, later ones that say something else.
    """

    def __init__(self, first: int, width: int) -> None:
        self.first = first
        self.width = width
        self.asked = Asked()
        self.said = Said(width)
        self.axis: list[Pair] = []
        self.closed_us: Int64s = np.full(ROWS, NEVER, np.int64)
        self.status: Bytes = np.zeros((ROWS, 0), np.uint8)
        self.latency_us: Int32s = np.zeros((ROWS, 0), np.int32)
        self.output: Floats = np.full((ROWS, 0, width), np.nan, np.float32)
        self.scores = Columns(ROWS, 0, width)
        self.repeats: dict[int, list[Repeat]] = {}

    def places(self, pairs: Sequence[Pair]) -> Int64s:
        """The columns of some pairs, which are given one where they have none."""
        new = [pair for pair in dict.fromkeys(pairs) if pair not in self.axis]
        if new:
            self.scores.rearrange([*range(len(self.axis)), *[-1] * len(new)])
            self.axis += new
            more = ((0, 0), (0, len(new)))
            self.status = np.pad(self.status, more)
            self.latency_us = np.pad(self.latency_us, more, constant_values=-1)
            self.output = np.pad(self.output, (*more, (0, 0)), constant_values=np.nan)
        return np.array([self.axis.index(pair) for pair in pairs], np.int64)

    def take_scores(
        self, offsets: Int64s, columns: Int64s, statuses: Bytes, outputs: Floats, appended_us: Int64s
    ) -> None:
        """Scores in the log's order: the first of a version for a request stands, as it does in a mailbox."""
        rows = offsets - self.first
        fresh = self.scores.reported[rows] & (ONE << columns.astype(np.uint64)) == 0
        fresh &= first_of_its_kind(rows * len(self.axis) + columns)
        kept, at = rows[fresh], columns[fresh]
        self.scores.keep(kept, at, statuses[fresh], outputs[fresh], 0)
        self.scores.arrival_us[kept, at] = appended_us[fresh]
        if not fresh.all():
            self._note_repeats(rows[~fresh], columns[~fresh], statuses[~fresh], outputs[~fresh])

    def _note_repeats(self, rows: Int64s, columns: Int64s, statuses: Bytes, outputs: Floats) -> None:
        other = (self.scores.status[rows, columns] != statuses) | (self.scores.output[rows, columns] != outputs).any(
            axis=1
        )
        for at in np.flatnonzero(other).tolist():
            noted = self.repeats.setdefault(int(rows[at]), [])
            if len(noted) < MAX_REPEATS:
                noted.append(Repeat(int(columns[at]), int(statuses[at]), outputs[at]))

    def take_comparisons(
        self,
        pairs: Sequence[Pair],
        offsets: Int64s,
        closed_us: Int64s,
        statuses: Bytes,
        latencies_us: Int32s,
        outputs: Floats,
    ) -> None:
        """What a server saw arrive. Of two the first that closed after the decision is the decider's own."""
        places, rows = self.places(pairs), offsets - self.first
        held = self.closed_us[rows]
        better = (held == NEVER) | ((held < self.said.decided_us[rows]) & (closed_us > held))
        first = better & first_of_its_kind(rows)
        rows = rows[first]
        self.closed_us[rows] = closed_us[first]
        self.status[rows], self.latency_us[rows] = 0, -1
        self.status[rows[:, None], places] = statuses[first]
        self.latency_us[rows[:, None], places] = latencies_us[first]
        self.output[rows[:, None], places] = outputs[first]

    def take_decisions(self, offsets: Int64s, facts: Mapping[str, NDArray[Any]]) -> tuple[Int64s, Int64s]:
        """Facts by their names in `Said`. The first decision about a request stands.

        Returns:
            Offsets that are decided again here, and those of them whose decision says something else.
        """
        said, rows = self.said, offsets - self.first
        first = (said.decided_us[rows] == NEVER) & first_of_its_kind(rows)
        for name, values in facts.items():
            getattr(said, name)[rows[first]] = values[first]
        again = np.flatnonzero(~first)
        same = np.ones(len(again), np.bool_)
        for name in SUBSTANCE:
            equal = getattr(said, name)[rows[again]] == facts[name][again]
            same &= equal.all(axis=1) if equal.ndim > 1 else equal
        return offsets[again], offsets[again[~same]]

    @property
    def waiting(self) -> bool:
        """Whether a request that was read still lacks its decision or its comparison."""
        asked = self.asked
        compared = (self.closed_us != NEVER) | (self.said.reasons == Reason.OVERLOADED)  # these owe none
        lacks = (self.said.decided_us == NEVER) | ~compared
        return bool(((asked.appended_us != NEVER) & ~asked.no_request & lacks).any())
