"""An endpoint whose monitor speaks day by day, and retrainers that die: on the log in memory, or on real Kafka.

A day::

    monitor: every active version's block, alarms about the champion, contests with it
    retrainer: turns until it has nothing more to do
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import CollectorRegistry

from found import CODE, LABELS, MODEL, alarm, block, contest, deployed, genesis, limits_of
from memory_log import FakeClock, MemoryLog, MemorySink, MemorySource
from rendezvous.log.records import Delivered, Headers
from rendezvous.messages import Message
from rendezvous.registry.events import State
from rendezvous.registry.fold import KINDS, folded
from rendezvous.registry.state import Control, Pair
from rendezvous.retraining.episodes import RETRAINER
from rendezvous.retraining.events import Outcome, Retrained, RetrainEvent
from rendezvous.retraining.jobs import Running
from rendezvous.retraining.service import FINDINGS, SETTLE_US, Means, Retrainer
from rendezvous.settings import Endpoint
from rendezvous.telemetry import RetrainerMetrics
from rendezvous.topics import topics_of
from rendezvous.wire import decode_any, encode

WORDS = KINDS + FINDINGS


class CrashError(Exception):
    """The process is gone."""


class Monitor:
    """What is found on each day, by who is deployed then.

    bad: days on which the champion of then raises an alarm; worse: versions that do harm; hopeless: those that are
    found worse in shadow already.
    """

    def __init__(self, bad: Iterable[int] = (), worse: Iterable[str] = (), hopeless: Iterable[str] = ()) -> None:
        self.bad = set(bad)
        self.worse = set(worse)
        self.hopeless = set(hopeless)
        self._since: dict[tuple[Pair, Pair], int] = {}

    def says(self, day: int, control: Control) -> list[tuple[str, Message]]:
        """With the topic of each."""
        champion = control.aliases["first"]
        found: list[tuple[str, Message]] = []
        active = [p for p in control.deployed if p[0] == MODEL and control.versions[p].state is State.ACTIVE]
        for pair in active:
            found.append(("accuracy", block(day, pair)))
            if pair != champion:
                found.append(("accuracy", self._contest(day, pair, champion)))
        if day in self.bad:
            found.append(("drift", alarm(day, champion)))
        return found

    def _contest(self, day: int, pair: Pair, champion: Pair) -> Message:
        blocks = day + 1 - self._since.setdefault((pair, champion), day)
        better = 30.0 if champion[1] in self.worse else 1.0
        auc = -0.2 if pair[1] in self.hopeless else 0.0
        return contest(day, pair, champion, blocks=blocks, labelled=blocks * LABELS, better=better, auc=auc)


@dataclass
class Job:
    """Ends at the third look; deploys its version, once for each key, a moment before it says so."""

    jobs: MemoryJobs
    event: RetrainEvent
    looks: int = 0
    killed: bool = False

    def poll(self) -> Retrained | None:
        """See `Running.poll`."""
        assert not self.killed
        self.looks += 1
        if self.looks == 2:
            self.jobs.made(self.event)
        if self.looks < 3:
            return None
        pair = self.jobs.versions.get(self.event.key)
        outcome = Outcome.REFUSED if pair is None else Outcome.REGISTERED
        return Retrained(self.event.key, outcome, MODEL, "" if pair is None else pair[1], (), 1, 2, "tests")

    def kill(self) -> None:
        """See `Running.kill`."""
        self.killed = True


@dataclass
class MemoryJobs:
    """Makes c2, c3, ...: versions outlive the process, as files do. refused: how many jobs make none at first."""

    put: Callable[[str, Message], object]
    refused: int = 0
    versions: dict[str, Pair] = field(default_factory=dict)
    starts: list[str] = field(default_factory=list)

    def code(self) -> str | None:
        """See `Jobs.code`."""
        return CODE

    def start(self, event: RetrainEvent) -> Running:
        """See `Jobs.start`."""
        self.starts.append(event.key)
        return Job(self, event)

    def made(self, event: RetrainEvent) -> None:
        """A version is kept and deployed, unless it was before."""
        if len(set(self.starts)) <= self.refused or event.key in self.versions:
            return
        pair = MODEL, f"c{len(self.versions) + 2}"
        self.versions[event.key] = pair
        self.put("control", deployed(pair))


class CrashingSink(MemorySink):
    """Dies when it is to write record number `at`: before it, or after it without a report."""

    def __init__(self, log: MemoryLog, at: int = -1, *, after: bool = False) -> None:
        super().__init__(log)
        self.left = at
        self.after = after

    def send(
        self,
        topic: str,
        value: bytes,
        *,
        partition: int | None = None,
        key: bytes | None = None,
        headers: Headers = (),
        delivered: Delivered | None = None,
    ) -> None:
        """See `Sink.send`."""
        self.left -= 1
        if self.left == -1 and not self.after:
            raise CrashError
        super().send(topic, value, partition=partition, key=key, headers=headers, delivered=delivered)
        if self.left == -1:
            raise CrashError


class MemoryRetraining:
    """Days on the log in memory, with one retrainer that is started anew when it dies."""

    def __init__(self, of: Endpoint, monitor: Monitor, refused: int = 0) -> None:
        self.of = of
        self.monitor = monitor
        self.clock = FakeClock()
        self.log = MemoryLog(self.clock, {topic.name: 1 for topic in topics_of(of)})
        for event in genesis(of):
            self.put("control", event)
        self.jobs = MemoryJobs(self.put, refused)
        self.shortfalls: list[str] = []
        self.sink = CrashingSink(self.log)
        self.retrainer, self.source = self.start(self.sink)
        self.deaths = 0

    def put(self, topic: str, message: Message) -> int:
        """Write to one of the endpoint's topics."""
        return self.log.append(self.of.topic(topic), 0, encode(message))

    def start(self, sink: MemorySink) -> tuple[Retrainer, MemorySource]:
        """A retrainer, as after a start."""
        source = MemorySource(self.log, "retrainers")
        means = Means(self.jobs, lambda *_: self.shortfalls, lambda *_: CODE, f"{RETRAINER}tests")
        self.registry = CollectorRegistry()
        metrics = RetrainerMetrics(self.registry)
        return Retrainer(self.of, limits_of(self.of), source, sink, means, self.clock, metrics), source

    def control(self) -> Control:
        """What control says."""
        return folded(Control(), [r for r in self.log.records[self.of.topic("control"), 0] if r.value])

    def turn(self) -> None:
        """One turn, after which time has passed; who dies is started anew."""
        self.clock.advance_ms(SETTLE_US / 1_000)
        try:
            self.retrainer.turn()
        except CrashError:
            self.deaths += 1
            self.source.close()
            self.retrainer, self.source = self.start(CrashingSink(self.log))

    def day(self, number: int) -> None:
        """The monitor speaks of a day, and the retrainer does what there is to do."""
        for topic, message in self.monitor.says(number, self.control()):
            self.put(topic, message)
        self.rest()

    def rest(self, turns: int = 25) -> None:
        """Turns; more than a day ever needs."""
        for _ in range(turns):
            self.turn()

    def said(self, *topics: str) -> list[Message]:
        """All that stands on some topics."""
        names = [self.of.topic(topic) for topic in topics]
        found = [r.value for name in names for r in self.log.records[name, 0] if r.value not in (b"", b"rubbish")]
        return [decode_any(value, WORDS) for value in found]


def outline(messages: Sequence[Message]) -> list[Any]:
    """What was said, without by whom and when by the clock: that differs from run to run."""
    return [_outline(message) for message in messages if not _is_weight(message)]


def _is_weight(message: Message) -> bool:
    return type(message).__name__ == "Weights"


def _outline(message: Message) -> Any:  # noqa: ANN401 - any fields
    fields = {name: getattr(message, name) for name in message.__slots__ if name not in ("by", "at_us", "seen")}
    if isinstance(fields.get("evidence"), str):
        fields["evidence"] = json.loads(fields["evidence"])
    return type(message).__name__, fields
