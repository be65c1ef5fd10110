"""The run: for each number of models, topics that are full and a server that goes through them; relays between."""

from __future__ import annotations

import shlex
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from loadtest.machine import machine, versions
from loadtest.scenario import Say
from loadtest.server.figures import MODELS, Run, best, figures, targets
from loadtest.server.filling import Filling, warm_up
from loadtest.server.filling import write as write_records
from loadtest.server.home import new_name, versions_of, write_home
from loadtest.server.picture import draw
from loadtest.server.relay import Way
from loadtest.server.watching import Watcher
from rendezvous import topics
from rendezvous.demo.report import write
from rendezvous.local.ports import free_port
from rendezvous.local.process import GuardedProcess
from rendezvous.local.services import RunningService, await_ready
from rendezvous.local.stack import Addresses, running_stack
from rendezvous.log import Topic, create_topics
from rendezvous.messages import Reason, Response
from rendezvous.registry.deploy import deploy
from rendezvous.settings import Endpoint, Environment
from rendezvous.topics import topics_of
from rendezvous.wire import encode

WARM_UP = 5_000
"""Requests before those that count: the broker's and the server's first ones are their slowest."""
TURNS = 2
"""Of a server, and of a relay after each; the best of them counts, for other work can only make it slower."""
ROOT = Path(__file__).parents[2]
"""Where the relay is started."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be measured.

    requests: of each server, beside the warm-up's. under: a command to start the server under.
    """

    partitions: int
    requests: int
    payload: int
    batch: int
    under: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where it is measured."""

    addresses: Addresses
    folder: Path
    say: Say


def run(  # noqa: PLR0913 - one for each option
    environment: Environment,
    *,
    models: Sequence[int],
    mode: Sequence[str],
    partitions: int,
    records: int,
    payload: int,
    batch: int,
    under: str,
    folder: Path,
    say: Say,
) -> tuple[dict[str, Any], int]:
    """Measure and write server.json and server.png; returns the report and how many requests had no answer.

    Args:
        environment: where everything is.
        models: one run each.
        mode: of the endpoint; exactly_once with MODELS models alone, or the most that were asked for.
        partitions: of the endpoint.
        records: requests of each run, beside the warm-up's.
        payload: bytes of text in each, beside its numbers.
        batch: rows of the scorers' micro-batches.
        under: a command to start the server under, such as a profiler's; none when empty.
        folder: for the report.
        say: told what goes on.

    Raises:
        LocalStackError: something could not be started, ended, or stands still.
    """
    asked = Asked(partitions, records, payload, batch, under)
    begun, where = datetime.now(UTC), machine()
    home = environment.data / "loadtest" / "server"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    servers: list[dict[str, Any]] = []
    with running_stack(environment, report=say, fresh=True) as addresses:
        place = Place(addresses, home, say)
        for number, once in runs(models, mode):
            endpoint = write_home(
                home,
                new_name(f"decided-{number}{'-once' if once else ''}"),
                number,
                asked.requests + WARM_UP,
                partitions=asked.partitions,
                exactly_once=once,
            )
            topics.create(addresses.kafka, endpoint)
            deploy(addresses.kafka, endpoint, report=lambda _: None)
            found = _measure(place, endpoint, asked)
            servers.append({"models": number, "exactly_once": once, **found})
    others = [one["most_other_cores"] for one in servers if one["most_other_cores"] is not None]
    report = {
        "scenario": "server",
        "begun_utc": begun.isoformat(timespec="seconds"),
        "machine": where,
        "versions": versions(environment.kafka),
        "most_other_cores": max(others, default=None),
        "partitions": asked.partitions,
        "requests": asked.requests,
        "payload_bytes": asked.payload,
        "batch_rows": asked.batch,
        "servers": servers,
        "targets": targets(servers),
    }
    write(report, folder / "server.json")
    draw(report, folder / "server.png")
    return report, sum(server["lost"] for server in servers)


def runs(models: Sequence[int], mode: Sequence[str]) -> list[tuple[int, bool]]:
    """How many models, and whether exactly once."""
    once = MODELS if MODELS in models else max(models)
    return [(number, False) for number in models if "default" in mode] + [(once, True)] * ("exactly_once" in mode)


def _measure(place: Place, endpoint: Endpoint, asked: Asked) -> dict[str, Any]:
    """One server, and a relay after each of its turns, while it has nothing to do."""
    filling, kafka, everybody = (
        Filling(endpoint, asked.payload, asked.batch),
        place.addresses.kafka,
        versions_of(endpoint),
    )
    first, count = filling.make(WARM_UP, everybody), asked.requests // TURNS
    parts = [filling.make(count, everybody) for _ in range(TURNS)]
    turns, relays = [], []
    with _running_server(place, endpoint, asked.under) as service:
        watcher = Watcher(kafka, endpoint.topic("responses"), service.process.pid, service.alive)
        warm_up(service, kafka, first)
        watcher.until(WARM_UP)
        place.say(f"{endpoint.name}: process {service.process.pid}, log {service.log}")
        for number, records in enumerate(parts):
            write_records(kafka, records)
            turns.append(Run(watcher.until(WARM_UP + count * (number + 1)), watcher.answers()))
            relays.append(figures(_relay(place, endpoint, asked, number)))
        watcher.close()
    found, relay, answers = best([figures(turn) for turn in turns]), best(relays), turns[-1].answers
    place.say(
        f"{endpoint.name}: {found['per_s']} decisions/s, {found['cpu_us']} us each, {found['loop_cpu_us']} in the loop;"
        f" relay {relay['per_s']}/s, {relay['cpu_us']} us each"
    )
    return {
        **found,
        "relay": relay,
        "share_of_relay": round(found["per_s"] / relay["per_s"], 3),
        "most_other_cores": max((o for o in found["other_cores_of_runs"] if o is not None), default=None),
        "lost": WARM_UP + count * TURNS - answers.distinct,
        "twice": len(answers.at_ms) - answers.distinct,
    }


@contextmanager
def _running_server(place: Place, endpoint: Endpoint, under: str) -> Iterator[RunningService]:
    """The real service as a process, ready: it has taken over its empty partitions, and answers what comes."""
    port, log = free_port(), place.folder / f"{endpoint.name}.log"
    command = [sys.executable, "-m", "rendezvous", "run", "server", "--endpoint", endpoint.name]
    variables = {
        "KAFKA_BOOTSTRAP_SERVERS": place.addresses.kafka,
        "REDIS_URL": place.addresses.redis,
        "RENDEZVOUS_HOME": str(place.folder),
        "OMP_NUM_THREADS": "1",
    }
    arguments = [*shlex.split(under), *command, "--http-port", str(port)]
    with GuardedProcess.start(arguments, log=log, environment=variables) as process:
        service = RunningService("server", process, port, log)
        await_ready({"server": service}, lambda _: None)
        yield service


def _relay(place: Place, endpoint: Endpoint, asked: Asked, number: int) -> Run:
    """A relay on the same requests, from their first to their last; what it does of the warm-up does not count."""
    target = f"{endpoint.name}.relayed.{number}"
    own = {topic.name: topic for topic in topics_of(endpoint)}[endpoint.topic("responses")]
    create_topics(place.addresses.kafka, [Topic(target, own.partitions, own.config)])
    value_bytes = len(encode(usual_answer(endpoint, asked.requests)))
    way = Way(place.addresses.kafka, target, endpoint.topic("requests"), target, value_bytes)
    log = place.folder / f"{target}.log"
    command = [sys.executable, "-m", "loadtest.server.relay", way.argument()]
    with GuardedProcess.start(command, log=log, folder=ROOT) as process:
        service = RunningService("relay", process, 0, log)
        watcher = Watcher(place.addresses.kafka, target, process.pid, service.alive)
        looks = watcher.until(WARM_UP + asked.requests // TURNS * (number + 1))
        answers = watcher.answers()
        watcher.close()
    return Run([look for look in looks if look.end >= WARM_UP], answers)


def usual_answer(endpoint: Endpoint, requests: int) -> Response:
    """As the server answers here: by the champion, with everybody's scores in hand."""
    model, version = versions_of(endpoint)[0]
    return Response(
        request_id="0" * 36,
        partition=0,
        offset=requests,
        model=model,
        version=version,
        reason=Reason.PREFERRED,
        output=endpoint.output.default,
        missing=(),
        slack_ms=float(endpoint.request.deadline_ms) - 0.5,
        decided_us=time.time_ns() // 1_000,
    )
