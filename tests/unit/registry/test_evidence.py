"""What a version has shown: which requests count, what is counted, and what is said when it is not enough."""

from __future__ import annotations

import pytest

from comparing import SPACING_US, comparisons
from endpoints import DEADLINE_MS, MARGIN_MS, STEP_MS, endpoint
from registers import first_deployment
from rendezvous.messages import Comparisons, Reason, Status
from rendezvous.registry.events import Suspension
from rendezvous.registry.evidence import Evidence, checks, evidence, shortfalls, step_end_ms
from rendezvous.registry.state import Control, Pair, after
from rendezvous.settings import PromotionLimits

OLD, NEW = ("trees", "v1"), ("trees", "v2")
GOOD, LATE, MISSING, FAILED = (Status.OK, 50), (Status.OK, 101), (Status.NONE, 0), (Status.ERROR, 5)
WITHIN_MS = 100
LIMITS = PromotionLimits(requests=10, coverage=0.9, in_time=0.8, fresh_s=30.0)
NOW_US = 10_000_000


def found(*records: Comparisons, pair: Pair = NEW, requests: int = 100) -> Evidence:
    """Evidence from records of partition 0."""
    return evidence([(0, record) for record in records], pair, WITHIN_MS, requests)


def counts(seen: Evidence) -> tuple[int, int, int, int]:
    """(requests, deployed, scored, in time)."""
    return seen.requests, seen.deployed, seen.scored, seen.in_time


# ---------------------------------------------------------------------------------------------------- what is counted


def test_scores_and_scores_in_time_are_told_apart() -> None:
    """A failure is a report, and no score; a late score is one, and not in time."""
    seen = found(comparisons({NEW: [GOOD, GOOD, LATE, FAILED, MISSING, (Status.OK, WITHIN_MS)]}))
    assert counts(seen) == (6, 6, 4, 3)
    assert (seen.coverage, seen.in_time_share) == (4 / 6, 0.5)


def test_the_newest_score_is_the_one_that_arrived_last() -> None:
    """Its request's append and its latency; what failed later is no score."""
    seen = found(comparisons({NEW: [LATE, GOOD, FAILED]}, start_us=5_000_000))
    assert seen.newest_us == 5_000_000 + 101_000
    assert found(comparisons({NEW: [FAILED]})).newest_us is None


def test_nothing_is_evidence_of_nothing() -> None:
    """No comparison at all."""
    assert found() == Evidence(0, 0, 0, 0, WITHIN_MS, None)


def test_another_version_of_the_model_is_another() -> None:
    """Scores count for the pair of both."""
    assert counts(found(comparisons({OLD: [GOOD] * 4, NEW: [MISSING] * 4}))) == (4, 4, 0, 0)


def test_what_closed_before_the_deployment_counts_as_not_scored() -> None:
    """Ten seconds old, a version has not seen the requests before."""
    before = comparisons({OLD: [GOOD] * 8})
    since = comparisons({OLD: [GOOD] * 2, NEW: [GOOD] * 2}, first=8, start_us=1_000_000)
    assert counts(found(before, since)) == (10, 2, 2, 2)


def test_only_the_last_requests_count_by_their_append() -> None:
    """In whatever order their mailboxes closed, and on whichever partition."""
    old = comparisons({NEW: [MISSING] * 5})
    new = comparisons({NEW: [GOOD] * 5}, start_us=SPACING_US * 5)
    assert counts(evidence([(1, new), (0, old)], NEW, WITHIN_MS, 6)) == (6, 6, 5, 5)
    assert counts(evidence([(0, old), (1, new)], NEW, WITHIN_MS, 5)) == (5, 5, 5, 5)


def test_a_comparison_that_stands_twice_counts_once() -> None:
    """Around a crash; the same offset of another partition is another request."""
    record = comparisons({NEW: [GOOD] * 3})
    assert counts(evidence([(0, record), (0, record), (1, record)], NEW, WITHIN_MS, 100)) == (6, 6, 6, 6)


@pytest.mark.parametrize("reason", [Reason.EXPIRED, Reason.OVERLOADED, Reason.REJECTED])
def test_what_no_model_was_asked_does_not_count(reason: Reason) -> None:
    """The default answered at once."""
    assert found(comparisons({NEW: [MISSING] * 3}, reason=reason)).requests == 0


def test_a_default_for_want_of_scores_counts() -> None:
    """That is what evidence is about."""
    assert counts(found(comparisons({NEW: [MISSING] * 3}, reason=Reason.DEFAULT))) == (3, 3, 0, 0)


