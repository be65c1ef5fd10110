"""The mailbox: every cell of its table. Anything at all, against `oracle.Oracle`: test_mailbox_oracle.py.

Lines of time are in milliseconds from the append. The small plan of these tests::

    0          10 (STEP)                         35 (END)   40 (DEADLINE)      200 (CLOSE)
    |----------|---------------------------------|----------|------------------|
     champion   champion, challenger or baseline    margin     late scores are
                                                               still compared
"""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from endpoints import VERSIONS, control_of, endpoint, genesis
from oracle import NEVER_US, Answered, Compared, Fates, answered, compared, fates
from rendezvous.messages import Reason, Request, Scores, Status
from rendezvous.registry.events import ControlEvent, Shedding
from rendezvous.registry.state import Pair
from rendezvous.server.arrivals import Arrivals
from rendezvous.server.mailbox import Decided, Mailbox
from rendezvous.server.plan import Plan, plan_for
from rendezvous.wire import encode

MS_US = 1_000
NOON_US = 1_700_000_000_000_000
"""When the requests of these tests are appended, unless they say otherwise."""
STEP, END, DEADLINE, SILENT, CLOSE = 10, 35, 40, 30, 200
CAPACITY = 16
CHAMPION, CHALLENGER, BASELINE, CANDIDATE = AXIS = tuple(VERSIONS.items())
EVERYBODY = tuple(VERSIONS)


def small(*told: ControlEvent, **changes: Any) -> Plan:  # noqa: ANN401 - parts of a document
    """The plan above, with parts replaced, after what control was told."""
    document: dict[str, Any] = {
        "request": {"deadline_ms": DEADLINE, "max_deadline_ms": CLOSE, "reply_margin_ms": DEADLINE - END},
        "schedule": [
            {"until_ms": STEP, "models": ["champion"]},
            {"models": ["champion", "challenger", "baseline"]},
        ],
        "mailbox": {"close_ms": CLOSE, "silent_ms": SILENT, "capacity": CAPACITY},
    }
    of = endpoint(**document | changes)
    return plan_for(of, control_of(*genesis(of), *told), 0)


PLAN = small()
ALL_REST = Shedding(0, candidates=1.0, challengers=1.0, by="server", at_us=0)


def request_of(offset: int, at_ms: float = 0, budget_ms: float = DEADLINE, rejected: str | None = None) -> Request:
    """A request as the intake gives it."""
    appended_us = NOON_US + round(at_ms * MS_US)
    return Request(offset, appended_us, appended_us + round(budget_ms * MS_US), f"r{offset}", None, rejected)


def record(
    model: str, offsets: Sequence[int], outputs: Sequence[Sequence[float]], statuses: Sequence[int] | None = None
) -> Scores:
    """One scores record."""
    return Scores(
        model=model,
        version=VERSIONS[model],
        taken_us=1,
        scored_us=2,
        offsets=np.array(offsets, np.int64),
        statuses=np.array([Status.OK] * len(offsets) if statuses is None else statuses, np.uint8),
        outputs=np.array(outputs, np.float32),
    )


