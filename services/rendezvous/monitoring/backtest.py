"""The very same monitor over a table: what it would have said, and at which row. Pure.

Rows go through it in the order of their time, labels when they became known. Without a time, and where the owner says
that rows are independent, they have the order of the table, one a second by an invented clock: then blocks are of
BLOCK_ROWS rows, and concept drift is looked for row by row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rendezvous.messages import Comparisons, FeatureColumns, Finding, Floats, Int32s, Int64s, Label, Status
from rendezvous.monitoring.figures import Kind
from rendezvous.monitoring.findings import Accuracy, Alarm, AlarmKind, Drift, Stage
from rendezvous.monitoring.limits import MonitoringLimits
from rendezvous.monitoring.monitor import Monitor
from rendezvous.monitoring.pending import PendingInMemory
from rendezvous.monitoring.reference import History, Reference, make_reference
from rendezvous.monitoring.waiting import Pair
from rendezvous.registry.events import State
from rendezvous.registry.state import Control, Deployed
from rendezvous.replay.bootstrapping import Float64s

SECOND_US = 1_000_000
BLOCK_ROWS = 500
"""Rows of a block where rows are independent: as few as a window can have."""
BATCH_ROWS = 20_000
FAR_US = 10 * 366 * 86_400 * SECOND_US
MODEL: Pair = ("model", "table")


@dataclass(frozen=True, slots=True, eq=False)
class Texts:
    """A column of text: row i is categories[codes[i]], and -1 stands for missing."""

    categories: tuple[str, ...]
    codes: Int32s

    @property
    def words(self) -> NDArray[Any]:
        """As objects, "" for missing."""
        return np.array([*self.categories, ""], object)[self.codes]


@dataclass(frozen=True, slots=True, eq=False)
class Past:
    """Rows in any order: asked_us, observed_us int64 [rows]; labels float64 [rows], NaN for none.

    outputs: float32 [rows, width], NaN for none. numbers: by feature float32 [rows]; texts: by feature.
    """

    asked_us: Int64s
    observed_us: Int64s
    outputs: Floats
    names: tuple[str, ...]
    labels: Float64s
    numbers: Mapping[str, Floats]
    texts: Mapping[str, Texts]

    @property
    def rows(self) -> int:
        """How many."""
        return len(self.asked_us)

    def in_order(self) -> tuple[Past, Int64s]:
        """By time, and which row each one was."""
        order = np.argsort(self.asked_us, kind="stable")
        return (
            replace(
                self,
                asked_us=self.asked_us[order],
                observed_us=self.observed_us[order],
                outputs=self.outputs[order],
                labels=self.labels[order],
                numbers={name: column[order] for name, column in self.numbers.items()},
                texts={name: replace(texts, codes=texts.codes[order]) for name, texts in self.texts.items()},
            ),
            order.astype(np.int64),
        )

    def reference(self, limits: MonitoringLimits, kind: Kind) -> Reference:
        """These rows as what was true before."""
        words = {name: texts.words for name, texts in self.texts.items()}
        delays_us = np.where(np.isnan(self.labels), -1, self.observed_us - self.asked_us)
        history = History(self.asked_us, {**self.numbers, **words}, self.outputs, self.names, self.labels, delays_us)
        return make_reference(history, limits, kind)


@dataclass(frozen=True, slots=True)
class Spoken:
    """An alarm, and the row at which it was given."""

    alarm: Alarm
    position: int


@dataclass(frozen=True, slots=True)
class Told:
    """What the monitor said of a table: alarms in the order of time, closed records, drift of windows."""

    alarms: tuple[Spoken, ...]
    closed: tuple[Accuracy, ...]
    drift: tuple[Drift, ...]
    counts: Mapping[str, int]


def invented_clock(rows: int) -> Int64s:
    """A second a row."""
    return np.arange(rows, dtype=np.int64) * SECOND_US


def of_rows(limits: MonitoringLimits) -> MonitoringLimits:
    """Limits for rows that are independent of one another, by the invented clock."""
    block = {"block": BLOCK_ROWS * SECOND_US, "block_offset": 0, "window": BLOCK_ROWS}
    return limits.model_copy(update={**block, "label_delay": 0, "lateness": 0, "independent": True})


def backtest(past: Past, reference: Reference, limits: MonitoringLimits, kind: Kind) -> Told:
    """Run the monitor over all rows, to the closing of the last block."""
    past, order = past.in_order()
    pending = PendingInMemory(limits.block, max(past.rows, 1))
    monitor = Monitor(limits, kind, pending, lambda _: reference)
    monitor.controlled(
        Control(
            versions=MappingProxyType({MODEL: Deployed("0" * 64, State.ACTIVE, 0, "backtest", 0)}),
            aliases=MappingProxyType({limits.champion: MODEL}),
        )
    )
    findings: list[Finding] = []
    labelled = np.flatnonzero(~np.isnan(past.labels))
    labelled = labelled[np.argsort(past.observed_us[labelled], kind="stable")]
    times_us, told = past.observed_us[labelled], 0
    for start in range(0, past.rows, BATCH_ROWS):
        here = np.arange(start, min(start + BATCH_ROWS, past.rows))
        monitor.compared(0, _comparisons(past, here))
        if past.numbers or past.texts:
            monitor.saw(0, _features(past, here))
        known = int(np.searchsorted(times_us, past.asked_us[here[-1]], side="right"))
        _tell(monitor, past, labelled[told:known])
        told = known
        findings += monitor.conclude()
    for start in range(told, len(labelled), BATCH_ROWS):
        _tell(monitor, past, labelled[start : start + BATCH_ROWS])
        findings += monitor.conclude()
    monitor.passed(int(past.asked_us[-1]) + FAR_US)
    return _told(past, order, [*findings, *monitor.conclude()], monitor.counts)


def _told(past: Past, order: Int64s, findings: list[Finding], counts: Mapping[str, int]) -> Told:
    alarms = sorted((one for one in findings if isinstance(one, Alarm)), key=lambda alarm: alarm.at_us)
    return Told(
        tuple(Spoken(alarm, _position(past, order, alarm)) for alarm in alarms),
        tuple(one for one in findings if isinstance(one, Accuracy) and one.stage is Stage.CLOSED),
        tuple(one for one in findings if isinstance(one, Drift)),
        counts,
    )


def _position(past: Past, order: Int64s, alarm: Alarm) -> int:
    """The row whose arrival moved the watermark so far; the last one, where the table's end did.

    What needs labels speaks when the watermark is past its moment, what needs requests alone when it is there.
    """
    place = int(
        np.searchsorted(past.asked_us, alarm.at_us, side="right" if alarm.kind is AlarmKind.CONCEPT else "left")
    )
    return int(order[min(place, past.rows - 1)])


def _tell(monitor: Monitor, past: Past, rows: Int64s) -> None:
    if len(rows):
        values, observed = past.labels[rows].tolist(), past.observed_us[rows]
        told = zip(rows.tolist(), values, observed.tolist(), strict=True)
        monitor.labelled([Label(str(row), value, at_us, "") for row, value, at_us in told], observed)


def _comparisons(past: Past, rows: Int64s) -> Comparisons:
    count = len(rows)
    outputs = past.outputs[rows][:, None, :]
    usable = np.isfinite(outputs).all(axis=2)
    asked_us = past.asked_us[rows]
    return Comparisons(
        closed_us=0,
        models=(MODEL[0],),
        versions=(MODEL[1],),
        offsets=rows,
        request_ids=tuple(map(str, rows.tolist())),
        appended_us=asked_us,
        winners=np.zeros(count, np.int16),
        reasons=np.zeros(count, np.uint8),
        statuses=np.where(usable, Status.OK, Status.NONE).astype(np.uint8),
        latencies_us=np.zeros((count, 1), np.int32),
        outputs=outputs,
        asked_us=asked_us,
    )


def _features(past: Past, rows: Int64s) -> FeatureColumns:
    numeric, textual = tuple(past.numbers), tuple(past.texts)
    numbers = np.array([past.numbers[name][rows] for name in numeric], np.float32).reshape(len(numeric), len(rows))
    codes = np.array([past.texts[name].codes[rows] for name in textual], np.int32).reshape(len(textual), len(rows))
    return FeatureColumns(
        offsets=rows,
        asked_us=past.asked_us[rows],
        numeric=numeric,
        numbers=numbers.T,
        textual=textual,
        categories=tuple(past.texts[name].categories for name in textual),
        codes=codes.T,
    )
