"""`rendezvous retrain list`."""

from __future__ import annotations

import json

from found import (
    AROUND,
    NEW,
    OLD,
    alarm,
    block,
    closing,
    deployed,
    hear,
    ledger_of,
    limits_of,
    retrained,
    retraining_endpoint,
)
from rendezvous.registry.events import Rule, Ruling, Verdict
from rendezvous.retraining.episodes import EVENT_TIME
from rendezvous.retraining.events import RetrainEvent
from rendezvous.retraining.ledger import Ledger
from rendezvous.retraining.shown import listing
from rendezvous.retraining.triggers import due, request

OF = retraining_endpoint(new_labels=500, per_month=4)
LIMITS = limits_of(OF)


def lines(ledger: Ledger) -> list[str]:
    """What is printed."""
    return listing(ledger, LIMITS)


def first_event() -> RetrainEvent:
    """Of day 0."""
    event = due(ledger_of(OF, block(0), alarm(0)), LIMITS, closing(9), AROUND)
    assert event is not None
    return event


def test_nothing_yet() -> None:
    """A sentence says so."""
    assert lines(ledger_of(OF))[-1].startswith("nothing has been concluded yet")


def test_an_episode_from_event_to_verdict() -> None:
    """Waiting for the job, for the verdict, over; alarms that joined are counted."""
    event = first_event()
    ledger = ledger_of(OF, block(0), alarm(0), event)
    assert lines(ledger)[-1] == f"episode {event.key} is under way: waiting for its job"
    hear(ledger, deployed(NEW), retrained(event), block(1), alarm(1), block(2), alarm(2))
    said = lines(ledger)
    assert said[1].split() == [
        *(
            event.key,
            "2013-01-02",
            "08:00:00Z",
            "concept",
            "drift",
            "retrainer",
            "tests",
            "registered",
            "c2",
            "-",
            "-",
            "2",
        )
    ]
    assert said[-1] == f"episode {event.key} is under way: waiting for the verdict on champion/c2"
    verdict = Verdict(*NEW, Rule.REFRESH, Ruling.REJECTED, json.dumps({EVENT_TIME: closing(1)}), "retrainer", 1)
    said = lines(hear(ledger, verdict))
    assert "refresh: rejected" in said[1]
    assert said[1].endswith("2013-01-03 08:00:00Z  1")
    assert said[-1] == "no episode is under way; concept drift holds"


def test_what_an_event_does_not_know_and_why_a_job_failed() -> None:
    """A line for each, behind the event's key; a person's reason too."""
    ledger = ledger_of(OF, block(0))
    asked = request(ledger, LIMITS, "the airport moved", closing(0), AROUND)
    assert asked is not None
    said = lines(hear(ledger, asked, retrained(asked, None)))
    assert f"{asked.key}: asked for: the airport moved" in said
    assert f"{asked.key}: not known: labels of requests asked since 20130102T000000Z are immature" in said


def test_how_things_stand() -> None:
    """New labels, what is left of the budget, and what holds a rule back."""
    event = first_event()
    ledger = ledger_of(OF, block(0), event, retrained(event, None))
    said = lines(ledger)
    assert said[-2] == (
        "at the closing of 2013-01-02 08:00:00Z: 0 new labels, 500 are needed; "
        "budget left: 0 of 1 events in 24 hours, 3 of 4 events in 31 days"
    )
    assert said[-1] == "no episode is under way; no rule holds"
    hear(ledger, block(1, labelled=400), alarm(1, OLD))
    assert lines(ledger)[-1] == "no episode is under way; concept drift holds; held back by new labels: 400 of 500"
