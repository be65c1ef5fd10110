"""What was measured is held against declared limits: each limit can be met, and missed."""

from __future__ import annotations

from typing import Any

import pytest

from rendezvous.retraining.acceptance import AcceptanceLimits, fault_of_acceptance
from rendezvous.retraining.judgement import Changed, Fidelity, Judged, Latency, Measured, checks, shortfalls

FEATURES = {"place": True, "x": False}
WHOLE = Judged(rows=500, candidate={"auc": 0.70, "brier": 0.15}, champion={"auc": 0.69, "brier": 0.151})


def measured(**changes: Any) -> Measured:  # noqa: ANN401 - any field
    """A graph that is in order."""
    return Measured(**{"fidelity": Fidelity(rows=9, difference=1e-7), "bytes": 1_000, "judged": (WHOLE,), **changes})


def missed(found: Measured, **limits: Any) -> list[str]:  # noqa: ANN401 - any field
    """What is not met."""
    return shortfalls(checks(AcceptanceLimits.model_validate(limits), "binary", found, 1e-5))


def test_a_graph_in_order_misses_nothing() -> None:
    """Without limits of the owner's own, and with some."""
    assert missed(measured()) == []
    slices = (WHOLE, Judged(slice={"place": "JFK"}, rows=200, candidate={"auc": 0.61, "brier": 0.2}))
    limits = [{"metric": "auc", "at_least": 0.6}, {"metric": "auc", "at_least": 0.6, "slice": {"place": "JFK"}}]
    assert missed(measured(judged=slices), limits=limits) == []


@pytest.mark.parametrize(
    ("changes", "limits", "said"),
    [
        ({"fidelity": Fidelity(rows=9, difference=2e-5, where="x = None")}, {}, "2e-05 on rows with x = None, allowed"),
        ({"fidelity": Fidelity(rows=9, difference=None, where="x = None")}, {}, "not finite on rows with x = None"),
        ({"fidelity": Fidelity(rows=9, difference=None)}, {}, "cannot be compared"),
        ({"bytes": 11}, {"max_bytes": 10}, "size: 11 bytes, allowed 10"),
        ({"nonfinite": 1}, {}, "outputs are finite: 1 rows are not"),
        ({}, {"worse_by": {"auc": 0.0, "brier": 0.0}, "limits": [{"metric": "auc", "at_least": 0.8}]}, "at least 0.8"),
        ({}, {"limits": [{"metric": "brier", "at_most": 0.1}]}, "brier on all rows: 0.15, at most 0.1"),
        ({}, {"limits": [{"metric": "auc", "at_least": 0.1, "min_rows": 501}]}, "500 rows, fewer than 501"),
        ({}, {"limits": [{"metric": "log_loss", "at_most": 9}]}, "undefined, at most 9"),
        ({}, {"worse_by": {"accuracy": 0.1}}, "accuracy on all rows against the champion: undefined"),
        ({"latency": (Latency(rows=1, candidate_us=31, champion_us=10),)}, {}, "31 µs, the champion 10: 3.10 times"),
        (
            {"invariances": (Changed(feature="x", change=0.1),)},
            {"invariances": [{"feature": "x"}]},
            "x changes nothing: outputs change by 0.1, allowed 1e-06",
        ),
        ({}, {"invariances": [{"feature": "x"}]}, "x changes nothing: outputs change by undefined"),
    ],
)
def test_each_limit_can_be_missed(changes: dict[str, Any], limits: dict[str, Any], said: str) -> None:
    """By itself, with the figures in a sentence."""
    (only,) = missed(measured(**changes), **limits)
    assert said in only


