"""A schedule made ready for the mailbox."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from endpoints import CLOSE_MS, DEADLINE_MS, MARGIN_MS, STEP_MS, VERSIONS, control_of, endpoint, genesis, plan_of
from rendezvous.registry.events import (
    Cause,
    ControlEvent,
    Deployment,
    HandOff,
    Move,
    Quality,
    RulesChange,
    Shedding,
    State,
    Suspension,
    Weights,
)
from rendezvous.registry.state import Control
from rendezvous.server.plan import Plan, plan_for, set_bits
from rendezvous.server.policies import POLICIES
from rendezvous.settings import SettingsError

MODELS = tuple(VERSIONS)
"""champion, challenger, baseline, candidate: columns 0 to 3."""


def plan(**changes: Any) -> Plan:  # noqa: ANN401 - parts of a document
    """The plan of the test endpoint, with parts replaced."""
    return plan_of(endpoint(**changes))


def plan_after(*events: ControlEvent, partition: int = 0, **changes: Any) -> Plan:  # noqa: ANN401
    """The plan of a partition after the first deployment and some more events."""
    of = endpoint(**changes)
    return plan_for(of, control_of(*genesis(of), *events), partition)


def deployed(model: str, version: str, state: State = State.ACTIVE) -> Deployment:
    """A version comes, rests or goes."""
    return Deployment(model, version, f"{model}-{version}", state, by="tests", at_us=0)


def moved(alias: str, model: str, version: str) -> HandOff:
    """An alias moves."""
    return HandOff((Move(alias, model, version),), Cause.PROMOTE, (), seen=10**6, by="tests", at_us=0)


def suspension(model: str, version: str, *, suspended: bool = True, partition: int = 0) -> Suspension:
    """A version is passed by on a partition."""
    return Suspension(partition, model, version, suspended, 1.0, 0.0, 50, by="server", at_us=0)


ALIASED: dict[str, Any] = {
    "aliases": {"first": "champion"},
    "schedule": [{"until_ms": STEP_MS, "models": ["first"]}, {"models": ["first", "challenger"]}],
}


def test_models_are_columns_in_the_documents_order() -> None:
    """The model axis holds every model, candidates too, with the version that answers for it."""
    found = plan()
    assert found.models == MODELS
    assert found.versions == ("c1", "c2", "b1", "n1")
    assert found.column_of == {
        ("champion", "c1"): 0,
        ("challenger", "c2"): 1,
        ("baseline", "b1"): 2,
        ("candidate", "n1"): 3,
    }


def test_the_axis_is_what_is_deployed() -> None:
    """Every version that is not retired, two of one model as well, in the order of deployment."""
    found = plan_after(deployed("champion", "c9"), deployed("candidate", "n1", State.RETIRED))
    assert found.axis == (("champion", "c1"), ("challenger", "c2"), ("baseline", "b1"), ("champion", "c9"))


def test_steps_are_columns_and_bits() -> None:
    """Columns in the step's order of preference, the same as a mask, and how long from the append."""
    first, last = plan().steps
    assert (first.until_us, first.columns.tolist(), int(first.mask)) == (STEP_MS * 1_000, [0], 0b0001)
    assert (last.until_us, last.columns.tolist(), int(last.mask)) == (None, [0, 1, 2], 0b0111)
    assert first.policy is POLICIES["prefer"]
    assert (last.columns.dtype, last.mask.dtype) == (np.dtype(np.int64), np.dtype(np.uint64))


def test_a_steps_order_is_its_own() -> None:
    """Preference is the schedule's, not the model axis's; the first step's first model is `preferred`."""
    found = plan(schedule=[{"models": ["baseline", "champion"]}])
    assert found.steps[0].columns.tolist() == [2, 0]
    assert int(found.steps[0].mask) == 0b0101
    assert found.first_choice == 2


def test_two_names_of_one_version_count_once() -> None:
    """Its bit is set, not added up to another model's."""
    of = endpoint(**ALIASED | {"schedule": [{"models": ["first", "champion"]}]})
    step = plan_for(of, control_of(*genesis(of), moved("first", "champion", "c1")), 0).steps[0]
    assert (step.columns.tolist(), int(step.mask)) == ([0], 0b0001)


def test_a_model_names_its_latest_version_and_an_alias_what_it_was_moved_to() -> None:
    """Deploying a version of a scheduled model puts it to work; an alias stays where it is."""
    both = (moved("first", "champion", "c1"), deployed("champion", "c9"))
    assert plan_after(*both, **ALIASED).steps[0].pairs == (("champion", "c1"),)
    assert plan_after(deployed("champion", "c9")).steps[0].pairs == (("champion", "c9"),)


