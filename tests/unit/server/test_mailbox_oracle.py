"""The mailbox against `oracle.Oracle`, row by row: any schedule, any story, and control that changes all the while.

Some faults are planted to see that the story finds them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from elections import name_of
from endpoints import VERSIONS, endpoint, genesis
from oracle import NEVER_US, Answered, Oracle, answered, compared, fates
from rendezvous.messages import Reason, Request, Scores, Status
from rendezvous.registry.events import (
    Cause,
    ControlEvent,
    Deployment,
    HandOff,
    Move,
    Quality,
    RulesChange,
    State,
    Suspension,
    Weights,
)
from rendezvous.registry.state import Control, Pair, after
from rendezvous.rules import Rules
from rendezvous.server import choosing, columns, mailbox, policies
from rendezvous.server.arrivals import Arrivals
from rendezvous.server.mailbox import Decided, Mailbox
from rendezvous.server.plan import Plan, plan_for
from rendezvous.settings import Endpoint

MS_US = 1_000
NOON_US = 1_700_000_000_000_000
STEP, END, DEADLINE, SILENT, CLOSE = 10, 35, 40, 30, 200
CAPACITY = 16
MAX_MODELS, MOST_DEPLOYED, LEAST_DEPLOYED = 7, 6, 2
"""The axis is short here, so that versions that were retired fall off its end."""
FAR = 10**15

KINDS: list[dict[str, Any]] = [
    {},
    {"output": {"kind": "regression", "names": ["y"], "default": [0.25]}},
    {"output": {"kind": "multiclass", "names": ["a", "b", "c"], "default": [0.5, 0.25, 0.25]}},
]
ENDPOINTS = [
    endpoint(
        request={"deadline_ms": DEADLINE, "max_deadline_ms": CLOSE, "reply_margin_ms": DEADLINE - END},
        schedule=[{"until_ms": STEP, "models": ["champion"]}, {"models": ["champion", "challenger", "baseline"]}],
        mailbox={"close_ms": CLOSE, "silent_ms": SILENT, "capacity": CAPACITY},
        **kind,
    )
    for kind in KINDS
]
NAMES = (*VERSIONS, "first", "second")
"""Models and aliases that schedules name; an alias may name nobody yet."""

mostly_next = st.sampled_from([0] * 12 + [1, 2, 5, CAPACITY - 1, CAPACITY, 2 * CAPACITY, 10**6, -1, -2, -CAPACITY])
ages_ms = st.sampled_from([0, 0, 0, 1, 5, STEP, END, DEADLINE, CLOSE, -5])
budgets_ms = st.sampled_from([DEADLINE, DEADLINE, 1, 5, STEP, 12, 25, 100, 2 * CLOSE])
outputs = st.sampled_from([0.5, 0.25, 0.75, 0.0, -1.0, 3.0e38, float("nan"), float("inf")])
statuses = st.sampled_from([Status.OK] * 8 + [status for status in Status if status is not Status.NONE])
rows = st.dictionaries(st.integers(-4, CAPACITY + 4) | st.just(FAR), st.tuples(statuses, outputs), min_size=1)
some = st.integers(0, 10**6)
"""Which one of some things that are there."""
batches = st.lists(st.tuples(some, rows), min_size=1, max_size=4)
draws = st.sampled_from([place / 16 for place in range(16)])


def schedule(chance: Random, kind: str) -> list[dict[str, Any]]:
    """One to four steps by any policies that are for this kind of output; the last ends with the deadline."""
    allowed = [name for name, policy in policies.POLICIES.items() if kind in policy.kinds]
    ends = sorted(chance.sample([2, 5, STEP, 15, 20, END, 50], 3))
    found: list[dict[str, Any]] = []
    for until_ms in [*ends[: chance.randrange(4)], None]:
        names = chance.sample(NAMES, chance.randint(1, 4))
        policy = chance.choice(allowed)
        step: dict[str, Any] = {"models": names, "policy": policy, "until_ms": until_ms}
        if policy == "split" or (policy == "mean" and chance.random() < 0.5):
            step["weights"] = {name: chance.choice((0.0, 0.25, 1.0, 2.0, 5.0, 1e6)) for name in names[:-1]}
            step["weights"][names[-1]] = 1.0
        found.append(step)
    return found


class MailboxAndOracle(RuleBasedStateMachine):
    """The same events for both; after each, the same answers, comparisons, tallies, and number in flight."""

    reached: ClassVar[Counter[str]] = Counter()
    """What the stories came by, all together."""

    @initialize(place=st.sampled_from([0, 0, 1, 2]), seed=some, position=st.sampled_from([0, 7, FAR]))
    def begin(self, place: int, seed: int, position: int) -> None:
        """Both are empty."""
        self.endpoint: Endpoint = ENDPOINTS[place]
        self.control = Control()
        self.deployments = 0
        for event in genesis(self.endpoint):
            self._fold(event)
        self._fold(self._rules(Random(seed)))  # noqa: S311 - a story, no secret
        plan = plan_for(self.endpoint, self.control, 0)
        self.now_us = NOON_US
        self.mailbox = Mailbox(plan, position)
        self.oracle = Oracle(plan, position, MAX_MODELS)
        self.to_answer: list[int] = []
        self.to_compare: list[int] = []
        self.answered: list[int] = []
        self.compared: list[int] = []

    # ------------------------------------------------------------------------------------------------- what arrives

    @rule(
        gap=mostly_next,
        age_ms=ages_ms,
        budget_ms=budgets_ms,
        draw=draws,
        rejected=st.sampled_from([None] * 9 + ["too_large"]),
    )
    def ask(self, gap: int, age_ms: int, budget_ms: int, draw: float, rejected: str | None) -> None:
        """A request is read: the next one, one behind a gap, or one that was read before."""
        self._ask(gap, age_ms, budget_ms, draw, rejected)

    @rule(budgets_ms=st.lists(budgets_ms, min_size=2, max_size=8), draw=draws)
    def ask_many(self, budgets_ms: list[int], draw: float) -> None:
        """Requests are read, one after the other."""
        for budget_ms in budgets_ms:
            self._ask(0, 0, budget_ms, draw, None)

    @rule(gap=mostly_next, winner=some, reason=st.sampled_from(list(Reason)[:-1]))
    def ask_decided(self, gap: int, winner: int, reason: Reason) -> None:
        """A request is read that a predecessor has decided."""
        self._ask(gap, 0, DEADLINE, 0.0, None, Decided(winner % (len(self.oracle.axis) + 1) - 1, reason))

    def _ask(
        self,
        gap: int,
        age_ms: int,
        budget_ms: int,
        draw: float,
        rejected: str | None,
        decided: Decided | None = None,
    ) -> None:
        offset = max(0, self.oracle.position + gap)
        appended_us = self.now_us - age_ms * MS_US
        request = Request(offset, appended_us, appended_us + budget_ms * MS_US, f"r{offset}", None, rejected, draw)
        fits = not self.oracle.slots or offset < self.oracle.base + CAPACITY
        assert self.mailbox.fits(offset) == fits
        taken = self.mailbox.request(request, self.now_us, decided)
        assert taken == self.oracle.request(request, self.now_us, decided)
        if taken:
            self.to_answer += [offset] if decided is None else []
            self.to_compare += [offset] if fits else []
        self._look()

    @rule(batch=batches)
    def say(self, batch: list[tuple[int, dict[int, tuple[Status, float]]]]) -> None:
        """Scores records are read in one turn: early, late, duplicate, failed, not finite, of no request at all."""
        self._say([record for model, said in batch if len((record := self._record(model, said)).offsets)])

    @rule(model=some, output=outputs, back=st.integers(1, 8))
    def say_recent(self, model: int, output: float, back: int) -> None:
        """A model scores the last few requests."""
        first = max(self.oracle.base, self.oracle.position - back)
        said = {offset - self.oracle.base: (Status.OK, output) for offset in range(first, self.oracle.position)}
        self.say([(model, said)])

    def _say(self, records: Sequence[Scores]) -> None:
        if records:
            arrivals = Arrivals.of(records, self.mailbox.plan.column_of)
            np.testing.assert_array_equal(
                self.mailbox.accepts(arrivals.offsets),
                [0 <= offset - self.oracle.base < CAPACITY for offset in arrivals.offsets.tolist()],
            )
            tally = self.mailbox.scores(arrivals, self.now_us)
            assert fates(tally, self.oracle.axis) == self.oracle.scores(records, self.now_us)
        self._look()

    def _record(self, model: int, said: dict[int, tuple[Status, float]]) -> Scores:
        base = self.oracle.base
        by_offset = {base + place: row for place, row in sorted(said.items()) if base >= -place}
        width = len(self.endpoint.output.default)
        answers = [[0.5] * (width - 1) + [output] for _, output in by_offset.values()]
        name, version = self.oracle.axis[model % len(self.oracle.axis)]
        return Scores(
            model=name,
            version=version,
            taken_us=1,
            scored_us=2,
            offsets=np.array(list(by_offset), np.int64),
            statuses=np.array([status for status, _ in by_offset.values()], np.uint8),
            outputs=np.array(answers, np.float32).reshape(-1, width),
        )

    @rule(milliseconds=st.sampled_from([1, 1, 2, 5, 5, STEP, SILENT, CLOSE, -1, -5, -SILENT]))
    def pass_time(self, milliseconds: int) -> None:
        """The clock moves, now and then backwards."""
        self.now_us += milliseconds * MS_US

    # ------------------------------------------------------------------------------------------------- what changes

    @rule(seed=some)
    def control_changes(self, seed: float) -> None:
        """Some events, then their plan is adopted, when it differs."""
        self._change(Random(seed))  # noqa: S311 - a story, no secret

    def _change(self, chance: Random) -> None:
        kinds = self._hand_off, self._deploy, self._retire, self._pause, self._suspend, self._weigh, self._rules
        for kind in chance.choices(kinds, (2, 4, 4, 1, 2, 2, 2), k=chance.randint(1, 3)):
            self._fold(kind(chance))
        self._adopt(plan_for(self.endpoint, self.control, 0))

    @rule(seed=some)
    def busy_while(self, seed: float) -> None:
        """Requests come close together, models score most of them, the loop turns, now and then control changes."""
        chance = Random(seed)  # noqa: S311 - a story, no secret
        for _ in range(chance.randint(5, 20)):
            kind = chance.random()
            if kind < 0.3:
                for _ in range(chance.randint(1, 3)):
                    budget_ms = chance.choice((DEADLINE, DEADLINE, DEADLINE, 12, 25, 100))
                    self._ask(0, chance.choice((0, 0, 1, 5)), budget_ms, chance.randrange(16) / 16, None)
            elif kind < 0.5:
                self._say([self._lively(chance) for _ in range(chance.randint(1, 3))])
            elif kind < 0.6:
                for _ in range(3):  # one after the other, alone
                    self._say([self._lively(chance, most=1)])
            elif kind < 0.75:
                self.now_us += chance.choice((1, 2, 5, 9)) * MS_US
            elif kind < 0.9:
                self.tick(held=chance.random() < 0.1)
            elif kind < 0.95:
                self.close(squeeze=False)
            else:
                self._change(chance)

    def _lively(self, chance: Random, most: int = CAPACITY) -> Scores:
        """A model scores most of the requests that are open, or only so many."""
        start, end = self.oracle.base, self.oracle.position + 1
        places = [place for place in range(min(end - start, CAPACITY)) if chance.random() < 0.7] or [0]
        places = chance.sample(places, min(most, len(places)))
        said = {place: (Status.OK, chance.choice((0.5, 0.25, 0.75, 0.0, -1.0, 3.0e38))) for place in places}
        if chance.random() < 0.1:
            said = dict.fromkeys(said, (Status.ERROR, 0.0))
        return self._record(chance.randrange(100), said)

    def _adopt(self, plan: Plan) -> None:
        if plan.changes(self.mailbox.plan):
            before, flying = self.oracle.axis, len({slot.era for slot in self.oracle.slots.values()})
            self.mailbox.adopt(plan)
            self.oracle.adopt(plan)
            assert self.mailbox.plan.axis == self.oracle.axis
            MailboxAndOracle.reached[f"{min(flying, 3)} plans in flight"] += 1
            kept = [pair for pair in before if pair in self.oracle.axis]
            MailboxAndOracle.reached["axis moved"] += kept != [*self.oracle.axis[: len(kept)]]
            MailboxAndOracle.reached["axis overflowed"] += flying > 0 and len(kept) < len(before)
        self._look()

    def _fold(self, event: ControlEvent | None) -> None:
        if event is not None:
            self.control = after(self.control, event, self.control.position)

    def _rules(self, chance: Random) -> ControlEvent:
        rules = self.endpoint.rules.model_dump(mode="json") | {
            "schedule": schedule(chance, self.endpoint.output.kind),
            "expected": chance.choice(((), (), ("champion",), ("first", "baseline"))),
            "reply_margin_ms": chance.choice((DEADLINE - END, 0, 8)),
        }
        return RulesChange(Rules.model_validate(rules).model_dump_json(), "tests", 0)

    def _hand_off(self, chance: Random) -> ControlEvent:
        model, version = self._one(chance)
        moves = (Move(chance.choice(("first", "second")), model, version),)
        return HandOff(moves, Cause.PROMOTE, (), self.control.position, "tests", 0)

    def _deploy(self, chance: Random) -> ControlEvent | None:
        if len(self.control.deployed) == MOST_DEPLOYED:
            return None
        self.deployments += 1
        model, version = chance.choice(tuple(VERSIONS)), f"v{self.deployments}"
        return Deployment(model, version, f"{model}-{version}", State.ACTIVE, "tests", 0)

    def _retire(self, chance: Random) -> ControlEvent | None:
        if len(self.control.deployed) == LEAST_DEPLOYED:
            return None
        return self._deployment(self._one(chance), State.RETIRED)

    def _pause(self, chance: Random) -> ControlEvent:
        pair = self._one(chance)
        paused = self.control.versions[pair].state is State.PAUSED
        return self._deployment(pair, State.ACTIVE if paused else State.PAUSED)

    def _suspend(self, chance: Random) -> ControlEvent:
        model, version = pair = self._one(chance)
        suspended = pair not in self.control.suspended.get(0, ())
        return Suspension(0, model, version, suspended, 0.5, 0.5, 50, "tests", 0)

    def _weigh(self, chance: Random) -> ControlEvent:
        pairs = chance.sample(self.control.deployed, chance.randint(1, len(self.control.deployed)))
        models, versions = zip(*pairs, strict=True)
        values = tuple(chance.choice((0.0, 0.25, 0.5, 1.0)) for _ in pairs)
        return Weights(chance.choice(tuple(Quality)), models, versions, values, "tests", 0)

    def _deployment(self, pair: Pair, state: State) -> ControlEvent:
        return Deployment(*pair, self.control.versions[pair].sha256, state, "tests", 0)

    def _one(self, chance: Random) -> Pair:
        return chance.choice(self.control.deployed)

    # --------------------------------------------------------------------------------------------------- what leaves

    @rule(held=st.sampled_from([False, False, False, True]))
    def tick(self, held: bool) -> None:  # noqa: FBT001 - a parameter of the rule
        """The same is answered, in the same order, and never before it is due."""
        due_us = self.mailbox.next_due_us
        verdicts = self.mailbox.tick(self.now_us, held=held)
        expected = self.oracle.tick(self.now_us, held=held)
        assert answered(verdicts) == expected
        assert not expected or self.now_us >= due_us
        for batch in verdicts:
            decisions = batch.decisions
            assert decisions.decided_us == self.now_us
            assert tuple(zip(decisions.models, decisions.versions, strict=True)) == self.oracle.axis
        if not held:
            assert self.now_us < self.mailbox.next_due_us <= self.oracle.next_due_us
        self.answered += [row.offset for row in expected]
        for row in expected:
            self._note(row)
        self._look()

    def _note(self, row: Answered) -> None:
        reached = MailboxAndOracle.reached
        if row.offset not in self.oracle.slots or row.reason in {Reason.EXPIRED, Reason.REJECTED}:
            return
        slot = self.oracle.slots[row.offset]
        usable = {pair for pair, said in self.oracle.said.get(row.offset, {}).items() if said.status == Status.OK}
        reached[f"{name_of(slot.plan.steps[row.step])} answers {Reason(row.reason).name}"] += 1
        reached["too late for its step"] += row.arrived < usable
        reached["by an older plan"] += slot.era < self.oracle.era
        reached["by a version that is gone"] += row.winner is not None and row.winner not in self.control.deployed
        reached[f"step {row.step}"] += 1

    @precondition(lambda self: 0 < self.mailbox.next_due_us < NEVER_US)
    @rule()
    def tick_when_due(self) -> None:
        """Just before the time that is named nothing falls due; at it the mailbox moves on."""
        due_us = self.mailbox.next_due_us
        self.now_us = due_us - 1
        self.tick(held=False)
        assert self.mailbox.next_due_us == due_us
        self.now_us = due_us
        self.tick(held=False)

    @rule(squeeze=st.sampled_from([False, False, True]))
    def close(self, squeeze: bool) -> None:  # noqa: FBT001 - a parameter of the rule
        """The same is compared, in the same order."""
        comparisons = self.mailbox.close(self.now_us, squeeze=squeeze)
        expected = self.oracle.close(self.now_us, squeeze=squeeze)
        assert compared(comparisons) == expected
        for batch in comparisons:
            assert batch.closed_us == self.now_us
            assert tuple(zip(batch.models, batch.versions, strict=True)) == self.oracle.axis
        self.compared += [row.offset for row in expected]
        self._look()

    @rule()
    def finish(self) -> None:
        """Once everything is over: one verdict and one comparison for each request that is owed one, and no more."""
        self.now_us += 10 * CLOSE * MS_US
        self.tick(held=False)
        self.close(squeeze=False)
        assert self.mailbox.in_flight == 0
        assert self.mailbox.next_due_us == NEVER_US
        assert sorted(self.answered) == self.to_answer
        assert sorted(self.compared) == self.to_compare

    def _look(self) -> None:
        assert self.mailbox.in_flight == self.oracle.in_flight <= CAPACITY
        assert self.mailbox.plan.axis == self.oracle.axis


@pytest.fixture(autouse=True)
def short_axis(monkeypatch: pytest.MonkeyPatch) -> None:
    """Versions that were retired fall off the axis after a few."""
    monkeypatch.setattr(mailbox, "MAX_MODELS", MAX_MODELS)


def play(stories: range) -> None:
    """Busy stories, one for each seed; each ends when everything is over."""
    for seed in stories:
        both = MailboxAndOracle()
        chance = Random(seed)  # noqa: S311 - a story, no secret
        both.begin(place=chance.choice((0, 0, 1, 2)), seed=seed, position=chance.choice((0, 7, FAR)))
        for _ in range(8):
            both.busy_while(seed=chance.random())
            if chance.random() < 0.2:
                both.pass_time(milliseconds=chance.choice((-5, CLOSE)))
        both.finish()


def test_anything_at_all() -> None:
    """Rules in any order, by Hypothesis, which then finds the shortest story."""
    run_state_machine_as_test(MailboxAndOracle, settings=settings(max_examples=60, stateful_step_count=30))


def test_busy_stories() -> None:
    """The same in stories that come by all that is hard."""
    MailboxAndOracle.reached.clear()
    play(range(STORIES))
    missed = [what for what in HARD if MailboxAndOracle.reached[what] < OFTEN]
    assert not missed, f"the stories hardly came by: {missed}"


STORIES, OFTEN = 200, 5
HARD = [
    "3 plans in flight",
    "axis moved",
    "axis overflowed",
    "too late for its step",
    "by an older plan",
    "by a version that is gone",
    "step 3",
    *(f"{policy} answers PREFERRED" for policy in policies.POLICIES),
    *(f"{policy} answers FALLBACK" for policy in policies.POLICIES),
    *(f"{policy} answers COMBINED" for policy in ("mean", "median", "vote", "hedge")),
]


# --------------------------------------------------------------------------------------------------- the mutants


def a_score_at_the_end_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """What arrives in the very microsecond in which a step ends is taken for in time."""
    real = choosing.ends_of

    def ends(*where: Any) -> Any:  # noqa: ANN401 - handed on
        return real(*where) + 1

    monkeypatch.setattr(choosing, "ends_of", ends)


def bits_stay_when_the_axis_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has reported is remembered by the old columns."""
    monkeypatch.setattr(columns, "_moved", lambda masks, _: masks)


