"""One owned partition: when it may answer, what of its predecessor's it repeats, and what it owes the log.

A take-over, in positions::

    requests  ...done|committed---open, decided, open---|end---new
    scores    .......|resume---------------------------|end---new
                      held: nothing by scores           live
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from endpoints import CLOSE_MS, DEADLINE_MS, STEP_MS, VERSIONS, control_of, endpoint, genesis, plan_of
from oracle import answered, compared, fates
from rendezvous.messages import Comparisons, Int64s, Reason, Request, Scores, Status
from rendezvous.registry.events import Deployment, State
from rendezvous.server.arrears import MOST
from rendezvous.server.ledger import Resume
from rendezvous.server.mailbox import Decided
from rendezvous.server.partition import Partition, Takeover
from rendezvous.server.plan import plan_for

MS_US = 1_000
NOON_US = 1_700_000_000_000_000
"""When requests are appended, unless a test says otherwise."""
CAPACITY = 16
ENDPOINT = endpoint(mailbox={"close_ms": CLOSE_MS, "silent_ms": 1_000, "capacity": CAPACITY})
PLAN = plan_of(ENDPOINT, VERSIONS)
CHAMPION, BASELINE = VERSIONS["champion"], VERSIONS["baseline"]
FRESH = Takeover(requests=0, scores=0, decisions=0, requests_end=0, scores_end=0, decided={})


class Desk:
    """A partition spoken to in milliseconds, which remembers what it said."""

    def __init__(self, takeover: Takeover = FRESH) -> None:
        self.partition = Partition(PLAN, 0, takeover)
        self.record = takeover.scores

    def ask(
        self, offset: int, at_ms: float = 0, *, rejected: str | None = None, dead_letter: bool = False, age_ms: int = 0
    ) -> None:
        """A request is read."""
        appended_us = _us(at_ms - age_ms)
        request = Request(offset, appended_us, appended_us + DEADLINE_MS * MS_US, f"r{offset}", None, rejected)
        self.partition.request(request, _us(at_ms), dead_letter=dead_letter)

    def say(self, model: str, *offsets: int, at_ms: float = 0, status: Status = Status.OK) -> int:
        """A scores record is read; returns its position."""
        scores = Scores(
            model=model,
            version=VERSIONS[model],
            taken_us=1,
            scored_us=2,
            offsets=np.array(offsets, np.int64),
            statuses=np.full(len(offsets), status, np.uint8),
            outputs=np.full((len(offsets), 1), 0.5, np.float32),
        )
        self.record += 1
        self.partition.scores([(scores, self.record - 1)], _us(at_ms))
        return self.record - 1

    def tick(self, at_ms: float = 0) -> list[tuple[int, Reason]]:
        """(offset, reason) of the answers."""
        return [(row.offset, Reason(row.reason)) for row in answered(self.partition.tick(_us(at_ms)))]

    def close(self, at_ms: float = 0) -> list[int]:
        """Offsets of the comparisons."""
        return [row.offset for row in compared(self.partition.close(_us(at_ms)))]

    @property
    def resume(self) -> Resume:
        """Where a successor would start."""
        return self.partition.resume("t")


def _us(at_ms: float) -> int:
    return NOON_US + round(at_ms * MS_US)


def asked(offset: int, appended_us: int, budget_ms: int = DEADLINE_MS) -> Request:
    """A request."""
    return Request(offset, appended_us, appended_us + budget_ms * MS_US, f"r{offset}", None, None)


def column(*offsets: int) -> Int64s:
    """Offsets as they travel."""
    return np.array(offsets, np.int64)


def left(
    requests: tuple[int, int],
    scores: tuple[int, int] = (0, 0),
    decided: Mapping[int, tuple[Decided, int]] | None = None,
) -> Takeover:
    """What a predecessor left: (from, to) of both logs."""
    return Takeover(requests[0], scores[0], 0, requests[1], scores[1], decided or {})


# ---------------------------------------------------------------------------------------------------- held, live


def test_nothing_to_take_over() -> None:
    """A partition whose logs end where it starts is live at once."""
    assert Partition(PLAN, 0, FRESH).live
    assert Partition(PLAN, 0, left((7, 7), (3, 3))).live


@pytest.mark.parametrize(
    ("steps", "live"),
    [
        ([(10, 4)], False),
        ([(9, 5)], False),
        ([(10, 5)], True),
        ([(12, 9)], True),
        ([(10, 0), (0, 5)], True),
        ([(0, 5), (10, 0)], True),
    ],
    ids=str,
)
def test_live_when_both_ends_are_reached(steps: list[tuple[int, int]], live: bool) -> None:  # noqa: FBT001
    """Both logs, in whatever order, and not a record less: what was reached once stays reached."""
    partition = Partition(PLAN, 0, left((7, 10), (3, 5)))
    assert not partition.live
    for step in steps:
        partition.read_to(*step)
    assert partition.live == live


def test_live_for_ever() -> None:
    """Once live, a partition stays live."""
    partition = Partition(PLAN, 0, left((7, 10)))
    partition.read_to(10, 0)
    partition.read_to(0, 0)
    assert partition.live


def test_held_answers_nothing_by_scores() -> None:
    """While held neither a score nor the end of the schedule answers; then the schedule does, where the clock says.

    ask---champion, baseline---|300---|held---live-->answer by the second step's first choice
    """
    desk = Desk(left((0, 1), (0, 2)))
    desk.ask(0)
    desk.say("baseline", 0)
    assert desk.tick() == []
    desk.partition.read_to(1, 1)
    assert desk.tick(STEP_MS + 1) == []
    desk.partition.read_to(1, 2)
    assert desk.tick(STEP_MS + 2) == [(0, Reason.FALLBACK)]


def test_held_answers_the_expired_at_once() -> None:
    """What is past its deadline, or cannot be scored, needs no score: it does not wait for the logs' ends."""
    desk = Desk(left((0, 9)))
    desk.ask(0, age_ms=DEADLINE_MS)
    desk.ask(1, rejected="too_large")
    desk.ask(2)
    assert desk.tick() == [(0, Reason.EXPIRED), (1, Reason.REJECTED)]
    assert not desk.partition.live