@pytest.mark.parametrize(("auc", "met"), [(0.6801, True), (0.6799, False)])
def test_a_version_may_be_worse_than_the_champion_by_its_margin(auc: float, *, met: bool) -> None:
    """0.69 less 0.01; of a metric that is better when smaller, more by the margin."""
    judged = WHOLE.model_copy(update={"candidate": {"auc": auc, "brier": 0.1559 if met else 0.151}})
    assert (missed(measured(judged=(judged,))) == []) is met
    brier = WHOLE.model_copy(update={"candidate": {"auc": 0.69, "brier": 0.1559 if met else 0.1561}})
    assert (missed(measured(judged=(brier,))) == []) is met


def test_a_slice_can_be_held_against_the_champion_too() -> None:
    """Better over all, and worse at one place."""
    slices = (WHOLE, Judged(slice={"place": "JFK"}, rows=200, candidate={"auc": 0.5}, champion={"auc": 0.6}))
    (only,) = missed(measured(judged=slices), limits=[{"metric": "auc", "worse_by": 0.02, "slice": {"place": "JFK"}}])
    assert only == "auc on place=JFK against the champion: 0.5000, the champion 0.6000, may be worse by 0.02"


def test_what_cannot_be_compared_can_be_allowed() -> None:
    """Then the card says so, as a limit that is met."""
    found = measured(fidelity=Fidelity(rows=9, difference=None))
    assert missed(found, compared=False) == []
    (first, *_) = checks(AcceptanceLimits(compared=False), "binary", found, 1e-5)
    assert first.finding.startswith("cannot be compared")


def test_without_a_champion_nobody_is_compared_with() -> None:
    """The first version of a model has only the owner's limits."""
    judged = Judged(rows=500, candidate={"auc": 0.1, "brier": 0.9})
    assert missed(measured(judged=(judged,), latency=(Latency(rows=1, candidate_us=1e6),))) == []


@pytest.mark.parametrize(
    ("limits", "where", "said"),
    [
        ({"worse_by": {"rmse": 1}}, ("worse_by", "rmse"), "no metric of binary outputs"),
        ({"limits": [{"metric": "f2", "at_least": 0}]}, ("limits", 0, "metric"), "'f2' is no metric"),
        (
            {"limits": [{"metric": "auc", "at_least": 0, "slice": {"nowhere": "a"}}]},
            ("limits", 0, "slice", "nowhere"),
            "'nowhere' is no feature",
        ),
        (
            {"limits": [{"metric": "auc", "at_least": 0, "slice": {"x": "a"}}]},
            ("limits", 0, "slice", "x"),
            "x is a number, 'a' is not",
        ),
        (
            {"limits": [{"metric": "auc", "at_least": 0, "slice": {"place": [0, 1]}}]},
            ("limits", 0, "slice", "place"),
            "place is text",
        ),
        ({"invariances": [{"feature": "y"}]}, ("invariances", 0, "feature"), "'y' is no feature"),
        ({"invariances": [{"feature": "x", "values": ["a"]}]}, ("invariances", 0, "feature"), "x is a number"),
    ],
)
def test_limits_name_what_the_endpoint_has(limits: dict[str, Any], where: tuple[str | int, ...], said: str) -> None:
    """A metric of its kind, features, and values of their type."""
    fault = fault_of_acceptance(AcceptanceLimits.model_validate(limits), "binary", FEATURES)
    assert fault is not None
    assert fault[0] == where
    assert said in fault[1]


def test_a_limit_that_says_nothing_is_a_mistake() -> None:
    """At least one of its three bounds has to be given."""
    with pytest.raises(ValueError, match="give at_least, at_most or worse_by"):
        AcceptanceLimits.model_validate({"limits": [{"metric": "auc"}]})


def test_good_limits_have_no_fault() -> None:
    """Text and numbers, ranges too."""
    limits = {
        "limits": [{"metric": "auc", "at_least": 0, "slice": {"place": "a", "x": [0, 1]}}],
        "invariances": [{"feature": "place"}, {"feature": "x", "values": [1, 2.5]}],
    }
    assert fault_of_acceptance(AcceptanceLimits.model_validate(limits), "binary", FEATURES) is None