def test_a_hand_off_changes_who_answers_and_the_hash() -> None:
    """The alias's new version stands in every step that names it."""
    before = plan_after(moved("first", "champion", "c1"), **ALIASED)
    after = plan_after(moved("first", "champion", "c1"), moved("first", "candidate", "n1"), **ALIASED)
    assert [step.pairs[0] for step in after.steps] == [("candidate", "n1")] * 2
    assert after.policy != before.policy
    assert after.changes(before)
    assert after.control == before.control + 1


def test_a_suspended_version_is_passed_by_on_its_partition_alone() -> None:
    """A step that nobody is left in is gone: nobody waits for its end. It goes on being watched."""
    found = plan_after(suspension("champion", "c1"))
    assert [step.pairs for step in found.steps] == [(("challenger", "c2"), ("baseline", "b1"))]
    assert found.watched[("champion", "c1")] == STEP_MS * 1_000
    assert found.first_choice == 0, "what others answer meanwhile is no first choice"
    assert plan_after(suspension("champion", "c1"), partition=1).policy == plan().policy
    again = plan_after(suspension("champion", "c1"), suspension("champion", "c1", suspended=False))
    assert again.policy == plan().policy


def test_a_paused_version_is_passed_by() -> None:
    """On every partition."""
    found = plan_after(deployed("champion", "c1", State.PAUSED), partition=3)
    assert [step.pairs for step in found.steps] == [(("challenger", "c2"), ("baseline", "b1"))]
    assert set(found.watched) == {("challenger", "c2"), ("baseline", "b1")}, "who rests misses nothing"


def test_the_last_step_stays_though_nobody_is_left_in_it() -> None:
    """What nobody can answer is the default's, at once."""
    events = [suspension(model, version) for model, version in list(VERSIONS.items())[:3]]
    (only,) = plan_after(*events).steps
    assert (only.pairs, only.until_us, int(only.mask)) == ((), None, 0)


def test_an_alias_that_names_nobody_yet_is_passed_by() -> None:
    """Before the first hand-off."""
    assert [step.pairs for step in plan_after(**ALIASED).steps] == [(("challenger", "c2"),)]


def test_another_axis_keeps_who_is_on_it() -> None:
    """For what is in flight when versions come and go."""
    found = plan(mailbox={"expected": ["champion", "baseline"], "close_ms": 2_500})
    assert found.expected == 0b0101
    turned = found.on((("baseline", "b1"), ("new", "1"), ("champion", "c1")))
    assert turned.expected == 0b101
    assert [step.columns.tolist() for step in turned.steps] == [[2], [2, 0]]
    assert [set_bits(int(step.mask)) for step in turned.steps] == [[2], [0, 2]]
    assert turned.first_choice == 2


def test_weights_come_from_the_document_or_from_control() -> None:
    """By the policy: `split` and `mean` take the step's, `best` and `hedge` what the monitor published."""
    step = {"models": ["champion", "challenger"], "weights": {"champion": 3.0}}
    split = plan(schedule=[step | {"policy": "split"}]).steps[0]
    assert split.weights.tolist() == [3.0, 0.0]
    known = Weights(Quality.BEST, ("challenger", "champion"), ("c2", "c0"), (0.5, 9.0), by="monitor", at_us=0)
    best = plan_after(known, schedule=[{"models": ["champion", "challenger"], "policy": "best"}])
    np.testing.assert_array_equal(best.steps[0].weights, [np.nan, 0.5])
    assert best.first_choice == 1


def test_the_first_choice_is_one_model_or_depends_on_the_request() -> None:
    """`split` draws it, and what is combined is nobody's."""
    weights = {"champion": 1.0, "challenger": 1.0}
    step = {"models": ["champion", "challenger"]}
    assert plan(schedule=[step | {"policy": "split", "weights": weights}]).first_choice is None
    assert plan(schedule=[step | {"policy": "mean"}]).first_choice is None
    assert plan(schedule=[step]).first_choice == 0


def test_without_rules_there_is_no_plan() -> None:
    """A server that starts before the first deployment says what to run."""
    with pytest.raises(SettingsError) as caught:
        plan_for(endpoint(), Control(), 0)
    assert "tests.control holds no rules: run `rendezvous models deploy --endpoint tests` first" in str(caught.value)


def test_an_endpoint_keeps_its_width() -> None:
    """Rules with a default of another width are refused."""
    wide = endpoint(output={"kind": "multiclass", "names": ["a", "b"], "default": [0.5, 0.5]})
    with pytest.raises(SettingsError, match="the default has 2 numbers, the endpoint's output 1"):
        plan_for(endpoint(), control_of(*genesis(wide)), 0)


def test_scheduled_models_are_those_of_any_step() -> None:
    """Candidates are compared, never expected to answer."""
    assert plan().scheduled == 0b0111
    assert set_bits(0b1010) == [1, 3]
    assert set_bits(0) == []
    assert set_bits(2**63 | 1) == [0, 63]


