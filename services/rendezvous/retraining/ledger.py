"""All that the retrainer has heard: a fold over accuracy, drift, retrain and control, the same in whatever order.

Findings are known by what they are about, events and their outcomes by the event's key: a repeat adds nothing, and of
two events or outcomes with one key the first on the log stands. Memory is bounded by the KEPT constants.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from rendezvous.log.records import Record
from rendezvous.messages import Finding
from rendezvous.monitoring.findings import Accuracy, Alarm, AlarmKind, Contest, Drift, DriftKind, Span, Stage
from rendezvous.monitoring.limits import MonitoringLimits
from rendezvous.registry.events import Cause, Deployment, HandOff, Rule, Ruling, State, Suspension, Verdict
from rendezvous.registry.fold import KINDS, folded
from rendezvous.registry.state import Control, Pair
from rendezvous.retraining.events import Retrained, RetrainEvent
from rendezvous.wire import decode_any

KEPT_BLOCKS = 4_000
"""Closed blocks of one version: ten years of days, or five months of hours; 1 kB each."""
KEPT_ALARMS = 10_000
KEPT_WINDOWS = 1_000
"""Drift windows of one kind and version: as many as a rule can ask for."""

Heard: TypeAlias = Finding | RetrainEvent | Retrained
"""What stands on accuracy, drift and retrain."""
Window: TypeAlias = tuple[int, int, tuple[str, ...]]
"""Number, end, flagged subjects."""


@dataclass(frozen=True, slots=True)
class Reign:
    """A version became the champion: after whom, by which cause and writer, and when by the writer's clock."""

    pair: Pair
    before: Pair | None
    cause: Cause
    by: str
    at_us: int