def test_held_closes_nothing() -> None:
    """While held nothing is compared, however old: its scores may still stand in the log."""
    desk = Desk(left((0, 1), (0, 1)))
    desk.ask(0, age_ms=10 * CLOSE_MS)
    desk.tick()
    assert desk.close() == []
    desk.say("champion", 0)
    desk.partition.read_to(1, 1)
    (row,) = compared(desk.partition.close(_us(0)))
    assert row.said["champion", CHAMPION].status == Status.OK


# ------------------------------------------------------------------------------------------------ already decided


def test_already_decided() -> None:
    """A request that the predecessor answered is not answered again, and is compared under that decision."""
    desk = Desk(left((0, 2), decided={0: (Decided(2, Reason.FALLBACK), 5)}))
    desk.ask(0)
    desk.ask(1)
    desk.partition.read_to(2, 0)
    desk.say("champion", 0, 1)
    assert desk.tick() == [(1, Reason.PREFERRED)]
    desk.partition.decided(column(1), 6)
    rows = compared(desk.partition.close(_us(CLOSE_MS)))
    assert [(row.offset, row.winner, row.reason) for row in rows] == [
        (0, ("baseline", BASELINE), Reason.FALLBACK),
        (1, ("champion", CHAMPION), Reason.PREFERRED),
    ]


def test_already_decided_while_versions_come_and_go() -> None:
    """What the predecessor decided is about models, not columns, though control changes before it is read again."""
    desk = Desk(left((0, 2), decided={o: (Decided(o, Reason.FALLBACK), 5) for o in (0, 1)}))
    gone = control_of(
        *genesis(ENDPOINT),
        Deployment("champion", "c9", "x", State.ACTIVE, "tests", 0),
        Deployment("champion", CHAMPION, f"champion-{CHAMPION}", State.RETIRED, "tests", 0),
    )
    desk.partition.adopt(plan_for(ENDPOINT, gone, 0))
    desk.ask(0)
    desk.ask(1)
    desk.partition.read_to(2, 0)
    rows = compared(desk.partition.close(_us(CLOSE_MS)))
    assert [row.winner for row in rows] == [None, ("challenger", VERSIONS["challenger"])]


def test_already_decided_owes_its_comparison_alone() -> None:
    """Its decision is in the log: it is done with its comparison."""
    desk = Desk(left((0, 1), decided={0: (Decided(0, Reason.PREFERRED), 5)}))
    desk.ask(0)
    assert desk.resume.decisions == 5
    desk.partition.compared(column(0))
    assert desk.partition.committable == 1
    assert desk.resume.decisions == 6


