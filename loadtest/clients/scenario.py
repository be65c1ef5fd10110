"""The run: the floor as it is, and the floor with one setting of its clients changed, by turns, for each setting."""

from __future__ import annotations

import gc
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from loadtest import shape
from loadtest.bench import Bench, running_bench
from loadtest.clients.changes import CHANGES, NOT_MEASURED, Change
from loadtest.clients.picture import draw
from loadtest.clients.report import AS_IS, CHANGED, Load, Turn, entry, lost, most_other_cores
from loadtest.derived import Shape
from loadtest.driving.stage import timed
from loadtest.floor import Driver, running_relays
from loadtest.machine import machine, versions
from loadtest.noise import other_cores, own_cores, spent
from loadtest.scenario import Measured, Say
from rendezvous.demo.report import write
from rendezvous.log import create_topics
from rendezvous.settings import Environment

NAME = "flights-clients"
RATES = (20.0, 400.0)
"""Nearly idle, and busy."""
SECONDS = 5.0
FLOORS = {AS_IS: shape.NAME, CHANGED: f"{shape.NAME}-changed"}
"""What the topics of each side begin with; both sides' relays run all the time."""
ORDER = tuple(AS_IS if side == "a" else CHANGED for side in "accacaaccaacacca")
"""The turns at a rate (Thue and Morse's sequence), each for an eighth of the time: other work that comes for seconds,
and what grows or fades meanwhile, evenly or not, weigh on both sides alike."""
BROKER_WARM_UP_S = 5.0
"""Once, at the highest rate: the broker's code is compiled while it is first used."""
WARM_UP_S = 1.0
"""At the highest rate, each side, before a setting's turns: connections, and code that is new to its processes."""
PAUSE_S = 0.1
"""Between turns; candidates' relays hold back what they have for a fifth of this."""


def run(
    environment: Environment,
    *,
    rate: Sequence[float],
    models: int,
    partitions: int,
    payload: int,
    seconds: float,
    folder: Path,
    say: Say,
) -> Measured:
    """Measure, and write clients.json and clients.png; `seconds` for each setting, rate and side.

    Raises:
        SettingsError: the endpoint is not there.
        LocalStackError: something could not be started.
    """
    begun, where = datetime.now(UTC), machine()
    with running_bench(environment, say, Shape(models, partitions, payload), NAME) as bench:
        entries = measure(bench, CHANGES, rate, seconds, say)
    report: dict[str, Any] = {
        "scenario": "clients",
        "begun_utc": begun.isoformat(timespec="seconds"),
        "took_s": round((datetime.now(UTC) - begun).total_seconds(), 1),
        "models": models,
        "partitions": partitions,
        "payload": payload,
        "rates": list(rate),
        "seconds": seconds,
        "machine": where,
        "versions": versions(environment.kafka),
        "most_other_cores": most_other_cores(entries),
        "settings": entries,
        "not_measured": NOT_MEASURED,
        "targets": [],
    }
    write(report, folder / "clients.json")
    draw(report, folder / "clients.png")
    return report, lost(entries)


def measure(
    bench: Bench, changes: Sequence[Change], rates: Sequence[float], seconds: float, say: Say
) -> list[dict[str, Any]]:
    """Each change beside the floor as it is, whose relays run through."""
    gc.collect()
    gc.freeze()  # as in steady: the collector must not walk the table's objects while we measure
    for floor in FLOORS.values():
        create_topics(bench.kafka, timed(shape.topics(bench.endpoint, floor)))
    entries = []
    with ExitStack() as stack:
        as_is = _side(bench, Change(name="", role=""), AS_IS, stack)
        say(f"warming the broker up for {BROKER_WARM_UP_S:g} s")
        as_is.drive(max(rates), BROKER_WARM_UP_S)
        for number, change in enumerate(changes, 1):
            with ExitStack() as own:
                drivers = {AS_IS: as_is, CHANGED: _side(bench, change, CHANGED, own)}
                for driver in drivers.values():
                    driver.drive(max(rates), WARM_UP_S)
                entries.append(entry(change, [_load(drivers, rate, seconds) for rate in rates]))
            say(f"{number} of {len(changes)}, {line(entries[-1])}")
    return entries


def _side(bench: Bench, change: Change, side: str, stack: ExitStack) -> Driver:
    """Relays with a change, and their driver, which has none."""
    floor = FLOORS[side]
    relays = {name: change.of(hop) for name, hop in shape.hops(bench, floor).items()}
    stack.enter_context(running_relays(bench, relays))
    return stack.enter_context(Driver(bench, floor, PAUSE_S))


def _load(drivers: Mapping[str, Driver], rate: float, seconds: float) -> Load:
    """All turns at one rate."""
    return Load(rate, [_turn(side, drivers[side], rate, seconds / ORDER.count(side)) for side in ORDER])


def _turn(side: str, driver: Driver, rate: float, seconds: float) -> Turn:
    before = spent()
    measured = driver.drive(rate, seconds)
    after = spent()
    return side, replace(measured, other_cores=other_cores(before, after)), own_cores(before, after)


def line(one: Mapping[str, Any]) -> str:
    """A setting's ratios, for whoever watches."""
    ratios = ", ".join(f"{rate['ratio']['p50']:g} at {rate['rate']:g}/s" for rate in one["rates"])
    return f"{one['name']}: p50 changed / as is {ratios}"
