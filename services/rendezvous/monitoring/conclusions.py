"""What follows when the watermark passes the end of a block, and when it passes its closing. Pure.

| the watermark passes  | what follows                                                                              |
|-----------------------|-------------------------------------------------------------------------------------------|
| a 24th of a block     | provisional records of open blocks, corrected ones of closed blocks where labels came     |
| a block's end         | its traffic is complete: with rows enough, a window is held against the references        |
| a block's closing     | its closed record; detectors; count windows; the champion against every other version     |
| 20 label delays on    | it is forgotten: a label that comes now is counted, and corrects nothing                  |
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Self, TypeAlias

import numpy as np

from rendezvous.monitoring.blocks import Block, Calendar
from rendezvous.monitoring.concept import Crossed
from rendezvous.monitoring.contest import Contest
from rendezvous.monitoring.drifting import DriftWatch, Moves, drifted_by_kind
from rendezvous.monitoring.findings import Accuracy, Alarm, AlarmKind, Drift, DriftKind, Stage
from rendezvous.monitoring.findings import Contest as Compared
from rendezvous.monitoring.histograms import Histogram
from rendezvous.monitoring.limits import MonitoringLimits
from rendezvous.monitoring.sheets import Judging, Sheet
from rendezvous.monitoring.telling import Of, accuracy, between_models, compared, counted, drift
from rendezvous.monitoring.traffic import Traffic
from rendezvous.monitoring.waiting import Pair
from rendezvous.monitoring.watches import References, Watches
from rendezvous.monitoring.windows import CountWindow, TrafficWindow

STEPS = 24
"""Provisional records of a block, at most, until its end: for a day it is one an hour."""
KEPT_DELAYS, KEPT_BLOCKS = 20, 2
"""How long a closed block can be corrected: so many label delays (a week, where they are eight hours), or blocks."""
SEED = 2013
"""Of resampling: the same blocks give the same interval."""
ALARMS: Mapping[DriftKind, AlarmKind] = {
    DriftKind.INPUT: AlarmKind.INPUT,
    DriftKind.SCORE: AlarmKind.SCORE,
    DriftKind.MISSING: AlarmKind.QUALITY,
    DriftKind.RANGE: AlarmKind.QUALITY,
    DriftKind.UNSEEN: AlarmKind.QUALITY,
}
Concluded: TypeAlias = list[Accuracy | Drift | Alarm | Compared]
NOBODY: Pair = ("", "")


class Conclusions:
    """Detectors, windows and contests of one endpoint: all that goes from one block to the next."""

    def __init__(self, limits: MonitoringLimits, judging: Judging, reference_of: References) -> None:
        self._limits, self._judging = limits, judging
        self.watches = Watches(limits, judging, reference_of)
        self._calendar = Calendar.of(limits)
        self._step_us = max(limits.block // STEPS, 1)
        self._mark = -(1 << 62)
        self._drawn_us = -(1 << 62)
        self._window = TrafficWindow()
        self._moved: tuple[str, ...] = ()
        self._counts: dict[Pair, CountWindow] = {}
        self._contests: dict[tuple[Pair, Pair], Contest] = {}
        self.quarantined = 0

    def over(self, number: int) -> bool:
        """Whether a block's end was passed: a first request of it comes too late."""
        return self._calendar.end_us(number) <= self._drawn_us

    def retain(self, deployed: Collection[Pair], champions: Collection[Pair | None]) -> None:
        """Forget versions that are not there any more, and contests with who is no champion of any open block."""
        self.watches.retain(deployed)
        for pair in [pair for pair in self._counts if pair not in deployed]:
            del self._counts[pair]
        for pair, champion in list(self._contests):
            if pair not in deployed or champion not in champions:
                del self._contests[pair, champion]

    def draw(self, blocks: dict[int, Block], mark_us: int) -> Concluded:
        """All that follows from the watermark's having come to `mark_us`; forgotten blocks are removed."""
        told: Concluded = []
        calendar = self._calendar
        ends = [(calendar.end_us(n), 0, n) for n, block in blocks.items() if not block.ended]
        closings = [(calendar.closing_us(n) + 1, 1, n) for n, block in blocks.items() if block.closed is None]
        for due_us, closes, number in sorted(ends + closings):
            if due_us <= mark_us:
                told += self._pass_rows(due_us)
                told += self._close(blocks[number]) if closes else self._end(blocks[number])
        told += self._pass_rows(mark_us)
        if mark_us // self._step_us > self._mark:
            self._mark = mark_us // self._step_us
            told += self._provisional(blocks, mark_us)
        kept_us = max(KEPT_DELAYS * self._limits.label_delay, KEPT_BLOCKS * self._limits.block)
        for number in [number for number in blocks if calendar.closing_us(number) + kept_us < mark_us]:
            del blocks[number]
        self._drawn_us = mark_us
        return told

    def _pass_rows(self, before_us: int) -> list[Alarm]:
        return [
            _alarm(AlarmKind.CONCEPT, pair, self._number_of(spoken.at_us), spoken.at_us, spoken.crossed, self._moved)
            for pair, spoken in self.watches.pass_rows(before_us)
        ]

    def _number_of(self, at_us: int) -> int:
        return int(self._calendar.numbers(np.array([at_us]))[0])

    def _provisional(self, blocks: Mapping[int, Block], mark_us: int) -> Concluded:
        told: Concluded = []
        last = self._last_revision
        for number, block in sorted(blocks.items()):
            if block.closed is None:
                revision = min(max((mark_us - self._calendar.start_us(number)) // self._step_us, 0), last - 1)
                told += self._accuracy(block, block.together(), Stage.PROVISIONAL, revision, mark_us)
            elif block.changed:
                block.changed = False
                block.corrections += 1
                told += self._accuracy(block, block.together(), Stage.CORRECTED, last + block.corrections, mark_us)
        return told

    @property
    def _last_revision(self) -> int:
        """Of the closed record: more than any provisional one's, and the same however often these were told."""
        return (self._limits.block + self._limits.label_delay) // self._step_us + 2

    def _accuracy(self, block: Block, sheet: Sheet, stage: Stage, revision: int, mark_us: int) -> list[Accuracy]:
        return [
            accuracy(pair, block.number, revision, stage, mine.scored, sheet, self._calendar, mark_us)
            for pair, mine in block.traffic.models.items()
            if mine.scored
        ]

    def _end(self, block: Block) -> Concluded:
        block.ended = True
        self._window.add(block.number, block.traffic)
        block.traffic.slim()
        number, first, last = self._window.number, self._window.first, self._window.last
        traffic = self._window.take(self._limits.window)
        if traffic is None:
            return []
        of = Of(number, self._calendar.start_us(first), self._calendar.end_us(last), traffic.rows)
        return [*self._drift(traffic, of), *between_models(of, traffic)]

    def _drift(self, traffic: Traffic, of: Of) -> Concluded:
        """Inputs against the champion's reference, scores against each version's own."""
        told: Concluded = []
        champion = traffic.champion
        reference = self.watches.reference_of(champion)
        if reference is not None and champion is not None and traffic.seen:
            known = {name: sketch.histogram for name, sketch in reference.features.items()}
            told += self._held(NOBODY, self.watches.inputs(champion, reference), known, traffic.inputs, of)
        for pair, mine in traffic.models.items():
            theirs = self.watches.reference_of(pair)
            if theirs is not None and mine.outputs:
                known = {name: sketch.histogram for name, sketch in theirs.outputs.items()}
                told += self._held(pair, self.watches.scores(pair, theirs), known, mine.outputs, of)
        return told

    def _held(
        self,
        pair: Pair,
        watch: DriftWatch,
        known: Mapping[str, Histogram],
        window: Mapping[str, Histogram],
        of: Of,
    ) -> Concluded:
        """A window against a reference: inputs when `pair` is nobody, else that version's scores."""
        found = drifted_by_kind(known, window, scores=pair != NOBODY)
        moves = {kind: Moves.of(findings, known, window) for kind, findings in found.items()}
        moved = {kind: [watch.moved(kind, one, moves[kind]) for one in findings] for kind, findings in found.items()}
        if pair == NOBODY:
            names = [f.name for kind, all_of in found.items() for f, m in zip(all_of, moved[kind], strict=True) if m]
            self._moved = tuple(dict.fromkeys(names))
        told: Concluded = []
        for kind, findings in found.items():
            told.append(drift(kind, pair, of, findings, moved[kind]))
            for crossed in watch.update(kind, findings, moves[kind]):
                told.append(_alarm(ALARMS[kind], pair, of.number, of.end_us, crossed, self._moved))
        return told

    def _close(self, block: Block) -> Concluded:
        self.quarantined += block.close(self._limits.source_share)
        sheet = block.closed or block.together()
        at_us = self._calendar.closing_us(block.number)
        told: Concluded = []
        for pair, mine in block.traffic.models.items():
            if pair in sheet.tallies:
                crossed = self.watches.heed(pair, sheet.tallies[pair])
                told += [_alarm(AlarmKind.CONCEPT, pair, block.number, at_us, one, self._moved) for one in crossed]
            told += self._count(pair, block.number, mine.scored, sheet)
        told = [*self._accuracy(block, sheet, Stage.CLOSED, self._last_revision, at_us), *told]
        if block.champion is not None:
            for pair, paired in sheet.pairs.items():
                told += self._compare(pair, block.champion, block.number, paired)
        sheet.pairs.clear()
        return told

    def _count(self, pair: Pair, number: int, requests: int, sheet: Sheet) -> list[Accuracy]:
        window = self._counts.setdefault(pair, CountWindow.of(self._judging))
        window.add(number, pair, requests, sheet)
        if window.tally.rows < self._limits.count:
            return []
        self._counts[pair] = CountWindow.of(self._judging, window.number + 1)
        return [counted(pair, window, self._calendar, self._calendar.closing_us(number))]

    def _compare(self, pair: Pair, champion: Pair, number: int, paired: Any) -> list[Compared]:  # noqa: ANN401
        if not paired.rows:
            return []
        contest = self._contests.setdefault((pair, champion), Contest(self._judging.kind))
        contest.add(paired)
        chance = np.random.Generator(np.random.PCG64([SEED, abs(number)]))
        at_us = self._calendar.closing_us(number)
        return [compared(pair, champion, number, at_us, contest, chance)]

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return {
            "mark": self._mark,
            "drawn_us": self._drawn_us,
            "quarantined": self.quarantined,
            "moved": self._moved,
            "window": self._window.to_json(),
            "contests": [[*both, contest.to_json()] for both, contest in self._contests.items()],
            "counts": [[pair, window.to_json()] for pair, window in self._counts.items()],
            "watches": self.watches.to_json(),
        }

    @classmethod
    def restored(
        cls, saved: Mapping[str, Any], limits: MonitoringLimits, judging: Judging, reference_of: References
    ) -> Self:
        """What `to_json` gave."""
        made = cls(limits, judging, reference_of)
        made._mark, made._drawn_us, made.quarantined = saved["mark"], saved["drawn_us"], saved["quarantined"]
        made._moved = tuple(saved["moved"])
        made._window = TrafficWindow.from_json(saved["window"])
        made._contests = {(tuple(a), tuple(b)): Contest.from_json(contest) for a, b, contest in saved["contests"]}
        made.watches = Watches.restored(saved["watches"], limits, judging, reference_of)
        made._counts = {tuple(pair): CountWindow.from_json(judging, one) for pair, one in saved["counts"]}
        return made


def _alarm(kind: AlarmKind, pair: Pair, number: int, at_us: int, crossed: Crossed, moved: tuple[str, ...]) -> Alarm:
    return Alarm(kind, crossed.subject, *pair, crossed.detector, number, at_us, crossed.value, crossed.threshold, moved)
