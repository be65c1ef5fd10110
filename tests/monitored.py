"""A seeded world for the monitor: requests, scores, features and labels with every fault that labels can have."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TypeAlias

import numpy as np

from rendezvous.messages import Comparisons, FeatureColumns, Finding, Label, Status
from rendezvous.monitoring.findings import Accuracy, Stage
from rendezvous.monitoring.limits import MonitoringLimits
from rendezvous.monitoring.monitor import Monitor
from rendezvous.monitoring.pending import PendingInMemory
from rendezvous.monitoring.reference import History, Reference, make_reference
from rendezvous.registry.events import State
from rendezvous.registry.state import Control, Deployed

HOUR_US = 3_600_000_000
LIMITS = MonitoringLimits.model_validate(
    {"block": "24h", "block_offset": "5h", "label_delay": "6h", "lateness": "30m", "window": 500, "count": 700}
)
CHAMPION, CHALLENGER, CANARY = ("trees", "t1"), ("forest", "f1"), ("trees", "t0")
MODELS = (CHAMPION, CHALLENGER, CANARY)
CONTROL = Control(
    versions=MappingProxyType({pair: Deployed("0" * 64, State.ACTIVE, 0, "test", 0) for pair in MODELS}),
    aliases=MappingProxyType({"champion": CHAMPION, "canary": CANARY}),
)
START_US = 1_700_000_000_000_000


@dataclass(frozen=True, slots=True)
class Row:
    """One request as the log has it."""

    partition: int
    offset: int
    request_id: str
    asked_us: int
    outputs: tuple[float, ...]
    statuses: tuple[int, ...]
    x: float
    colour: str | None


Event: TypeAlias = tuple[int, str, Row | Label]
"""When it happened; comparison, features or label; what it was."""


def world(seed: int, days: int = 6, a_day: int = 300, *, drift_from: int = 4) -> list[Event]:
    """What happened, in the order of event time; from day `drift_from` on the champion's scores mean the opposite."""
    chance = np.random.default_rng(seed)
    events: list[Event] = []
    offsets = [0, 0]
    for asked_us in np.sort(START_US + chance.integers(0, days * 24 * HOUR_US, days * a_day)).tolist():
        day = (asked_us - START_US) // (24 * HOUR_US)
        truth = chance.random()
        said = np.clip(truth + chance.normal(0, 0.1, len(MODELS)), 0, 1)
        if day >= drift_from:
            said[0] = 1 - said[0]
        statuses = np.where(chance.random(len(MODELS)) < 0.05, Status.EXPIRED, Status.OK)
        partition = int(chance.integers(2))
        offsets[partition] += int(chance.integers(1, 3))
        colour = [None, "red", "green", "blue", "pink"][int(chance.integers(0, 4 + (day >= drift_from)))]
        x = float(chance.normal(3 * (day >= drift_from), 1)) if chance.random() > 0.05 else float("nan")
        row = Row(
            partition,
            offsets[partition],
            f"r{len(events)}",
            asked_us,
            tuple(said.astype(np.float32).tolist()),
            tuple(statuses.tolist()),
            x,
            colour,
        )
        events += [(asked_us, "comparison", row), (asked_us, "features", row)]
        events += [(label.observed_us, "label", label) for label in _labels(row, truth, chance)]
    return sorted(events, key=lambda event: event[:2])


def _labels(row: Row, truth: float, chance: np.random.Generator) -> list[Label]:
    """Mostly one; also none, never, again, contradicted in time or after the closing, of somebody unknown."""
    value: float | None = float(chance.random() < truth)
    observed_us = row.asked_us + int(chance.exponential(2 * HOUR_US))
    fate = chance.random()
    if fate < 0.03:
        return []
    if fate < 0.06:
        value = None
    first = Label(row.request_id, value, observed_us, "gate" if chance.random() < 0.8 else "crowd")
    if fate < 0.1:
        return [first, first]
    if fate < 0.2:
        later_us = observed_us + int(chance.exponential(20 * HOUR_US))
        second = replace(first, value=chance.choice([0.0, 1.0]), observed_us=later_us)
        third = replace(first, value=None, observed_us=later_us - 1)
        return [first, second, third]
    if fate < 0.22:
        return [first, replace(first, request_id=f"nobody-{row.request_id}")]
    return [first]


def rows_of(events: Sequence[Event]) -> list[Row]:
    """The requests of a world, in the order of their times."""
    return [event[2] for event in events if event[1] == "comparison" and isinstance(event[2], Row)]


def out_of_order(events: Sequence[Event], chance: np.random.Generator, lateness_us: int) -> list[Event]:
    """Another order of arrival, no event later than `lateness_us`."""
    late_us = chance.integers(0, lateness_us, len(events), endpoint=True)
    return [events[i] for i in np.argsort([event[0] for event in events] + late_us, kind="stable")]


