"""Everything that runs: a broker and a Redis that can be killed, and the endpoint's services under a supervisor."""

from __future__ import annotations

import os
import shutil
import signal
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Self

from prometheus_client.parser import text_string_to_metric_families

from loadtest.driving.supervisor import Supervisor
from loadtest.scenario import Say
from rendezvous import topics
from rendezvous.local.broker import running_broker
from rendezvous.local.failure import LocalStackError, tail
from rendezvous.local.lock import stack_lock
from rendezvous.local.ports import LOOPBACK, free_port
from rendezvous.local.process import Reachable
from rendezvous.local.redis_server import running_redis
from rendezvous.log import Topic, create_topics
from rendezvous.registry.deploy import deploy
from rendezvous.settings import Endpoint

SERVERS = ("server-1", "server-2", "server-3")
READY_S = 60.0
"""Six processes on two cores take about five seconds."""
LOOK_EVERY_S = 0.1
PAGE_TIMEOUT_S = 2.0
BY_THE_BROKER = {"message.timestamp.type": "LogAppendTime"}
"""For answers and control too, so that everything is told by one clock; the services do not look."""


class Killable:
    """A server that can die and come back, on the same port and in the same folder."""

    def __init__(self, run: Callable[[], AbstractContextManager[Reachable]]) -> None:
        self._run = run
        self._undo = ExitStack()
        self._running: Reachable | None = None

    @property
    def address(self) -> str:
        """Where it is, once it has been started."""
        return "" if self._running is None else self._running.address

    def start(self) -> None:
        """Returns when it is ready."""
        self._running = self._undo.enter_context(self._run())

    def kill(self) -> None:
        """SIGKILL; returns when it is gone."""
        if self._running is not None:
            os.kill(self._running.process.pid, signal.SIGKILL)
        self._undo.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()


class Stage:
    """What the faults act on."""

    def __init__(
        self,
        endpoint: Endpoint,
        broker: Killable,
        redis: Killable,
        services: Supervisor,
        variables: Mapping[str, str],
    ) -> None:
        self.endpoint = endpoint
        self.variables = variables
        self.broker = broker
        self.redis = redis
        self.services = services

    def owned(self, server: str) -> int:
        """How many partitions a server answers for, by its own page; 0 for one that does not answer."""
        service = self.services[server]
        if service is None:
            return 0
        try:
            with urllib.request.urlopen(f"http://{LOOPBACK}:{service.port}/metrics", timeout=PAGE_TIMEOUT_S) as page:
                text = page.read().decode()
        except OSError:
            return 0
        return live_partitions(text)

    def busiest(self) -> str:
        """The server that owns the most."""
        return max(SERVERS, key=self.owned)

    @property
    def champion(self) -> str:
        """The scorer that the schedule waits for first."""
        return self.endpoint.schedule[0].models[0]


def live_partitions(page: str) -> int:
    """Of a server's metrics page."""
    return sum(
        int(sample.value)
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name == "rendezvous_server_partitions" and sample.labels["state"] == "live"
    )


@contextmanager
def running_stage(
    folder: Path,
    data: Path,
    say: Say,
    write_home: Callable[[Path], Endpoint],
    commands: Callable[[Endpoint], Mapping[str, Sequence[str]]],
) -> Iterator[Stage]:
    """Brokers with nothing on them, a new home, all services ready; everything is stopped at the end.

    `folder` is emptied first; its logs stay. write_home: writes the endpoint's models/ and schemas/ under a folder.
    commands: what services to run, by name.

    Raises:
        LocalStackError: something could not be started; the message says what.
    """
    shutil.rmtree(folder, ignore_errors=True)
    logs = folder / "logs"
    logs.mkdir(parents=True)
    home = folder / "home"
    endpoint = write_home(home)
    kafka_port, redis_port = free_port(), free_port()
    with (
        stack_lock(data) as lock,
        Killable(lambda: running_redis(folder / "redis", redis_port, lock.fd, say)) as redis,
        Killable(lambda: running_broker(folder / "kafka", kafka_port, lock.fd, say)) as broker,
    ):
        create_timed_topics(broker.address, endpoint)
        deploy(broker.address, endpoint, report=say)
        variables = {
            "KAFKA_BOOTSTRAP_SERVERS": broker.address,
            "REDIS_URL": redis.address,
            "RENDEZVOUS_HOME": str(home),
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
        }
        with Supervisor(commands(endpoint), variables, logs) as services:
            _await(services, logs)
            yield Stage(endpoint, broker, redis, services, variables)
    shutil.rmtree(folder / "kafka", ignore_errors=True)


def scheduled_commands(endpoint: Endpoint, servers: Sequence[str] = SERVERS) -> dict[str, list[str]]:
    """By the names that the schedule uses: servers, and a scorer for each alias."""
    scorers = {name: ["scorer", "--model", name, "--endpoint", endpoint.name] for name in _scheduled(endpoint)}
    return {name: ["server", "--endpoint", endpoint.name] for name in servers} | scorers


def _scheduled(endpoint: Endpoint) -> list[str]:
    return sorted({name for step in endpoint.schedule for name in step.models})


def create_timed_topics(kafka: str, endpoint: Endpoint) -> None:
    """The endpoint's topics; answers and control too have the broker's time on them."""
    names = {endpoint.topic(name) for name in ("responses", "control")}
    create_topics(kafka, timed(topic for topic in topics.topics_of(endpoint) if topic.name in names))
    topics.create(kafka, endpoint)


def timed(found: Iterable[Topic]) -> list[Topic]:
    """The same, with the broker's time on every record."""
    return [Topic(topic.name, topic.partitions, {**topic.config, **BY_THE_BROKER}) for topic in found]


def _await(services: Supervisor, logs: Path) -> None:
    give_up = time.monotonic() + READY_S
    while not services.ready():
        if services.deaths:
            death = services.deaths[0]
            raise LocalStackError(f"{death.name} ended with {death.code} while it started. {tail(death.log)}")
        if time.monotonic() > give_up:
            raise LocalStackError(f"not all services are ready after {READY_S:.0f} s. Logs: {logs}")
        time.sleep(LOOK_EVERY_S)
