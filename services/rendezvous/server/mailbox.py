"""The mailbox of one partition: what has arrived for each request in flight, and what follows from it.

A slot goes through these states:

| state    | request arrives | score arrives        | tick                          | close                  |
|----------|-----------------|----------------------|-------------------------------|------------------------|
| FREE     | OPEN            | EARLY, score kept    | -                             | -                      |
| EARLY    | OPEN            | score kept           | -                             | FREE when passed by    |
| OPEN     | ignored (again) | score kept           | ANSWERED when its schedule    | -                      |
|          |                 |                      | says so                       |                        |
| ANSWERED | ignored (again) | kept, for comparison | -                             | FREE when all expected |
|          |                 |                      |                               | are in, or too old     |

An expired, rejected or already decided request goes straight to ANSWERED. The first score of a model for a request
stands; a later one is counted as a duplicate. A score for a closed slot is counted as late, one beyond the window as
unknown. Slots are a ring: the slot of offset o is o & (capacity - 1), valid while o < base + capacity.

A request is answered by the plan that was in force when it arrived here. A new plan may bring another model axis;
versions that are no longer deployed stay on it for as long as requests are in flight that opened while they were.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rendezvous.messages import Comparisons, Int64s, Reason, Request, Status
from rendezvous.server.arrivals import Arrivals, Tally, first_of_its_kind
from rendezvous.server.choosing import FAR_FUTURE, Chosen, choose, reasons
from rendezvous.server.columns import ONE, Columns
from rendezvous.server.outcomes import Verdicts, answers, comparisons, defaults
from rendezvous.server.plan import Plan
from rendezvous.server.policies import NOBODY
from rendezvous.settings import MAX_MODELS

OK = int(Status.OK)
"""NumPy compares with an int in a third of the time that it takes with an enum's member."""
NO_SLOTS: Int64s = np.empty(0, np.int64)
np.unique(NO_SLOTS)  # the first call imports numpy.ma, which takes 100 ms: not while somebody waits for an answer
FREE, EARLY, OPEN, ANSWERED = range(4)
"""States of a slot; see the table above."""


@dataclass(frozen=True, slots=True)
class Decided:
    """What a predecessor decided about a request, read from the decisions topic."""

    winner: int
    reason: int