def reference(seed: int = 99, limits: MonitoringLimits = LIMITS) -> Reference:
    """What was true before: 30 days without drift."""
    events = [event for event in world(seed, days=30, drift_from=99) if event[1] != "features"]
    rows = [event[2] for event in events if isinstance(event[2], Row)]
    truth = {event[2].request_id: event[2].value for event in events if isinstance(event[2], Label)}
    history = History(
        asked_us=np.array([row.asked_us for row in rows], np.int64),
        features={"x": np.array([row.x for row in rows]), "colour": np.array([row.colour for row in rows], object)},
        outputs=np.array([[row.outputs[0]] for row in rows], np.float32),
        names=("p",),
        labels=np.array([truth.get(row.request_id, np.nan) for row in rows], np.float64),
    )
    return make_reference(history, limits, "binary")


@dataclass(slots=True)
class Watched:
    """A monitor with its store, fed with events."""

    monitor: Monitor
    pending: PendingInMemory
    limits: MonitoringLimits
    reference_of: Callable[[tuple[str, str]], Reference | None]

    @classmethod
    def fresh(cls, known: Reference | None, limits: MonitoringLimits = LIMITS) -> Watched:
        """A monitor that has heard nothing; every version has the same reference."""
        pending = PendingInMemory(24 * HOUR_US)
        monitor = Monitor(limits, "binary", pending, lambda _: known)
        monitor.controlled(CONTROL)
        return cls(monitor, pending, limits, lambda _: known)

    def feed(self, events: Sequence[Event]) -> None:
        """One batch, kind by kind, in the order of first appearance."""
        for kind in dict.fromkeys(event[1] for event in events):
            here = [event[2] for event in events if event[1] == kind]
            if kind == "label":
                labels = [one for one in here if isinstance(one, Label)]
                self.monitor.labelled(labels, np.array([label.observed_us for label in labels], np.int64))
                continue
            rows = [one for one in here if isinstance(one, Row)]
            for partition in dict.fromkeys(row.partition for row in rows):
                mine = sorted((row for row in rows if row.partition == partition), key=lambda row: row.offset)
                if kind == "comparison":
                    self.monitor.compared(partition, comparisons(mine))
                else:
                    self.monitor.saw(partition, features(mine))

    def restart(self) -> None:
        """A new monitor from the snapshot of this one."""
        saved = self.monitor.snapshot()
        self.pending = deepcopy(self.pending)
        self.monitor = Monitor.restored(saved, self.limits, "binary", self.pending, self.reference_of)
        self.monitor.controlled(CONTROL)

    def run(self, batches: Iterable[Sequence[Event]], restarts: Sequence[int] = ()) -> list[Finding]:
        """All findings, to the last block's closing; a new monitor after the batches that `restarts` numbers."""
        findings: list[Finding] = []
        for number, batch in enumerate(batches):
            self.feed(batch)
            findings += self.monitor.conclude()
            if number in restarts:
                self.restart()
        self.monitor.passed(START_US + 1_000 * 24 * HOUR_US)
        return [*findings, *self.monitor.conclude()]


def batched(events: Sequence[Event], sizes: Iterable[int]) -> list[Sequence[Event]]:
    """Events in batches of these sizes, the rest as one."""
    batches, at = [], 0
    for size in sizes:
        batches.append(events[at : at + size])
        at += size
    return [*batches, events[at:]]


def settled(findings: Iterable[Finding]) -> list[str]:
    """What must not depend on the order of arrival: all but provisional and corrected records."""
    kept = [one for one in findings if not isinstance(one, Accuracy) or one.stage is Stage.CLOSED]
    return sorted(repr(one) for one in kept)


def comparisons(rows: Sequence[Row]) -> Comparisons:
    """Rows of one partition."""
    count = len(rows)
    asked_us = np.array([row.asked_us for row in rows], np.int64)
    return Comparisons(
        closed_us=0,
        models=tuple(model for model, _ in MODELS),
        versions=tuple(version for _, version in MODELS),
        offsets=np.array([row.offset for row in rows], np.int64),
        request_ids=tuple(row.request_id for row in rows),
        appended_us=asked_us,
        winners=np.zeros(count, np.int16),
        reasons=np.zeros(count, np.uint8),
        statuses=np.array([row.statuses for row in rows], np.uint8),
        latencies_us=np.tile(np.array([5_000, 8_000, 9_000], np.int32), (count, 1)),
        outputs=np.array([row.outputs for row in rows], np.float32)[:, :, None],
        asked_us=asked_us,
    )


def features(rows: Sequence[Row]) -> FeatureColumns:
    """Rows of one partition; each record numbers its categories in its own way."""
    names = tuple(dict.fromkeys(row.colour for row in rows if row.colour is not None))
    codes = [[-1 if row.colour is None else names.index(row.colour)] for row in rows]
    return FeatureColumns(
        offsets=np.array([row.offset for row in rows], np.int64),
        asked_us=np.array([row.asked_us for row in rows], np.int64),
        numeric=("x",),
        numbers=np.array([[row.x] for row in rows], np.float32),
        textual=("colour",),
        categories=(names,),
        codes=np.array(codes, np.int32),
    )
