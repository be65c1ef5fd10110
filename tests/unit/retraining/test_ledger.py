"""What is known: repeats add nothing, the first of a key stands, and memory is bounded."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from found import (
    AROUND,
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
)
from registers import AUTHOR
from rendezvous.log.records import Record
from rendezvous.monitoring.findings import DriftKind, Span, Stage
from rendezvous.registry.changes import Author, promotion, rollback
from rendezvous.registry.events import Cause, Rule, Ruling, State, Verdict
from rendezvous.retraining import ledger as ledger_module
from rendezvous.retraining.episodes import RETRAINER, under_way
from rendezvous.retraining.ledger import Ledger
from rendezvous.retraining.triggers import due

OF = retraining_endpoint()


def test_the_first_of_two_events_with_one_key_stands() -> None:
    """And the first of two outcomes: whoever reads later knows no other."""
    event = due(ledger_of(OF, block(0), alarm(0)), limits_of(OF), closing(9), AROUND)
    assert event is not None
    other = replace(event, by="a retrainer that had lost its place")
    ledger = ledger_of(OF, event, other, retrained(event), retrained(event, None))
    assert ledger.events[event.key].by == event.by
    assert ledger.outcomes[event.key].version == NEW[1]


def test_a_blocks_closing_is_heard_once() -> None:
    """Provisional figures, corrections and counts of requests are for people."""
    ledger = ledger_of(OF, block(0, auc=0.7), block(0, auc=0.6), block(0, auc=0.5, stage=Stage.CORRECTED))
    (known,) = ledger.blocks_of(OLD, closing(0))
    assert known.values == (0.7,)
    assert ledger_of(OF, replace(block(0), span=Span.COUNT), block(1, stage=Stage.PROVISIONAL)).rounds == []


def test_event_time_is_the_latest_that_was_heard_of() -> None:
    """Whoever spoke of it; it never falls."""
    ledger = ledger_of(OF, alarm(3), block(0), contest(2))
    assert ledger.watermark_us == closing(3)
    assert hear(ledger, block(9, stage=Stage.PROVISIONAL)).watermark_us == closing(9)


def test_order_does_not_matter() -> None:
    """What is asked of it has the same answer."""
    heard = [alarm(day, subject=subject) for day in range(5) for subject in ("auc", "brier")]
    heard += [message for day in range(5) for message in (block(day), block(day, NEW), drift(day), contest(day))]  # type: ignore[misc]
    shuffled = list(heard)
    Random(1).shuffle(shuffled)  # noqa: S311 - an order, no secret
    one, other = ledger_of(OF, *heard), ledger_of(OF, *shuffled)
    assert one.rounds == other.rounds == [closing(day) for day in range(5)]
    assert one.blocks_of(OLD, closing(3)) == other.blocks_of(OLD, closing(3))
    assert one.contests == other.contests
    assert one.windows_of(DriftKind.SCORE, OLD, -1, closing(9)) == other.windows_of(
        DriftKind.SCORE, OLD, -1, closing(9)
    )


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest are kept, in whatever order they came."""
    for name in ("KEPT_BLOCKS", "KEPT_ALARMS", "KEPT_WINDOWS"):
        monkeypatch.setattr(ledger_module, name, 3)
    days = [4, 0, 3, 1, 2]
    ledger = ledger_of(OF, *(message for day in days for message in (block(day), alarm(day), drift(day))))
    assert [found.number for found in ledger.blocks_of(OLD, closing(9))] == [2, 3, 4]
    assert [found.number for found in ledger.alarms_about(OLD, alarm(0).kind, -1, closing(9))] == [2, 3, 4]
    assert [found[0] for found in ledger.windows_of(DriftKind.SCORE, OLD, -1, closing(9))] == [2, 3, 4]


def test_reigns() -> None:
    """Who was champion after whom; moves of other aliases are none."""
    ledger = ledger_of(OF, deployed(NEW))
    hear(ledger, promotion(ledger.control, OF, "first", NEW, (), AUTHOR))
    hear(ledger, rollback(ledger.control, "first", AUTHOR))
    assert [(reign.pair, reign.before, reign.cause) for reign in ledger.reigns] == [
        (OLD, None, Cause.DEPLOY),
        (NEW, OLD, Cause.PROMOTE),
        (OLD, NEW, Cause.ROLLBACK),
    ]
    assert ledger.has_reigned(NEW)


def test_what_control_refuses_is_no_news() -> None:
    """A verdict on who is not deployed, and rubbish."""
    ledger = ledger_of(OF)
    revision = ledger.revision
    refusal = ledger.follow(Record("control", 0, ledger.control.position, 0, None, b"rubbish", ()))
    assert refusal is not None
    with pytest.raises(AssertionError, match="not deployed"):
        hear(ledger, Verdict(*NEW, Rule.REFRESH, Ruling.REJECTED, "{}", "x", 1))
    assert (ledger.revision, ledger.verdicts) == (revision, {})


def test_the_retrainers_own_promotion_is_under_way_until_its_verdict_stands() -> None:
    """Killed between the two, it must not look at closings that its verdict will deal with; a person's is over."""
    event = due(ledger_of(OF, block(0), alarm(0)), limits_of(OF), closing(9), AROUND)
    assert event is not None
    for by, over in ((f"{RETRAINER}x", False), ("ada", True)):
        ledger = ledger_of(OF, block(0), event, deployed(NEW), retrained(event))
        hear(ledger, promotion(ledger.control, OF, "first", NEW, (), Author(by, 1)))
        assert (under_way(ledger, MODEL) is None) == over


def test_a_persons_deed_is_at_its_time_where_requests_go_by_the_brokers_clock() -> None:
    """Then what spoke before it joined the episode."""
    live = retraining_endpoint()
    live = live.model_copy(update={"monitoring": live.monitoring.model_copy(update={"time": "append"})})
    event = due(ledger_of(live, block(0), alarm(0)), limits_of(live), closing(9), AROUND)
    assert event is not None
    heard = [block(0), event, deployed(NEW), retrained(event), *(block(day) for day in (1, 2, 3)), alarm(2)]
    stopped = replace(deployed(NEW, State.PAUSED), at_us=closing(3))
    for of, expected in ((live, None), (OF, closing(2))):
        found = due(ledger_of(of, *heard, stopped), limits_of(of), closing(9), AROUND)
        assert (None if found is None else found.at_us) == expected


def test_nothing_known() -> None:
    """An empty ledger answers all the same."""
    ledger = Ledger(OF.monitoring)
    assert (ledger.champion, ledger.rounds, ledger.widest_blocks(1), ledger.events_of(MODEL)) == (None, [], [], [])
