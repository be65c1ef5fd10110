"""Records in their order in, findings out, and a checkpoint now and then: what a monitor does, without Faust."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from rendezvous.log import Record
from rendezvous.messages import Comparisons, FeatureColumns, Label
from rendezvous.monitoring.checkpoint import Checkpoint, Keeper
from rendezvous.monitoring.findings import Accuracy, Alarm, Span, Stage
from rendezvous.monitoring.merging import Due, Part, Place
from rendezvous.monitoring.monitor import Monitor
from rendezvous.monitoring.newest import Newest
from rendezvous.monitoring.outlet import Outlet
from rendezvous.monitoring.pending_redis import RedisPending
from rendezvous.monitoring.showing import show
from rendezvous.registry.fold import folded
from rendezvous.registry.snapshot import to_json
from rendezvous.registry.state import Control
from rendezvous.settings import Endpoint
from rendezvous.telemetry import MonitorMetrics
from rendezvous.wire import WireError, decode

MS_US = 1_000
MAX_LABELS = 5_000
"""Labels that are looked up together: some tens of milliseconds."""
KEEP_S = 1.0
"""Between two checkpoints, at least: a dead process' work since the last one is done again."""
KEEP_SHARE = 0.05
"""Of the time may go into checkpoints: large ones come less often."""
KEEP_ROWS = 50_000
"""Requests that are not in Redis yet, at most, at a tick's end: 15 MB here, and 0.2 s of Redis' time."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept with the core's own state: who made it, and of which topics."""

    generation: str
    topics: Mapping[str, str]
    settings: str


class Concluding:
    """Feeds a core in the log's order, writes what it says, and keeps all that a successor needs.

    Args:
        endpoint: whose.
        core: what concludes.
        control: what control said up to where it was read.
        pending: where the core's requests wait for labels.
        outlet: where findings go.
        keeper: where checkpoints go.
        kept: what is in each of them.
        metrics: what the pages show.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        core: Monitor,
        control: Control,
        pending: RedisPending,
        outlet: Outlet,
        keeper: Keeper,
        kept: Kept,
        metrics: MonitorMetrics,
    ) -> None:
        self._core, self._control = core, control
        self._pending, self._outlet, self._keeper, self._kept = pending, outlet, keeper, kept
        self._metrics = metrics
        self._champion = endpoint.monitoring.champion
        self._newest, self._news = Newest(), True
        self._topics: dict[str, Callable[[Record], None]] = {
            endpoint.topic("control"): self._rule,
            endpoint.topic("features"): self._observe,
            endpoint.topic("comparisons"): self._compare,
            endpoint.topic("labels"): self._label,
        }
        self._labels: list[tuple[Label, int]] = []
        self._faults: tuple[str, ...] = ()
        self._due_s = time.monotonic() + KEEP_S
        self._on_broker_time = endpoint.monitoring.time == "append"

    @property
    def due(self) -> bool:
        """Whether it is time for a checkpoint."""
        return time.monotonic() >= self._due_s or self._pending.unkept >= KEEP_ROWS

    def recall(self, newest: Newest) -> None:
        """What was found before this process began: its gauges need not wait for the next block."""
        self._newest = newest

    def take(self, due: Due) -> None:
        """Feed records to the core; at a tick's end, write what follows."""
        for record in due.records:
            try:
                self._topics[record.topic](record)
            except WireError as error:
                self._metrics.unreadable.labels(record.topic).inc()
                _logger.warning("%s-%d@%d is left out: %s", *record[:3], error)
        if due.over:
            self._look_up()
            self._say()

    def passed(self, now_us: int) -> bool:
        """All that was appended before now is in, and nothing comes: time goes on nevertheless, and ends blocks.

        Only where a request's time is the broker's. What an application says in ce_time may be of last year, and the
        clock on the wall says nothing about it. Returns whether anything was said.
        """
        if not self._on_broker_time or self._core.watermark_us is None:
            return False
        self._core.passed(now_us)
        said = self._say()
        self._show()
        return said

    def keep(self, places: Mapping[Part, Place]) -> None:
        """Keep everything as it is at a tick's end, all inputs up to `places` being in it."""
        begun_s = time.monotonic()
        written = self._outlet.flush()
        rows, removed = self._pending.changes()
        checkpoint = Checkpoint(
            self._kept.generation,
            self._kept.topics,
            self._kept.settings,
            dict(places),
            written,
            self._pending.said(),
            to_json(self._control),
            self._core.snapshot(),
        )
        self._keeper.keep(checkpoint, rows, removed)
        self._pending.kept()
        now_s = time.monotonic()
        self._due_s = now_s + max(KEEP_S, (now_s - begun_s) / KEEP_SHARE)
        self._metrics.checkpoints.inc()
        self._metrics.checkpoint.set(now_s - begun_s)
        self._show()

    def _say(self) -> bool:
        findings = self._core.conclude()
        if findings:
            self._keeper.verify()  # what another one has taken over it writes, and this one no more
        for finding in findings:
            self._newest.hear(finding)
            self._news = True
            if not self._outlet.write(finding):
                self._metrics.repeats.inc()
                continue
            self._metrics.findings.labels(type(finding).__name__.lower()).inc()
            if isinstance(finding, Alarm):
                self._metrics.alarms.labels(finding.kind).inc()
            elif isinstance(finding, Accuracy) and finding.stage is Stage.CLOSED and finding.span is Span.BLOCK:
                self._metrics.blocks.inc()
        return bool(findings)

    def _show(self) -> None:
        self._metrics.pending.set(len(self._pending))
        if self._core.watermark_us is not None:
            self._metrics.watermark.set(self._core.watermark_us / 1e6)
        for reason, count in self._core.counts.items():
            self._metrics.set_aside.labels(reason).set(count)
        request_us, label_us = self._core.newest_request_us, self._core.newest_label_us
        self._metrics.newest_request.show({(): request_us / 1e6} if request_us else {})
        self._metrics.newest_label.show({(): label_us / 1e6} if label_us else {})
        if request_us and label_us:
            self._metrics.label_age.show({(): max(0, request_us - label_us) / 1e6})
        if self._news:
            self._news = False
            champion = self._control.aliases.get(self._champion)
            self._newest.retain(self._control.deployed, champion)
            self._metrics.faults.set(len(self._core.faults))
            show(self._newest, champion, self._metrics)

    def _compare(self, record: Record) -> None:
        comparisons = decode(record.value, Comparisons)
        self._look_up()
        self._metrics.rows.labels("comparisons").inc(len(comparisons.offsets))
        self._core.compared(record.partition, comparisons)

    def _observe(self, record: Record) -> None:
        columns = decode(record.value, FeatureColumns)
        self._metrics.rows.labels("features").inc(len(columns.offsets))
        self._core.saw(record.partition, columns)

    def _rule(self, record: Record) -> None:
        self._look_up()
        self._control = folded(self._control, [record])
        self._news = True
        self._core.controlled(self._control)
        if self._core.faults != self._faults:
            self._faults = self._core.faults
            for fault in self._faults:
                _logger.warning("%s", fault)

    def _label(self, record: Record) -> None:
        self._labels.append((decode(record.value, Label), record.timestamp_ms * MS_US))
        if len(self._labels) >= MAX_LABELS:
            self._look_up()

    def _look_up(self) -> None:
        """Labels in a row are looked up together; what else comes finds those before it done."""
        if self._labels:
            self._metrics.rows.labels("labels").inc(len(self._labels))
            labels, appended_us = zip(*self._labels, strict=True)
            self._core.labelled(labels, np.array(appended_us, np.int64))
            self._labels = []
