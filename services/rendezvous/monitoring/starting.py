"""A monitor from its parts: what was kept is read, what was written is learned, and the service runs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Iterable
from functools import partial

from rendezvous.log import KafkaSink, Record, bounds_of, last_records, read_to_end
from rendezvous.monitoring.beginning import (
    Inputs,
    committed_in,
    group_of,
    inputs_of,
    new_generation,
    say_what_is_missing,
    usable,
)
from rendezvous.monitoring.checkpoint import Checkpoint, Keeper
from rendezvous.monitoring.concluding import Concluding, Kept
from rendezvous.monitoring.conclusions import KEPT_BLOCKS, KEPT_DELAYS
from rendezvous.monitoring.findings import Accuracy, Alarm, Contest, Drift
from rendezvous.monitoring.limits import DAY_US, MonitoringLimits
from rendezvous.monitoring.merging import Merge
from rendezvous.monitoring.monitor import Monitor
from rendezvous.monitoring.newest import Newest
from rendezvous.monitoring.outlet import KINDS, Outlet
from rendezvous.monitoring.pausing import Pause, StoppedError
from rendezvous.monitoring.pending_redis import RedisPending, prefixes_of
from rendezvous.monitoring.references import References
from rendezvous.monitoring.service import Service
from rendezvous.registry.snapshot import from_json
from rendezvous.registry.state import Control
from rendezvous.settings import Endpoint
from rendezvous.telemetry import KafkaMetrics, MonitorMetrics, RedisMetrics, Telemetry
from rendezvous.wire import WireError, decode_any

LINGER_MS = 20
"""Nobody waits for findings."""
FAILED = 1
"""Exit code: a supervisor starts the next one, which goes on from the last checkpoint."""
RECALLED = 5_000
"""Findings of each topic that are read again for the gauges: more than a block of many versions has."""
SHELVES = 8
"""Parts of the time for which requests are kept; each is forgotten as a whole, and looked into for every label."""

_logger = logging.getLogger(__name__)


def run(bootstrap: str, redis: str, endpoint: Endpoint, telemetry: Telemetry) -> None:
    """Run one endpoint's monitor until SIGTERM or SIGINT; does not return where it fails: see `_end`."""
    metrics = MonitorMetrics(telemetry.registry)
    pause = Pause(telemetry, metrics)
    RedisMetrics(telemetry.registry).up.set_function(lambda: not pause.waiting)
    kafka = KafkaMetrics(telemetry.registry)
    keeper = Keeper(redis, endpoint.name, pause.wait)
    inputs = inputs_of(bootstrap, endpoint)
    with contextlib.suppress(StoppedError):
        concluding, merge, generation = _begin(bootstrap, endpoint, inputs, keeper, metrics)

        async def serve() -> None:
            group = group_of(endpoint, generation)
            await Service(bootstrap, group, merge, inputs.parts, concluding, pause, kafka, telemetry).run()

        try:
            asyncio.run(serve())
        except Exception:
            _logger.exception("the monitor ends")
            _end(FAILED)
    _end(0)


def _end(code: int) -> None:
    """End the process: Faust's threads would keep one alive that has failed, as a member of its group.

    Nothing is left undone by it, since whatever counts is in the last checkpoint.
    """
    logging.shutdown()
    os._exit(code)


def _begin(
    bootstrap: str, endpoint: Endpoint, inputs: Inputs, keeper: Keeper, metrics: MonitorMetrics
) -> tuple[Concluding, Merge, str]:
    settings = endpoint.monitoring.model_dump_json() + endpoint.output.model_dump_json()
    found = keeper.read()
    with committed_in(bootstrap, endpoint) as committed:
        kept = usable(found, inputs, settings, committed)
    if kept is None:
        kept = Checkpoint(new_generation(), inputs.ids, settings, {}, {}, {}, "", b"")
        abandoned = prefixes_of(found.waiting) if found is not None else []
        keeper.keep(kept)
    else:
        abandoned = []
        say_what_is_missing(bootstrap, inputs, kept.places)
    outlet = _outlet(bootstrap, endpoint)
    outlet.begin(kept.written, partial(_written, bootstrap))
    pending = RedisPending(keeper, kept.generation, shelf_span_us(endpoint.monitoring), kept.waiting, abandoned)
    control = from_json(kept.control) if kept.control else Control()
    core = _core(endpoint, pending, kept.core)
    core.controlled(control)
    about = Kept(kept.generation, inputs.ids, settings)
    concluding = Concluding(endpoint, core, control, pending, outlet, keeper, about, metrics)
    concluding.recall(_recalled(bootstrap, endpoint))
    return concluding, Merge(list(inputs.ids), kept.places), kept.generation


def _core(endpoint: Endpoint, pending: RedisPending, kept: bytes) -> Monitor:
    """As it was kept, or new."""
    what = endpoint.monitoring, endpoint.output.kind, pending, References(endpoint)
    return Monitor.restored(kept, *what) if kept else Monitor(*what)


def shelf_span_us(limits: MonitoringLimits) -> int:
    """How long a shelf of pending requests lasts, by how long the core corrects blocks."""
    return max(DAY_US, (KEPT_DELAYS * limits.label_delay + KEPT_BLOCKS * limits.block) // SHELVES)


def _outlet(bootstrap: str, endpoint: Endpoint) -> Outlet:
    accuracy, drift = endpoint.topic("accuracy"), endpoint.topic("drift")
    topics: dict[type, str] = {Accuracy: accuracy, Contest: accuracy, Drift: drift, Alarm: drift}
    return Outlet(KafkaSink(bootstrap, linger_ms=LINGER_MS), topics)


def _recalled(bootstrap: str, endpoint: Endpoint) -> Newest:
    """What was said before this process began."""
    newest = Newest()
    for name in ("accuracy", "drift"):
        for record in last_records(bootstrap, endpoint.topic(name), RECALLED):
            with contextlib.suppress(WireError):  # somebody else's, or of a time before this one's oldest schema
                newest.hear(decode_any(record.value, KINDS))
    return newest


def _written(bootstrap: str, topic: str, partition: int, start: int) -> Iterable[Record]:
    """What stands on an output topic from `start` on; from its first record, where the broker has removed that."""
    low = bounds_of(bootstrap, topic)[partition][0]
    return read_to_end(bootstrap, topic, partition, max(start, low))
