"""Steady load on the real endpoint, and the floor at the same rates, by turns."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from loadtest import floor, shape, system
from loadtest.bare import batch_ms
from loadtest.bench import Bench, running_bench
from loadtest.latency import Run
from loadtest.machine import machine, versions
from loadtest.picture import draw
from loadtest.report import Bare, Pair, lost, mean_batch_rows, most_other_cores, rate_figures, targets
from loadtest.scenario import Say
from rendezvous.demo.report import write
from rendezvous.log import create_topics
from rendezvous.registry.naming import active_names
from rendezvous.settings import Environment

BROKER_WARM_UP_S = 5.0
"""Once, with the floor at the highest rate: the broker's code is compiled while it is first used."""
MEASURES: dict[str, Callable[[Bench, float, float], Run]] = {"system": system.measure, "floor": floor.measure}

ORDER = ("system", "floor", "floor", "system")
"""At each rate, each for half the time: whatever grows or fades evenly meanwhile weighs on both sides alike."""


def run(
    environment: Environment, *, rate: Sequence[float], seconds: float, folder: Path, say: Say
) -> tuple[dict[str, Any], int]:
    """Measure and write steady.json and steady.png; returns the report and how many requests were lost.

    Raises:
        SettingsError: the endpoint is not there.
        LocalStackError: something could not be started.
    """
    begun, where = datetime.now(UTC), machine()
    with running_bench(environment, say) as bench:
        create_topics(bench.kafka, shape.topics(bench.endpoint))
        pairs = measure(bench, rate, seconds, say)
    entries = [rate_figures(pair) for pair in pairs]
    report = {
        "scenario": "steady",
        "begun_utc": begun.isoformat(timespec="seconds"),
        "endpoint": bench.endpoint.name,
        "models": len(active_names(bench.control)),
        "partitions": bench.endpoint.topics.partitions,
        "seconds": seconds,
        "warm_up_s": bench.warm_up_s,
        "machine": where,
        "versions": versions(environment.kafka),
        "most_other_cores": most_other_cores(entries),
        "rates": entries,
        "targets": targets(entries),
    }
    write(report, folder / "steady.json")
    draw(report, folder / "steady.png")
    return report, lost(entries)


def measure(bench: Bench, rates: Sequence[float], seconds: float, say: Say) -> list[Pair]:
    """System and floor at each rate, `seconds` each."""
    gc.collect()
    gc.freeze()  # the table's thousands of objects live for ever: the collector must not walk them while we measure
    say(f"warming the broker up for {BROKER_WARM_UP_S:g} s")
    floor.measure(bench, max(rates), BROKER_WARM_UP_S)
    pairs = []
    for rate in rates:
        runs = [(side, _run(bench, side, rate, seconds / ORDER.count(side), say)) for side in ORDER]
        pairs.append(Pair(rate, runs, _bare(bench, [run for side, run in runs if side == "system"])))
    return pairs


def _run(bench: Bench, side: str, rate: float, seconds: float, say: Say) -> Run:
    say(f"{rate:g}/s {side}: starting, {bench.warm_up_s:g} s of warm-up, {seconds:g} s of measurement")
    measured = MEASURES[side](bench, rate, seconds)
    others = "" if measured.other_cores is None else f"; others kept {measured.other_cores:.1f} cores busy"
    say(
        f"{rate:g}/s {side}: {len(measured.latencies_ms)} requests, median {median(measured.latencies_ms):.2f} ms, "
        f"{measured.unanswered} unanswered, {measured.late} late{others}"
    )
    return measured


def _bare(bench: Bench, runs: Sequence[Run]) -> Bare:
    rows = max(round(mean_batch_rows(runs)), 1)
    return Bare(bench.champion[0], rows, batch_ms(bench.endpoint, bench.champion, bench.rows[:rows]))
