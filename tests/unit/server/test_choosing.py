"""The walk through the steps: each sentence of `choose`, and that a slot's choice is its own.

Lines of time are in milliseconds from the append. Requests are of the small plan, unless a test says otherwise::

    0          10                                35 (END)
    |----------|---------------------------------|
     champion   champion, challenger or baseline
"""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
import pytest

from endpoints import endpoint, plan_of
from rendezvous.messages import Status
from rendezvous.server.choosing import FAR_FUTURE, Chosen, choose
from rendezvous.server.columns import Columns
from rendezvous.server.plan import Plan
from rendezvous.server.policies import COMBINED, NOBODY, POLICIES

MS_US = 1_000
NOON_US = 1_700_000_000_000_000
CHAMPION, CHALLENGER, BASELINE = range(3)
STEP, END, MARGIN = 10, 35, 5
TWO_STEPS: list[dict[str, Any]] = [
    {"until_ms": STEP, "models": ["champion"]},
    {"models": ["champion", "challenger", "baseline"]},
]


def planned(*schedule: dict[str, Any]) -> Plan:
    """A plan with these steps."""
    request = {"deadline_ms": END + MARGIN, "max_deadline_ms": 200, "reply_margin_ms": MARGIN}
    return plan_of(endpoint(request=request, schedule=list(schedule or TWO_STEPS)))


class Slots:
    """Open slots, appended at 0, spoken to in milliseconds."""

    def __init__(self, plan: Plan, slots: int = 1, end: float = END) -> None:
        self.plan = plan
        self.columns = Columns(16, len(plan.axis), plan.width)
        self.all = np.arange(slots)
        self.columns.appended_us[:] = NOON_US
        self.columns.end_us[:] = _us(end)

    def say(self, model: int, at: float, slot: int = 0, output: float = 0.5, status: Status = Status.OK) -> None:
        """A score arrives."""
        statuses = np.array([status], np.uint8)
        self.columns.keep(np.array([slot]), np.array([model]), statuses, np.array([[output]], np.float32), _us(at))

    def choose(self, at: float) -> Chosen:
        """All slots, now."""
        return choose(self.columns, self.plan, self.all, _us(at))

    def winner(self, at: float) -> int | None:
        """The winner of slot 0, None while it is open."""
        chosen = self.choose(at)
        return int(chosen.winners[0]) if chosen.settled[0] else None


def _us(at: float) -> int:
    return NOON_US + round(at * MS_US)


def _due_ms(chosen: Chosen) -> float:
    return (chosen.due_us - NOON_US) / MS_US


# ----------------------------------------------------------------------------------------- a step's scores, its end


@pytest.mark.parametrize(("at", "winner", "step"), [(STEP - 0.001, CHAMPION, 0), (STEP, BASELINE, 1)])
def test_a_steps_scores_are_those_that_arrived_before_its_end(at: float, winner: int, step: int) -> None:
    """Nobody looked at its end: what came in that microsecond is for the next step, what came before answers still.

    ask---baseline---|10 champion---look
    """
    slots = Slots(planned(TWO_STEPS[0], {"models": ["baseline", "champion"]}))
    slots.say(BASELINE, 5)
    slots.say(CHAMPION, at)
    chosen = slots.choose(20)
    assert (chosen.winners[0], chosen.steps[0]) == (winner, step)
    assert int(chosen.arrived[0]) == 1 << CHAMPION | 1 << BASELINE


def test_what_had_arrived_is_what_was_in_time_for_the_step_that_decided() -> None:
    """What came between its end and now is not among it.

    ask---champion---|10---challenger---look
    """
    slots = Slots(planned())
    slots.say(CHAMPION, 5)
    slots.say(CHALLENGER, 12)
    assert int(slots.choose(20).arrived[0]) == 1 << CHAMPION


def test_a_step_that_goes_on_waits() -> None:
    """It is due at its end."""
    slots = Slots(planned())
    slots.say(BASELINE, 1)
    chosen = slots.choose(STEP - 0.001)
    assert (chosen.settled.tolist(), _due_ms(chosen), slots.columns.step[0]) == ([False], STEP, 0)
    assert slots.winner(STEP) == BASELINE


def test_a_step_is_over_when_nobody_it_would_take_can_still_report() -> None:
    """Long before its end; its failures are no scores."""
    slots = Slots(planned())
    slots.say(CHAMPION, 1, status=Status.ERROR)
    slots.say(BASELINE, 1)
    chosen = slots.choose(2)
    assert (chosen.winners[0], chosen.steps[0]) == (BASELINE, 1)


def test_split_waits_for_the_one_it_would_take() -> None:
    """Others of the step change nothing; when that one has failed, the step is over."""
    weights = {"champion": 1.0, "challenger": 1.0}
    slots = Slots(
        planned({"models": list(weights), "policy": "split", "weights": weights, "until_ms": 10}, TWO_STEPS[1])
    )
    slots.columns.draw[0] = 0.75
    slots.say(CHAMPION, 1)
    assert slots.winner(2) is None
    slots.say(CHALLENGER, 3, status=Status.INVALID)
    chosen = slots.choose(3)
    assert (chosen.winners[0], chosen.steps[0], chosen.propensities[0]) == (CHAMPION, 1, 1.0)


@pytest.mark.parametrize("at", [END, END + 50])
def test_the_last_step_takes_all_that_is_in_hand_when_it_ends(at: float) -> None:
    """No score is thrown away for the default, though it came after the end."""
    slots = Slots(planned())
    slots.say(CHALLENGER, at)
    chosen = slots.choose(at)
    assert (chosen.winners[0], int(chosen.arrived[0])) == (CHALLENGER, 1 << CHALLENGER)