def test_already_decided_and_expired() -> None:
    """That its deadline has passed since is no reason to answer it again."""
    desk = Desk(left((0, 1), decided={0: (Decided(-1, Reason.DEFAULT), 5)}))
    desk.ask(0, age_ms=2 * DEADLINE_MS)
    desk.partition.read_to(1, 0)
    assert desk.tick() == []
    assert desk.close(CLOSE_MS) == [0]


def test_decisions_out_of_order() -> None:
    """A commit in the middle of a take-over forgets no decision about a request that is still to be read again.

    decisions: 1 (at 5), 0 (at 6)---take-over reads request 0, commits, and dies
    """
    decided = {0: (Decided(0, Reason.PREFERRED), 6), 1: (Decided(0, Reason.PREFERRED), 5)}
    desk = Desk(left((0, 2), decided=decided))
    desk.ask(0)
    assert desk.resume.decisions <= 5
    desk.ask(1)
    desk.partition.read_to(2, 0)
    assert desk.resume.decisions == 5


def test_more_decided_requests_than_the_ring_holds() -> None:
    """One open request at the start, and many after it that were answered: none of them is answered again."""
    many = range(1, 3 * CAPACITY)
    decided = {offset: (Decided(0, Reason.PREFERRED), offset) for offset in many}
    desk = Desk(left((0, many[-1] + 1), decided=decided))
    for offset in (0, *many):
        desk.ask(offset)
    desk.partition.read_to(many[-1] + 1, 0)
    assert desk.tick(DEADLINE_MS) == [(0, Reason.DEFAULT)]


# ---------------------------------------------------------------------------------------------------- a full ring


def test_a_full_ring_squeezes() -> None:
    """A request beyond the ring lets go of what is answered: it fits, and nobody is turned away.

    0 answered, waiting for late scores---ask(16): 0 is compared now
    """
    desk = Desk()
    desk.ask(0)
    desk.say("champion", 0)
    desk.tick()
    desk.ask(CAPACITY)
    assert desk.tick() == []
    assert desk.close() == [0]


def test_a_held_ring_squeezes_too() -> None:
    """A held partition holds no more than its ring: what is decided is compared early."""
    desk = Desk(left((0, 100), decided={0: (Decided(0, Reason.PREFERRED), 1)}))
    desk.ask(0)
    desk.ask(CAPACITY)
    assert desk.close() == [0]
    assert not desk.partition.live


def test_overloaded() -> None:
    """When the oldest is still open, what is beyond the ring is answered at once, and owes no comparison."""
    desk = Desk()
    desk.ask(0)
    desk.ask(CAPACITY)
    assert desk.tick() == [(CAPACITY, Reason.OVERLOADED)]
    desk.partition.decided(column(0, CAPACITY), 0)
    assert desk.partition.committable == 0
    desk.partition.compared(column(0))
    assert desk.partition.committable == CAPACITY + 1


def test_a_long_gap_is_no_overload() -> None:
    """Behind a gap longer than the ring, an empty one holds the request, and it owes its comparison as any other.

    bad records, or an aborted transaction, of 1000 offsets---ask(1000)
    """
    desk = Desk()
    desk.ask(1_000)
    assert desk.tick() == []
    desk.say("champion", 1_000)
    assert desk.tick() == [(1_000, Reason.PREFERRED)]
    desk.partition.decided(column(1_000), 0)
    assert desk.partition.committable == 1_000, "its comparison is still owed"
    assert desk.close(CLOSE_MS) == [1_000]
    desk.partition.compared(column(1_000))
    assert desk.partition.committable == 1_001


# ---------------------------------------------------------------------------------------------------- the debts


def test_a_request_owes_decision_and_comparison() -> None:
    """Done when both are in the log, in either order; a repetition owes nothing."""
    desk = Desk()
    desk.ask(0)
    desk.partition.compared(column(0))
    assert desk.partition.committable == 0
    desk.partition.decided(column(0), 0)
    assert desk.partition.committable == 1
    desk.ask(0)
    assert desk.partition.committable == 1


def test_a_request_with_a_letter_owes_three() -> None:
    """A request that cannot be scored is answered, compared and buried."""
    desk = Desk()
    desk.ask(0, rejected="too_large", dead_letter=True)
    desk.partition.decided(column(0), 0)
    desk.partition.compared(column(0))
    assert desk.partition.committable == 0
    desk.partition.buried(0)
    assert desk.partition.committable == 1