def test_what_nobody_can_read_does_not_count() -> None:
    """Unless somebody else could: then it is the version's own fault."""
    unreadable = (Status.UNREADABLE, 1)
    assert found(comparisons({OLD: [unreadable], NEW: [unreadable]})).requests == 0
    assert counts(found(comparisons({OLD: [GOOD], NEW: [unreadable]}))) == (1, 1, 0, 0)


def test_what_was_shed_does_not_count_and_older_requests_do() -> None:
    """A version that was told to leave out half is judged by the other half."""
    shed = (Status.SHED, 1)
    seen = found(comparisons({NEW: [GOOD, GOOD, MISSING, shed, GOOD, shed]}), requests=3)
    assert counts(seen) == (3, 3, 2, 2)


# ---------------------------------------------------------------------------------------------------- what is in time


def test_in_time_is_the_end_of_the_first_step_that_names_the_alias() -> None:
    """The last step ends before the deadline; so does what no step names, and a step that would end later."""
    rules = endpoint().rules
    assert step_end_ms(rules, "champion") == STEP_MS
    assert step_end_ms(rules, "challenger") == DEADLINE_MS - MARGIN_MS
    assert step_end_ms(rules, "nobody") == DEADLINE_MS - MARGIN_MS
    steps = (rules.schedule[0].model_copy(update={"until_ms": 5_000}), *rules.schedule[1:])
    assert step_end_ms(rules.model_copy(update={"schedule": steps}), "champion") == DEADLINE_MS - MARGIN_MS


# -------------------------------------------------------------------------------------------------------- shortfalls


def short(seen: Evidence, control: Control | None = None) -> list[str]:
    """What is said to be missing."""
    return shortfalls(checks(control or Control(), NEW, seen, LIMITS, NOW_US))


def test_enough_is_enough() -> None:
    """At the limits themselves nothing is missing."""
    assert short(Evidence(10, 10, 9, 8, WITHIN_MS, NOW_US - 30_000_000)) == []


def test_each_limit_is_told_with_its_figures() -> None:
    """Just beyond each."""
    assert short(Evidence(9, 9, 9, 9, WITHIN_MS, NOW_US)) == [
        "requests: 9 recent requests could be looked at, 10 are needed"
    ]
    assert short(Evidence(20, 20, 17, 17, WITHIN_MS, NOW_US)) == [
        "coverage: it has scored 17 of the last 20 requests (85.0%), 90.0% are needed"
    ]
    assert short(Evidence(20, 20, 20, 15, WITHIN_MS, NOW_US)) == [
        "in_time: it has scored 15 of the last 20 requests within 100 ms (75.0%), 80.0% are needed"
    ]
    assert short(Evidence(20, 20, 20, 20, WITHIN_MS, NOW_US - 30_100_000)) == [
        "fresh_s: its newest score is 30.1 s old, 30 s is the limit"
    ]


def test_a_version_that_is_too_young_is_told_so() -> None:
    """How many of the requests it was there for."""
    (coverage, in_time) = short(Evidence(20, 4, 4, 4, WITHIN_MS, NOW_US))
    assert coverage.endswith("4 of the last 20 requests (20.0%), 90.0% are needed; it was deployed for 4 of them")
    assert in_time.startswith("in_time: it has scored 4 of the last 20")


def test_without_any_score_everything_is_missing() -> None:
    """And nothing is divided by nothing."""
    assert [reason.partition(":")[0] for reason in short(found())] == ["requests", "coverage", "in_time", "fresh_s"]


def test_who_is_passed_by_somewhere_is_not_ready() -> None:
    """On any partition, until it is trusted again."""
    of = endpoint(models={"trees": {}}, schedule=[{"models": ["trees"]}])
    control = first_deployment(of, "v2")
    suspended = after(
        control, Suspension(3, *NEW, suspended=True, missed=1.0, failed=0.0, requests=9, by="", at_us=0), 9
    )
    assert short(Evidence(10, 10, 10, 10, WITHIN_MS, NOW_US), suspended) == [
        "suspended: it is passed by on partitions [3]"
    ]
    trusted = after(
        suspended, Suspension(3, *NEW, suspended=False, missed=0.0, failed=0.0, requests=9, by="", at_us=0), 10
    )
    assert short(Evidence(10, 10, 10, 10, WITHIN_MS, NOW_US), trusted) == []
