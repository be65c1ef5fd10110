"""The owner's rules at the closing of a block: which hold about the champion, and what they saw. Pure.

A rule sees only what has come since the last event, or since the end of its episode: nothing leads to two events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from math import isfinite
from typing import Any, TypeAlias

from rendezvous.monitoring.findings import Accuracy, Alarm, AlarmKind, DriftKind
from rendezvous.registry.state import Pair
from rendezvous.retraining.cron import tick_after
from rendezvous.retraining.ledger import Ledger
from rendezvous.retraining.limits import Floor, RetrainingLimits, Windows

CONCEPT, SCORE, INPUT, AGE, CODE, HAND = "concept drift", "score drift", "input drift", "age", "new code", "by hand"
"""Names of causes; a floor is its own name, e.g. `auc below 0.6`."""
WITHOUT_LABELS = (CODE, HAND)
"""Causes that need no new labels."""
MAX_SHOWN = 10
"""Alarms or windows of one cause in an event's evidence: the newest; their number is there too."""
INPUTS: Pair = ("", "")
"""Whose drift of inputs is."""

Evidence: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Moment:
    """The champion at a block's closing, and since when what is heard is new. code: of training as it is now, or None.

    champion_code: the one in the champion's card, None when that is not known.
    """

    ledger: Ledger
    limits: RetrainingLimits
    champion: Pair
    since_us: int
    at_us: int
    code: str | None = None
    champion_code: str | None = None


@dataclass(frozen=True, slots=True)
class Caught:
    """A rule that holds."""

    cause: str
    evidence: Evidence


def caught(moment: Moment) -> list[Caught]:
    """Every rule that holds, in the order of the document."""
    triggers = moment.limits.triggers
    rules: list[tuple[str, Callable[[Moment], Evidence | None]]] = []
    if triggers.concept:
        rules.append((CONCEPT, _concept))
    rules += [(floor.name, partial(_floor, floor)) for floor in triggers.floors]
    if triggers.score is not None:
        rules.append((SCORE, partial(_drift, triggers.score, DriftKind.SCORE, moment.champion)))
    if triggers.input is not None:
        rules.append((INPUT, partial(_drift, triggers.input, DriftKind.INPUT, INPUTS)))
    if triggers.cron is not None:
        rules.append((AGE, partial(_age, triggers.cron)))
    if triggers.code:
        rules.append((CODE, _code))
    found = ((cause, rule(moment)) for cause, rule in rules)
    return [Caught(cause, evidence) for cause, evidence in found if evidence is not None]


def _concept(moment: Moment) -> Evidence | None:
    alarms = moment.ledger.alarms_about(moment.champion, AlarmKind.CONCEPT, moment.since_us, moment.at_us)
    if not alarms:
        return None
    return {"alarms": len(alarms), "newest": [_told(alarm) for alarm in alarms[-MAX_SHOWN:]]}


def _told(alarm: Alarm) -> Evidence:
    return {
        "block": alarm.number,
        "subject": alarm.subject,
        "detector": alarm.detector,
        "value": alarm.value,
        "threshold": alarm.threshold,
        "moved": list(alarm.moved),
    }


def _floor(floor: Floor, moment: Moment) -> Evidence | None:
    """The last blocks are all on the wrong side, the newest of them is news, and the floor was left in between."""
    blocks = list(_usable(floor, moment.ledger.blocks_of(moment.champion, moment.at_us)))
    last = blocks[-floor.blocks :]
    if len(last) < floor.blocks or not all(floor.broken(value) for _, value in last):
        return None
    if moment.ledger.closing(last[-1][0]) <= moment.since_us:
        return None
    spoke_us = max(
        (e.at_us for e in moment.ledger.events_of(moment.limits.model) if floor.name in e.causes), default=-1
    )
    since = [value for block, value in blocks if moment.ledger.closing(block) > spoke_us]
    if spoke_us >= 0 and not any(floor.left(value) for value in since):
        return None
    return {
        "floor": floor.value,
        "blocks": [
            {"block": block.number, floor.metric: value, "labelled": block.labelled}
            for block, value in last[-MAX_SHOWN:]
        ],
    }


def _usable(floor: Floor, blocks: list[Accuracy]) -> Iterator[tuple[Accuracy, float]]:
    """Blocks with enough labels, and the figure."""
    for block in blocks:
        value = figure(block, floor.metric)
        if value is not None and block.labelled >= floor.labels:
            yield block, value


def figure(block: Accuracy, name: str) -> float | None:
    """A block's figure; None when it has none, or none that is a number (one class alone has no AUC)."""
    if name not in block.figures:
        return None
    value = block.values[block.figures.index(name)]
    return value if isfinite(value) else None


def _drift(windows: Windows, kind: DriftKind, who: Pair, moment: Moment) -> Evidence | None:
    last = moment.ledger.windows_of(kind, who, moment.since_us, moment.at_us)[-windows.of :]
    flagged = [(number, subjects) for number, _, subjects in last if subjects]
    if len(flagged) < windows.flagged:
        return None
    shown = [{"window": number, "flagged": list(subjects)} for number, subjects in flagged[-MAX_SHOWN:]]
    return {"flagged": len(flagged), "of": len(last), "newest": shown}


def _age(cron: str, moment: Moment) -> Evidence | None:
    """A tick lies behind us, since the last event or since anything was heard at all."""
    origin_us = moment.since_us if moment.since_us >= 0 else moment.ledger.rounds[0]
    tick_us = tick_after(cron, origin_us)
    return {"cron": cron, "tick_us": tick_us} if tick_us <= moment.at_us else None


def _code(moment: Moment) -> Evidence | None:
    """Another training code than the champion's, that no event has been written for yet."""
    if moment.code is None or moment.champion_code in (None, moment.code):
        return None
    events = moment.ledger.events_of(moment.limits.model)
    if any(CODE in event.causes and moment.code in event.evidence for event in events):
        return None
    return {"code_sha256": moment.code, "champion_code_sha256": moment.champion_code}
