"""When an event is due: each rule, what holds it back, and that order and restarts change nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from found import (
    AROUND,
    CLOSES_US,
    CODE,
    MODEL,
    NEW,
    OLD,
    alarm,
    block,
    closing,
    contest,
    deployed,
    drift,
    hear,
    ledger_of,
    limits_of,
    retrained,
    retraining_endpoint,
    start_of,
)
from rendezvous.monitoring.findings import AlarmKind, DriftKind, Stage
from rendezvous.monitoring.limits import DAY_US
from rendezvous.registry.events import Rule, Ruling, State, Verdict
from rendezvous.retraining.episodes import EVENT_TIME
from rendezvous.retraining.events import RetrainEvent
from rendezvous.retraining.ledger import Ledger
from rendezvous.retraining.triggers import budget, due, look, request
from rendezvous.settings import Endpoint

FOREVER = closing(10_000)


def due_of(of: Endpoint, ledger: Ledger, settled_us: int = FOREVER) -> RetrainEvent | None:
    """The event that is due."""
    return due(ledger, limits_of(of), settled_us, AROUND)


def one(of: Endpoint, *heard: Any) -> RetrainEvent:  # noqa: ANN401 - any message
    """The event that is due after these messages."""
    event = due_of(of, ledger_of(of, *heard))
    assert event is not None
    return event


def none(of: Endpoint, *heard: Any) -> bool:  # noqa: ANN401 - any message
    """Whether nothing is due after these messages."""
    return due_of(of, ledger_of(of, *heard)) is None


# ---------------------------------------------------------------------------------------------------------- each rule


def test_a_concept_alarm_about_the_champion() -> None:
    """The event carries evidence, the data up to the closed block, and a key that says which round it was."""
    event = one(retraining_endpoint(), block(0), block(1), alarm(1))
    assert (event.key, event.model, event.version) == ("champion-c1-20130103T080000Z", MODEL, "c1")
    assert event.causes == ("concept drift",)
    assert (event.from_us, event.until_us, event.as_of_us, event.at_us) == (0, start_of(2), closing(1), closing(1))
    assert json.loads(event.evidence)["concept drift"]["newest"][0]["moved"] == ["temp"]
    assert json.loads(event.evidence)["new_labels"] == 1_800
    assert event.positions == (1_000,)


def test_what_an_event_does_not_know() -> None:
    """Labels that have not come, labels that are immature, and partitions of which nothing was heard."""
    of = retraining_endpoint(data={"since": "2012-12-01"})
    event = due(ledger_of(of, block(0), alarm(0)), limits_of(of), FOREVER, replace(AROUND, positions=(7, 0)))
    assert event is not None
    missing = "80 of 980 requests had no label when their block closed (91.8% had one)"
    assert event.unknown == (
        f"{missing}: what is late, or never comes, need not be like the rest",
        "the monitor has not spoken of requests asked before 20130101T000000Z",
        "labels of requests asked since 20130102T000000Z are immature",
        "no request was ever on partition 1",
    )


@pytest.mark.parametrize(
    "heard",
    [
        (block(0),),
        (block(0), alarm(0, NEW)),
        (block(0), alarm(0, kind=AlarmKind.SCORE)),
        (block(0), alarm(0, kind=AlarmKind.QUALITY)),
        (block(0), alarm(1)),
        (alarm(0),),
    ],
    ids=["nothing", "another version", "scores", "quality", "of a block that has not closed", "no block closed"],
)
def test_what_is_no_concept_alarm(heard: tuple[Any, ...]) -> None:
    """Only one about the champion, at a closing that has been."""
    assert none(retraining_endpoint(), *heard)


def test_a_rule_that_is_off() -> None:
    """Nothing comes of an alarm then."""
    assert none(retraining_endpoint(triggers={"concept": False}), block(0), alarm(0))


FLOOR = {"metric": "auc", "value": 0.7, "blocks": 2, "margin": 0.02}


def floored(**changes: object) -> Endpoint:
    """An endpoint with one floor alone."""
    return retraining_endpoint(triggers={"concept": False, "floors": [FLOOR | changes]})


def days(*aucs: float, first: int = 0, labelled: int = 900) -> list[Any]:
    """A block for each."""
    return [block(first + number, auc=value, labelled=labelled) for number, value in enumerate(aucs)]


def test_a_floor_broken_for_so_many_blocks() -> None:
    """In a row, up to the newest."""
    of = floored()
    assert none(of, *days(0.69))
    assert none(of, *days(0.69, 0.71))
    assert none(of, *days(0.69, 0.71, 0.69))
    assert one(of, *days(0.71, 0.69, 0.69)).causes == ("auc below 0.7",)
    assert one(of, *days(0.69, 0.69)).at_us == closing(1)


def test_a_floor_from_above() -> None:
    """For figures of which less is better."""
    of = floored(metric="brier", value=0.2, worse="above")
    assert none(of, block(0, brier=0.3), block(1, brier=0.2))
    assert one(of, block(0, brier=0.3), block(1, brier=0.21)).causes == ("brier above 0.2",)


@pytest.mark.parametrize(
    "block_that_says_nothing",
    [
        block(1, auc=0.9, labelled=99),
        block(1, auc=float("nan")),
        block(1, brier=0.1),
        block(1, auc=0.9, stage=Stage.PROVISIONAL),
        block(1, auc=0.9, stage=Stage.CORRECTED),
        block(1, NEW, auc=0.9),
    ],
    ids=["few labels", "one class", "no such figure", "provisional", "corrected", "another version"],
)
def test_blocks_that_say_nothing_of_a_floor(block_that_says_nothing: Any) -> None:  # noqa: ANN401
    """They are passed over: the others are in a row without them."""
    assert one(floored(), block(0, auc=0.6), block_that_says_nothing, block(2, auc=0.6)).at_us == closing(2)


def test_hysteresis_of_a_floor() -> None:
    """Once it has spoken it is quiet until a block is better by the margin; a hair's breadth is not enough."""
    of = floored()
    before = days(0.69, 0.69)
    event = one(of, *before)
    over = [event, retrained(event, None)]
    assert none(of, *before, *over, *days(0.69, 0.69, 0.69, first=2))
    assert none(of, *before, *over, *days(0.71, 0.69, 0.69, first=2))
    assert one(of, *before, *over, *days(0.72, 0.69, 0.69, first=2)).at_us == closing(4)


