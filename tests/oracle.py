"""A mailbox of plain dicts, written from the words of `rendezvous.server.mailbox`: slow, and easy to believe.

One request, one object; one score, one entry; every open request is looked at on every tick, and models are known by
name and version, never by column. It answers in rows: `answered` and `compared` bring what the real mailbox returns
into the same form.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from elections import Output, Vote, vote_in
from rendezvous.messages import Comparisons, Reason, Request, Scores, Status
from rendezvous.registry.state import Pair
from rendezvous.server.arrivals import Tally
from rendezvous.server.mailbox import Decided
from rendezvous.server.outcomes import Verdicts
from rendezvous.server.plan import Plan

NEVER_US = 2**63 - 1
MAX_LATENCY_US = 2**31 - 1
"""Latencies travel as int32."""


class Answered(NamedTuple):
    """One row of a verdict; policy and control tell under which plan, scheduled who might have answered."""

    request: Request
    offset: int
    winner: Pair | None
    reason: int
    arrived: frozenset[Pair]
    slack_us: int
    output: Output
    step: int
    draw: float
    propensity: float
    policy: str
    control: int
    scheduled: frozenset[Pair]


class Said(NamedTuple):
    """One model's part of a comparison; latency_us is -1, and the output None, when there is none."""

    status: int
    latency_us: int
    output: Output | None


class Compared(NamedTuple):
    """One row of a comparison."""

    offset: int
    request_id: str
    appended_us: int
    winner: Pair | None
    reason: int
    said: dict[Pair, Said]


class Fates(NamedTuple):
    """What became of rows of scores, by model."""

    kept: dict[Pair, int]
    duplicate: dict[Pair, int]
    late: dict[Pair, int]
    unknown: dict[Pair, int]


@dataclass
class Report:
    """What one model said about one request, and when that arrived."""

    status: int
    arrival_us: int
    output: Output


@dataclass
class Slot:
    """One request in flight, and the plan of the moment it opened; era counts the plans there had been by then."""

    request: Request
    plan: Plan
    era: int
    expected: set[Pair]
    step: int = 0
    answered: bool = False
    winner: Pair | None = None
    reason: int = 0

    @property
    def closes_us(self) -> int:
        """When it is too old."""
        return max(self.request.appended_us + self.plan.close_us, self.request.deadline_us)


