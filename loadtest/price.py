"""What `exactly_once` costs: `python -m loadtest.price [RATE ...]`, from the checkout's root, with trained models.

Both modes by turns on one broker, the order default, exactly once, exactly once, default, so that whatever grows or
fades meanwhile weighs on both alike. On a machine that others use too only the ratios mean something.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from loadtest.bench import SOURCE, Bench, running_bench
from loadtest.derived import Shape
from loadtest.noise import PROC, process_of
from rendezvous.client import Client
from rendezvous.demo.traffic import drive
from rendezvous.local.services import running_services
from rendezvous.settings import environment

NAME = "flights-price"
ORDER = (False, True, True, False)
RATES = (100.0, 500.0)
SECONDS = 10.0
TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Cost:
    """One run: latencies from due, milliseconds; cores that the server kept busy; answers that never came."""

    latencies_ms: list[float]
    server_cores: float
    unanswered: int


def main(rates: list[float]) -> None:
    """Measure and print one line a rate and mode."""
    with tempfile.TemporaryDirectory() as folder, running_bench(environment(), _say, Shape(), NAME) as bench:
        homes = {mode: _home(bench.home, Path(folder) / str(mode), exactly_once=mode) for mode in (False, True)}
        for rate in rates:
            runs = [(mode, _measure(replace(bench, home=homes[mode]), rate)) for mode in ORDER]
            for mode in (False, True):
                _print(rate, mode=mode, costs=[cost for ran, cost in runs if ran is mode])


def _home(source: Path, folder: Path, *, exactly_once: bool) -> Path:
    """A copy of models/ and schemas/ whose endpoint is of this mode."""
    for name in ("models", "schemas"):
        shutil.copytree(source / name, folder / name)
    document = folder / "models" / NAME / "endpoint.toml"
    document.write_text(f"exactly_once = {str(exactly_once).lower()}\n{document.read_text()}")
    return folder


def _measure(bench: Bench, rate: float) -> Cost:
    """Start the services, warm up at `rate`, measure."""
    with (
        running_services(bench.endpoint, bench.home, bench.kafka, bench.logs, lambda _: None) as services,
        Client(bench.endpoint, bench.kafka, source=SOURCE) as client,
    ):
        drive(client, *bench.requests(rate, bench.warm_up_s), rate, lambda *_: None)
        before = _cpu_s(services["server"].process.pid)
        log = drive(client, *bench.requests(rate, SECONDS), rate, lambda *_: None)
        spent = _cpu_s(services["server"].process.pid) - before
    return Cost([asked.latency_ms for asked in log], spent / SECONDS, sum(not asked.answered for asked in log))


def _cpu_s(pid: int) -> float:
    return process_of((PROC / str(pid) / "stat").read_text()).ticks / TICKS_A_SECOND


def _print(rate: float, *, mode: bool, costs: list[Cost]) -> None:
    latencies = np.concatenate([cost.latencies_ms for cost in costs])
    p50, p99 = np.percentile(latencies, [50, 99])
    cores = sum(cost.server_cores for cost in costs) / len(costs)
    _say(
        f"{rate:g}/s {'exactly once' if mode else 'default'}: p50 {p50:.1f} ms, p99 {p99:.1f} ms, server {cores:.2f} "
        f"cores, {sum(cost.unanswered for cost in costs)} of {len(latencies)} unanswered"
    )


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - this is a command


if __name__ == "__main__":
    main([float(rate) for rate in sys.argv[1:]] or list(RATES))