class Mailbox:
    """Takes requests, scores and `now`; returns verdicts and comparisons.

    `plan` is for requests that arrive from now on, on the mailbox's own axis.
    """

    def __init__(self, plan: Plan, position: int) -> None:
        self.plan = plan
        self._plans = [plan]
        self._columns = Columns(plan.capacity, len(plan.models), plan.width)
        self._requests: list[Request | None] = [None] * plan.capacity
        self._base = position
        self._position = position
        self._seen_us: Int64s = np.full(len(plan.models), -FAR_FUTURE, np.int64)
        self._immediate: list[tuple[Request, Reason]] = []
        self._touched: list[Int64s] = []
        self._opened: list[int] = []
        self._expected_at: tuple[int, int] | None = None
        self._step_masks = _step_masks(self._plans)
        self._next_due_us = FAR_FUTURE

    @property
    def in_flight(self) -> int:
        """Requests that hold a slot."""
        return int(np.count_nonzero(self._columns.state >= OPEN))

    @property
    def next_due_us(self) -> int:
        """No answer falls due before this, unless something arrives; far in the future when nothing is open."""
        return 0 if self._immediate or self._touched or self._opened else self._next_due_us

    def fits(self, offset: int) -> bool:
        """Whether the ring has a slot for this offset now: an empty one begins wherever its first request stands."""
        return self._base == self._position or offset < self._base + self.plan.capacity

    def accepts(self, offsets: Int64s) -> NDArray[np.bool_]:
        """Which offsets lie in the window that scores may speak of."""
        inside: NDArray[np.bool_] = (offsets >= self._base) & (offsets < self._base + self.plan.capacity)
        return inside

    def accepts_one(self, offset: int) -> bool:
        """The same for one of them."""
        return 0 <= offset - self._base < self.plan.capacity

    def adopt(self, plan: Plan) -> None:
        """Requests that arrive from now on are answered by this plan; those in flight keep theirs."""
        columns = self._columns
        flying = columns.state >= OPEN
        used = np.unique(columns.plan[flying]).tolist()
        old = self.plan.axis
        wanted = {pair for number in used for pair in self._plans[number].deployed}
        leaving = [pair for pair in old if pair in wanted and pair not in plan.axis]
        axis = (*plan.axis, *leaving)[:MAX_MODELS]
        if axis != old:
            places = [old.index(pair) if pair in old else -1 for pair in axis]
            columns.rearrange(places)
            self._seen_us = np.array([self._seen_us[at] if at >= 0 else -FAR_FUTURE for at in places], np.int64)
        self._plans = [plan.on(axis), *(self._plans[number].on(axis) for number in used)]
        self.plan = self._plans[0]
        numbers = np.zeros(max(used, default=0) + 1, np.uint16)
        numbers[used] = np.arange(1, len(self._plans))
        columns.plan[flying] = numbers[columns.plan[flying]]
        columns.plan[~flying] = 0
        self._step_masks = _step_masks(self._plans)
        self._touched.append(np.flatnonzero(columns.state == OPEN))
        self._expected_at = None

    # ------------------------------------------------------------------------------------------------- what arrives

    def request(self, request: Request, now_us: int, decided: Decided | None = None) -> bool:
        """Take up one request; False when it was there before. Offsets increase, with gaps."""
        offset = request.offset
        if offset < self._position:
            return False
        self._pass_by(offset)
        if not self.fits(offset):
            if decided is None:
                self._immediate.append((request, Reason.OVERLOADED))
            return True
        slot = offset & self._columns.mask
        columns, plan = self._columns, self.plan
        self._requests[slot] = request
        if columns.state[slot] == FREE:
            columns.offset[slot] = offset
        columns.appended_us[slot] = request.appended_us
        columns.end_us[slot] = request.deadline_us - plan.margin_us
        columns.closes_us[slot] = max(request.appended_us + plan.close_us, request.deadline_us)
        columns.expected[slot] = self._expected(now_us)
        columns.plan[slot], columns.draw[slot] = 0, request.draw
        if decided is not None:
            columns.winner[slot], columns.reason[slot] = decided.winner, decided.reason
            columns.state[slot] = ANSWERED
        elif request.rejected is not None:
            self._answer_at_once(slot, request, Reason.REJECTED)
        elif now_us >= request.deadline_us:
            self._answer_at_once(slot, request, Reason.EXPIRED)
        else:
            columns.state[slot] = OPEN
            due_us = min(request.deadline_us - plan.margin_us, request.appended_us + plan.waits_us)
            if now_us >= due_us or columns.reported[slot]:
                self._opened.append(slot)
            else:  # nobody can answer before
                self._next_due_us = min(self._next_due_us, due_us)
        return True

    def _answer_at_once(self, slot: int, request: Request, reason: Reason) -> None:
        self._columns.state[slot] = ANSWERED
        self._columns.winner[slot], self._columns.reason[slot] = -1, reason
        self._immediate.append((request, reason))

    def _pass_by(self, offset: int) -> None:
        """The window moves on to a request."""
        self.skip(offset)
        self._position = offset + 1

    def skip(self, position: int) -> None:
        """Offsets before this position that did not come do not come any more; early scores for them are dropped."""
        if position > self._position:
            skipped = np.arange(self._position, min(position, self._base + self.plan.capacity)) & self._columns.mask
            self._columns.free(skipped[self._columns.state[skipped] == EARLY])
        if self._base == self._position:
            self._base = position
        self._position = position

    def _expected(self, now_us: int) -> int:
        """Bits of the models that decide when a mailbox closes: alive, and named by the rules if those name any."""
        if self._expected_at is None or self._expected_at[0] != now_us:  # once for all requests of a turn
            heard = (self._seen_us > now_us - self.plan.silent_us).nonzero()[0]
            alive = sum(1 << column for column in heard.tolist()) & ~self.plan.resting
            self._expected_at = now_us, alive & self.plan.expected if self.plan.expected else alive
        return self._expected_at[1]

    def scores(self, arrivals: Arrivals, now_us: int) -> Tally:
        """Keep what registered models said; the caller has checked names, versions and widths."""
        if len(arrivals.offsets) == 1:
            return self._score(arrivals, now_us)
        columns = self._columns
        self._seen_us[arrivals.columns] = now_us
        self._expected_at = None
        late = arrivals.offsets < self._base
        inside = self.accepts(arrivals.offsets)
        at = np.flatnonzero(inside)
        offsets, column = arrivals.offsets[at], arrivals.columns[at]
        slots = offsets & columns.mask
        self._claim(slots, offsets)
        held = columns.offset[slots] == offsets
        late[at[~held]] = True
        fresh = held & (columns.reported[slots] & (ONE << column.astype(np.uint64)) == 0)
        if len(arrivals.rows) > 1:
            fresh &= first_of_its_kind(slots * len(self.plan.models) + column)
        kept = at[fresh]
        slots = slots[fresh]
        kept_columns = arrivals.columns[kept]
        columns.keep(slots, kept_columns, arrivals.statuses[kept], arrivals.outputs[kept], now_us)
        self._touch(slots, kept_columns)
        return Tally(
            kept=self._by_column(kept_columns),
            duplicate=self._by_column(column[held & ~fresh]),
            late=self._by_column(arrivals.columns[late]),
            unknown=self._by_column(arrivals.columns[~inside & ~late]),
        )

    def _score(self, arrivals: Arrivals, now_us: int) -> Tally:
        """The same for a row alone, as it comes while little happens: NumPy takes five times as long for one as this.

        Tests hold both to the same oracle.
        """
        columns, offset, column = self._columns, arrivals.offsets.item(), arrivals.columns.item()
        self._seen_us[column] = now_us
        self._expected_at = None
        row = [0] * len(self.plan.models)
        row[column] = 1
        if not self.accepts_one(offset):
            return Tally([], [], row, []) if offset < self._base else Tally([], [], [], row)
        slot = offset & columns.mask
        if offset >= self._position and columns.state[slot] == FREE:  # before its request
            columns.state[slot], columns.offset[slot] = EARLY, offset
        if columns.offset[slot] != offset:
            return Tally([], [], row, [])
        if int(columns.reported[slot]) >> column & 1:
            return Tally([], row, [], [])
        columns.keep_one(slot, column, arrivals.statuses.item(), arrivals.outputs[0], now_us)
        if columns.state[slot] == OPEN:
            awaited = int(self._step_masks[columns.plan[slot], columns.step[slot]])
            if awaited >> column & 1:
                self._touched.append(np.array([slot]))
        return Tally(row, [], [], [])

    def _touch(self, slots: Int64s, columns: Int64s) -> None:
        """Look again at open slots whose current step waits for one of these models; the others change nothing yet."""
        step_masks = self._step_masks[self._columns.plan[slots], self._columns.step[slots]]
        awaited = step_masks & (ONE << columns.astype(np.uint64)) != 0
        touched = slots[awaited & (self._columns.state[slots] == OPEN)]
        if len(touched) > 1:
            touched = np.unique(touched)
        if len(touched):
            self._touched.append(touched)

    def _by_column(self, columns: Int64s) -> list[int]:
        """Rows of each model."""
        return np.bincount(columns, minlength=len(self.plan.models)).tolist() if len(columns) else []

    def _claim(self, slots: Int64s, offsets: Int64s) -> None:
        """Slots for scores that came before their requests."""
        early = (offsets >= self._position) & (self._columns.state[slots] == FREE)
        self._columns.state[slots[early]] = EARLY
        self._columns.offset[slots[early]] = offsets[early]

    # ------------------------------------------------------------------------------------------------ what is due

    def tick(self, now_us: int, *, held: bool = False) -> list[Verdicts]:
        """Answer what can or must be answered now; `held`, only what needs no score (a recovery is under way)."""
        verdicts = defaults(self.plan, self._immediate, now_us) if self._immediate else []
        self._immediate.clear()
        if held:
            return verdicts
        full_scan = now_us >= self._next_due_us
        slots = self._candidates(full_scan=full_scan)
        due_us = FAR_FUTURE if full_scan else self._next_due_us
        for number, part in self._by_plan(slots):
            chosen = choose(self._columns, self._plans[number], part, now_us)
            due_us = min(due_us, chosen.due_us)
            verdicts += self._answer(self._plans[number], part, chosen, now_us)
        self._next_due_us = due_us
        return verdicts

    def _by_plan(self, slots: Int64s) -> list[tuple[int, Int64s]]:
        """Slots together with those that opened under the same plan; they are all of the newest as a rule."""
        if len(self._plans) == 1:
            return [(0, slots)] if len(slots) else []
        plans = self._columns.plan[slots]
        return [(number, slots[plans == number]) for number in np.unique(plans).tolist()]

    def _answer(self, plan: Plan, slots: Int64s, chosen: Chosen, now_us: int) -> list[Verdicts]:
        """Close the question of what is settled."""
        settled = chosen.settled.nonzero()[0]
        if not len(settled):
            return []
        columns, slots, chosen = self._columns, slots[settled], chosen.of(settled)
        columns.state[slots] = ANSWERED
        columns.winner[slots] = np.maximum(chosen.winners, NOBODY)
        columns.reason[slots] = reasons(plan, chosen)
        return answers(plan, columns, self._held(slots), slots, chosen, now_us)

    def _candidates(self, *, full_scan: bool) -> Int64s:
        """Open slots that something has happened to, or all of them when one may be due."""
        columns = self._columns
        if full_scan:
            slots = np.flatnonzero(columns.state == OPEN)
        elif self._touched or self._opened:
            if self._opened:
                self._touched.append(np.array(self._opened, np.int64))
            touched = self._touched[0] if len(self._touched) == 1 else np.unique(np.concatenate(self._touched))
            slots = touched[columns.state[touched] == OPEN]
        else:
            return NO_SLOTS
        self._touched.clear()
        self._opened.clear()
        return slots[np.argsort(columns.offset[slots])] if len(slots) > 1 else slots

    def _held(self, slots: Int64s) -> list[Request]:
        """The requests of slots that are open or answered."""
        requests = [self._requests[slot] for slot in slots.tolist()]
        held = [request for request in requests if request is not None]
        if len(held) < len(requests):
            raise AssertionError(f"of slots {slots} one is in use without a request: the mailbox is broken")
        return held

    # ------------------------------------------------------------------------------------------------- what is over

    def close(self, now_us: int, *, squeeze: bool = False) -> list[Comparisons]:
        """Free the slots that are answered and complete or too old; `squeeze`, all that are answered."""
        columns = self._columns
        answered = np.flatnonzero(columns.state == ANSWERED)
        expected = columns.expected[answered]
        awaited = expected & ~columns.reported[answered] & ~np.uint64(self.plan.resting)
        complete = (expected != 0) & (awaited == 0)
        done = answered if squeeze else answered[complete | (now_us >= columns.closes_us[answered])]
        done = done[np.argsort(columns.offset[done])]
        columns.leave_out(done, self._resting(done))
        closed = comparisons(self.plan, columns, self._held(done), done, now_us)
        columns.free(done)
        for slot in done.tolist():
            self._requests[slot] = None
        self._advance()
        return closed

    def _resting(self, slots: Int64s) -> NDArray[np.uint64]:
        """Bits of the models that left out each slot's request: by the plan that it opened under, or by now."""
        resting = np.array([plan.resting | self.plan.resting for plan in self._plans], np.uint64)
        return resting[self._columns.plan[slots]]

    def _advance(self) -> None:
        """The window starts at the oldest slot in use, or at the position when there is none."""
        span = np.arange(self._base, min(self._position, self._base + self.plan.capacity))
        used = np.flatnonzero(self._columns.state[span & self._columns.mask] != FREE)
        self._base = int(span[used[0]]) if len(used) else self._position


def _step_masks(plans: Sequence[Plan]) -> NDArray[np.uint64]:
    """uint64 [plans, steps]: who may answer in each step of each plan."""
    masks = np.zeros((len(plans), max(len(plan.steps) for plan in plans)), np.uint64)
    for number, plan in enumerate(plans):
        masks[number, : len(plan.steps)] = [step.mask for step in plan.steps]
    return masks