def test_the_default_when_the_last_step_ends() -> None:
    """Nobody won, the last step decided."""
    slots = Slots(planned())
    assert slots.winner(END - 0.001) is None
    chosen = slots.choose(END)
    assert (chosen.winners[0], chosen.steps[0], chosen.outputs[0, 0]) == (NOBODY, 1, 0.25)
    assert chosen.due_us == FAR_FUTURE


def test_a_short_deadline_ends_every_step() -> None:
    """Before `until_ms`: the last step takes what is there.

    ask---baseline---|4 end of the request
    """
    slots = Slots(planned(), end=4)
    slots.say(BASELINE, 1)
    assert _due_ms(slots.choose(2)) == 4
    assert slots.winner(4) == BASELINE


def test_patience() -> None:
    """Who combines waits for the step's end or for everybody; at the end it takes who was in time."""
    step = {"models": ["champion", "challenger", "baseline"], "policy": "mean", "until_ms": STEP}
    slots = Slots(planned(step, TWO_STEPS[1]), slots=2)
    for slot in (0, 1):
        slots.say(CHAMPION, 1, slot, 0.25)
        slots.say(CHALLENGER, 1, slot, 0.75)
    slots.say(BASELINE, 2, 1, status=Status.ERROR)
    assert slots.choose(3).settled.tolist() == [False, True]
    slots.say(BASELINE, STEP, 0, 1.0)
    chosen = slots.choose(STEP)
    assert chosen.settled[0]
    assert (chosen.winners[0], chosen.outputs[0, 0], int(chosen.arrived[0])) == (COMBINED, 0.5, 0b11)


def test_steps_that_nobody_is_in() -> None:
    """They are gone through at once; when the last one is empty, the default answers at once."""
    plan = planned()
    only_baseline = plan.on((("baseline", "b1"),))
    slots = Slots(only_baseline)
    assert len(only_baseline.steps[0].columns) == 0
    slots.say(0, 1)
    chosen = slots.choose(1)
    assert (chosen.winners[0], chosen.steps[0]) == (0, 1)
    nobody = Slots(plan.on((("candidate", "n1"),)))
    assert nobody.winner(0) == NOBODY


@pytest.mark.parametrize("policy", POLICIES)
def test_one_model(policy: str) -> None:
    """Whatever the policy: a model alone answers itself, and is never `several`."""
    step: dict[str, Any] = {"models": ["champion"], "policy": policy}
    slots = Slots(planned(step | {"weights": {"champion": 2.0}} if policy == "split" else step))
    assert slots.winner(0) is None
    slots.say(CHAMPION, 1, output=1.0)
    chosen = slots.choose(1)
    assert (chosen.winners[0], chosen.outputs[0, 0], chosen.propensities[0]) == (CHAMPION, 1.0, 1.0)


def test_no_slots() -> None:
    """Nothing is due."""
    slots = Slots(planned(), slots=0)
    chosen = slots.choose(0)
    assert (len(chosen.winners), chosen.outputs.shape, chosen.due_us) == (0, (0, 1), FAR_FUTURE)


# --------------------------------------------------------------------------------------------- a slot among others


def test_a_neighbour_whose_step_is_over_changes_nothing() -> None:
    """Not even when the clock was set back, so that a score seems to have come after the end that is ahead.

    0: appended 0, champion at 12---look at 8    1: appended -5, over
    """
    alone, among = Slots(planned()), Slots(planned(), slots=2)
    among.columns.appended_us[1] = _us(-5)
    for slots in (alone, among):
        slots.say(CHAMPION, 12)
    assert alone.winner(8) == among.winner(8) == CHAMPION


def _stuffed(chance: Random, plan: Plan, slots: int) -> Slots:
    """Slots in which some models have said something, some time."""
    found = Slots(plan, slots)
    for slot in range(slots):
        found.columns.appended_us[slot] = _us(chance.randint(-20, 5))
        found.columns.end_us[slot] = found.columns.appended_us[slot] + chance.choice((4, END, END)) * MS_US
        found.columns.draw[slot] = chance.randrange(8) / 8
        for model in range(len(plan.axis)):
            if chance.random() < 0.6:
                status = chance.choice((Status.OK, Status.OK, Status.ERROR))
                found.say(model, chance.randint(-20, 20), slot, chance.choice((0.25, 0.75)), status)
    return found


@pytest.mark.parametrize("policy", POLICIES)
def test_a_time_for_each_slot_is_as_one_call_for_each(policy: str) -> None:
    """A replay asks about many requests at once, each at its own `now`."""
    first: dict[str, Any] = {"models": ["champion", "challenger"], "policy": policy, "until_ms": STEP}
    if policy == "split":
        first["weights"] = {"champion": 1.0, "challenger": 3.0}
    plan = planned(first, TWO_STEPS[1])
    settled = 0
    for seed in range(40):
        together, alone = (_stuffed(Random(seed), plan, 8) for _ in range(2))  # noqa: S311 - a story, no secret
        now_us = np.array([_us(at) for at in Random(-seed).choices((-5, 5, STEP, 20, END), k=8)])  # noqa: S311
        chosen = choose(together.columns, plan, together.all, now_us)
        due_us = FAR_FUTURE
        for slot, now in enumerate(now_us.tolist()):
            single = choose(alone.columns, plan, np.array([slot]), now)
            due_us = min(due_us, single.due_us)
            for name in ("winners", "outputs", "settled", "steps", "arrived", "propensities"):
                together_has, alone_has = getattr(chosen, name)[slot], getattr(single, name)[0]
                np.testing.assert_array_equal(together_has, alone_has, err_msg=f"seed {seed}, slot {slot}: {name}")
        assert chosen.due_us == due_us
        np.testing.assert_array_equal(together.columns.step, alone.columns.step)
        settled += int(chosen.settled.sum())
    assert 40 < settled < 320
