"""The run: half of saturation for as long as asked, and after each window a look at every process."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from loadtest.bench import SOURCE
from loadtest.derived import Shape
from loadtest.driving.flights import Field, begun, running_field
from loadtest.latency import PERCENTILES, histogram, percentile_ms
from loadtest.noise import other_cores, spent
from loadtest.scenario import Measured, Say
from loadtest.soak.growth import target
from loadtest.soak.picture import draw
from loadtest.system import counts
from rendezvous.client import Client
from rendezvous.demo.report import write
from rendezvous.demo.traffic import drive
from rendezvous.local.ports import LOOPBACK
from rendezvous.local.services import RunningService
from rendezvous.settings import Environment

NAME = "flights-soak"
SECONDS = 1_800.0
SHARE = 0.5
"""Of saturation."""
WINDOWS = 60
LEAST_S, MOST_S = 2.0, 30.0
"""Of a window."""
PAGE_TIMEOUT_S = 5.0
MB = 1e6
MEMORY = "process_resident_memory_bytes"
LAGS = {"server": "rendezvous_server_append_age_seconds", "": "rendezvous_scorer_delay_seconds"}
"""How old what a process works on is, on the server's page and on a scorer's."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One window, and every process at its end: memory in MB, and the age of what it works on in milliseconds.

    too_late: answers that came after the client had given up; unanswered: those that never came.
    """

    at_s: float
    requests: int
    unanswered: int
    too_late: int
    latency_ms: Mapping[str, float]
    memory_mb: Mapping[str, float]
    lag_ms: Mapping[str, float]
    other_cores: float | None


def run(
    environment: Environment,
    *,
    rate: float | None,
    models: int,
    partitions: int,
    payload: int,
    seconds: float,
    folder: Path,
    say: Say,
) -> Measured:
    """Measure, and write soak.json and soak.png; `rate` is what counts as saturation, looked for when None.

    Raises:
        SettingsError: the endpoint is not there.
        LocalStackError: something could not be started, or ended.
    """
    shape = Shape(models, partitions, payload)
    report = begun(environment, "soak", shape, rate)
    with running_field(environment, say, shape, NAME, rate) as field:
        samples = soak(field, SHARE * field.saturation, seconds, say)
    others = [sample.other_cores for sample in samples if sample.other_cores is not None]
    report |= {
        "saturation": field.saturation,
        "rate": SHARE * field.saturation,
        "seconds": seconds,
        "requests": sum(sample.requests for sample in samples),
        "unanswered": sum(sample.unanswered for sample in samples),
        "too_late": sum(sample.too_late for sample in samples),
        "most_other_cores": max(others, default=None),
        "samples": [
            {
                "at_s": round(sample.at_s, 1),
                "latency_ms": sample.latency_ms,
                "memory_mb": sample.memory_mb,
                "lag_ms": sample.lag_ms,
                "other_cores": sample.other_cores,
            }
            for sample in samples
        ],
        "targets": targets(samples),
    }
    write(report, folder / "soak.json")
    draw(report, folder / "soak.png")
    return report, report["unanswered"]


def soak(field: Field, rate: float, seconds: float, say: Say) -> list[Sample]:
    """Window after window through one `Client`, as an application that runs for long."""
    bench, samples = field.bench, []
    window_s = min(max(seconds / WINDOWS, LEAST_S), MOST_S)
    registry = CollectorRegistry()
    with Client(bench.endpoint, bench.kafka, source=SOURCE, registry=registry) as client:
        drive(client, *bench.requests(rate, bench.warm_up_s), rate, lambda *_: None)
        begun_s = time.monotonic()
        while time.monotonic() - begun_s < seconds:
            before, (known, _) = spent(), counts(registry)
            log = drive(client, *bench.requests(rate, window_s), rate, lambda *_: None)
            at_s = time.monotonic() - begun_s
            too_late = counts(registry)[0] - known
            made = histogram([asked.latency_ms for asked in log])
            pages = {name: _page(service) for name, service in field.services.items()}
            samples.append(
                Sample(
                    at_s,
                    len(log),
                    sum(not asked.answered for asked in log) - too_late,
                    too_late,
                    {name: percentile_ms(made, at) for name, at in PERCENTILES.items()},
                    {name: round(page[MEMORY] / MB, 2) for name, page in pages.items()},
                    {name: round(page[LAGS.get(name, LAGS[""])] * 1e3, 2) for name, page in pages.items()},
                    other_cores(before, spent()),
                )
            )
            say(f"{at_s:.0f} s: p50 {samples[-1].latency_ms['p50']:.1f} ms, {samples[-1].memory_mb} MB")
    return samples


def _page(service: RunningService) -> dict[str, float]:
    """What a process says of itself.

    Raises:
        LocalStackError: it has ended.
    """
    service.alive()
    with urllib.request.urlopen(f"http://{LOOPBACK}:{service.port}/metrics", timeout=PAGE_TIMEOUT_S) as page:
        text = page.read().decode()
    return {one.name: one.value for family in text_string_to_metric_families(text) for one in family.samples}


def targets(samples: Sequence[Sample]) -> list[dict[str, Any]]:
    """Nothing may grow: not the memory of a process, not the age of what it works on, not latency."""
    at_s = [sample.at_s for sample in samples]
    found = [
        target(f"latency {name}", "ms", name, at_s, [sample.latency_ms[name] for sample in samples])
        for name in ("p50", "p99")
    ]
    for name in samples[0].memory_mb if samples else ():
        found.append(target(f"memory of {name}", "MB", "memory", at_s, [one.memory_mb[name] for one in samples]))
        found.append(target(f"lag of {name}", "ms", "lag", at_s, [one.lag_ms[name] for one in samples]))
    return found
