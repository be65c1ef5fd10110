"""What was answered beside what other rules would have answered, request by request. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rendezvous.messages import Floats, Int64s, Reason
from rendezvous.registry.state import Pair
from rendezvous.replay.block import NEVER, Block
from rendezvous.replay.deciding import BY_SCHEDULE
from rendezvous.replay.evidence import OK, Cells, deadlines
from rendezvous.replay.history import History, HistoryError
from rendezvous.replay.labels import Labels
from rendezvous.replay.tape import Found
from rendezvous.replay.walking import Walked, walk
from rendezvous.server.plan import Axis
from rendezvous.server.policies import COMBINED

DEFAULT, TOGETHER = 0, 1
"""Who answered, as a number: the default, several together; from FIRST on, a version."""
FIRST = 2


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """Answers of one side: who, int64 [rows]; what, float32 [rows, width]; how long after the append, int64 [rows]."""

    who: Int64s
    output: Floats
    latency_us: Int64s

    def of(self, rows: NDArray[Any]) -> Side:
        """The same of some rows."""
        return Side(self.who[rows], self.output[rows], self.latency_us[rows])

    @staticmethod
    def joined(parts: list[Side], width: int) -> Side:
        """Several, one after the other."""
        if not parts:
            return Side(np.zeros(0, np.int64), np.zeros((0, width), np.float32), np.zeros(0, np.int64))
        return Side(
            np.concatenate([part.who for part in parts]),
            np.concatenate([part.output for part in parts]),
            np.concatenate([part.latency_us for part in parts]),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Contrast:
    """Every request that was answered. fixed: rejected, expired or overloaded: no rules could have changed that.

    now: what was answered; exact: by the rules in force, at exact times; then: by the other rules. labels: NaN where
    there is none; labelled_us: NEVER likewise. proxied: by row, whether arrivals are the scores' append times.
    """

    names: tuple[str, ...]
    appended_us: Int64s
    fixed: NDArray[np.bool_]
    proxied: NDArray[np.bool_]
    now: Side
    exact: Side
    then: Side
    labels: NDArray[np.float64]
    labelled_us: Int64s


@dataclass(slots=True)
class Contrasting:
    """Puts blocks together; skipped: why requests were left out, and how many."""

    history: History
    other: History
    labels: Labels
    skipped: dict[str, int] = field(default_factory=dict)
    _names: dict[Pair, int] = field(default_factory=dict)
    _parts: list[dict[str, Any]] = field(default_factory=list)

    def take(self, block: Block, found: Found, partition: int) -> None:
        """Answer a block's requests again."""
        asked, said = block.asked, block.said
        read = (asked.appended_us != NEVER) & ~asked.no_request
        decided = said.decided_us != NEVER
        self._skip("without a decision in the log", int(np.count_nonzero(read & ~decided)))
        rows = np.flatnonzero(read & decided)
        for number in np.unique(said.terms[rows]).tolist():
            some = rows[said.terms[rows] == number]
            terms = found.terms[number]
            try:
                self._take(block, partition, some, terms.control, terms.axis)
            except HistoryError as error:
                self._skip(str(error), len(some))

    def _skip(self, why: str, count: int) -> None:
        if count:
            self.skipped[why] = self.skipped.get(why, 0) + count

    def _take(self, block: Block, partition: int, rows: Int64s, control: int, axis: Axis) -> None:
        asked, said = block.asked, block.said
        fixed = ~np.isin(said.reasons[rows], BY_SCHEDULE)
        now = Side(
            self._who(axis, said.winners[rows], said.reasons[rows] == Reason.COMBINED),
            said.outputs[rows],
            said.decided_us[rows] - asked.appended_us[rows],
        )
        ids = [asked.request_id[row] for row in rows.tolist()]
        known = [self.labels.known.get(request_id) for request_id in ids]
        self._parts.append(
            {
                "appended_us": asked.appended_us[rows],
                "fixed": fixed,
                "proxied": block.closed_us[rows] == NEVER,
                "now": now,
                "exact": self._answered(self.history, block, partition, rows, control, fixed, now),
                "then": self._answered(self.other, block, partition, rows, control, fixed, now),
                "labels": np.array([np.nan if label is None else label.value for label in known]),
                "labelled_us": np.array([NEVER if label is None else label.at_us for label in known], np.int64),
            }
        )

    def _answered(
        self,
        history: History,
        block: Block,
        partition: int,
        rows: Int64s,
        control: int,
        fixed: NDArray[np.bool_],
        now: Side,
    ) -> Side:
        """Walked, but for those that no rules could change: these get the default of these rules, when they got it."""
        plan = history.plan(control, partition)
        walked = _walked(history, block, partition, rows, control)
        who = self._who(plan.axis, walked.winners, walked.winners == COMBINED)
        latency_us = walked.at_us - block.asked.appended_us[rows]
        output = np.where(fixed[:, None], plan.default[None, :], walked.outputs)
        return Side(np.where(fixed, DEFAULT, who), output, np.where(fixed, now.latency_us, latency_us))

    def _who(self, axis: Axis, winners: NDArray[Any], together: NDArray[np.bool_]) -> Int64s:
        numbers = np.array([self._names.setdefault(pair, FIRST + len(self._names)) for pair in axis] or [0], np.int64)
        named = numbers[np.maximum(winners, 0)]
        return np.where(together, TOGETHER, np.where(winners >= 0, named, DEFAULT))

    def result(self) -> Contrast:
        """Of all blocks."""
        width = len(self.history.endpoint.output.default)

        def column(name: str, kind: type) -> NDArray[Any]:
            return np.concatenate([np.zeros(0, kind), *(part[name] for part in self._parts)])

        sides = {name: Side.joined([part[name] for part in self._parts], width) for name in ("now", "exact", "then")}
        return Contrast(
            names=("the default", "several together", *("/".join(pair) for pair in self._names)),
            appended_us=column("appended_us", np.int64),
            fixed=column("fixed", np.bool_),
            proxied=column("proxied", np.bool_),
            labels=column("labels", np.float64),
            labelled_us=column("labelled_us", np.int64),
            **sides,
        )


def _walked(history: History, block: Block, partition: int, rows: Int64s, control: int) -> Walked:
    plan = history.plan(control, partition)
    cells = arrivals(block, plan.axis, rows)
    return walk(plan, block.asked.appended_us[rows], deadlines(block, plan, rows), block.asked.draw[rows], cells)


def arrivals(block: Block, axis: Axis, rows: Int64s) -> Cells:
    """Whatever models said of some rows, by the comparison; without one, by the scores topic and its append times."""
    places = block.places(axis)
    cells = rows[:, None], places
    compared = (block.closed_us[rows] != NEVER)[:, None]
    appended_us = block.asked.appended_us[rows][:, None]
    scores = block.scores
    usable = (block.status[cells] == OK)[:, :, None]
    return Cells(
        np.where(compared, block.status[cells], scores.status[cells]),
        np.where(compared, appended_us + block.latency_us[cells], scores.arrival_us[cells]),
        np.where(compared[:, :, None] & usable, block.output[cells], scores.output[cells]),
    )
