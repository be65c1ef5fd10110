"""The run: topics that are full already, one monitor process, and how fast it comes to their end."""

from __future__ import annotations

import shutil
import sys
import time
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import redis
from prometheus_client.parser import text_string_to_metric_families

from loadtest.machine import machine, versions
from loadtest.monitor.filling import Filling
from loadtest.monitor.home import MODELS, NUMERIC, PARTITIONS, TEXTUAL, write_home
from loadtest.monitor.picture import draw
from loadtest.noise import other_cores, spent
from loadtest.scenario import Say
from rendezvous import topics
from rendezvous.demo.report import write
from rendezvous.local.failure import LocalStackError, tail
from rendezvous.local.ports import LOOPBACK, free_port
from rendezvous.local.process import GuardedProcess
from rendezvous.local.stack import running_stack
from rendezvous.registry.control import ControlLog
from rendezvous.registry.deploy import deploy
from rendezvous.settings import Endpoint, Environment

REQUESTS_RATE, LABELS_RATE = 20_000, 5_000
"""The targets: so many a second."""
LOOK_EVERY_S = 0.5
STALLED_S = 60.0
"""So long without any progress, the run has failed."""
PAGE_TIMEOUT_S = 5.0
TOPICS = {"requests": "comparisons", "features": "features", "labels": "labels"}
MB = MILLION = 1e6


@dataclass(frozen=True, slots=True)
class Sample:
    """The monitor's page at one moment: rows taken up, by what they are, and what it costs."""

    at_s: float
    rows: Mapping[str, int]
    cpu_s: float
    memory_mb: float
    pending: int


def run(environment: Environment, *, seconds: float, folder: Path, say: Say) -> tuple[dict[str, Any], int]:
    """Fill the topics, measure, and write monitor.json and monitor.png; nothing can be lost here.

    Raises:
        LocalStackError: something could not be started, or the monitor ended or stands still.
    """
    begun, where = datetime.now(UTC), machine()
    place = environment.data / "loadtest" / "monitor"
    shutil.rmtree(place, ignore_errors=True)
    endpoint = write_home(place)
    with running_stack(environment, report=say, fresh=True) as addresses:
        topics.create(addresses.kafka, endpoint)
        deploy(addresses.kafka, endpoint, report=lambda _: None)
        deployed = dict(ControlLog(addresses.kafka, endpoint).read().deployed)
        say(f"writing {seconds:g} s of {REQUESTS_RATE} requests and {LABELS_RATE} labels a second")
        filling = Filling(endpoint, addresses.kafka, [deployed[model] for model in MODELS])
        requests, labels = filling.write(REQUESTS_RATE, LABELS_RATE, seconds)
        wanted = {"requests": requests, "features": requests, "labels": labels}
        with redis.Redis.from_url(addresses.redis) as client:
            before, used = _used_bytes(client), spent()
            samples = _measure(endpoint, place, addresses.kafka, addresses.redis, wanted, say)
            kept_bytes, others = _used_bytes(client) - before, other_cores(used, spent())
    figures = rates(samples)
    report = {
        "scenario": "monitor",
        "begun_utc": begun.isoformat(timespec="seconds"),
        "machine": where,
        "versions": versions(environment.kafka),
        "most_other_cores": others,
        "endpoint": {"features": len(NUMERIC) + len(TEXTUAL), "models": len(MODELS), "partitions": PARTITIONS},
        "written": wanted,
        **figures,
        "redis": {
            "used_mb": round(kept_bytes / MB, 1),
            "bytes_per_request": round(kept_bytes / samples[-1].pending, 1) if samples[-1].pending else None,
        },
        "samples": [
            {"at_s": round(one.at_s, 2), "rows": dict(one.rows), "cpu_s": one.cpu_s, "memory_mb": round(one.memory_mb)}
            for one in samples
        ],
        "targets": targets(figures),
    }
    write(report, folder / "monitor.json")
    draw(report, folder / "monitor.png")
    return report, 0


def _measure(
    endpoint: Endpoint, place: Path, kafka: str, redis_url: str, wanted: Mapping[str, int], say: Say
) -> list[Sample]:
    port, log = free_port(), place / "monitor.log"
    command = [sys.executable, "-m", "rendezvous", "run", "monitor", "--endpoint", endpoint.name]
    variables = {
        "KAFKA_BOOTSTRAP_SERVERS": kafka,
        "REDIS_URL": redis_url,
        "RENDEZVOUS_HOME": str(place),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    samples: list[Sample] = []
    with GuardedProcess.start([*command, "--http-port", str(port)], log=log, environment=variables) as process:
        progressed_s = time.monotonic()
        while not samples or samples[-1].rows != wanted:
            time.sleep(LOOK_EVERY_S)
            if process.poll() is not None or time.monotonic() - progressed_s > STALLED_S:
                raise LocalStackError(f"the monitor ended, or stands still at {samples[-1:]}. {tail(log)}")
            sample = _sample(port)
            if sample is not None and any(sample.rows.values()):
                if not samples or sample.rows != samples[-1].rows:
                    progressed_s = time.monotonic()
                samples.append(sample)
                say(f"{sample.rows} of {dict(wanted)}")
    return samples


def _sample(port: int) -> Sample | None:
    try:
        with urllib.request.urlopen(f"http://{LOOPBACK}:{port}/metrics", timeout=PAGE_TIMEOUT_S) as page:
            families = list(text_string_to_metric_families(page.read().decode()))
    except OSError:
        return None
    found = {(one.name, one.labels.get("topic", "")): one.value for family in families for one in family.samples}
    return Sample(
        time.monotonic(),
        {what: int(found.get(("rendezvous_monitor_rows_total", topic), 0)) for what, topic in TOPICS.items()},
        found["process_cpu_seconds_total", ""],
        found["process_resident_memory_bytes", ""] / MB,
        int(found.get(("rendezvous_monitor_pending_requests", ""), 0)),
    )


def _used_bytes(client: redis.Redis) -> int:
    return int(client.info("memory")["used_memory_dataset"])


def rates(samples: Sequence[Sample]) -> dict[str, Any]:
    """How fast it went, each kind of row from where its first ones were seen, and how many cores it took."""
    first, last = samples[0], samples[-1]
    seconds = last.at_s - first.at_s
    return {
        "seconds": round(seconds, 2),
        **{f"{what}_per_s": _rate(samples, what) for what in TOPICS},
        "cores": round((last.cpu_s - first.cpu_s) / seconds, 2),
        "cpu_us_per_request": round(
            (last.cpu_s - first.cpu_s) / (last.rows["requests"] - first.rows["requests"]) * MILLION, 1
        ),
        "memory_mb": round(max(one.memory_mb for one in samples)),
    }


def _rate(samples: Sequence[Sample], what: str) -> int:
    """Labels of the first requests come late: nothing was kept up with before."""
    first = next(one for one in samples if one.rows[what])
    last = next(one for one in samples if one.rows[what] == samples[-1].rows[what])
    return round((last.rows[what] - first.rows[what]) / max(LOOK_EVERY_S, last.at_s - first.at_s))


def targets(figures: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What it must keep up with."""
    limits = {"requests": REQUESTS_RATE, "features": REQUESTS_RATE, "labels": LABELS_RATE}
    return [
        {
            "name": f"{what} a second, at least",
            "value": figures[f"{what}_per_s"],
            "limit": limit,
            "met": figures[f"{what}_per_s"] >= limit,
        }
        for what, limit in limits.items()
    ]
