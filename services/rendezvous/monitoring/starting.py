"""A monitor from its parts: what was kept is read, what was written is learned, and the service runs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from functools import partial

from rendezvous.log import KafkaSink, Record, bounds_of, read_to_end
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
from rendezvous.monitoring.concluding import Concluding, Core, Kept
from rendezvous.monitoring.findings import Accuracy, Alarm, Contest, Drift
from rendezvous.monitoring.merging import Merge
from rendezvous.monitoring.outlet import Outlet
from rendezvous.monitoring.pausing import Pause, StoppedError
from rendezvous.monitoring.pending_redis import RedisPending, prefixes_of
from rendezvous.monitoring.service import Service
from rendezvous.registry.snapshot import from_json
from rendezvous.registry.state import Control
from rendezvous.settings import Endpoint
from rendezvous.telemetry import MonitorMetrics, Telemetry

LINGER_MS = 20
"""Nobody waits for findings."""
SPAN_US = 24 * 3_600_000_000
"""Requests of a day, of event time, are forgotten together."""

Make = Callable[[Endpoint, RedisPending, bytes], Core]
"""A core as it was, or a new one where the bytes are empty."""


def run(bootstrap: str, redis: str, endpoint: Endpoint, make: Make, telemetry: Telemetry) -> None:
    """Run one endpoint's monitor until SIGTERM or SIGINT."""
    metrics = MonitorMetrics(telemetry.registry)
    pause = Pause(telemetry, metrics)
    keeper = Keeper(redis, endpoint.name, pause.wait)
    inputs = inputs_of(bootstrap, endpoint)
    with contextlib.suppress(StoppedError):
        concluding, merge, generation = _begin(bootstrap, endpoint, inputs, keeper, make, metrics)
        group = group_of(endpoint, generation)
        asyncio.run(_serve(Service, bootstrap, group, merge, inputs.parts, concluding, pause, metrics, telemetry))
    keeper.close()


async def _serve(make: Callable[..., Service], *arguments: object) -> None:
    await make(*arguments).run()


def _begin(
    bootstrap: str, endpoint: Endpoint, inputs: Inputs, keeper: Keeper, make: Make, metrics: MonitorMetrics
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
    pending = RedisPending(keeper, kept.generation, SPAN_US, kept.waiting, abandoned)
    control = from_json(kept.control) if kept.control else Control()
    core = make(endpoint, pending, kept.core)
    about = Kept(kept.generation, inputs.ids, settings)
    concluding = Concluding(endpoint, core, control, pending, outlet, keeper, about, metrics)
    return concluding, Merge(list(inputs.ids), kept.places), kept.generation


def _outlet(bootstrap: str, endpoint: Endpoint) -> Outlet:
    accuracy, drift = endpoint.topic("accuracy"), endpoint.topic("drift")
    topics: dict[type, str] = {Accuracy: accuracy, Contest: accuracy, Drift: drift, Alarm: drift}
    return Outlet(KafkaSink(bootstrap, linger_ms=LINGER_MS), topics)


def _written(bootstrap: str, topic: str, partition: int, start: int) -> Iterable[Record]:
    """What stands on an output topic from `start` on; from its first record, where the broker has removed that."""
    low = bounds_of(bootstrap, topic)[partition][0]
    return read_to_end(bootstrap, topic, partition, max(start, low))
