"""Records in their order in, findings out, and a checkpoint now and then: what a monitor does, without Faust."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from rendezvous.log import Record
from rendezvous.messages import Comparisons, FeatureColumns, Finding, Label
from rendezvous.monitoring.checkpoint import Checkpoint, Keeper
from rendezvous.monitoring.findings import Accuracy, Alarm, Span, Stage
from rendezvous.monitoring.merging import Due, Part, Place
from rendezvous.monitoring.outlet import Outlet
from rendezvous.monitoring.pending_redis import RedisPending
from rendezvous.registry.fold import folded
from rendezvous.registry.snapshot import to_json
from rendezvous.registry.state import Control
from rendezvous.settings import Endpoint
from rendezvous.telemetry import MonitorMetrics
from rendezvous.wire import WireError, decode

MAX_LABELS = 5_000
"""Labels that are looked up together: some tens of milliseconds."""
KEEP_S = 1.0
"""Between two checkpoints, at least: a dead process' work since the last one is done again."""
KEEP_SHARE = 0.05
"""Of the time may go into checkpoints: large ones come less often."""
KEEP_ROWS = 100_000
"""Requests that are not in Redis yet, at most, at a tick's end: 30 MB here, and 0.4 s of Redis' time."""

_logger = logging.getLogger(__name__)


class Core(Protocol):
    """What concludes: see `Monitor`."""

    def ruled(self, control: Control) -> None:
        """Control changed: who is champion, who the canary."""

    def compared(self, partition: int, comparisons: Comparisons) -> None:
        """Requests were closed."""

    def observed(self, partition: int, columns: FeatureColumns) -> None:
        """What models saw of requests."""

    def labelled(self, labels: Sequence[Label]) -> None:
        """What turned out to be true."""

    def results(self) -> list[Finding]:
        """What follows, and was not said yet."""

    @property
    def watermark_us(self) -> int:
        """How far requests and labels are known, in event time; negative when nothing is."""

    def snapshot(self) -> bytes:
        """Everything to go on from."""


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
        core: Core,
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
        self._topics: dict[str, Callable[[Record], None]] = {
            endpoint.topic("control"): self._rule,
            endpoint.topic("features"): self._observe,
            endpoint.topic("comparisons"): self._compare,
            endpoint.topic("labels"): self._label,
        }
        self._labels: list[Label] = []
        self._due_s = time.monotonic() + KEEP_S

    @property
    def due(self) -> bool:
        """Whether it is time for a checkpoint."""
        return time.monotonic() >= self._due_s or self._pending.unkept >= KEEP_ROWS

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
            self._say(self._core.results())

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
        self._metrics.pending.set(len(self._pending))

    def _say(self, findings: Sequence[Finding]) -> None:
        self._metrics.watermark.set(self._core.watermark_us / 1e6)
        for finding in findings:
            if not self._outlet.write(finding):
                self._metrics.repeats.inc()
                continue
            self._metrics.findings.labels(type(finding).__name__.lower()).inc()
            if isinstance(finding, Alarm):
                self._metrics.alarms.labels(finding.kind).inc()
            elif isinstance(finding, Accuracy) and finding.stage is Stage.CLOSED and finding.span is Span.BLOCK:
                self._metrics.blocks.inc()

    def _compare(self, record: Record) -> None:
        comparisons = decode(record.value, Comparisons)
        self._look_up()
        self._metrics.rows.labels("comparisons").inc(len(comparisons.offsets))
        self._core.compared(record.partition, comparisons)

    def _observe(self, record: Record) -> None:
        columns = decode(record.value, FeatureColumns)
        self._metrics.rows.labels("features").inc(len(columns.offsets))
        self._core.observed(record.partition, columns)

    def _rule(self, record: Record) -> None:
        self._look_up()
        self._control = folded(self._control, [record])
        self._core.ruled(self._control)

    def _label(self, record: Record) -> None:
        self._labels.append(decode(record.value, Label))
        if len(self._labels) >= MAX_LABELS:
            self._look_up()

    def _look_up(self) -> None:
        """Labels in a row are looked up together; what else comes finds those before it done."""
        if self._labels:
            self._metrics.rows.labels("labels").inc(len(self._labels))
            self._core.labelled(self._labels)
            self._labels = []