def test_score_drift_in_so_many_windows() -> None:
    """K of the last n, of the champion; windows that have led to an event lead to no other."""
    of = retraining_endpoint(triggers={"score": {"flagged": 2, "of": 3}})
    assert none(of, block(2), drift(0), drift(1, flagged=False), drift(2, flagged=False))
    assert none(of, block(3), drift(0), drift(1, flagged=False), drift(2, flagged=False), drift(3))
    assert none(of, block(2), drift(0, pair=NEW), drift(1, pair=NEW))
    event = one(of, block(2), drift(0), drift(1, flagged=False), drift(2))
    assert event.causes == ("score drift",)
    assert none(of, block(2), drift(0), drift(2), event, retrained(event, None), block(3), drift(3))


def test_input_drift_only_if_asked() -> None:
    """However loud it is, alone it leads to nothing unless the owner wants it."""
    heard: list[Any] = [message for day in range(9) for message in (block(day), drift(day, DriftKind.INPUT))]
    heard += [alarm(8, kind=AlarmKind.INPUT, pair=("", "")), alarm(8, kind=AlarmKind.QUALITY, pair=("", ""))]
    everything = {"score": {}, "floors": [FLOOR], "cron": "0 6 1 * *"}
    assert none(retraining_endpoint(triggers=everything), *heard)
    assert one(retraining_endpoint(triggers={"input": {}}), *heard).causes == ("input drift",)


