"""A mailbox of plain dicts, written from the words of `rendezvous.server.mailbox`: slow, and easy to believe.

One request, one object; one score, one entry; every open request is looked at on every tick. It answers in rows:
`answered` and `compared` bring what the real mailbox returns into the same form.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from rendezvous.messages import Comparisons, Reason, Request, Scores, Status
from rendezvous.server.arrivals import Tally
from rendezvous.server.mailbox import Decided
from rendezvous.server.outcomes import Verdicts
from rendezvous.server.plan import Plan

NEVER_US = 2**63 - 1
MAX_LATENCY_US = 2**31 - 1
"""Latencies travel as int32."""


class Answered(NamedTuple):
    """One row of a verdict."""

    request: Request
    offset: int
    winner: int
    reason: int
    arrived: int
    slack_us: int
    output: tuple[float, ...]


class Said(NamedTuple):
    """One model's part of a comparison; latency_us is -1, and the output None, when there is none."""

    status: int
    latency_us: int
    output: tuple[float, ...] | None


class Compared(NamedTuple):
    """One row of a comparison."""

    offset: int
    request_id: str
    appended_us: int
    winner: int
    reason: int
    said: tuple[Said, ...]


class Fates(NamedTuple):
    """What became of rows of scores, by column."""

    kept: dict[int, int]
    duplicate: dict[int, int]
    late: dict[int, int]
    unknown: dict[int, int]


@dataclass
class Report:
    """What one model said about one request, and when that arrived."""

    status: int
    arrival_us: int
    output: tuple[float, ...]


@dataclass
class Slot:
    """One request in flight."""

    request: Request
    expected: set[int]
    step: int = 0
    answered: bool = False
    winner: int = -1
    reason: int = 0


@dataclass
class Oracle:
    """The mailbox as its docstrings tell it."""

    plan: Plan
    position: int
    slots: dict[int, Slot] = field(default_factory=dict)
    said: dict[int, dict[int, Report]] = field(default_factory=dict)
    seen_us: dict[int, int] = field(default_factory=dict)
    at_once: list[Request] = field(default_factory=list)
    reasons: dict[int, Reason] = field(default_factory=dict)

    @property
    def base(self) -> int:
        """The window starts at the oldest request in flight, or where the next one is awaited."""
        return min(self.slots, default=self.position)

    @property
    def in_flight(self) -> int:
        """Requests that hold a slot."""
        return len(self.slots)

    @property
    def next_due_us(self) -> int:
        """When the first of the open requests leaves its step, exactly."""
        if self.at_once:
            return 0
        return min((self._ends_us(slot) for slot in self.slots.values() if not slot.answered), default=NEVER_US)

    # ------------------------------------------------------------------------------------------------- what arrives

    def request(self, request: Request, now_us: int, decided: Decided | None = None) -> bool:
        """Take up one request; False when it was there before."""
        offset = request.offset
        if offset < self.position:
            return False
        for passed_by in [early for early in self.said if self.position <= early < offset]:
            del self.said[passed_by]
        self.position = offset + 1
        if self.slots and offset >= self.base + self.plan.capacity:
            if decided is None:
                self._at_once(request, Reason.OVERLOADED)
            return True
        slot = self.slots[offset] = Slot(request, self._alive(now_us))
        if decided is not None:
            slot.answered, slot.winner, slot.reason = True, decided.winner, decided.reason
        elif request.rejected is not None:
            slot.answered, slot.reason = True, Reason.REJECTED
            self._at_once(request, Reason.REJECTED)
        elif now_us >= request.deadline_us:
            slot.answered, slot.reason = True, Reason.EXPIRED
            self._at_once(request, Reason.EXPIRED)
        return True

    def _at_once(self, request: Request, reason: Reason) -> None:
        self.at_once.append(request)
        self.reasons[request.offset] = reason

    def _alive(self, now_us: int) -> set[int]:
        return {column for column, seen_us in self.seen_us.items() if seen_us > now_us - self.plan.silent_us}

    def scores(self, batch: Sequence[Scores], now_us: int) -> Fates:
        """Each row of each record for itself, in the order of the log."""
        fates = Fates(Counter(), Counter(), Counter(), Counter())
        for scores in batch:
            column = self.plan.column_of[scores.model, scores.version]
            self.seen_us[column] = now_us
            rows = zip(scores.offsets.tolist(), scores.statuses.tolist(), scores.outputs.tolist(), strict=True)
            for offset, status, output in rows:
                fate = self._score(column, offset, Report(_judged(status, output), now_us, tuple(output)))
                getattr(fates, fate)[column] += 1
        return fates

    def _score(self, column: int, offset: int, report: Report) -> str:
        if offset >= self.base + self.plan.capacity:
            return "unknown"
        if offset not in self.slots and offset < self.position:
            return "late"
        reports = self.said.setdefault(offset, {})
        if column in reports:
            return "duplicate"
        reports[column] = report
        return "kept"

    # --------------------------------------------------------------------------------------------------- what is due

    def tick(self, now_us: int, *, held: bool = False) -> list[Answered]:
        """All answers that are due: first those that need no score, then the others by offset."""
        answers = [
            Answered(r, r.offset, -1, self.reasons[r.offset], 0, r.deadline_us - now_us, _floats(self.plan.default))
            for r in self.at_once
        ]
        self.at_once.clear()
        if not held:
            for offset in sorted(self.slots):
                slot = self.slots[offset]
                if not slot.answered and self._settle(slot, now_us):
                    answers.append(self._answer(slot, now_us))
        return answers

    def _settle(self, slot: Slot, now_us: int) -> bool:
        """Walk on through the schedule; True when the request is answered."""
        final = len(self.plan.steps) - 1
        for number in range(slot.step, final + 1):
            slot.step = number
            over = now_us >= self._ends_us(slot)
            if number == final or not over:
                slot.winner = self._first_usable(slot)
            done = slot.winner >= 0 or over or self._all_reported(slot)
            slot.answered = done and (slot.winner >= 0 or number == final)
            if slot.answered or not done:
                break
        return slot.answered

    def _ends_us(self, slot: Slot) -> int:
        end_us = slot.request.deadline_us - self.plan.margin_us
        until_us = self.plan.steps[slot.step].until_us
        return end_us if until_us is None else min(end_us, slot.request.appended_us + until_us)

    def _usable(self, slot: Slot) -> dict[int, Report]:
        reports = self.said.get(slot.request.offset, {})
        return {column: report for column, report in reports.items() if report.status == Status.OK}

    def _first_usable(self, slot: Slot) -> int:
        """Policy `prefer`: the first of the step's order, or -1."""
        return next((column for column in self._columns(slot) if column in self._usable(slot)), -1)

    def _all_reported(self, slot: Slot) -> bool:
        return set(self._columns(slot)) <= set(self.said.get(slot.request.offset, {}))

    def _columns(self, slot: Slot) -> list[int]:
        return [int(column) for column in self.plan.steps[slot.step].columns]

    def _answer(self, slot: Slot, now_us: int) -> Answered:
        usable = self._usable(slot)
        if slot.winner < 0:
            slot.reason, output = Reason.DEFAULT, _floats(self.plan.default)
        else:
            preferred = slot.winner == int(self.plan.steps[0].columns[0])
            slot.reason = Reason.PREFERRED if preferred else Reason.FALLBACK
            output = usable[slot.winner].output
        request = slot.request
        arrived = sum(1 << column for column in usable)
        slack_us = request.deadline_us - now_us
        return Answered(request, request.offset, slot.winner, slot.reason, arrived, slack_us, output)

    # -------------------------------------------------------------------------------------------------- what is over

    def close(self, now_us: int, *, squeeze: bool = False) -> list[Compared]:
        """Let go of what is answered and complete or too old; `squeeze`, of all that is answered."""
        over = [o for o, slot in sorted(self.slots.items()) if slot.answered and (squeeze or self._over(slot, now_us))]
        return [self._compare(self.slots.pop(offset), self.said.pop(offset, {})) for offset in over]

    def _over(self, slot: Slot, now_us: int) -> bool:
        request = slot.request
        complete = bool(slot.expected) and slot.expected <= set(self.said.get(request.offset, {}))
        return complete or now_us >= max(request.appended_us + self.plan.close_us, request.deadline_us)

    def _compare(self, slot: Slot, reports: dict[int, Report]) -> Compared:
        request = slot.request
        said = [Said(int(Status.NONE), -1, None) for _ in self.plan.models]
        for column, report in reports.items():
            latency_us = min(max(report.arrival_us - request.appended_us, 0), MAX_LATENCY_US)
            said[column] = Said(report.status, latency_us, report.output if report.status == Status.OK else None)
        return Compared(request.offset, request.request_id, request.appended_us, slot.winner, slot.reason, tuple(said))