class Box:
    """A mailbox of the small plan, spoken to in milliseconds and by names."""

    def __init__(self, plan: Plan = PLAN, position: int = 0) -> None:
        self.plan = plan
        self.mailbox = Mailbox(plan, position)

    def ask(self, offset: int, at_ms: float = 0, *, age_ms: float = 0, rejected: str | None = None) -> bool:
        """A request is read, `age_ms` after its append."""
        return self.mailbox.request(request_of(offset, at_ms - age_ms, rejected=rejected), _us(at_ms))

    def ask_decided(self, offset: int, winner: int, reason: Reason) -> bool:
        """A request is read that a predecessor has decided."""
        return self.mailbox.request(request_of(offset), NOON_US, Decided(winner, reason))

    def say(
        self, model: str, *offsets: int, at_ms: float = 0, output: float = 0.5, status: Status = Status.OK
    ) -> Fates:
        """A model's scores are read."""
        outputs = [[output] * self.plan.width] * len(offsets)
        return self.say_all([record(model, offsets, outputs, [status] * len(offsets))], at_ms)

    def say_all(self, batch: Sequence[Scores], at_ms: float = 0) -> Fates:
        """Several scores records are read in one turn."""
        plan = self.mailbox.plan
        return fates(self.mailbox.scores(Arrivals.of(batch, plan.column_of), _us(at_ms)), plan.axis)

    def tick(self, at_ms: float = 0, *, held: bool = False) -> list[tuple[int, Pair | None, Reason]]:
        """(offset, winner, reason) of the answers."""
        return [(row.offset, row.winner, Reason(row.reason)) for row in self.answers(at_ms, held=held)]

    def answers(self, at_ms: float = 0, *, held: bool = False) -> list[Answered]:
        """The answers in full."""
        return answered(self.mailbox.tick(_us(at_ms), held=held))

    def close(self, at_ms: float = 0, *, squeeze: bool = False) -> list[Compared]:
        """The comparisons."""
        return compared(self.mailbox.close(_us(at_ms), squeeze=squeeze))

    @property
    def next_due(self) -> float:
        """When the next answer is due, in milliseconds."""
        return (self.mailbox.next_due_us - NOON_US) / MS_US


def _us(at_ms: float) -> int:
    return NOON_US + round(at_ms * MS_US)


def _kept(pair: Pair, rows: int = 1) -> Fates:
    return Fates({pair: rows}, {}, {}, {})


def _duplicate(pair: Pair) -> Fates:
    return Fates({}, {pair: 1}, {}, {})


def _late(pair: Pair) -> Fates:
    return Fates({}, {}, {pair: 1}, {})


def _unknown(pair: Pair) -> Fates:
    return Fates({}, {}, {}, {pair: 1})


def _statuses(row: Compared) -> list[int]:
    return [said.status for said in row.said.values()]


# ------------------------------------------------------------------------------------------------ the table: FREE


def test_free_request() -> None:
    """FREE, a request arrives: OPEN, it is in flight and waits for its step."""
    box = Box()
    assert box.ask(0)
    assert box.mailbox.in_flight == 1
    assert box.tick() == []
    assert box.next_due == STEP


def test_free_score() -> None:
    """FREE, a score arrives: EARLY, it is kept for a request that is not in flight yet."""
    box = Box()
    assert box.say("champion", 3) == _kept(CHAMPION)
    assert box.mailbox.in_flight == 0
    assert box.say("champion", 3) == _duplicate(CHAMPION)


def test_free_tick_and_close() -> None:
    """FREE: nothing to answer, nothing to compare, nothing due."""
    box = Box()
    assert box.tick(1e9) == []
    assert box.close(1e9) == box.close(1e9, squeeze=True) == []
    assert box.mailbox.next_due_us == NEVER_US


# ------------------------------------------------------------------------------------------------ the table: EARLY


def test_early_request() -> None:
    """EARLY, its request arrives: OPEN, with the score that came first.

    champion(3)---ask(3)-->answer
    """
    box = Box()
    box.say("champion", 3, output=0.75)
    assert box.ask(3, 1)
    (row,) = box.answers(1)
    assert (row.winner, row.output, row.arrived) == (CHAMPION, (0.75,), frozenset({CHAMPION}))


def test_early_score() -> None:
    """EARLY, another model's score arrives: both are kept."""
    box = Box()
    box.say("champion", 3)
    assert box.say("baseline", 3) == _kept(BASELINE)
    box.ask(3, 1)
    (row,) = box.answers(1)
    assert row.arrived == {CHAMPION, BASELINE}


def test_early_tick() -> None:
    """EARLY, a tick: nobody asked, nobody is answered."""
    box = Box()
    box.say("champion", 3)
    assert box.tick(1e9) == []
    assert box.mailbox.next_due_us == NEVER_US


