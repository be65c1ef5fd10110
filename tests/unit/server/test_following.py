"""Control as a server follows it: what it takes, and what leaves everything as it was."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from endpoints import VERSIONS, endpoint, genesis, plan_of
from rendezvous.log.records import Record
from rendezvous.registry.events import Cause, ControlEvent, Deployment, HandOff, Move, RulesChange, State
from rendezvous.registry.state import Control
from rendezvous.server.following import followed
from rendezvous.server.plan import plan_for
from rendezvous.wire import encode

ENDPOINT = endpoint()
TOPIC = ENDPOINT.topic("control")


def records(*events: ControlEvent | bytes, start: int = 0) -> list[Record]:
    """Control's records from a position on."""
    values = [event if isinstance(event, bytes) else encode(event) for event in events]
    return [Record(TOPIC, 0, offset, 0, None, value, ()) for offset, value in enumerate(values, start)]


def begun() -> Control:
    """Control after the first deployment."""
    control, refusals = followed(ENDPOINT, Control(), records(*genesis(ENDPOINT)))
    assert refusals == []
    return control


def rules(**changes: Any) -> RulesChange:  # noqa: ANN401 - parts of a document
    """Rules with parts replaced, whether they hold or not."""
    return RulesChange(json.dumps(ENDPOINT.rules.model_dump(mode="json") | changes), by="tests", at_us=0)


def hand_off(model: str, version: str, seen: int = 99) -> HandOff:
    """An alias moves."""
    return HandOff((Move("first", model, version),), Cause.PROMOTE, (), seen, by="tests", at_us=0)


def test_the_first_deployment() -> None:
    """Versions, then rules: a plan."""
    assert plan_for(ENDPOINT, begun(), 0).policy == plan_of(ENDPOINT).policy


def test_all_at_once_or_one_by_one() -> None:
    """How many records a poll brings makes no difference."""
    news = records(*genesis(ENDPOINT), b"rubbish", hand_off("candidate", "n1"), rules(deadline_ms=500))
    control = Control()
    for record in news:
        control, _ = followed(ENDPOINT, control, [record])
    assert control == followed(ENDPOINT, Control(), news)[0]


REFUSED: dict[str, tuple[ControlEvent | bytes, str]] = {
    "garbage": (b"\x00\x01\x02", "schema"),
    "nothing": (b"", "schema"),
    "half an event": (encode(hand_off("champion", "c1"))[:-3], "unreadable"),
    "an alias to nobody": (hand_off("champion", "c9"), "cannot name champion/c9: it is not deployed"),
    "another artefact": (Deployment("champion", "c1", "other", State.ACTIVE, "tests", 0), "immutable"),
    "rules that are none": (RulesChange("{", by="tests", at_us=0), "rules do not hold"),
    "no steps": (rules(schedule=[]), "rules do not hold"),
    "an unknown policy": (
        rules(schedule=[{"models": ["champion"], "policy": "guess"}]),
        "rules do not hold: .*policy 'guess' is unknown",
    ),
    "split without weights": (rules(schedule=[{"models": ["champion"], "policy": "split"}]), "needs weights"),
    "another width": (rules(default=[0.5, 0.5]), "cannot change its width"),
    "a deadline beyond all time": (rules(deadline_ms=10**17), "rules do not hold"),
    "a step beyond all time": (
        rules(schedule=[{"models": ["champion"], "until_ms": 10**17}, {"models": ["champion"]}]),
        "rules do not hold",
    ),
}


@pytest.mark.parametrize(("event", "refusal"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_hold_changes_nothing_but_the_position(event: ControlEvent | bytes, refusal: str) -> None:
    """It is named with its place; the plan is the same; what comes after it is taken."""
    before = begun()
    after, (told,) = followed(ENDPOINT, before, records(event, start=before.position))
    assert told.startswith(f"{TOPIC}@{before.position}: ")
    assert re.search(refusal, told)
    assert after.position == before.position + 1
    assert not plan_for(ENDPOINT, after, 0).changes(plan_for(ENDPOINT, before, 0))
    assert plan_for(ENDPOINT, after, 0).policy == plan_for(ENDPOINT, before, 0).policy
    later, refusals = followed(ENDPOINT, after, records(rules(default=[0.5]), start=after.position))
    assert refusals == []
    assert plan_for(ENDPOINT, later, 0).policy != plan_for(ENDPOINT, before, 0).policy


def test_versions_after_refused_rules() -> None:
    """Rules of a newer server stay refused, and hide nothing that stands after them."""
    before = begun()
    newer = rules(schedule=[{"models": ["champion"], "policy": "guess"}])
    deployed = Deployment("champion", "c9", "x", State.ACTIVE, "tests", 0)
    after, refusals = followed(ENDPOINT, before, records(newer, deployed, start=before.position))
    assert len(refusals) == 1
    assert plan_for(ENDPOINT, after, 0).steps[0].pairs == (("champion", "c9"),)
    assert after.position == before.position + 2


def test_no_news() -> None:
    """Nothing changes."""
    before = begun()
    assert followed(ENDPOINT, before, []) == (before, [])
    assert tuple(VERSIONS.items()) == before.deployed


@pytest.mark.parametrize("count", [1_000, 100_000])
def test_an_event_as_large_as_kafka_takes(count: int) -> None:
    """Rules with more names than there can be models are refused, most of them unread, with a short word."""
    before = begun()
    control, refusals = followed(ENDPOINT, before, records(rules(expected=["champion"] * count), start=before.position))
    assert control.rules == before.rules
    (refusal,) = refusals
    assert len(refusal) < 1_000