def test_age() -> None:
    """A tick of cron in event time, since the last event; before any event, since the first block."""
    of = retraining_endpoint(triggers={"cron": "0 6 * * 1"})  # Monday, 2013-01-07
    assert none(of, *(block(day) for day in range(5)))
    event = one(of, *(block(day) for day in range(8)))
    assert (event.causes, event.at_us) == (("age",), closing(5))
    over = [event, retrained(event, None)]
    assert none(of, *(block(day) for day in range(12)), *over)
    assert one(of, *(block(day) for day in range(14)), *over).at_us == closing(12)


def test_new_training_code() -> None:
    """Once for each code, whatever becomes of it; not without a card to compare with."""
    of = retraining_endpoint(cool_down="8h", per_day=9)
    other = "b" * 64

    def with_code(ledger: Ledger, code: str | None, known: str | None) -> RetrainEvent | None:
        return due(ledger, limits_of(of), FOREVER, replace(AROUND, code=code, codes={OLD: known}))

    ledger = ledger_of(of, block(0), block(1))
    assert with_code(ledger, CODE, CODE) is None
    assert with_code(ledger, None, CODE) is None
    assert with_code(ledger, CODE, None) is None
    event = with_code(ledger, other, CODE)
    assert event is not None
    assert (event.causes, event.at_us) == (("new code",), closing(1))
    hear(ledger, event, retrained(event, None), block(2))
    assert with_code(ledger, other, CODE) is None
    assert with_code(ledger, "c" * 64, CODE) is not None


def test_several_rules_are_one_event() -> None:
    """Whatever holds at one closing is one event with all its causes."""
    of = retraining_endpoint(triggers={"score": {"flagged": 1, "of": 1}, "floors": [FLOOR]})
    event = one(of, *days(0.6, 0.6), drift(1), alarm(1))
    assert event.causes == ("concept drift", "auc below 0.7", "score drift")


def test_which_data() -> None:
    """All there is, all since a day, or the last so many days; never what is immature."""
    heard = block(0), block(99), alarm(99)
    until_us = closing(99) - CLOSES_US
    for data, from_us in (
        ({}, 0),
        ({"since": "2013-02-01"}, start_of(31)),
        ({"last": "90d"}, until_us - 90 * DAY_US),
    ):
        event = one(retraining_endpoint(data=data), *heard)
        assert (event.from_us, event.until_us) == (from_us, until_us)


# ----------------------------------------------------------------------------------------------------- what holds back


def test_too_few_new_labels() -> None:
    """Of closed blocks since the data of the last training, by whoever was labelled most."""
    of = retraining_endpoint(new_labels=1_500)
    assert none(of, block(0), alarm(0))
    assert one(of, block(0), alarm(0), block(1), block(1, NEW, 10)).at_us == closing(1)
    event = one(of, block(0), alarm(0), block(1))
    over = [event, retrained(event, None)]
    assert none(of, block(0), block(1), *over, block(2), alarm(2))
    assert one(of, block(0), block(1), *over, block(2), alarm(2), block(3)).at_us == closing(3)


def test_cool_down() -> None:
    """An alarm within it is not lost: it speaks when the cool-down is over."""
    of = retraining_endpoint(cool_down="3d")
    event = one(of, block(0), alarm(0))
    heard = [block(0), event, retrained(event, None), block(1), alarm(1), block(2)]
    assert none(of, *heard)
    assert one(of, *heard, block(3)).at_us == closing(3)