def test_a_dead_letter_owes_itself() -> None:
    """A record that is no request is done when its letter is in the log; it is neither answered nor compared."""
    desk = Desk()
    desk.partition.dead_letter(0)
    desk.partition.dead_letter(3)
    assert desk.tick(DEADLINE_MS) == []
    assert desk.close(CLOSE_MS) == []
    assert desk.partition.in_flight == 0
    assert desk.partition.committable == 0
    desk.partition.buried(0)
    assert desk.partition.committable == 3
    desk.partition.buried(3)
    assert desk.partition.committable == 4


def test_a_dead_letter_that_was_seen() -> None:
    """Read again, it owes nothing more."""
    desk = Desk()
    desk.partition.dead_letter(0)
    desk.partition.buried(0)
    desk.partition.dead_letter(0)
    assert desk.partition.committable == 1


def test_scores_resume_at_what_is_open() -> None:
    """A successor reads scores from the first record about an open request, or an early one, not from the end."""
    desk = Desk(left((0, 0), (10, 10)))
    desk.ask(0)
    first = desk.say("champion", 0)
    desk.say("baseline", 0)
    early = desk.say("champion", 1)
    assert (desk.resume.scores, first) == (10, 10)
    desk.tick()
    desk.partition.decided(column(0), 0)
    desk.close(CLOSE_MS)
    desk.partition.compared(column(0))
    assert desk.resume.scores == early
    desk.ask(1, at_ms=1)
    assert desk.resume.scores == early


def test_scores_of_strangers_hold_back_nothing() -> None:
    """Records about requests before or far beyond the window are not read again."""
    desk = Desk(left((5, 5)))
    desk.say("champion", 1, 4, 10**12)
    assert desk.resume.scores == 1


def test_scores_tell_what_became_of_them() -> None:
    """The tally of a turn: kept, duplicate, late, unknown, by model."""
    desk = Desk(left((5, 5)))
    desk.ask(5)
    scores = Scores("baseline", BASELINE, 1, 2, column(4, 5, 9**9), np.ones(3, np.uint8), np.ones((3, 1), np.float32))
    tally = desk.partition.scores([(scores, 0), (scores, 1)], _us(0))
    said = "baseline", BASELINE
    assert fates(tally, PLAN.axis) == ({said: 1}, {said: 1}, {said: 2}, {said: 2})


# -------------------------------------------------------------------------------------------------- unreadable


def _comparisons(desk: Desk, at_ms: float = CLOSE_MS) -> Comparisons:
    (comparisons,) = desk.partition.close(_us(at_ms))
    return comparisons


def test_unreadable() -> None:
    """What some model could not decode and none could is unreadable: it owes a dead letter before it is done.

    0: unreadable by two    1: unreadable by one, read by another    2: a failure of another kind    3: nobody came
    """
    desk = Desk()
    for offset in range(4):
        desk.ask(offset)
    desk.say("champion", 0, 1, status=Status.UNREADABLE)
    desk.say("challenger", 0, status=Status.UNREADABLE)
    desk.say("challenger", 1)
    desk.say("challenger", 2, status=Status.ERROR)
    desk.tick(DEADLINE_MS)
    comparisons = _comparisons(desk)
    assert desk.partition.unreadable(comparisons).tolist() == [0]
    desk.partition.decided(column(0, 1, 2, 3), 0)
    desk.partition.compared(column(0, 1, 2, 3))
    assert desk.partition.committable == 0
    desk.partition.buried(0)
    assert desk.partition.committable == 4


def test_unreadable_behind_a_long_gap() -> None:
    """A dead letter that is owed behind a gap holds up its own request, and none after it.

    gap---1000 unreadable, buried---1001---gap over the place where 1000 stood in a ring of 1024---2100
    """
    desk = Desk()
    desk.ask(1_000)
    desk.say("champion", 1_000, status=Status.UNREADABLE)
    desk.tick(DEADLINE_MS)
    desk.partition.decided(column(1_000), 0)
    comparisons = _comparisons(desk)
    desk.partition.unreadable(comparisons)
    desk.partition.compared(comparisons.offsets)
    desk.partition.buried(1_000)
    desk.ask(1_001)
    desk.ask(2_100)
    desk.partition.decided(column(1_001, 2_100), 1)
    desk.partition.compared(column(1_001, 2_100))
    assert desk.partition.committable == 2_101