@pytest.mark.parametrize("squeeze", [False, True])
def test_early_close(squeeze: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """EARLY, a close: there is nothing to compare, and the score still waits."""
    box = Box()
    box.say("champion", 3)
    assert box.close(1e9, squeeze=squeeze) == []
    box.ask(3, 1)
    assert box.tick(1) == [(3, CHAMPION, Reason.PREFERRED)]


def test_early_passed_by() -> None:
    """EARLY, the requests pass it by: FREE, its score is forgotten, and the slot's next request has none of it.

    champion(3)---ask(5)---ask(3 + capacity)
    """
    box = Box()
    box.say("champion", 3)
    box.ask(5)
    assert box.say("baseline", 3) == _late(BASELINE)
    assert box.ask(3 + CAPACITY)
    assert box.tick(0) == []
    box.tick(END)
    row = box.close(0, squeeze=True)[-1]
    assert (row.offset, _statuses(row)) == (3 + CAPACITY, [Status.NONE] * 4)


# ------------------------------------------------------------------------------------------------- the table: OPEN


def test_open_request_again() -> None:
    """OPEN, its request arrives again: ignored, and the first one's deadline stands."""
    box = Box()
    box.ask(0)
    assert not box.mailbox.request(request_of(0, budget_ms=5), NOON_US)
    assert box.tick(STEP) == []
    assert box.tick(END) == [(0, None, Reason.DEFAULT)]


def test_open_score() -> None:
    """OPEN, a score arrives that its step does not allow: kept, and used by the step that does."""
    box = Box()
    box.ask(0)
    assert box.say("baseline", 0) == _kept(BASELINE)
    assert box.tick(STEP - 0.001) == []
    assert box.tick(STEP) == [(0, BASELINE, Reason.FALLBACK)]


def test_open_tick() -> None:
    """OPEN, a tick when its schedule says so: ANSWERED, once.

    ask---champion-->answer
    """
    box = Box()
    box.ask(0)
    assert box.tick(1) == []
    box.say("champion", 0, at_ms=2)
    assert box.tick(2) == [(0, CHAMPION, Reason.PREFERRED)]
    assert box.tick(END) == box.tick(1e9) == []


@pytest.mark.parametrize("squeeze", [False, True])
def test_open_close(squeeze: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """OPEN, a close, however late and though all have reported: nothing, for it is not answered yet."""
    box = Box()
    for model in EVERYBODY:
        box.say(model, 7)
    box.ask(0)
    for model in EVERYBODY:
        box.say(model, 0)
    assert box.close(1e9, squeeze=squeeze) == []
    assert box.tick(0) == [(0, CHAMPION, Reason.PREFERRED)]


# --------------------------------------------------------------------------------------------- the table: ANSWERED


def test_answered_request_again() -> None:
    """ANSWERED, its request arrives again: ignored, not answered again."""
    box = Box()
    box.ask(0)
    box.say("champion", 0)
    box.tick()
    assert not box.ask(0)
    assert box.tick(1e9) == []


def test_answered_score() -> None:
    """ANSWERED, a score arrives: kept for the comparison, with when it came.

    ask---|35 default---champion (120)---|200 close
    """
    box = Box()
    box.ask(0)
    assert box.tick(END) == [(0, None, Reason.DEFAULT)]
    assert box.say("champion", 0, at_ms=120, output=0.75) == _kept(CHAMPION)
    assert box.tick(120) == []
    (row,) = box.close(CLOSE)
    assert (row.winner, row.reason) == (None, Reason.DEFAULT)
    assert row.said[CHAMPION] == (Status.OK, 120 * MS_US, (0.75,))
    assert row.said[BASELINE] == (Status.NONE, -1, None)


def test_answered_close_complete() -> None:
    """ANSWERED, a close when all expected are in: compared and FREE; the one that is silent is not waited for.

    everyone but the candidate(9)---ask---champion, challenger---close: none---baseline---close
    """
    box = Box()
    for model in EVERYBODY[:3]:
        box.say(model, 9)
    box.ask(0, 1)
    box.say("champion", 0, at_ms=2)
    box.say("challenger", 0, at_ms=2)
    box.tick(2)
    assert box.close(3) == []
    box.say("baseline", 0, at_ms=3, status=Status.ERROR)
    (row,) = box.close(3)
    assert _statuses(row) == [Status.OK, Status.OK, Status.ERROR, Status.NONE]
    assert box.mailbox.in_flight == 0
    assert box.say("candidate", 0, at_ms=4) == _late(CANDIDATE)


def test_answered_close_silent() -> None:
    """ANSWERED, a close without a model that fell silent before the request: it is not waited for.

    champion, baseline(9)---|30 silent---ask---champion---close
    """
    box = Box()
    box.say("champion", 9, at_ms=0.001)
    box.say("baseline", 9)
    box.ask(0, SILENT)
    box.say("champion", 0, at_ms=SILENT)
    box.tick(SILENT)
    assert [row.offset for row in box.close(SILENT)] == [0]


def test_answered_close_nobody_expected() -> None:
    """ANSWERED, a close when nobody was heard of before the request: it waits until it is too old."""
    box = Box()
    box.ask(0)
    for model in EVERYBODY:
        box.say(model, 0)
    box.tick()
    assert box.close(CLOSE - 0.001) == []
    assert [row.offset for row in box.close(CLOSE)] == [0]


def test_answered_close_not_before_its_deadline() -> None:
    """ANSWERED, a close of a request whose deadline is beyond `close_ms`: too old is after both."""
    box = Box()
    box.mailbox.request(request_of(0, budget_ms=2 * CLOSE), NOON_US)
    box.say("champion", 0)
    box.tick()
    assert box.close(2 * CLOSE - 0.001) == []
    assert [row.offset for row in box.close(2 * CLOSE)] == [0]


def test_answered_squeeze() -> None:
    """ANSWERED, a squeeze: compared at once, whoever is missing; what is open stays."""
    box = Box()
    box.ask(0)
    box.ask(1)
    box.say("champion", 1)
    box.tick()
    assert [row.offset for row in box.close(0, squeeze=True)] == [1]
    assert box.mailbox.in_flight == 1
    assert box.tick(END) == [(0, None, Reason.DEFAULT)]


# --------------------------------------------------------------------------------------- the lines below the table


@pytest.mark.parametrize(
    ("age_ms", "rejected", "reason"),
    [(DEADLINE, None, Reason.EXPIRED), (0, "too_large", Reason.REJECTED), (DEADLINE, "too_large", Reason.REJECTED)],
)
@pytest.mark.parametrize("held", [False, True])
def test_answered_at_once(age_ms: int, rejected: str | None, reason: Reason, held: bool) -> None:  # noqa: FBT001
    """Expired or rejected: ANSWERED at once by the default, also while held, whatever is said; compared as others."""
    box = Box()
    box.say("champion", 0, output=0.75)
    box.ask(0, 1, age_ms=age_ms, rejected=rejected)
    assert box.mailbox.next_due_us <= _us(1)
    (row,) = box.answers(1, held=held)
    assert (row.winner, row.reason, row.output) == (None, reason, (0.25,))
    assert row.slack_us == (DEADLINE - age_ms) * MS_US
    assert box.tick(1e9) == []
    (comparison,) = box.close(CLOSE + 1)
    assert (comparison.winner, comparison.reason, comparison.said[CHAMPION].output) == (None, reason, (0.75,))


def test_almost_expired() -> None:
    """One microsecond before its deadline, inside the margin, a request is not expired: its scores still count."""
    box = Box()
    box.say("baseline", 0)
    box.ask(0, 1, age_ms=DEADLINE - 0.001)
    (row,) = box.answers(1)
    assert (row.winner, row.reason, row.slack_us) == (BASELINE, Reason.FALLBACK, 1)


def test_decided() -> None:
    """Decided by a predecessor: ANSWERED without an answer, and compared under that decision."""
    box = Box()
    assert box.ask_decided(0, AXIS.index(CHALLENGER), Reason.FALLBACK)
    box.say("champion", 0)
    assert box.tick(1e9) == []
    assert box.mailbox.next_due_us == NEVER_US
    (row,) = box.close(CLOSE)
    assert (row.winner, row.reason, row.said[CHAMPION].status) == (CHALLENGER, Reason.FALLBACK, Status.OK)


def test_duplicate_in_one_turn() -> None:
    """Of a model's scores for a request the first stands, in the order of the log, also when both come at once."""
    box = Box()
    box.ask(0)
    first, second = record("champion", [0], [[0.75]]), record("champion", [0], [[0.125]])
    assert box.say_all([first, second]) == Fates({CHAMPION: 1}, {CHAMPION: 1}, {}, {})
    (row,) = box.answers()
    assert row.output == (0.75,)


def test_a_failure_stands_too() -> None:
    """A model that reported a failure does not correct itself."""
    box = Box()
    box.ask(0)
    box.say("champion", 0, status=Status.ERROR)
    assert box.say("champion", 0) == _duplicate(CHAMPION)
    box.tick(END)
    assert box.close(CLOSE)[0].said[CHAMPION].status == Status.ERROR


@pytest.mark.parametrize("output", [float("nan"), float("inf"), float("-inf")])
def test_what_is_not_finite_is_no_score(output: float) -> None:
    """An OK that is not finite is NONFINITE: it ends the champion's step, and answers nothing."""
    box = Box()
    box.ask(0)
    box.say("champion", 0, output=output)
    box.say("baseline", 0)
    assert box.tick() == [(0, BASELINE, Reason.FALLBACK)]
    assert box.close(CLOSE)[0].said[CHAMPION].status == Status.NONFINITE


def test_everybody_scheduled_failed() -> None:
    """When every model of every step has reported a failure the default answers at once; candidates do not count."""
    box = Box()
    box.ask(0)
    box.say("candidate", 0)
    for model in EVERYBODY[:2]:
        box.say(model, 0, status=Status.INVALID)
    assert box.tick() == []
    box.say("baseline", 0, status=Status.UNREADABLE)
    (row,) = box.answers()
    assert (row.winner, row.reason, row.arrived) == (None, Reason.DEFAULT, frozenset({CANDIDATE}))


def test_the_window_of_scores() -> None:
    """Scores are kept from the oldest request in flight up to a ring's length beyond it: late before, unknown after.

    offsets: 4 late, 5 (open) .. 20 kept, 21 unknown
    """
    box = Box(position=5)
    box.ask(5)
    assert box.say("champion", 4) == _late(CHAMPION)
    assert box.say("champion", 5, 4 + CAPACITY) == _kept(CHAMPION, 2)
    assert box.say("champion", 5 + CAPACITY) == _unknown(CHAMPION)
    assert box.say("champion", 10**15) == _unknown(CHAMPION)


def test_the_window_moves_with_the_oldest() -> None:
    """When the oldest request closes, the window begins at the next one that is in flight."""
    box = Box()
    box.ask(0)
    box.ask(3)
    box.say("champion", 0)
    box.tick()
    box.close(squeeze=True)
    assert box.say("champion", 1, 2) == Fates({}, {}, {CHAMPION: 2}, {})
    assert box.say("champion", 2 + CAPACITY) == _kept(CHAMPION)
    assert box.say("champion", 3 + CAPACITY) == _unknown(CHAMPION)


def test_overloaded() -> None:
    """A request beyond the ring is answered at once, holds no slot and is never compared; the next one may fit."""
    box = Box()
    box.ask(0)
    box.ask(CAPACITY)
    (row,) = box.answers()
    assert (row.offset, row.winner, row.reason, row.output) == (CAPACITY, None, Reason.OVERLOADED, (0.25,))
    assert box.mailbox.in_flight == 1
    box.say("champion", 0)
    box.tick()
    assert [row.offset for row in box.close(CLOSE)] == [0]
    assert box.ask(CAPACITY + 1)
    assert box.tick() == []
    assert box.say("champion", CAPACITY) == _late(CHAMPION)


def test_decided_beyond_the_ring() -> None:
    """A request that a predecessor has answered is not answered again, though the ring has no slot for it."""
    box = Box()
    box.ask(0)
    box.ask_decided(CAPACITY, AXIS.index(CHAMPION), Reason.PREFERRED)
    assert box.tick() == []


def test_a_gap_longer_than_the_ring() -> None:
    """An empty ring begins wherever the next request stands, however far."""
    box = Box()
    far = 10**12
    assert box.mailbox.fits(far)
    box.say("champion", 3)
    assert box.ask(far)
    assert box.tick() == []
    box.say("baseline", far)
    assert box.tick(STEP) == [(far, BASELINE, Reason.FALLBACK)]


def test_a_gap_while_something_is_in_flight() -> None:
    """A ring that holds a request cannot follow a gap longer than itself."""
    box = Box()
    box.ask(0)
    assert box.mailbox.fits(CAPACITY - 1)
    assert not box.mailbox.fits(CAPACITY)


# ------------------------------------------------------------------------------------------------------ what is due


def test_next_due_follows_the_schedule() -> None:
    """The next answer falls due at the end of the step, then at the end of the schedule, then never."""
    box = Box()
    box.ask(0)
    assert box.next_due == STEP
    box.tick()
    assert box.next_due == STEP
    box.tick(STEP)
    assert box.next_due == END
    box.tick(END)
    assert box.mailbox.next_due_us == NEVER_US


def test_next_due_of_a_short_deadline() -> None:
    """A deadline before the step's end cuts the step: whoever has answered by then is taken.

    ask(deadline 9)---challenger---|4 answer
    """
    box = Box()
    box.mailbox.request(request_of(0, budget_ms=9), NOON_US)
    box.say("challenger", 0)
    assert box.tick() == []
    assert box.next_due == 4
    assert box.tick(4) == [(0, CHALLENGER, Reason.FALLBACK)]


def test_nothing_is_due_once_everything_is_answered() -> None:
    """A step that ends after its request was answered is no reason to wake up for ever.

    ask---champion-->answer---|10 nothing is open: the loop may sleep
    """
    box = Box()
    box.ask(0)
    box.tick()
    box.say("champion", 0, at_ms=1)
    assert box.tick(1) == [(0, CHAMPION, Reason.PREFERRED)]
    assert box.tick(STEP) == []
    assert box.mailbox.next_due_us == NEVER_US


def test_held() -> None:
    """Held, no score answers and no step ends; afterwards the schedule is where the clock says.

    ask---champion---|35 held---tick
    """
    box = Box()
    box.ask(0)
    box.say("baseline", 0)
    assert box.tick(held=True) == box.tick(END, held=True) == []
    assert box.tick(END) == [(0, BASELINE, Reason.FALLBACK)]


def test_held_does_not_forget() -> None:
    """What arrived while held answers at the first tick after it, before any step ends."""
    box = Box()
    box.ask(0)
    box.say("champion", 0)
    box.tick(held=True)
    assert box.tick(1) == [(0, CHAMPION, Reason.PREFERRED)]


# ----------------------------------------------------------------------------------------------------------- bounds


def _round(box: Box, offset: int, *, held: bool) -> None:
    """One request in and, unless the mailbox is held, answered and out; scores of all kinds."""
    box.ask(offset)
    for model in EVERYBODY:
        box.say(model, offset, offset + 1, offset + 3, 10**15)
    box.tick(held=held)
    box.close(squeeze=True)


def _traced_bytes() -> int:
    gc.collect()  # Python's own free lists are no part of the mailbox
    traced, _ = tracemalloc.get_traced_memory()
    return traced


@pytest.mark.parametrize("held", [False, True])
def test_memory_is_bounded_by_the_capacity(held: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """A mailbox that hundreds of requests have passed through is no larger than after fifty, also while held."""
    box = Box()
    tracemalloc.start()
    try:
        for offset in range(50):
            _round(box, offset, held=held)
        before = _traced_bytes()
        for offset in range(50, 350):
            _round(box, offset, held=held)
        after = _traced_bytes()
    finally:
        tracemalloc.stop()
    assert after - before < 10_000, "bytes; a leak of one small array a request is above 30,000"


MAX_RECORD_BYTES = 1_000_000
"""librdkafka's default message.max.bytes: a larger record is refused, and the server would stop."""


@pytest.mark.parametrize("request_id", ["r", "x" * 256], ids=len)
def test_records_stay_below_the_brokers_limit(request_id: str) -> None:
    """A full ring that is answered and compared at once is split into records that Kafka takes."""
    plan = small(mailbox={"close_ms": CLOSE, "capacity": 8_192})
    mailbox = Mailbox(plan, 0)
    for offset in range(plan.capacity):
        mailbox.request(Request(offset, NOON_US, _us(DEADLINE), request_id, None, "too_large"), NOON_US)
    verdicts, comparisons = mailbox.tick(NOON_US), mailbox.close(_us(CLOSE))
    assert [row.offset for row in answered(verdicts)] == list(range(plan.capacity))
    assert [row.offset for row in compared(comparisons)] == list(range(plan.capacity))
    values = [encode(batch.decisions) for batch in verdicts] + [encode(batch) for batch in comparisons]
    assert max(map(len, values)) < MAX_RECORD_BYTES


# ---------------------------------------------------------------------------------------- who rests, what is skipped


def test_nobody_waits_for_who_leaves_out_all() -> None:
    """It is not expected, in no step, and compared as shed; what it had said before stands.

    everyone(9)---ask(0)---candidate, challenger---rest---ask(1)---champion, baseline: both close at once
    """
    box = Box()
    for model in EVERYBODY:
        box.say(model, 9)
    box.ask(0, 1)
    box.say("challenger", 0, at_ms=2)
    box.mailbox.adopt(small(ALL_REST))
    box.ask(1, 3)
    for model in ("champion", "baseline"):
        box.say(model, 0, at_ms=4)
        box.say(model, 1, at_ms=4)
    box.tick(4)
    first, second = box.close(5)
    assert _statuses(first) == [Status.OK, Status.OK, Status.OK, Status.SHED]
    assert _statuses(second) == [Status.OK, Status.SHED, Status.OK, Status.SHED]
    assert second.said[CANDIDATE] == (Status.SHED, -1, None)


def test_a_step_of_those_who_rest_is_passed_by() -> None:
    """Once champion and baseline have failed, the default need not wait for the challenger."""
    box = Box()
    box.mailbox.adopt(small(ALL_REST))
    box.ask(0)
    for model in ("champion", "baseline"):
        box.say(model, 0, at_ms=1, status=Status.ERROR)
    assert box.tick(1) == [(0, None, Reason.DEFAULT)]


def test_skipped_while_it_rested_and_asked_again() -> None:
    """A request that opened while a version rested is compared as left out by it, also when it works again."""
    box = Box()
    box.mailbox.adopt(small(ALL_REST))
    box.ask(0)
    box.mailbox.adopt(small())
    box.ask(1)
    box.tick(DEADLINE)
    rows = box.close(CLOSE)
    assert [row.said[CANDIDATE].status for row in rows] == [Status.SHED, Status.NONE]


def test_skipping_moves_the_window_on() -> None:
    """Early scores for what is skipped are dropped, and later ones are late; a request before it is ignored."""
    box = Box()
    box.ask(0)
    assert box.say("champion", 2) == _kept(CHAMPION)
    assert box.say("champion", 5) == _kept(CHAMPION)
    box.mailbox.skip(5)
    assert box.say("baseline", 2) == _late(BASELINE)
    assert not box.ask(3)
    assert box.ask(5)
    assert box.tick() == [(5, CHAMPION, Reason.PREFERRED)]


def test_skipping_an_empty_ring() -> None:
    """It begins where the log goes on, however far."""
    box = Box()
    box.say("champion", 3)
    box.mailbox.skip(10**9)
    assert box.say("champion", 3) == _late(CHAMPION)
    assert box.mailbox.fits(10**9 + CAPACITY - 1)
    box.mailbox.skip(7)
    assert box.ask(10**9)