def test_budgets_by_day_and_month() -> None:
    """Events of any 24 hours, and of any 31 days; a person's count too."""
    of = retraining_endpoint(per_month=2)
    events = [one(of, block(day), alarm(day)) for day in (0, 4)]
    over = [message for event in events for message in (event, retrained(event, None))]
    assert none(of, *over, block(8), alarm(8))
    assert one(of, *over, block(31), alarm(31)).at_us == closing(31)
    ledger = ledger_of(of, *over, block(8))
    assert budget(ledger, limits_of(of), closing(4)) == [("24 hours", 1, 0), ("31 days", 2, 0)]
    assert "budget: 2 events in 31 days" in look(ledger, limits_of(of), OLD, closing(8), None).held_by


def test_one_at_a_time() -> None:
    """While a job is not done nothing else is due, and what spoke then is looked at afterwards, as of then."""
    of = retraining_endpoint()
    event = one(of, block(0), alarm(0))
    heard = [block(0), event, block(1), block(2), alarm(2), block(3)]
    assert none(of, *heard)
    assert one(of, *heard, retrained(event, None)).at_us == closing(2)


def test_alarms_join_the_episode_of_a_candidate() -> None:
    """While a candidate awaits its verdict, and a proposal a person; what speaks after the verdict is news."""
    of = retraining_endpoint()
    event = one(of, block(0), alarm(0))
    waiting = [block(0), event, deployed(NEW), retrained(event), *(block(day) for day in (1, 2, 3)), alarm(2)]
    assert none(of, *waiting)
    assert none(of, *waiting, verdict(Ruling.PROPOSED, closing(2)))
    assert none(of, *waiting, verdict(Ruling.REJECTED, closing(3)))
    assert none(of, *waiting, verdict(Ruling.PROPOSED, closing(2)), verdict(Ruling.REJECTED, closing(3)))
    after = one(of, *waiting, verdict(Ruling.REJECTED, closing(3)), block(4), alarm(4))
    assert after.at_us == closing(4)


def verdict(ruling: Ruling, event_us: int) -> Verdict:
    """On NEW."""
    return Verdict(*NEW, Rule.REFRESH, ruling, json.dumps({EVENT_TIME: event_us}), "retrainer tests", 1)


def test_a_candidate_that_a_person_set_aside() -> None:
    """Its episode is over: nobody waits for a version that rests."""
    of = retraining_endpoint()
    event = one(of, block(0), alarm(0))
    waiting = [block(0), event, deployed(NEW), retrained(event), block(1), block(2), alarm(2)]
    assert none(of, *waiting)
    assert one(of, *waiting, deployed(NEW, State.PAUSED)).at_us == closing(2)


def test_a_person_may_always_ask() -> None:
    """In the cool-down, over the budget, without labels; the reason is in the event, and it counts."""
    of = retraining_endpoint(new_labels=10_000, cool_down="9d", per_month=1)
    event = one(retraining_endpoint(), block(0), alarm(0))
    ledger = ledger_of(of, block(0), event, retrained(event, None), block(1))
    asked = request(ledger, limits_of(of), "the airport moved", ledger.watermark_us, AROUND)
    assert asked is not None
    assert (asked.causes, asked.reason, asked.at_us) == (("by hand",), "the airport moved", closing(1))
    assert asked.key == "champion-c1-20130103T080000Z-hand"
    assert request(ledger, limits_of(of), "x", ledger.watermark_us, AROUND).key == asked.key  # type: ignore[union-attr]
    assert budget(hear(ledger, asked), limits_of(of), closing(1))[0] == ("24 hours", 1, 0)


def test_nobody_is_the_champion() -> None:
    """Before the first deployment nothing is due, and nobody can ask."""
    of = retraining_endpoint()
    ledger = hear(Ledger(of.monitoring), block(0), alarm(0))
    assert due_of(of, ledger) is None
    assert request(ledger, limits_of(of), "x", closing(0), AROUND) is None


def test_rounds_of_long_ago_are_past() -> None:
    """What is switched on late proposes no data of last month: what stood then still stands at newer closings."""
    for cool_down, day in (("1d", 23), ("9d", 21)):
        event = one(retraining_endpoint(cool_down=cool_down), *(block(day) for day in range(30)), alarm(2))
        assert event.at_us == closing(day)