def test_rejected_is_buried_once() -> None:
    """A value of an unknown schema is in dead-letters already when the models say that they cannot read it."""
    desk = Desk()
    desk.ask(0, rejected="unknown_schema", dead_letter=True)
    desk.say("champion", 0, status=Status.UNREADABLE)
    desk.tick()
    assert desk.partition.unreadable(_comparisons(desk)).tolist() == []


# --------------------------------------------------------------------------------------------------- what is skipped


def test_what_is_skipped_holds_the_commit_back_until_it_is_answered() -> None:
    """Newer requests are answered, decided and compared meanwhile; a successor would start at what was skipped.

    ask(0)---skip to 3---ask(3), answered---back: 1 late, 2 no request---their reports
    """
    desk = Desk()
    desk.ask(0)
    desk.say("champion", 0)
    desk.tick()
    desk.partition.decided(column(0), 6)
    assert desk.partition.skip(3) == 2
    desk.ask(3)
    desk.say("champion", 3)
    assert desk.tick() == [(3, Reason.PREFERRED)]
    desk.partition.decided(column(3), 9)
    desk.close(CLOSE_MS)
    desk.partition.compared(column(0, 3))
    assert desk.partition.committable == 1
    assert desk.resume.decisions <= 7
    assert (desk.partition.arrears.count, desk.partition.arrears.next) == (2, 1)
    late = Request(1, _us(0), _us(DEADLINE_MS), "r1", None, None)
    assert desk.partition.arrears.admits(1)
    desk.partition.late(1, late, dead_letter=False)
    assert desk.partition.arrears.admits(2)
    desk.partition.late(2, None, dead_letter=True)
    (verdicts,) = desk.partition.returned(_us(CLOSE_MS))
    assert verdicts.requests == (late,)
    assert verdicts.decisions.reasons.tolist() == [Reason.OVERLOADED]
    assert not desk.partition.returned(_us(CLOSE_MS))
    desk.partition.buried(2)
    assert desk.partition.committable == 1
    desk.partition.decided(column(1), 12)
    assert desk.partition.committable == 4
    assert desk.resume.decisions == 13


def test_a_partition_is_behind_when_its_newest_request_is_half_its_time_old() -> None:
    """For as long as the endpoint says; there is time for what was skipped when it has kept up for four times that."""
    desk, behind_us = Desk(), PLAN.behind_us
    old = asked(3, _us(0) - DEADLINE_MS * MS_US // 2 - 1)
    assert not desk.partition.is_behind(old, 5, _us(0))
    assert not desk.partition.is_behind(asked(3, old.appended_us + 1), 5, _us(0))
    assert not desk.partition.is_behind(old, 5, _us(0))
    assert not desk.partition.is_behind(old, 4, _us(0) + behind_us), "nothing waits"
    assert desk.partition.is_behind(old, 5, _us(0) + behind_us)
    desk.partition.skip(5)
    assert not desk.partition.returns(_us(0) + 5 * behind_us - 1)
    assert desk.partition.returns(_us(0) + 5 * behind_us)


def test_a_request_with_more_time_than_others_may_be_older() -> None:
    """Half of its own time."""
    hasty, appended_us = Partition(replace(PLAN, behind_us=0), 0, FRESH), _us(-DEADLINE_MS)
    assert not hasty.is_behind(asked(3, appended_us, 2 * DEADLINE_MS), 5, _us(0))
    assert hasty.is_behind(asked(3, appended_us), 5, _us(0))


def test_nothing_is_skipped_twice_or_while_held() -> None:
    """Where the log was read to its end there is nothing; and what a predecessor left is read whole."""
    desk = Desk()
    desk.ask(4)
    assert desk.partition.skip(5) == 0
    assert desk.partition.arrears.oldest is None
    held = Desk(left((0, 9)))
    for at_ms in (0, 10_000):
        assert not held.partition.is_behind(asked(0, _us(-DEADLINE_MS)), 9, _us(at_ms))


def test_a_server_that_never_comes_back_skips_no_more_at_last() -> None:
    """A successor has to read all of it again."""
    desk = Desk()
    desk.ask(0)
    assert desk.partition.skip(5)
    old = asked(5, _us(-DEADLINE_MS))
    ends = (9, MOST + 1, MOST + 2)
    assert [
        desk.partition.is_behind(old, end, _us(at_ms)) for at_ms, end in zip((0, 1_000, 2_000), ends, strict=True)
    ] == [
        False,
        True,
        False,
    ]
