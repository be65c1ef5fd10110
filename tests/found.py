"""Findings of a monitor for tests of retraining: days of one model after another, and an endpoint that retrains it.

Day `n` is block n. It closes CLOSES_US after its end, in event time::

    day 0          day 1          day 2
    |--------------|--------------|--------------|
                       ^ closing(0)   ^ closing(1)
"""

from __future__ import annotations

from collections.abc import Iterable
from math import nan
from typing import Any

from endpoints import endpoint
from registers import AUTHOR, digest_of
from rendezvous.log.records import Record
from rendezvous.monitoring.findings import Accuracy, Alarm, AlarmKind, Contest, Drift, DriftKind, Span, Stage
from rendezvous.monitoring.limits import DAY_US, HOUR_US
from rendezvous.registry.changes import deployment
from rendezvous.registry.events import ControlEvent, Deployment, State
from rendezvous.registry.state import Control, Pair
from rendezvous.retraining.events import Outcome, Retrained, RetrainEvent
from rendezvous.retraining.ledger import Ledger
from rendezvous.retraining.limits import RetrainingLimits
from rendezvous.retraining.triggers import Surroundings
from rendezvous.settings import Endpoint
from rendezvous.wire import encode

FIRST_US = 15_706 * DAY_US
"""2013-01-01."""
CLOSES_US = 8 * HOUR_US
MODEL = "champion"
OLD, NEW, NEWER = (MODEL, "c1"), (MODEL, "c2"), (MODEL, "c3")
LABELS = 900
"""Of a day."""
CODE = "a" * 64
AROUND = Surroundings("retrainer tests", None, {}, (1_000,))
RETRAINING: dict[str, Any] = {"model": MODEL, "new_labels": 0, "cool_down": "1d", "per_day": 1, "per_month": 31}


def retraining_endpoint(**changes: object) -> Endpoint:
    """The test endpoint with days as blocks, its first model as the champion, and [retraining] with some parts."""
    return endpoint(
        aliases={"first": MODEL},
        schedule=[{"until_ms": 300, "models": ["first"]}, {"models": ["first", "challenger", "baseline"]}],
        monitoring={"champion": "first", "time": "ce_time", "label_delay": CLOSES_US},
        retraining=RETRAINING | changes,
    )


def limits_of(of: Endpoint) -> RetrainingLimits:
    """Its [retraining]."""
    assert of.retraining is not None
    return of.retraining


def start_of(day: int) -> int:
    """When a day begins."""
    return FIRST_US + day * DAY_US


def closing(day: int) -> int:
    """When a day's block closes."""
    return start_of(day + 1) + CLOSES_US


def block(
    day: int, pair: Pair = OLD, labelled: int = LABELS, stage: Stage = Stage.CLOSED, **figures: float
) -> Accuracy:
    """How a version did on a day."""
    figures = figures or {"auc": 0.75, "brier": 0.15}
    return Accuracy(
        *pair,
        span=Span.BLOCK,
        number=day,
        revision=0,
        stage=stage,
        start_us=start_of(day),
        end_us=start_of(day + 1),
        requests=1_000,
        labelled=labelled,
        never=20,
        delay_p50_us=HOUR_US,
        delay_p99_us=CLOSES_US,
        watermark_us=closing(day),
        figures=tuple(figures),
        values=tuple(figures.values()),
    )


def alarm(day: int, pair: Pair = OLD, kind: AlarmKind = AlarmKind.CONCEPT, subject: str = "brier") -> Alarm:
    """A detector that spoke at a day's closing."""
    return Alarm(kind, subject, *pair, "shiryaev-roberts", day, closing(day), 300.0, 200.0, ("temp",))


def drift(
    day: int, kind: DriftKind = DriftKind.SCORE, pair: Pair = OLD, *, flagged: bool = True, number: int | None = None
) -> Drift:
    """A window that ended with a day."""
    who = pair if kind is DriftKind.SCORE else ("", "")
    number = day if number is None else number
    end_us = start_of(day + 1)
    return Drift(
        kind, *who, number, start_of(day), end_us, 1_000, ("a", "b"), (0.3, 0.0), (1e-9, nan), (flagged, False)
    )


def contest(day: int, pair: Pair = NEW, champion: Pair = OLD, **changes: Any) -> Contest:  # noqa: ANN401 - any field
    """A version against the champion up to a day's closing; about as good without changes."""
    values: dict[str, Any] = {
        "blocks": 4,
        "labelled": 4 * LABELS,
        "better": 1.0,
        "worse": 1.0,
        "brier": 0.0,
        "brier_low": nan,
        "brier_high": nan,
        "log_loss": 0.0,
        "auc": 0.0,
        "auc_low": nan,
        "auc_high": nan,
        "mae": nan,
        "mae_low": nan,
        "mae_high": nan,
        "champion_mae": nan,
        "wins": 5,
        "losses": 5,
    }
    return Contest(*pair, *champion, number=day, at_us=closing(day), **(values | changes))


def retrained(event: RetrainEvent, pair: Pair | None = NEW) -> Retrained:
    """A job that made a version; without one, it was refused."""
    outcome = Outcome.REFUSED if pair is None else Outcome.REGISTERED
    return Retrained(event.key, outcome, MODEL, "" if pair is None else pair[1], (), 1, 2, "tests")


def genesis(of: Endpoint) -> list[ControlEvent]:
    """A first deployment of everything; the champion is OLD."""
    cards = {(model, OLD[1]): digest_of((model, OLD[1])) for model in of.models}
    return list(deployment(Control(), of, cards, AUTHOR).events)


def deployed(pair: Pair, state: State = State.ACTIVE) -> Deployment:
    """A version on control."""
    return Deployment(*pair, digest_of(pair), state, AUTHOR.by, AUTHOR.at_us)


def followed(ledger: Ledger, events: Iterable[ControlEvent]) -> Ledger:
    """The ledger after events of control, none of which may be refused."""
    for event in events:
        refusal = ledger.follow(Record("control", 0, ledger.control.position, 0, None, encode(event), ()))
        assert refusal is None, refusal
    return ledger


def ledger_of(of: Endpoint, *heard: Any) -> Ledger:  # noqa: ANN401 - findings, events, control's too
    """What is known after a first deployment and these messages."""
    ledger = followed(Ledger(of.monitoring), genesis(of))
    return hear(ledger, *heard)


def hear(ledger: Ledger, *heard: Any) -> Ledger:  # noqa: ANN401 - as above
    """The ledger after some more."""
    for message in heard:
        if isinstance(message, ControlEvent):
            followed(ledger, [message])
        else:
            ledger.hear(message)
    return ledger