class Ledger:
    """What is known of one endpoint; `hear` and `follow` add to it."""

    def __init__(self, monitoring: MonitoringLimits) -> None:
        self.monitoring = monitoring
        self.control = Control()
        self.watermark_us = 0
        """The latest event time that anything heard of speaks of."""
        self.revision = 0
        """Grows with whatever may change a conclusion."""
        self.events: dict[str, RetrainEvent] = {}
        self.outcomes: dict[str, Retrained] = {}
        self.verdicts: dict[Pair, Verdict] = {}
        """On candidates: the first that is no proposal stands."""
        self.harms: dict[Pair, Verdict] = {}
        """On champions: the last word."""
        self.reigns: list[Reign] = []
        self.stopped_us: dict[Pair, int] = {}
        """When a version was last paused or retired, by the writer's clock."""
        self.contests: dict[tuple[Pair, Pair], Contest] = {}
        """The newest of each version against each champion."""
        self._rounds: list[int] = []
        self._rounds_of = 0
        self._failed: dict[tuple[int, Pair], float] = {}
        self._blocks: dict[Pair, dict[int, Accuracy]] = {}
        self._alarms: dict[tuple[str, ...], Alarm] = {}
        self._windows: dict[tuple[DriftKind, Pair], dict[int, Window]] = {}

    # ---------------------------------------------------------------------------------------------------- findings

    def hear(self, message: Heard) -> None:
        """Take in what stands on accuracy, drift or retrain."""
        match message:
            case Accuracy():
                self._hear_accuracy(message)
            case Drift():
                self._hear_drift(message)
            case Alarm():
                known = (message.kind, message.subject, message.model, message.version, message.detector)
                self._alarms.setdefault((*known, str(message.number)), message)
                self._passed(message.at_us)
                _forget_oldest(self._alarms, KEPT_ALARMS)
                self.revision += 1
            case Contest():
                self._hear_contest(message)
            case RetrainEvent():
                self.events.setdefault(message.key, message)
                self.revision += 1
            case Retrained():
                self.outcomes.setdefault(message.key, message)
                self.revision += 1

    def _passed(self, at_us: int) -> None:
        self.watermark_us = max(self.watermark_us, at_us)

    def _hear_accuracy(self, found: Accuracy) -> None:
        self._passed(found.watermark_us)
        if found.span is not Span.BLOCK or found.stage is not Stage.CLOSED:
            return  # a block's closing is said once: corrections never take an alarm back, nor a block's figure here
        blocks = self._blocks.setdefault((found.model, found.version), {})
        blocks.setdefault(found.number, found)
        if len(blocks) > KEPT_BLOCKS:
            del blocks[min(blocks)]
        self.revision += 1

    def _hear_drift(self, found: Drift) -> None:
        self._passed(found.end_us)
        if found.kind not in (DriftKind.SCORE, DriftKind.INPUT):
            return
        windows = self._windows.setdefault((found.kind, (found.model, found.version)), {})
        flagged = tuple(name for name, is_flagged in zip(found.subjects, found.flagged, strict=True) if is_flagged)
        windows.setdefault(found.number, (found.number, found.end_us, flagged))
        if len(windows) > KEPT_WINDOWS:
            del windows[min(windows)]

    def _hear_contest(self, found: Contest) -> None:
        self._passed(found.at_us)
        sides = (found.model, found.version), (found.champion_model, found.champion_version)
        known = self.contests.get(sides)
        if known is None or found.number >= known.number:
            self.contests[sides] = found
            self.revision += 1

    # ----------------------------------------------------------------------------------------------------- control

    def follow(self, record: Record) -> str | None:
        """Take in a record of control; what it was refused for, or None."""
        champion, self.control = self.champion, folded(self.control, [record])
        if self.control.refusal is None:
            self._note(decode_any(record.value, KINDS), champion)
            self.revision += 1
        return self.control.refusal

    def _note(self, event: object, before: Pair | None) -> None:
        match event:
            case Verdict(rule=Rule.HARM):
                self.harms[event.model, event.version] = event
            case Verdict():
                known = self.verdicts.get((event.model, event.version))
                if known is None or known.ruling is Ruling.PROPOSED:
                    self.verdicts[event.model, event.version] = event
            case HandOff():
                champion = self.champion
                if champion is not None and champion != before:
                    self.reigns.append(Reign(champion, before, event.cause, event.by, event.at_us))
            case Deployment():
                if event.state is not State.ACTIVE:
                    self.stopped_us[event.model, event.version] = event.at_us
            case Suspension():
                key = event.partition, (event.model, event.version)
                self._failed[key] = event.failed if event.suspended else 0.0

    @property
    def champion(self) -> Pair | None:
        """Who answers first, by the alias that challengers are compared with."""
        return self.control.aliases.get(self.monitoring.champion)

    # --------------------------------------------------------------------------------------------------- questions

    @property
    def rounds(self) -> list[int]:
        """When blocks closed, in event time: the moments at which something can be concluded."""
        if self._rounds_of != self.revision:  # asked for at every turn, and long after a year
            self._rounds = sorted(
                {self.closing(block) for blocks in self._blocks.values() for block in blocks.values()}
            )
            self._rounds_of = self.revision
        return self._rounds

    def closing(self, block: Accuracy) -> int:
        """When a block closed."""
        return block.end_us + self.monitoring.label_delay

    def blocks_of(self, pair: Pair, until_us: int) -> list[Accuracy]:
        """A version's blocks that had closed by then, in their order."""
        blocks = self._blocks.get(pair, {})
        return [blocks[number] for number in sorted(blocks) if self.closing(blocks[number]) <= until_us]

    def widest_blocks(self, until_us: int) -> list[Accuracy]:
        """Of each block that had closed by then, whoever was scored and labelled most, in their order."""
        widest: dict[int, Accuracy] = {}
        for blocks in self._blocks.values():
            for number, block in blocks.items():
                if self.closing(block) <= until_us and block.labelled >= widest.get(number, block).labelled:
                    widest[number] = block
        return [widest[number] for number in sorted(widest)]

    def alarms_about(self, pair: Pair, kind: AlarmKind, after_us: int, until_us: int) -> list[Alarm]:
        """A version's alarms of a kind in (after_us, until_us], in an order of their own."""
        found = (
            alarm
            for alarm in self._alarms.values()
            if alarm.kind is kind and (alarm.model, alarm.version) == pair and after_us < alarm.at_us <= until_us
        )
        return sorted(found, key=lambda alarm: (alarm.at_us, alarm.subject, alarm.detector, alarm.number))

    def windows_of(self, kind: DriftKind, pair: Pair, after_us: int, until_us: int) -> list[Window]:
        """Drift windows that ended in (after_us, until_us], in their order."""
        windows = self._windows.get((kind, pair), {})
        return [windows[number] for number in sorted(windows) if after_us < windows[number][1] <= until_us]

    def failing_on(self, pair: Pair, share: float) -> list[int]:
        """Partitions on which a version is passed by because it failed on at least this share of requests."""
        found = (number for (number, who), failed in self._failed.items() if who == pair and failed >= share)
        return sorted(number for number in found if pair in self.control.suspended.get(number, ()))

    def has_reigned(self, pair: Pair) -> bool:
        """Whether a version is the champion, or was."""
        return any(reign.pair == pair for reign in self.reigns)

    def made(self, model: str) -> Iterator[tuple[RetrainEvent, Pair]]:
        """Events whose job made a version, and that version, in the order of the events."""
        for event in self.events_of(model):
            outcome = self.outcomes.get(event.key)
            if outcome is not None and outcome.version:
                yield event, (outcome.model, outcome.version)

    def events_of(self, model: str) -> list[RetrainEvent]:
        """A model's events by their time."""
        return sorted((event for event in self.events.values() if event.model == model), key=lambda e: (e.at_us, e.key))


def _forget_oldest(alarms: dict[tuple[str, ...], Alarm], limit: int) -> None:
    if len(alarms) > limit:
        del alarms[min(alarms, key=lambda known: alarms[known].at_us)]


def heard(ledger: Ledger, messages: Iterable[Heard]) -> Ledger:
    """The ledger after some messages."""
    for message in messages:
        ledger.hear(message)
    return ledger
