"""The newest findings by what they are about: what the monitor's gauges show. Pure.

Of a version that is no longer deployed nothing is kept, so there are as many as there are versions and features.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from rendezvous.messages import Finding
from rendezvous.monitoring.findings import Accuracy, Alarm, AlarmKind, Contest, Drift, DriftKind, Span, Stage
from rendezvous.registry.state import Pair

CONCEPT_BLOCKS = 7
"""A concept alarm holds until so many blocks have closed without another one: detectors begin anew after each, and need
some blocks to find the same again."""
NOBODY: Pair = ("", "")
QUALITY = (DriftKind.MISSING, DriftKind.RANGE, DriftKind.UNSEEN)
LISTENS = {
    AlarmKind.INPUT: (DriftKind.INPUT,),
    AlarmKind.SCORE: (DriftKind.SCORE,),
    AlarmKind.QUALITY: QUALITY,
}
"""The kinds of drift that an alarm is about."""

About: TypeAlias = tuple[AlarmKind, str, Pair]
"""An alarm's kind, its subject, and whose it is."""


@dataclass(slots=True)
class Newest:
    """The newest of each: figures by version and stage, windows by kind and version, contests, alarms."""

    accuracy: dict[tuple[Pair, Stage], Accuracy] = field(default_factory=dict)
    drift: dict[tuple[DriftKind, Pair], Drift] = field(default_factory=dict)
    contests: dict[Pair, Contest] = field(default_factory=dict)
    alarms: dict[About, Alarm] = field(default_factory=dict)

    def hear(self, finding: Finding) -> None:
        """Take a finding in; one that is older than what is known changes nothing."""
        pair = finding.model, finding.version
        match finding:
            case Accuracy(span=Span.BLOCK):
                stage = Stage.PROVISIONAL if finding.stage is Stage.PROVISIONAL else Stage.CLOSED
                known = self.accuracy.get((pair, stage))
                if known is None or (known.number, known.revision) <= (finding.number, finding.revision):
                    self.accuracy[pair, stage] = finding
            case Drift():
                window = self.drift.get((finding.kind, pair))
                if window is None or window.number <= finding.number:
                    self.drift[finding.kind, pair] = finding
            case Contest():
                contest = self.contests.get(pair)
                if contest is None or contest.number <= finding.number:
                    self.contests[pair] = finding
            case Alarm():
                about = finding.kind, finding.subject, pair
                alarm = self.alarms.get(about)
                if alarm is None or alarm.at_us <= finding.at_us:
                    self.alarms[about] = finding

    def retain(self, deployed: Collection[Pair], champion: Pair | None) -> None:
        """Forget versions that are not there any more, and contests with who is not the champion now."""
        there = {*deployed, NOBODY}
        self.accuracy = {key: one for key, one in self.accuracy.items() if key[0] in there}
        self.drift = {key: one for key, one in self.drift.items() if key[1] in there}
        self.alarms = {key: one for key, one in self.alarms.items() if key[2] in there}
        self.contests = {
            pair: one
            for pair, one in self.contests.items()
            if pair in there and (one.champion_model, one.champion_version) == champion
        }

    def newest_block(self, stage: Stage) -> Accuracy | None:
        """Of whichever version."""
        blocks = [one for (_, at), one in self.accuracy.items() if at is stage]
        return max(blocks, key=lambda one: one.number, default=None)

    def active(self, alarm: Alarm) -> bool:
        """Whether what an alarm said still holds, as far as is known."""
        pair = alarm.model, alarm.version
        if alarm.kind is AlarmKind.CONCEPT:
            closed = self.accuracy.get((pair, Stage.CLOSED))
            return closed is None or closed.number - alarm.number < CONCEPT_BLOCKS
        return any(moved for kind in LISTENS[alarm.kind] for moved in self._moves(kind, pair, alarm.subject))

    def _moves(self, kind: DriftKind, pair: Pair, subject: str) -> Iterator[bool]:
        window = self.drift.get((kind, pair))
        if window is not None and subject in window.subjects:
            yield window.flagged[window.subjects.index(subject)]