def answers_by_the_newest_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in flight is answered by the plan that came last."""
    real = Mailbox.adopt

    def adopt(box: Mailbox, plan: Plan) -> None:
        real(box, plan)
        box._columns.plan[:] = 0  # noqa: SLF001 - the fault is planted inside

    monkeypatch.setattr(Mailbox, "adopt", adopt)


def patience_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Policies that combine answer by the first score."""
    real = choosing._ballot  # noqa: SLF001 - the fault is planted inside

    def ballot(*where: Any) -> policies.Ballot:  # noqa: ANN401 - handed on
        found = real(*where)
        return found._replace(closing=np.ones_like(found.closing))

    monkeypatch.setattr(choosing, "_ballot", ballot)


def late_scores_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that is over takes what came after its end, when nobody had looked in between."""
    real = choosing._ballot  # noqa: SLF001 - the fault is planted inside

    def ballot(*where: Any) -> policies.Ballot:  # noqa: ANN401 - handed on
        everything: Any = (*where[:-1], None)
        return real(*everything)

    monkeypatch.setattr(choosing, "_ballot", ballot)


def winners_stay_when_the_axis_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has won is remembered by the old columns."""
    real = columns.Columns.rearrange

    def rearrange(of: columns.Columns, places: Sequence[int]) -> None:
        winner = of.winner
        real(of, places)
        of.winner = winner

    monkeypatch.setattr(columns.Columns, "rearrange", rearrange)


