"""A schedule made ready for the mailbox."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from endpoints import CLOSE_MS, DEADLINE_MS, MARGIN_MS, STEP_MS, VERSIONS, endpoint
from rendezvous.server.plan import Plan, plan_for, policy_hash
from rendezvous.server.policies import POLICIES
from rendezvous.settings import MAX_MODELS, SettingsError

MODELS = tuple(VERSIONS)
"""champion, challenger, baseline, candidate: columns 0 to 3."""


def plan(**changes: Any) -> Plan:  # noqa: ANN401 - parts of a document
    """The plan of the test endpoint, with parts replaced."""
    return plan_for(endpoint(**changes), VERSIONS)


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


def test_versions_come_by_name() -> None:
    """In whatever order they are given."""
    assert plan_for(endpoint(), dict(reversed(VERSIONS.items()))).versions == ("c1", "c2", "b1", "n1")


def test_steps_are_columns_and_bits() -> None:
    """Columns in the step's order of preference, the same as a mask, and how long from the append."""
    first, last = plan().steps
    assert (first.until_us, first.columns.tolist(), int(first.mask)) == (STEP_MS * 1_000, [0], 0b0001)
    assert (last.until_us, last.columns.tolist(), int(last.mask)) == (None, [0, 1, 2], 0b0111)
    assert first.choose is POLICIES["prefer"]
    assert (last.columns.dtype, last.mask.dtype) == (np.dtype(np.int64), np.dtype(np.uint64))


def test_a_steps_order_is_its_own() -> None:
    """Preference is the schedule's, not the model axis's; the first step's first model is `preferred`."""
    found = plan(schedule=[{"models": ["baseline", "champion"]}])
    assert found.steps[0].columns.tolist() == [2, 0]
    assert int(found.steps[0].mask) == 0b0101
    assert found.first_choice == 2


def test_a_model_named_twice_counts_once() -> None:
    """Its bit is set, not added up to another model's."""
    assert int(plan(schedule=[{"models": ["champion", "champion"]}]).steps[0].mask) == 0b0001


def test_scheduled_models_are_those_of_any_step() -> None:
    """Candidates are compared, never expected to answer; names come in the axis's order."""
    found = plan()
    assert found.scheduled == 0b0111
    assert found.names(found.scheduled) == ("champion", "challenger", "baseline")
    assert found.names(0b1010) == ("challenger", "candidate")
    assert found.names(0) == ()
    assert found.names(2**63 | 1) == ("champion",)


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


def test_as_many_models_as_a_mask_has_bits() -> None:
    """The last of 64 models has the highest bit."""
    names = [f"m{number}" for number in range(MAX_MODELS)]
    wide = endpoint(models={name: {} for name in names}, schedule=[{"models": names}])
    found = plan_for(wide, dict.fromkeys(names, "1"))
    assert found.scheduled == 2**MAX_MODELS - 1
    assert found.names(2 ** (MAX_MODELS - 1)) == (names[-1],)


def test_an_unknown_policy_is_refused_with_the_known_ones() -> None:
    """By the step's number."""
    with pytest.raises(SettingsError) as caught:
        plan(schedule=[{"models": ["champion"], "until_ms": 10}, {"models": ["champion"], "policy": "guess"}])
    for words in ("schedule step 2", "'guess'", *POLICIES):
        assert words in str(caught.value)


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
    assert plan().policy == plan().policy == policy_hash(endpoint(), VERSIONS)
    assert policy_hash(endpoint(), dict(reversed(VERSIONS.items()))) == plan().policy


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
def test_whatever_decides_an_answer_changes_the_hash(changes: dict[str, Any]) -> None:
    """Order, steps, default and margin, so that a replay knows which schedule it replays."""
    assert plan(**changes).policy != plan().policy


def test_another_version_changes_the_hash() -> None:
    """Though the schedule names models only."""
    assert policy_hash(endpoint(), VERSIONS | {"champion": "c9"}) != plan().policy


def test_what_decides_nothing_leaves_the_hash() -> None:
    """A description, or how many partitions there are, is no policy."""
    assert plan(description="other words", topics={"partitions": 9}).policy == plan().policy
