"""What scenarios of phases on the flight models share: the services, the load, the head of a report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from loadtest.bench import Bench, afresh, running_bench
from loadtest.derived import Shape
from loadtest.driving.fates import figures, sent_late_ms
from loadtest.driving.phases import Played, Window
from loadtest.driving.settling import settle
from loadtest.machine import machine, versions
from loadtest.saturation.scenario import known
from loadtest.scenario import Say
from rendezvous.local.services import RunningService, running_services
from rendezvous.registry.naming import active_names
from rendezvous.settings import Environment
from rendezvous.wire import Codec


@dataclass(frozen=True, slots=True)
class Field:
    """An endpoint whose services run, what is sent to it, and what counts as its saturation."""

    bench: Bench
    services: Mapping[str, RunningService]
    values: Sequence[bytes]
    saturation: float

    @property
    def champion(self) -> RunningService:
        """The scorer that the schedule waits for first."""
        return self.services[active_names(self.bench.control)[self.bench.champion]]


def encoded(bench: Bench) -> list[bytes]:
    """The sample of requests, as they travel."""
    codec = Codec(bench.endpoint.features_schema)
    return [codec.encode(row) for row in bench.rows]


@contextmanager
def running_field(environment: Environment, say: Say, shape: Shape, name: str, rate: float | None) -> Iterator[Field]:
    """An endpoint like `flights` with its services; its saturation is `rate`, or looked for.

    Raises:
        SettingsError: the endpoint is not there.
        LocalStackError: something could not be started.
    """
    with running_bench(environment, say, shape, name) as bench:
        saturation = known(bench, rate, say)
        place = bench if rate else afresh(bench, f"{name}-found")
        with serving(place, saturation) as field:
            yield field


@contextmanager
def serving(bench: Bench, saturation: float) -> Iterator[Field]:
    """The services of an endpoint, at ease."""
    with running_services(bench.endpoint, bench.home, bench.kafka, bench.logs, lambda _: None) as services:
        values = encoded(bench)
        settle(bench, values)
        yield Field(bench, services, values, saturation)


def begun(environment: Environment, scenario: str, shape: Shape, rate: float | None) -> dict[str, Any]:
    """The head of a report, as it is before anything is started."""
    return {
        "scenario": scenario,
        "begun_utc": datetime.now(UTC).isoformat(timespec="seconds"),
        "models": shape.models,
        "partitions": shape.partitions,
        "payload": shape.payload,
        "saturation_is": "given" if rate else "found",
        "machine": machine(),
        "versions": versions(environment.kafka),
    }


def told(played: Played) -> dict[str, Any]:
    """What a report says of every phase."""
    return {
        "deadline_ms": played.deadline_ms,
        "sent_late_ms": sent_late_ms(played),
        "phases": [figures(played, window) for window in played.windows],
    }


def around(played: Played, window: Window) -> str:
    """What was measured beside a phase's figures, in a few words."""
    parts = [f"the driver late by {sent_late_ms(played)['p99']:.1f} ms at p99"]
    if window.busy_cores is not None:
        parts.append(f"{window.busy_cores:.1f} cores busy, {window.other_cores:.1f} of them by other work")
    return ", ".join(parts)