def test_rounds_that_are_not_settled_wait() -> None:
    """Until all that belongs to a closing has been heard."""
    of = retraining_endpoint()
    ledger = ledger_of(of, block(0), block(1), alarm(1))
    assert due_of(of, ledger, closing(0)) is None
    assert due_of(of, ledger, closing(1)) is not None


# ----------------------------------------------------------------------------------------------------------- properties


DAYS = 45


def story(seed: int) -> list[list[Any]]:
    """By day, what a monitor says of a bad year, at random."""
    chance = Random(seed)  # noqa: S311 - a story, no secret
    said = []
    for day in range(DAYS):
        today: list[Any] = [block(day, auc=chance.uniform(0.6, 0.8)), block(day, NEW, auc=0.7), contest(day)]
        today += [alarm(day, subject=subject) for subject in ("brier", "auc") if chance.random() < 0.1]
        today += [drift(day, flagged=chance.random() < 0.4), drift(day, DriftKind.INPUT, flagged=chance.random() < 0.8)]
        said.append(today)
    return said


LIVELY = {
    "triggers": {"score": {"flagged": 2, "of": 3}, "floors": [FLOOR], "cron": "0 6 * * 1"},
    "cool_down": "2d",
    "per_day": 1,
    "per_month": 5,
}


def played(
    of: Endpoint, days_said: list[list[Any]], chance: Random | None = None, known: list[RetrainEvent] | None = None
) -> list[RetrainEvent]:
    """The events of a live run: each day's findings in some order, perhaps twice, then what is due; jobs are refused.

    known: events that stand on the topic already; then the run begins at its end, as after a restart.
    """
    ledger, events = ledger_of(of), list(known or ())
    for event in events:
        hear(ledger, event, retrained(event, None))
    for today in days_said:
        said = list(today)
        if chance is not None:
            said += chance.sample(said, chance.randrange(len(said)))
            chance.shuffle(said)
        hear(ledger, *said)
        while known is None and (found := due_of(of, ledger)) is not None:
            events.append(found)
            hear(ledger, found, retrained(found, None))
    while (last := due_of(of, ledger)) is not None:
        events.append(last)
        hear(ledger, last, retrained(last, None))
    return events


@settings(max_examples=10)
@given(st.integers(0, 10_000))
def test_order_within_a_block_and_repeats_do_not_matter(seed: int) -> None:
    """The same events, bit for bit."""
    of, said = retraining_endpoint(**LIVELY), story(seed)
    assert played(of, said) == played(of, said, Random(seed))  # noqa: S311


@settings(max_examples=10)
@given(st.integers(0, 10_000), st.integers(1, DAYS), st.integers(0, 6))
def test_a_restart_from_the_beginning_gives_the_same(seed: int, day: int, away: int) -> None:
    """Whatever stood on the topics when it died, up to six closings ago: those it missed are made up for, in turn."""
    of, said = retraining_endpoint(**LIVELY), story(seed)
    whole = played(of, said[:day])
    before = [event for event in whole if event.at_us <= closing(day - 1 - away)]
    assert played(of, said[:day], known=before) == whole


@settings(max_examples=10)
@given(st.integers(0, 10_000), st.integers(1, 3), st.integers(1, 6))
def test_never_more_than_the_budget(seed: int, per_day: int, per_month: int) -> None:
    """In any 24 hours, and in any 31 days; nor sooner than the cool-down after one another."""
    of = retraining_endpoint(**(LIVELY | {"per_day": per_day, "per_month": per_month, "cool_down": "8h"}))
    times = [event.at_us for event in played(of, story(seed))]
    for span_us, limit in ((DAY_US, per_day), (31 * DAY_US, per_month)):
        assert all(sum(start <= at < start + span_us for at in times) <= limit for start in times)
    assert len(times) > 1
