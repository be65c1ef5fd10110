"""Steady load on the real endpoint, and the floor at the same rates, by turns."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from statistics import median

from loadtest import floor, shape, system
from loadtest.bare import batch_ms
from loadtest.bench import Bench, afresh, running_bench
from loadtest.derived import Shape
from loadtest.driving.stage import timed
from loadtest.latency import Run
from loadtest.machine import machine, versions
from loadtest.picture import draw
from loadtest.report import (
    IDLE,
    SHARES,
    Bare,
    Pair,
    limits_of,
    lost,
    mean_batch_rows,
    most_other_cores,
    rate_figures,
    targets,
)
from loadtest.saturation.scenario import known
from loadtest.scenario import Measured, Say
from rendezvous.demo.report import write
from rendezvous.log import create_topics
from rendezvous.settings import Environment

NAME = "flights-steady"
IDLE_RATE = 10.0
BROKER_WARM_UP_S = 5.0
"""Once, with the floor at the highest rate: the broker's code is compiled while it is first used."""
MEASURES: dict[str, Callable[[Bench, float, float], Run]] = {"system": system.measure, "floor": floor.measure}

ORDER = ("system", "floor", "floor", "system")
"""At a rate that has targets, each for half the time: whatever grows or fades evenly meanwhile weighs on both alike."""
SHORT_ORDER = ("system", "floor")
"""At the others: half of a run's time goes into starting processes."""


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
    """Measure and write steady.json and steady.png; `rate` is what counts as saturation, looked for when None.

    Raises:
        SettingsError: the endpoint is not there.
        LocalStackError: something could not be started.
    """
    begun, where = datetime.now(UTC), machine()
    with running_bench(environment, say, Shape(models, partitions, payload), NAME) as bench:
        saturation = known(bench, rate, say)
        create_topics(bench.kafka, timed(shape.topics(bench.endpoint)))
        loads = {IDLE: IDLE_RATE} | {name: share * saturation for name, share in SHARES.items()}
        pairs = measure(bench, loads, seconds, say)
    entries = [rate_figures(pair) for pair in pairs]
    report = {
        "scenario": "steady",
        "begun_utc": begun.isoformat(timespec="seconds"),
        "endpoint": "flights",
        "models": models,
        "partitions": partitions,
        "payload": payload,
        "saturation": saturation,
        "saturation_is": "given" if rate else "found",
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


def measure(bench: Bench, loads: Mapping[str, float], seconds: float, say: Say) -> list[Pair]:
    """System and floor at each rate, `seconds` each; the system on an endpoint anew each time."""
    gc.collect()
    gc.freeze()  # the table's thousands of objects live for ever: the collector must not walk them while we measure
    say(f"warming the broker up for {BROKER_WARM_UP_S:g} s")
    floor.measure(bench, max(loads.values()), BROKER_WARM_UP_S)
    pairs, names = [], (f"{bench.endpoint.name}-run-{number}" for number in count(1))
    for load, rate in loads.items():
        runs = []
        order = ORDER if limits_of(load, 0.0) else SHORT_ORDER
        for side in order:
            place = afresh(bench, next(names)) if side == "system" else bench
            runs.append((side, _run(place, side, rate, seconds / order.count(side), say)))
        pairs.append(Pair(load, rate, runs, _bare(bench, [run for side, run in runs if side == "system"])))
    return pairs


def _run(bench: Bench, side: str, rate: float, seconds: float, say: Say) -> Run:
    say(f"{rate:.0f}/s {side}: starting, {bench.warm_up_s:g} s of warm-up, {seconds:g} s of measurement")
    measured = MEASURES[side](bench, rate, seconds)
    others = "" if measured.other_cores is None else f"; others kept {measured.other_cores:.1f} cores busy"
    say(
        f"{rate:.0f}/s {side}: {len(measured.latencies_ms)} requests, median {median(measured.latencies_ms):.2f} ms, "
        f"{measured.unanswered} unanswered, {measured.late} late{others}"
    )
    return measured


def _bare(bench: Bench, runs: Sequence[Run]) -> Bare:
    rows = max(round(mean_batch_rows(runs)), 1)
    return Bare(bench.champion[0], rows, batch_ms(bench.endpoint, bench.champion, bench.rows[:rows]))
