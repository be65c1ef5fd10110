"""The walk by ranks against the server's own mailbox, ticked at every moment at which something happens."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from endpoints import control_of, endpoint, genesis
from rendezvous.messages import Int64s, Reason, Request, Status
from rendezvous.registry.events import Quality, Weights
from rendezvous.replay.evidence import Cells
from rendezvous.replay.walking import Walked, walk
from rendezvous.server.arrivals import Arrivals
from rendezvous.server.mailbox import Mailbox
from rendezvous.server.outcomes import Verdicts
from rendezvous.server.plan import Plan, plan_for
from rendezvous.server.policies import COMBINED

START_US = 1_000_000_000_000
MODELS = 4
NAMES = ("champion", "challenger", "baseline", "candidate")
STATUSES = (Status.NONE, Status.OK, Status.OK, Status.OK, Status.ERROR, Status.SHED)
WEIGHTS = [
    Weights(quality, ("champion", "challenger"), ("c1", "c2"), (0.2, 0.8), by="monitor", at_us=0) for quality in Quality
]


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """One to four steps of any policy."""
    ends = sorted(draw(st.sets(st.integers(1, 9), max_size=3)))
    steps: list[dict[str, Any]] = []
    for end in [*ends, None]:
        models = draw(st.lists(st.sampled_from(NAMES), min_size=1, unique=True))
        policy = draw(st.sampled_from(["prefer", "best", "split", "mean", "median", "vote", "hedge"]))
        step: dict[str, Any] = {"models": models, "policy": policy}
        if policy in {"split", "mean"}:
            step["weights"] = {models[0]: 2.0, models[-1]: 1.0}
        steps.append(step if end is None else step | {"until_ms": end})
    of = endpoint(
        schedule=steps,
        request={"deadline_ms": 12, "max_deadline_ms": 2_000, "reply_margin_ms": 2, "max_bytes": 1_000},
    )
    return plan_for(of, control_of(*genesis(of), *WEIGHTS), 0)


rows = st.lists(
    st.tuples(
        st.lists(
            st.tuples(st.sampled_from(STATUSES), st.integers(0, 12_000), st.floats(0, 1, width=32)),
            min_size=MODELS,
            max_size=MODELS,
        ),
        st.integers(1, 15),
        st.integers(0, 2**24 - 1),
    ),
    min_size=1,
    max_size=8,
)


def obvious(plan: Plan, row: Any) -> tuple[int, Reason, list[float], int]:  # noqa: ANN401 - Hypothesis's own
    """One request through a mailbox: winner, reason, output, and when."""
    said, deadline_ms, draw = row
    mailbox = Mailbox(plan, 0)
    deadline_us = START_US + deadline_ms * 1_000
    mailbox.request(Request(0, START_US, deadline_us, "r", None, None, draw / 2**24), START_US)
    moments = {START_US, deadline_us - plan.margin_us, *(START_US + after for _, after, _ in said)}
    moments |= {START_US + step.until_us for step in plan.steps if step.until_us is not None}
    for now_us in sorted(max(moment, START_US) for moment in moments):
        for column, (status, after, output) in enumerate(said):
            if status is not Status.NONE and START_US + after == now_us:
                mailbox.scores(arrival(column, status, output), now_us)
        verdicts = mailbox.tick(now_us)
        if verdicts:
            return (*_one(verdicts), now_us)
    raise AssertionError("never answered")


def arrival(column: int, status: Status, output: float) -> Arrivals:
    """One model's score of the only request."""
    zero: Int64s = np.zeros(1, np.int64)
    return Arrivals([1], zero + column, zero, np.array([status], np.uint8), np.array([[output]], np.float32))


def _one(verdicts: list[Verdicts]) -> tuple[int, Reason, list[float]]:
    decisions = verdicts[0].decisions
    return int(decisions.winners[0]), Reason(int(decisions.reasons[0])), decisions.outputs[0].tolist()


def walked(plan: Plan, told: list[Any]) -> Walked:
    """All rows at once."""
    cells = Cells(
        np.array([[status for status, _, _ in said] for said, _, _ in told], np.uint8),
        np.array([[START_US + after for _, after, _ in said] for said, _, _ in told], np.int64),
        np.array([[[output] for _, _, output in said] for said, _, _ in told], np.float32),
    )
    appended_us = np.full(len(told), START_US, np.int64)
    deadlines_us = np.array([START_US + deadline * 1_000 for _, deadline, _ in told], np.int64)
    draws = np.array([draw / 2**24 for _, _, draw in told], np.float32)
    return walk(plan, appended_us, deadlines_us, draws, cells)


@settings(max_examples=300)
@given(plans(), rows)
def test_the_walk_is_the_mailbox_ticked_at_every_moment(plan: Plan, told: list[Any]) -> None:
    """Who, what and when, row by row, for any steps and policies, deadlines and arrivals, ties included."""
    found = walked(plan, told)
    for at, row in enumerate(told):
        winner, reason, output, now_us = obvious(plan, row)
        assert found.winners[at] == (COMBINED if reason is Reason.COMBINED else winner)
        assert found.outputs[at].tolist() == output
        assert found.at_us[at] == now_us


def test_a_deadline_that_is_over_at_once_is_answered_at_once() -> None:
    """Not before the append."""
    of = endpoint()
    plan = plan_for(of, control_of(*genesis(of)), 0)
    found = walked(plan, [([(Status.NONE, 0, 0.0)] * MODELS, 1, 0)])
    assert (found.at_us[0], found.winners[0], found.outputs[0, 0]) == (START_US, -1, np.float32(0.25))


@pytest.mark.parametrize("early_us", [-5_000, 0])
def test_a_score_that_was_there_first_answers_at_the_append(early_us: int) -> None:
    """A server's clock may be behind the broker's."""
    of = endpoint()
    plan = plan_for(of, control_of(*genesis(of)), 0)
    found = walked(plan, [([(Status.OK, early_us, 0.5), *[(Status.NONE, 0, 0.0)] * 3], 900, 0)])
    assert (found.at_us[0], found.winners[0]) == (START_US, 0)
