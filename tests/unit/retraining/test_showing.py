"""Where a retrainer stands, as gauges."""

from __future__ import annotations

from found import (
    AROUND,
    NEW,
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
from rendezvous.retraining.events import RetrainEvent
from rendezvous.retraining.ledger import Ledger
from rendezvous.retraining.showing import show
from rendezvous.retraining.triggers import due
from rendezvous.telemetry import RetrainerMetrics, Telemetry

OF = retraining_endpoint(new_labels=500, per_month=1)
LIMITS = limits_of(OF)
MODEL = LIMITS.model


def first_event() -> RetrainEvent:
    """Of day 0."""
    event = due(ledger_of(OF, block(0), alarm(0)), LIMITS, closing(9), AROUND)
    assert event is not None
    return event


class Page:
    """What is shown of a ledger, again and again."""

    def __init__(self) -> None:
        self._telemetry = Telemetry()
        self._metrics = RetrainerMetrics(self._telemetry.registry)

    def show(self, ledger: Ledger) -> None:
        """As it stands."""
        show(ledger, LIMITS, AROUND, self._metrics)

    def value(self, name: str, **labels: str) -> float | None:
        """One sample."""
        return self._telemetry.registry.get_sample_value(f"rendezvous_retrainer_{name}", labels)

    def waits_for(self) -> set[str]:
        """What is waited for."""
        return {
            what for what in ("job", "verdict", "person") if self.value("episode_waits", model=MODEL, waits_for=what)
        }


def test_nothing_yet() -> None:
    """No rows of what is not there."""
    page = Page()
    page.show(ledger_of(OF))
    assert page.waits_for() == set()
    assert page.value("budget_left", model=MODEL, span="day") is None
    assert page.value("last_event_timestamp_seconds", model=MODEL) is None


def test_an_episode_from_event_to_verdict() -> None:
    """Job, verdict, person, over; the candidate is named while it awaits something."""
    page, event = Page(), first_event()
    ledger = ledger_of(OF, block(0), alarm(0), event)
    page.show(ledger)
    assert page.waits_for() == {"job"}
    assert page.value("last_event_timestamp_seconds", model=MODEL) == event.at_us / 1e6
    outcome = retrained(event)
    hear(ledger, deployed(NEW), outcome)
    page.show(ledger)
    assert page.waits_for() == {"verdict"}
    assert page.value("last_job_end_timestamp_seconds", model=MODEL, outcome="registered") == outcome.ended_us / 1e6
    who = {"model": NEW[0], "version": NEW[1]}
    assert page.value("candidate_info", rule="replace", **who) == 1
    hear(ledger, Verdict(*NEW, Rule.REPLACE, Ruling.PROPOSED, "{}", "tests", 0))
    page.show(ledger)
    assert page.waits_for() == {"person"}
    hear(ledger, Verdict(*NEW, Rule.REPLACE, Ruling.PROMOTED, "{}", "tests", 0))
    page.show(ledger)
    assert page.waits_for() == set()
    assert page.value("candidate_info", rule="replace", **who) is None


def test_what_holds_a_rule_back_is_told() -> None:
    """A rule that holds, too few labels, and a budget that is used up."""
    page, event = Page(), first_event()
    page.show(ledger_of(OF, block(0), alarm(0)))
    assert page.value("cause_holds", model=MODEL, cause="concept drift") == 1
    assert page.value("held_back", model=MODEL, reason="budget") == 0
    assert page.value("budget_left", model=MODEL, span="month") == 1
    ledger = ledger_of(OF, block(0), alarm(0), event, deployed(NEW), retrained(event))
    hear(ledger, Verdict(*NEW, Rule.REPLACE, Ruling.REJECTED, "{}", "tests", 0), block(1), block(20), alarm(20))
    page.show(ledger)
    assert page.value("budget_left", model=MODEL, span="month") == 0
    assert page.value("held_back", model=MODEL, reason="budget") == 1
