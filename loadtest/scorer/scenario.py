"""The run: a topic full of requests, one scorer that goes through it, and the bare loop over the same batches."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean
from typing import Any

from loadtest.bench import SAMPLE_ROWS, SOURCE
from loadtest.machine import machine, versions
from loadtest.noise import other_cores
from loadtest.scenario import Say
from loadtest.scorer import loop
from loadtest.scorer.home import HOUR_MS, write_home
from loadtest.scorer.picture import draw
from loadtest.server.watching import Look, Watcher
from rendezvous import topics
from rendezvous.client import CORRELATION_BYTES
from rendezvous.demo import flights
from rendezvous.demo.report import write
from rendezvous.demo.traffic import ENDPOINT, FIRST_DAY, LAST_DAY
from rendezvous.envelope import write_envelope
from rendezvous.local.failure import LocalStackError, tail
from rendezvous.local.services import started, train
from rendezvous.local.stack import running_stack
from rendezvous.log import KafkaSink, LogError, bounds_of, read_to_end
from rendezvous.messages import Envelope, ReplyAddress, Scores, Status
from rendezvous.registry.deploy import deploy
from rendezvous.settings import Endpoint, Environment, load_endpoint
from rendezvous.wire import Codec, decode

WARM_UP = 2_000
"""Rows before those that count."""
TURNS = 3
"""Scorer and bare loop take turns; the best of each counts, for other work can only make it slower."""
LEAST_SHARE = 0.7
FLUSH_S = 60.0
LOOP_S = 300.0
MICRO = 1e6
ROOT = Path(__file__).parents[2]
"""Where the bare loop is started."""
ALONE = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


@dataclass(frozen=True, slots=True)
class Place:
    """Where it is measured, and with what; values: requests as they are encoded."""

    kafka: str
    redis: str
    folder: Path
    values: Sequence[bytes]
    say: Say


def run(
    environment: Environment, *, batch: Sequence[int], records: int, folder: Path, say: Say
) -> tuple[dict[str, Any], int]:
    """Measure and write scorer.json and scorer.png; returns the report and how many rows have no score.

    Args:
        environment: where everything is.
        batch: rows that the scorer takes at most, one measurement each.
        records: requests of each.
        folder: for the report.
        say: told what goes on.

    Raises:
        SettingsError: the demo's endpoint is not there.
        LocalStackError: something could not be started, ended, or stands still.
    """
    begun, where = datetime.now(UTC), machine()
    demo = load_endpoint(ENDPOINT, environment.home)
    train(demo, environment.home, say)
    home = environment.data / "loadtest" / "scorer"
    shutil.rmtree(home, ignore_errors=True)
    values = _values(demo, WARM_UP + records)
    with running_stack(environment, report=say, fresh=True) as addresses:
        place = Place(addresses.kafka, addresses.redis, home, values, say)
        measured = [_batch(place, write_home(home / str(most), demo, most), most) for most in batch]
    report = {
        "scenario": "scorer",
        "begun_utc": begun.isoformat(timespec="seconds"),
        "machine": where,
        "versions": versions(environment.kafka),
        "most_other_cores": max((o for one in measured for o in one["other_cores"] if o is not None), default=None),
        "endpoint": demo.name,
        "rows": records,
        "batches": measured,
        "targets": [target(one) for one in measured],
    }
    write(report, folder / "scorer.json")
    draw(report, folder / "scorer.png")
    return report, sum(one["lost"] for one in measured)


def _values(demo: Endpoint, count: int) -> list[bytes]:
    """The demo's requests, repeated."""
    codec = Codec(demo.features_schema)
    table = flights.between(flights.load(), FIRST_DAY, LAST_DAY).iloc[:SAMPLE_ROWS]
    sample = [codec.encode(row) for row in flights.rows(table)]
    return [sample[number % len(sample)] for number in range(count)]


def _batch(place: Place, endpoint: Endpoint, most: int) -> dict[str, Any]:
    topics.create(place.kafka, endpoint)
    deploy(place.kafka, endpoint, report=lambda _: None)
    turns, loops = [], []
    for _ in range(TURNS):
        _fill(place, endpoint)
        turns.append(_scorer(place, endpoint, most))
        loops.append(_loop(place, endpoint, turns[-1]["sizes"]))
    scorer, bare = best(turns), best(loops)
    place.say(f"batches of {most}: {scorer['per_s']:.0f} rows/s, bare loop {bare['per_s']:.0f}")
    return {
        "most": most,
        "rows": round(mean(mean(turn["sizes"]) for turn in turns), 1),
        "scorer": scorer,
        "bare": bare,
        "share": round(scorer["per_s"] / bare["per_s"], 3),
        "per_s_of_runs": {"scorer": [round(t["per_s"]) for t in turns], "bare": [round(t["per_s"]) for t in loops]},
        "other_cores": [turn["other_cores"] for turn in turns],
        "lost": sum(turn["lost"] for turn in turns),
    }