@dataclass
class Oracle:
    """The mailbox as its docstrings tell it; max_models is how long its axis may get."""

    plan: Plan
    position: int
    max_models: int = 64
    era: int = 0
    axis: tuple[Pair, ...] = ()
    slots: dict[int, Slot] = field(default_factory=dict)
    said: dict[int, dict[Pair, Report]] = field(default_factory=dict)
    seen_us: dict[Pair, int] = field(default_factory=dict)
    at_once: list[Request] = field(default_factory=list)
    reasons: dict[int, Reason] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.axis = self.plan.axis

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

    # ------------------------------------------------------------------------------------------------- what changes

    def adopt(self, plan: Plan) -> None:
        """A new plan for new requests; who is not deployed any more stays for those from before, if there is room."""
        self.plan = plan
        self.era += 1
        wanted = {pair for slot in self.slots.values() for pair in slot.plan.deployed}
        leaving = [pair for pair in self.axis if pair in wanted and pair not in plan.axis]
        before, self.axis = self.axis, (*plan.axis, *leaving)[: self.max_models]
        for pair in set(before) - set(self.axis):
            self.seen_us.pop(pair, None)
            for reports in self.said.values():
                reports.pop(pair, None)
            for slot in self.slots.values():
                slot.expected.discard(pair)
                slot.winner = None if slot.winner == pair else slot.winner

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
        slot = self.slots[offset] = Slot(request, self.plan, self.era, self._alive(now_us))
        if decided is not None:
            slot.winner = None if decided.winner < 0 else self.axis[decided.winner]
            slot.answered, slot.reason = True, decided.reason
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

    def _alive(self, now_us: int) -> set[Pair]:
        """Who is waited for before a mailbox closes: heard from of late and, if the rules name any, named by them."""
        alive = {pair for pair, seen_us in self.seen_us.items() if seen_us > now_us - self.plan.silent_us}
        named = {pair for bit, pair in enumerate(self.plan.axis) if self.plan.expected >> bit & 1}
        return alive & named if named else alive

    def scores(self, batch: Sequence[Scores], now_us: int) -> Fates:
        """Each row of each record for itself, in the order of the log."""
        fates = Fates(Counter(), Counter(), Counter(), Counter())
        for scores in batch:
            pair = scores.model, scores.version
            self.seen_us[pair] = now_us
            rows = zip(scores.offsets.tolist(), scores.statuses.tolist(), scores.outputs.tolist(), strict=True)
            for offset, status, output in rows:
                fate = self._score(pair, offset, Report(_judged(status, output), now_us, tuple(output)))
                getattr(fates, fate)[pair] += 1
        return fates

    def _score(self, pair: Pair, offset: int, report: Report) -> str:
        if offset >= self.base + self.plan.capacity:
            return "unknown"
        if offset not in self.slots and offset < self.position:
            return "late"
        reports = self.said.setdefault(offset, {})
        if pair in reports:
            return "duplicate"
        reports[pair] = report
        return "kept"

    # --------------------------------------------------------------------------------------------------- what is due

    def tick(self, now_us: int, *, held: bool = False) -> list[Answered]:
        """All answers that are due: those that need no score, then those of the newest plan by offset, and so on."""
        plan = self.plan
        answers = [
            Answered(
                request=request,
                offset=request.offset,
                winner=None,
                reason=self.reasons[request.offset],
                arrived=frozenset(),
                slack_us=request.deadline_us - now_us,
                output=_floats(plan.default),
                step=0,
                draw=request.draw,
                propensity=1.0,
                policy=plan.policy,
                control=plan.control,
                scheduled=self._scheduled(plan),
            )
            for request in self.at_once
        ]
        self.at_once.clear()
        for offset in sorted([] if held else self.slots, key=lambda offset: (-self.slots[offset].era, offset)):
            slot = self.slots[offset]
            if not slot.answered and (vote := self._settle(slot, now_us)):
                answers.append(self._answer(slot, vote, now_us))
        return answers

    def _settle(self, slot: Slot, now_us: int) -> Vote | None:
        """Walk on through the schedule; what came out when the request is answered."""
        reports = self.said.get(slot.request.offset, {})
        final = len(slot.plan.steps) - 1
        for number in range(slot.step, final + 1):
            slot.step = number
            ends_us = self._ends_us(slot)
            over = now_us >= ends_us
            usable = {
                pair: report.output
                for pair, report in reports.items()
                if report.status == Status.OK and (number == final or not over or report.arrival_us < ends_us)
            }
            vote = vote_in(slot.plan.steps[number], self.axis, usable, set(reports), slot.request.draw, over=over)
            if vote.found:
                return vote._replace(arrived=frozenset(usable))
            if not (over or vote.hopeless):
                return None
        return Vote(None, _floats(slot.plan.default), arrived=frozenset(usable))

    def _ends_us(self, slot: Slot) -> int:
        end_us = slot.request.deadline_us - slot.plan.margin_us
        until_us = slot.plan.steps[slot.step].until_us
        return end_us if until_us is None else min(end_us, slot.request.appended_us + until_us)

    def _scheduled(self, plan: Plan) -> frozenset[Pair]:
        return frozenset(pair for step in plan.steps for pair in step.pairs if pair in self.axis)

    def _answer(self, slot: Slot, vote: Vote, now_us: int) -> Answered:
        slot.answered, slot.winner = True, vote.winner
        if vote.combined:
            slot.reason = Reason.COMBINED
        elif vote.winner is None:
            slot.reason = Reason.DEFAULT
        else:
            first = slot.plan.first
            preferred = slot.step == 0 if first is None else vote.winner == first
            slot.reason = Reason.PREFERRED if preferred else Reason.FALLBACK
        request = slot.request
        return Answered(
            request=request,
            offset=request.offset,
            winner=vote.winner,
            reason=slot.reason,
            arrived=vote.arrived,
            slack_us=request.deadline_us - now_us,
            output=vote.output,
            step=slot.step,
            draw=request.draw,
            propensity=vote.propensity,
            policy=slot.plan.policy,
            control=slot.plan.control,
            scheduled=self._scheduled(slot.plan),
        )

    # -------------------------------------------------------------------------------------------------- what is over

    def close(self, now_us: int, *, squeeze: bool = False) -> list[Compared]:
        """Let go of what is answered and complete or too old; `squeeze`, of all that is answered."""
        over = [o for o, slot in sorted(self.slots.items()) if slot.answered and (squeeze or self._over(slot, now_us))]
        return [self._compare(self.slots.pop(offset), self.said.pop(offset, {})) for offset in over]

    def _over(self, slot: Slot, now_us: int) -> bool:
        complete = bool(slot.expected) and slot.expected <= set(self.said.get(slot.request.offset, {}))
        return complete or now_us >= slot.closes_us

    def _compare(self, slot: Slot, reports: Mapping[Pair, Report]) -> Compared:
        request = slot.request
        said = {pair: Said(int(Status.NONE), -1, None) for pair in self.axis}
        for pair, report in reports.items():
            latency_us = min(max(report.arrival_us - request.appended_us, 0), MAX_LATENCY_US)
            said[pair] = Said(report.status, latency_us, report.output if report.status == Status.OK else None)
        return Compared(request.offset, request.request_id, request.appended_us, slot.winner, slot.reason, said)