def _judged(status: int, output: Iterable[float]) -> int:
    """What calls itself OK but is not finite is NONFINITE."""
    return int(Status.NONFINITE) if status == Status.OK and not all(map(math.isfinite, output)) else status


def _floats(numbers: Iterable[float]) -> tuple[float, ...]:
    return tuple(float(number) for number in numbers)


# --------------------------------------------------------------------------------- what the real mailbox says, by row


def answered(verdicts: Iterable[Verdicts]) -> list[Answered]:
    """Verdicts, row by row."""
    rows = []
    for batch in verdicts:
        decisions = batch.decisions
        columns = (
            decisions.offsets,
            decisions.winners,
            decisions.reasons,
            decisions.arrived,
            decisions.slacks_us,
            map(tuple, decisions.outputs.tolist()),
        )
        plain = (column if isinstance(column, map) else column.tolist() for column in columns)
        rows += [Answered(*row) for row in zip(batch.requests, *plain, strict=True)]
    return rows


def compared(comparisons: Iterable[Comparisons]) -> list[Compared]:
    """Comparisons, row by row; a status that is not OK must come with an output of NaN."""
    rows = []
    for batch in comparisons:
        cells = zip(batch.statuses.tolist(), batch.latencies_us.tolist(), batch.outputs.tolist(), strict=True)
        said = [tuple(_said(*cell) for cell in zip(*row, strict=True)) for row in cells]
        columns = (batch.offsets, batch.request_ids, batch.appended_us, batch.winners, batch.reasons)
        plain = (list(column) if isinstance(column, tuple) else column.tolist() for column in columns)
        rows += [Compared(*row) for row in zip(*plain, said, strict=True)]
    return rows


def _said(status: int, latency_us: int, output: Sequence[float]) -> Said:
    empty = status != Status.OK and all(map(math.isnan, output))
    return Said(status, latency_us, None if empty else tuple(output))


def fates(tally: Tally) -> Fates:
    """A tally without its zeros."""
    return Fates(*({c: rows for c, rows in enumerate(part) if rows} for part in _parts(tally)))


def _parts(tally: Tally) -> tuple[list[int], list[int], list[int], list[int]]:
    return tally.kept, tally.duplicate, tally.late, tally.unknown
