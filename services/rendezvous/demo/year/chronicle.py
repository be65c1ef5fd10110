"""What the loop did in the year: alarms, retrainings, verdicts and hand-offs, in event time. Pure.

Findings and retrain events carry event time. Control does not (whoever moves an alias looks at his own clock), so what
stands there is given the moment up to which the year had been replayed when it was heard.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rendezvous.demo.year.stream import WEEK_US
from rendezvous.monitoring.findings import Accuracy, Alarm, AlarmKind, Drift, DriftKind, Span, Stage
from rendezvous.registry.events import Cause, HandOff, Ruling, Verdict
from rendezvous.registry.state import Control, Pair
from rendezvous.retraining.events import Outcome, Retrained, RetrainEvent


@dataclass(frozen=True, slots=True)
class Moved:
    """The champion changed, at a moment of the year."""

    at_us: int
    pair: Pair
    cause: Cause


@dataclass(frozen=True, slots=True)
class Judged:
    """A verdict, and the moment of the year at which it was heard."""

    at_us: int
    verdict: Verdict


@dataclass(slots=True)
class Chronicle:
    """Everything that was heard, each thing once, in the order in which it was heard."""

    champion: str
    alarms: dict[tuple[object, ...], Alarm] = field(default_factory=dict)
    events: dict[str, RetrainEvent] = field(default_factory=dict)
    outcomes: dict[str, Retrained] = field(default_factory=dict)
    judged: list[Judged] = field(default_factory=list)
    moved: list[Moved] = field(default_factory=list)
    drift: dict[tuple[int, str], float] = field(default_factory=dict)
    """Effects on inputs by (begin of the window, feature)."""
    concluded_us: int = -1
    """The end of the last block that the monitor has closed."""

    def found(self, message: object) -> None:
        """A message of drift, accuracy or retrain."""
        match message:
            case Alarm():
                who = (message.kind, message.subject, message.model, message.version, message.detector)
                self.alarms.setdefault((*who, message.number), message)
            case Drift(kind=DriftKind.INPUT):
                for subject, effect in zip(message.subjects, message.effects, strict=True):
                    self.drift[message.start_us, subject] = effect
            case Accuracy(span=Span.BLOCK, stage=Stage.CLOSED):
                self.concluded_us = max(self.concluded_us, message.end_us)
            case RetrainEvent():
                self.events.setdefault(message.key, message)
            case Retrained():
                self.outcomes.setdefault(message.key, message)

    def controlled(self, event: object, control: Control, now_us: int) -> None:
        """An event of control, what control says since, and the moment of the year."""
        if control.refusal is not None:
            return
        match event:
            case Verdict():
                self.judged.append(Judged(now_us, event))
            case HandOff():
                self.moved += [
                    Moved(now_us, (move.model, move.version), event.cause)
                    for move in event.moves
                    if move.alias == self.champion
                ]

    @property
    def under_way(self) -> tuple[str, ...]:
        """Keys of the retrainings that have not ended: event time stands still for them."""
        return tuple(key for key in self.events if key not in self.outcomes)

    def speaks(self, now_us: int, cool_down_us: int) -> bool:
        """Whether an alarm may lead to a retraining: no event has dealt with it, no cool-down is in its way."""
        last_us = max((event.as_of_us for event in self.events.values()), default=-cool_down_us)
        return now_us >= last_us + cool_down_us and any(alarm.at_us > last_us for alarm in self.champion_alarms)

    @property
    def promotions(self) -> list[Moved]:
        """Hand-offs to a retrained version."""
        return [moved for moved in self.moved if moved.cause is Cause.PROMOTE]

    @property
    def rollbacks(self) -> list[Moved]:
        """Hand-offs to the version before."""
        return [moved for moved in self.moved if moved.cause is Cause.ROLLBACK]

    @property
    def concept_alarms(self) -> list[Alarm]:
        """Those that say that a model is stale; the others are about inputs, scores and data."""
        return [alarm for alarm in self.alarms.values() if alarm.kind is AlarmKind.CONCEPT]

    def champion_at(self, at_us: int) -> Pair | None:
        """Who was the champion at a moment of the year."""
        return next((moved.pair for moved in reversed(self.moved) if moved.at_us <= at_us), None)

    @property
    def champion_alarms(self) -> list[Alarm]:
        """Concept alarms about whoever was the champion then: the others are about versions in its shadow."""
        return [alarm for alarm in self.concept_alarms if (alarm.model, alarm.version) == self.champion_at(alarm.at_us)]

    @property
    def frozen_alarms(self) -> list[Alarm]:
        """Concept alarms about the first champion, whoever answered."""
        first = self.moved[0].pair if self.moved else None
        return [alarm for alarm in self.concept_alarms if (alarm.model, alarm.version) == first]

    @property
    def retrained(self) -> list[Retrained]:
        """Jobs that ran, whatever came of them: what a budget counts."""
        return list(self.outcomes.values())

    def count(self, outcome: Outcome) -> int:
        """Jobs that ended so."""
        return sum(retrained.outcome is outcome for retrained in self.outcomes.values())

    def ruled(self, ruling: Ruling) -> int:
        """Verdicts that said so."""
        return sum(judged.verdict.ruling is ruling for judged in self.judged)


def heat(
    drift: Mapping[tuple[int, str], float], features: Sequence[str], start_us: int, weeks: int
) -> NDArray[np.float64]:
    """[features, weeks]: the largest effect of each week's windows since the start, NaN where nothing was said."""
    rows = {name: row for row, name in enumerate(features)}
    grid = np.full((len(rows), weeks), np.nan)
    for (begin_us, feature), effect in drift.items():
        week = (begin_us - start_us) // WEEK_US
        if feature in rows and 0 <= week < weeks:
            grid[rows[feature], week] = np.fmax(grid[rows[feature], week], effect)
    return grid
