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
from loadtest.bench import Bench
from loadtest.latency import Run
from loadtest.machine import machine, versions
from loadtest.picture import draw
from loadtest.report import Bare, Pair, lost, mean_batch_rows, most_other_cores, rate_figures, targets
from rendezvous import topics
from rendezvous.demo import flights
from rendezvous.demo.report import write
from rendezvous.demo.scene import ENDPOINT, FIRST_DAY, LAST_DAY
from rendezvous.local.services import train
from rendezvous.local.stack import running_stack
from rendezvous.log import create_topics
from rendezvous.registry.deploy import deploy
from rendezvous.registry.naming import active_names
from rendezvous.settings import Environment, load_endpoint

SAMPLE_ROWS = 5_000
"""Real requests, repeated when a run needs more."""
WARM_UP_S = 3.0
"""At the measured rate, before each run; as long as the demo's."""
BROKER_WARM_UP_S = 5.0
"""Once, with the floor at the highest rate: the broker's code is compiled while it is first used."""
MEASURES: dict[str, Callable[[Bench, float, float], Run]] = {"system": system.measure, "floor": floor.measure}

ORDER = ("system", "floor", "floor", "system")
"""At each rate, each for half the time: whatever grows or fades evenly meanwhile weighs on both sides alike."""

Say = Callable[[str], None]


def run(
    environment: Environment, *, rates: Sequence[float], seconds: float, folder: Path, say: Say
) -> tuple[dict[str, Any], int]:
    """Measure and write steady.json and steady.png; returns the report and how many requests were lost.

    Raises:
        SettingsError: the endpoint is not there.
        LocalStackError: something could not be started.
    """
    begun, where = datetime.now(UTC), machine()
    endpoint = load_endpoint(ENDPOINT, environment.home)
    train(endpoint, environment.home, say)
    table = flights.between(flights.load(), FIRST_DAY, LAST_DAY).iloc[:SAMPLE_ROWS]
    logs = environment.data / "loadtest" / "logs"
    with running_stack(environment, report=say, fresh=True) as addresses:
        topics.create(addresses.kafka, endpoint)
        control = deploy(addresses.kafka, endpoint, report=say)
        create_topics(addresses.kafka, shape.topics(endpoint))
        bench = Bench(
            endpoint=endpoint,
            control=control,
            home=environment.home,
            kafka=addresses.kafka,
            logs=logs,
            rows=flights.rows(table),
            request_ids=table["request_id"].tolist(),
            warm_up_s=WARM_UP_S,
        )
        pairs = measure(bench, rates, seconds, say)
    entries = [rate_figures(pair) for pair in pairs]
    report = {
        "scenario": "steady",
        "begun_utc": begun.isoformat(timespec="seconds"),
        "endpoint": endpoint.name,
        "models": len(active_names(control)),
        "partitions": endpoint.topics.partitions,
        "seconds": seconds,
        "warm_up_s": WARM_UP_S,
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