def best(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The highest rate, and the least that a row took."""
    return {"per_s": round(max(one["per_s"] for one in runs))} | {
        name: min((round(one[name], 2) for one in runs if one[name] is not None), default=None)
        for name in ("cpu_us", "loop_cpu_us")
    }


def _fill(place: Place, endpoint: Endpoint) -> None:
    """Write the requests, with all their headers, where there is no scorer yet."""
    sink = KafkaSink(place.kafka, linger_ms=20)
    for number, value in enumerate(place.values):
        reply = ReplyAddress(endpoint.topic("responses"), 0, number.to_bytes(CORRELATION_BYTES, "big"))
        envelope = Envelope(str(uuid.UUID(int=number)), SOURCE, HOUR_MS, reply)
        sink.send(endpoint.topic("requests"), value, partition=0, headers=write_envelope(envelope))
    if left := sink.flush(FLUSH_S):
        raise LogError(f"{left} requests could not be written within {FLUSH_S:g} s")


def _scorer(place: Place, endpoint: Endpoint, most: int) -> dict[str, Any]:
    """The real service, from its start to its last score."""
    scores, (model,) = endpoint.topic("scores"), endpoint.models
    (_, begin) = bounds_of(place.kafka, scores)[0]
    surroundings = {
        "KAFKA_BOOTSTRAP_SERVERS": place.kafka,
        "REDIS_URL": place.redis,
        "RENDEZVOUS_HOME": str(endpoint.folder.parents[1]),
        **ALONE,
    }
    arguments = ["scorer", "--model", model, "--endpoint", endpoint.name]
    service = started("scorer", arguments, surroundings, place.folder / "logs")
    try:
        watcher = Watcher(place.kafka, scores, service.process.pid, service.alive)
        looks = watcher.until(begin + -(-len(place.values) // most))
        watcher.close()
    finally:
        service.process.stop()
    return {**_figures(place, scores, begin, looks), "other_cores": other_cores(looks[0].machine, looks[-1].machine)}


def _figures(place: Place, topic: str, begin: int, looks: Sequence[Look]) -> dict[str, Any]:
    """Rows by the broker's clock from the end of the warm-up on; the processor's time from the look that follows."""
    sizes, at_ms, places, scored = [], [], [], 0
    for record in read_to_end(place.kafka, topic, 0, begin):
        scores = decode(record.value, Scores)
        sizes.append(len(scores.offsets))
        at_ms.append(record.timestamp_ms)
        places.append(record.offset + 1)
        scored += int((scores.statuses == Status.OK).sum())
    warm = next(at for at, _ in enumerate(sizes) if sum(sizes[: at + 1]) >= WARM_UP)
    rows, seconds = sum(sizes[warm + 1 :]), (at_ms[-1] - at_ms[warm]) / 1e3
    first = next(look for look in looks if look.end >= places[warm])
    since = sum(size for size, position in zip(sizes, places, strict=True) if position > first.end)
    return {
        "per_s": rows / seconds,
        "cpu_us": _price(first.cpu_s, looks[-1].cpu_s, since),
        "loop_cpu_us": _price(first.loop_cpu_s, looks[-1].loop_cpu_s, since),
        "sizes": sizes,
        "lost": len(place.values) - scored,
    }


def _price(before_s: float | None, after_s: float | None, rows: int) -> float | None:
    """None where the kernel does not tell."""
    return None if before_s is None or after_s is None or not rows else (after_s - before_s) / rows * MICRO


def _loop(place: Place, endpoint: Endpoint, sizes: Sequence[int]) -> dict[str, float]:
    path, (model,) = place.folder / "batches.npz", endpoint.models
    loop.save(path, place.values, sizes)
    command = [sys.executable, "-m", "loadtest.scorer.loop", str(endpoint.folder.parents[1]), endpoint.name, model]
    log = place.folder / "loop.log"
    with log.open("w") as errors:
        done = subprocess.run(  # noqa: S603 - our own
            [*command, str(path)],
            cwd=ROOT,
            env=_with(ALONE),
            stdout=subprocess.PIPE,
            stderr=errors,
            check=False,
            timeout=LOOP_S,
        )
    if done.returncode:
        raise LocalStackError(f"the bare loop ended with {done.returncode}. {tail(log)}")
    found: Mapping[str, float] = json.loads(done.stdout)
    cpu_us = found["cpu_s"] / found["rows"] * MICRO
    return {"per_s": found["rows"] / found["seconds"], "cpu_us": cpu_us, "loop_cpu_us": cpu_us}


def _with(variables: Mapping[str, str]) -> dict[str, str]:
    return {**os.environ, **variables}


def target(one: Mapping[str, Any]) -> dict[str, Any]:
    """What was promised of one size of batches."""
    return {
        "name": f"rows a second in batches of {one['most']}, as a share of the bare loop's, at least",
        "value": one["share"],
        "limit": LEAST_SHARE,
        "met": one["share"] >= LEAST_SHARE,
        "reason": None if one["share"] >= LEAST_SHARE else _reason(one),
    }


def _reason(one: Mapping[str, Any]) -> str:
    loop, bare = one["scorer"]["loop_cpu_us"], one["bare"]["cpu_us"]
    return f"a row takes {loop or float('nan'):.1f} us of the scorer's loop, and {bare:.1f} us of the bare one"