def nobody_looks_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that nobody has scored is looked at when its whole schedule is over."""
    monkeypatch.setattr(Plan, "waits_us", 1 << 62)


def a_score_alone_is_never_awaited(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that comes by itself makes nobody look at its request."""
    real = Mailbox._score  # noqa: SLF001 - the fault is planted inside

    def score(box: Mailbox, *what: Any) -> Any:  # noqa: ANN401 - handed on
        tally = real(box, *what)
        box._touched.clear()  # noqa: SLF001 - ditto
        return tally

    monkeypatch.setattr(Mailbox, "_score", score)


def a_score_alone_may_be_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that comes by itself is taken as it is, finite or not."""
    real = columns.Columns.keep_one

    def keep_one(of: columns.Columns, slot: int, column: int, *what: Any) -> None:  # noqa: ANN401 - handed on
        real(of, slot, column, *what)
        of.usable[slot] |= columns.ONE << np.uint64(column)

    monkeypatch.setattr(columns.Columns, "keep_one", keep_one)


MUTANTS = [
    nobody_looks_in_time,
    a_score_alone_is_never_awaited,
    a_score_alone_may_be_anything,
    a_score_at_the_end_counts,
    bits_stay_when_the_axis_turns,
    answers_by_the_newest_plan,
    patience_is_lost,
    late_scores_answer,
    winners_stay_when_the_axis_turns,
]


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.__name__ for mutant in MUTANTS])
def test_a_mutant_is_caught(mutant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """A mailbox with this fault differs from the oracle within half of the stories."""
    mutant(monkeypatch)
    with pytest.raises((AssertionError, IndexError)):
        play(range(STORIES // 2))
