"""The run: a mailbox by itself, a server with many requests in flight, and starts of services."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from loadtest.machine import machine, versions
from loadtest.memory.flight import ring_bytes, traced
from loadtest.memory.picture import draw
from loadtest.memory.starting import quickest, start
from loadtest.noise import other_cores, spent
from loadtest.scenario import Say
from loadtest.scorer.home import write_home as write_champion
from loadtest.server.filling import Filling, warm_up
from loadtest.server.filling import write as write_records
from loadtest.server.home import new_name, versions_of, write_home
from loadtest.server.page import IN_FLIGHT, REQUESTS, RESIDENT, ROWS, await_page, page
from rendezvous import topics
from rendezvous.demo.report import write
from rendezvous.demo.traffic import ENDPOINT
from rendezvous.local.services import RunningService, await_ready, started, train
from rendezvous.local.stack import Addresses, running_stack
from rendezvous.registry.deploy import deploy
from rendezvous.settings import Endpoint, Environment, load_endpoint

STARTED = "flights-starts"
MODELS, OUTPUTS = 5, 4
"""What the target speaks of."""
TRACED = 16_384
"""Requests in the mailbox that is looked at by itself: the default ring, full. Tracing makes each slow."""
WARM_UP = 20_000
"""Requests that a server has answered before: its clients' queues have been as full as they get."""
STARTS = 3
MOST_BYTES = 1_024
MOST_START_S = 2.0
MAX_BATCH = 256
SETTLE_S = 2.0
"""From the last request's arrival: the turn that took it is over, and its garbage is gone."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where it is measured."""

    addresses: Addresses
    folder: Path
    say: Say

    def surroundings(self, home: Path) -> dict[str, str]:
        """Of a service."""
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.addresses.kafka,
            "REDIS_URL": self.addresses.redis,
            "RENDEZVOUS_HOME": str(home),
        }


def run(environment: Environment, *, records: int, folder: Path, say: Say) -> tuple[dict[str, Any], int]:
    """Measure and write memory.json and memory.png; nothing can be lost here.

    Args:
        environment: where everything is.
        records: requests in flight in a real server.
        folder: for the report.
        say: told what goes on.

    Raises:
        SettingsError: the demo's endpoint is not there.
        LocalStackError: something could not be started, ended, or stands still.
    """
    begun, where, before = datetime.now(UTC), machine(), spent()
    demo = load_endpoint(ENDPOINT, environment.home)
    train(demo, environment.home, say)
    home = environment.data / "loadtest" / "memory"
    shutil.rmtree(home, ignore_errors=True)
    with running_stack(environment, report=say, fresh=True) as addresses:
        place = Place(addresses, home, say)
        flight = _flight(place, records)
        starts = _starts(place, write_champion(home / "starts", demo, MAX_BATCH, STARTED))
    report = {
        "scenario": "memory",
        "begun_utc": begun.isoformat(timespec="seconds"),
        "machine": where,
        "versions": versions(environment.kafka),
        "most_other_cores": other_cores(before, spent()),
        "models": MODELS,
        "outputs": OUTPUTS,
        "flight": flight,
        "starts": starts,
        "targets": targets(flight, starts),
    }
    write(report, folder / "memory.json")
    draw(report, folder / "memory.png")
    return report, 0


def _flight(place: Place, requests: int) -> dict[str, Any]:
    small = write_home(place.folder / "small", "flying", MODELS, TRACED, outputs=OUTPUTS)
    endpoint = write_home(place.folder / "large", new_name("flying"), MODELS, max(requests, WARM_UP), outputs=OUTPUTS)
    topics.create(place.addresses.kafka, endpoint)
    control = deploy(place.addresses.kafka, endpoint, report=lambda _: None)
    others = versions_of(endpoint)[1:]
    by_itself = traced(small, control, others, TRACED)
    place.say(f"a mailbox with {TRACED} requests: {by_itself['bytes']} bytes each")
    filling, everybody = Filling(endpoint, 0), versions_of(endpoint)
    with _server(place, endpoint) as service:
        warm_up(service, place.addresses.kafka, filling.make(WARM_UP, everybody))
        await_page(service, REQUESTS, WARM_UP)
        await_page(service, IN_FLIGHT, 0)
        time.sleep(SETTLE_S)
        before = page(service.port)[RESIDENT]
        write_records(place.addresses.kafka, filling.make(requests, others))
        await_page(service, IN_FLIGHT, requests)
        await_page(service, ROWS, WARM_UP * MODELS + requests * len(others))
        time.sleep(SETTLE_S)
        after = page(service.port)[RESIDENT]
    ring = ring_bytes(endpoint, MODELS)
    in_all = (after - before + ring) / requests
    place.say(f"a server with {requests} requests: {in_all:.1f} bytes each")
    return {
        "mailbox": {"requests": TRACED, **by_itself},
        "server": {
            "requests": requests,
            "resident_before_mb": round(before / 1e6, 1),
            "resident_after_mb": round(after / 1e6, 1),
            "ring_mb": round(ring / 1e6, 1),
            "bytes": round(in_all, 1),
        },
    }


@contextmanager
def _server(place: Place, endpoint: Endpoint) -> Iterator[RunningService]:
    home = endpoint.folder.parents[1]
    service = started(
        "server", ["server", "--endpoint", endpoint.name], place.surroundings(home), place.folder / "logs"
    )
    try:
        await_ready({"server": service}, lambda _: None)
        yield service
    finally:
        service.process.stop()


def _starts(place: Place, endpoint: Endpoint) -> dict[str, Any]:
    topics.create(place.addresses.kafka, endpoint)
    deploy(place.addresses.kafka, endpoint, report=lambda _: None)
    surroundings, (model,) = place.surroundings(endpoint.folder.parents[1]), endpoint.models
    commands = {"server": ["server"], "scorer": ["scorer", "--model", model]}
    found = {}
    for name, arguments in commands.items():
        words = [*arguments, "--endpoint", endpoint.name]
        found[name] = quickest([start(name, words, surroundings, place.folder / "logs") for _ in range(STARTS)])
        place.say(f"{name}: {found[name]}")
    return found


def targets(flight: Mapping[str, Any], starts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What was promised."""
    mailbox, server = flight["mailbox"], flight["server"]
    ring = f"{mailbox['ring_bytes']:.0f} bytes are the ring's columns"
    return [
        _target("bytes a request in flight, allocated by its partition", mailbox["bytes"], MOST_BYTES, ring),
        _target("bytes a request in flight, by a server's resident memory", server["bytes"], MOST_BYTES, ring),
        *(
            _target(
                f"seconds from start to ready, {name}, beyond imports",
                one["beyond_s"],
                MOST_START_S,
                f"{STARTS} starts took {one['beyond_s_of_starts']} s",
            )
            for name, one in starts.items()
        ),
    ]


def _target(name: str, value: float, limit: float, reason: str) -> dict[str, Any]:
    met = value <= limit
    return {"name": f"{name}, at most", "value": value, "limit": limit, "met": met, "reason": None if met else reason}