def _judged(status: int, output: Iterable[float]) -> int:
    """What calls itself OK but is not finite is NONFINITE."""
    return int(Status.NONFINITE) if status == Status.OK and not all(map(math.isfinite, output)) else status


def _floats(numbers: Iterable[float]) -> Output:
    return tuple(float(number) for number in numbers)


# --------------------------------------------------------------------------------- what the real mailbox says, by row


def answered(verdicts: Iterable[Verdicts]) -> list[Answered]:
    """Verdicts, row by row."""
    rows = []
    for batch in verdicts:
        found = batch.decisions
        axis = list(zip(found.models, found.versions, strict=True))
        rows += [
            Answered(
                request=request,
                offset=int(found.offsets[row]),
                winner=_on(axis, int(found.winners[row])),
                reason=int(found.reasons[row]),
                arrived=_among(axis, int(found.arrived[row])),
                slack_us=int(found.slacks_us[row]),
                output=_floats(found.outputs[row]),
                step=int(found.steps[row]),
                draw=float(found.draws[row]),
                propensity=float(found.propensities[row]),
                policy=found.policy,
                control=found.control,
                scheduled=_among(axis, batch.scheduled),
            )
            for row, request in enumerate(batch.requests)
        ]
    return rows


def _on(axis: Sequence[Pair], winner: int) -> Pair | None:
    return None if winner < 0 else axis[winner]


def _among(axis: Sequence[Pair], bits: int) -> frozenset[Pair]:
    assert bits >> len(axis) == 0, "a bit beyond the model axis"
    return frozenset(pair for bit, pair in enumerate(axis) if bits >> bit & 1)


def compared(comparisons: Iterable[Comparisons]) -> list[Compared]:
    """Comparisons, row by row; a status that is not OK must come with an output of NaN."""
    rows = []
    for batch in comparisons:
        axis = list(zip(batch.models, batch.versions, strict=True))
        for row, cells in enumerate(zip(batch.statuses, batch.latencies_us, batch.outputs, strict=True)):
            said = [_said(*cell) for cell in zip(*(part.tolist() for part in cells), strict=True)]
            rows.append(
                Compared(
                    offset=int(batch.offsets[row]),
                    request_id=batch.request_ids[row],
                    appended_us=int(batch.appended_us[row]),
                    winner=_on(axis, int(batch.winners[row])),
                    reason=int(batch.reasons[row]),
                    said=dict(zip(axis, said, strict=True)),
                )
            )
    return rows


def _said(status: int, latency_us: int, output: Sequence[float]) -> Said:
    empty = status != Status.OK and all(map(math.isnan, output))
    return Said(status, latency_us, None if empty else tuple(output))


def fates(tally: Tally, axis: Sequence[Pair]) -> Fates:
    """A tally by name, without its zeros."""
    parts = tally.kept, tally.duplicate, tally.late, tally.unknown
    for part in parts:
        assert len(part) in {0, len(axis)}
    return Fates(*({axis[c]: rows for c, rows in enumerate(part) if rows} for part in parts))