def test_times_are_microseconds() -> None:
    """Every duration of the document, times a thousand."""
    found = plan()
    assert found.deadline_us == DEADLINE_MS * 1_000
    assert found.max_deadline_us == 2_000_000
    assert found.margin_us == MARGIN_MS * 1_000
    assert found.close_us == CLOSE_MS * 1_000
    assert found.silent_us == 1_000_000
    assert found.capacity == 1_024


def test_the_default_is_float32_and_sets_the_width() -> None:
    """As wide as the endpoint's output."""
    found = plan(output={"kind": "multiclass", "names": ["a", "b", "c"], "default": [0.1, 0.2, 0.7]})
    assert found.width == 3
    assert found.default.dtype == np.float32
    assert found.default.tolist() == np.array([0.1, 0.2, 0.7], np.float32).tolist()


def test_a_policy_that_does_not_suit_the_output_is_refused() -> None:
    """By the step's number: rules are written without the endpoint at hand."""
    wide = {"kind": "multiclass", "names": ["a", "b"], "default": [0.5, 0.5]}
    rules = endpoint(schedule=[{"models": ["champion"], "policy": "median"}]).rules
    of = endpoint(output=wide)
    change = RulesChange(rules.model_copy(update={"default": (0.5, 0.5)}).model_dump_json(), by="tests", at_us=0)
    with pytest.raises(SettingsError) as caught:
        plan_for(of, control_of(*genesis(of), change), 0)
    assert "tests.control: schedule step 1: policy 'median' is for outputs of kind" in str(caught.value)


# ------------------------------------------------------------------------------------------------------ the hash

CHANGES: dict[str, dict[str, Any]] = {
    "another order": {"schedule": [{"models": ["challenger", "champion"]}]},
    "another step": {"schedule": [{"models": ["champion"]}]},
    "another default": {"output": {"kind": "binary", "names": ["yes"], "default": [0.5]}},
    "another margin": {
        "request": {"deadline_ms": DEADLINE_MS, "max_deadline_ms": 2_000, "reply_margin_ms": 99, "max_bytes": 1_000}
    },
}


def test_what_decides_an_answer_has_twelve_hex_digits() -> None:
    """The same for the same, in every process."""
    assert re.fullmatch("[0-9a-f]{12}", plan().policy)
    assert plan().policy == plan_of(endpoint(), dict(reversed(VERSIONS.items()))).policy


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
def test_whatever_decides_an_answer_changes_the_hash(changes: dict[str, Any]) -> None:
    """Order, steps, default and margin, so that a replay knows which schedule it replays."""
    assert plan(**changes).policy != plan().policy


def test_another_version_changes_the_hash() -> None:
    """Though the schedule names models only."""
    assert plan_of(endpoint(), VERSIONS | {"champion": "c9"}).policy != plan().policy


def test_what_decides_nothing_leaves_the_hash() -> None:
    """A description, or how many partitions there are, is no policy."""
    assert plan(description="other words", topics={"partitions": 9}).policy == plan().policy


def test_who_leaves_out_all_of_a_partition_answers_nothing_there() -> None:
    """There alone, and for as long; half of it changes no plan. The decision names another policy meanwhile."""
    usual = plan_after()
    half = plan_after(Shedding(0, candidates=1.0, challengers=0.5, by="server", at_us=0))
    assert (half.steps[-1].pairs, half.policy) == (usual.steps[-1].pairs, usual.policy)
    assert half.resting == 1 << half.column_of["candidate", "n1"]
    assert half.changes(usual)
    rests = Shedding(0, candidates=1.0, challengers=1.0, by="server", at_us=0)
    whole = plan_after(rests)
    assert set_bits(whole.resting) == sorted(
        whole.column_of[name, VERSIONS[name]] for name in ("challenger", "candidate")
    )
    assert ("challenger", "c2") not in whole.steps[-1].pairs
    assert whole.policy != usual.policy
    assert plan_after(rests, partition=1).resting == 0
    turned = whole.on((("candidate", "n1"), *whole.axis[:-1]))
    assert {turned.axis[at] for at in set_bits(turned.resting)} == {("candidate", "n1"), ("challenger", "c2")}


def test_whom_nobody_can_stand_in_for_answers_though_it_is_passed_by() -> None:
    """Champion and baseline are suspended, the challenger rests: better late now and then than the default always."""
    suspended = [suspension(name, VERSIONS[name]) for name in ("champion", "baseline")]
    usual = plan_after(*suspended)
    assert [step.pairs for step in usual.steps] == [(("challenger", "c2"),)]
    rests = Shedding(0, candidates=1.0, challengers=1.0, by="server", at_us=0)
    left = plan_after(*suspended, rests)
    assert [[model for model, _ in step.pairs] for step in left.steps] == [["champion"], ["champion", "baseline"]]
    assert left.suspended == usual.suspended
