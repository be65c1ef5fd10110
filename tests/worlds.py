"""The worlds that scenarios play in: a server, the log around it, and time. In memory, or on real Kafka."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from typing import Protocol, TypeVar

import numpy as np
from prometheus_client import CollectorRegistry

from aside import Aside
from endpoints import CLOSE_MS, VERSIONS, endpoint, genesis
from memory_log import FakeClock, MemoryLog, MemorySink, MemorySource, MemoryTransactor
from rendezvous.envelope import write_envelope
from rendezvous.log import Headers, KafkaSink, KafkaSource, Sink, Statistics, read_to_end
from rendezvous.messages import (
    Comparisons,
    DeadLetter,
    Decisions,
    Envelope,
    Label,
    ReplyAddress,
    Response,
    Scores,
    Status,
)
from rendezvous.registry.events import Cause, ControlEvent, HandOff, Move, RulesChange
from rendezvous.running import clock_us, steady_us
from rendezvous.server.counting import count_letter
from rendezvous.server.outbox import Outbox
from rendezvous.server.podium import Podium
from rendezvous.server.publishing import Publisher
from rendezvous.server.service import Service
from rendezvous.server.succession import Successions
from rendezvous.server.transactional import TransactionalOutbox
from rendezvous.settings import Endpoint
from rendezvous.starting import kafka_outbox
from rendezvous.telemetry import ServerMetrics
from rendezvous.topics import check, create, topics_of
from rendezvous.wire import Codec, decode, encode

TOPIC_ID = "topic-id"
"""Of the requests topic, in memory."""
QUICK = {"requests": 5, "window_s": 1.0, "recover_s": 1.0}
"""Versions are passed by, and trusted again, within a scenario."""

HASTY = {"close_ms": CLOSE_MS, "behind_ms": 0}
"""Servers skip what waits behind the first request that is old."""

M = TypeVar("M", Scores, Response, Decisions, Comparisons, Label, DeadLetter)


class World(Protocol):
    """What a scenario can do and see; every topic has one partition."""

    endpoint: Endpoint

    def put(self, topic: str, value: bytes, headers: Headers = (), key: bytes | None = None) -> int:
        """Write a record to one of the endpoint's topics; returns its offset once it is there."""

    def read(self, topic: str) -> list[bytes]:
        """All values of one of the endpoint's topics."""

    def wait(self, milliseconds: float) -> None:
        """Let time pass while the server works."""

    def start(self) -> None:
        """Start a server."""

    def crash(self) -> None:
        """The server dies: nothing is flushed or committed any more."""

    def stop(self) -> None:
        """The server is stopped as an operator would."""

    def hang(self, *, hangs: bool) -> None:
        """The server does nothing, for less than half of its session, or goes on."""


def memory_outbox(
    endpoint: Endpoint, log: MemoryLog, source: MemorySource, sinks: Sequence[Sink], metrics: ServerMetrics
) -> Outbox:
    """The outbox of the endpoint's mode, on the log in memory."""
    answers, records = sinks
    on_letter = partial(count_letter, metrics)
    if endpoint.exactly_once:
        transactor = partial(MemoryTransactor, log, source=source)
        return TransactionalOutbox(endpoint, source, answers.partitions, transactor, on_letter, TOPIC_ID)
    return Publisher(endpoint, source, answers, records, on_letter, TOPIC_ID)


def memory_server(
    endpoint: Endpoint, log: MemoryLog, source: MemorySource, sinks: Sequence[Sink], aside: Executor
) -> Service:
    """A server on the log in memory; one clock tells it both the time and how long it was away."""
    metrics = ServerMetrics(CollectorRegistry())
    outbox = memory_outbox(endpoint, log, source, sinks, metrics)
    podium = Podium(MemorySink(log), endpoint.topic("control"), lambda _: None)
    successions = Successions(endpoint, source, TOPIC_ID, aside, outbox.fence)
    return Service(endpoint, source, outbox, podium, log.clock, log.clock, metrics, successions)


def kafka_server(bootstrap: str, endpoint: Endpoint, source: KafkaSource) -> Service:
    """A server as `rendezvous run server` makes it."""
    metrics, topics = ServerMetrics(CollectorRegistry()), check(bootstrap, endpoint)
    outbox = kafka_outbox(bootstrap, endpoint, source, topics, metrics, Statistics())
    topic_id = topics[endpoint.topic("requests")].id
    podium = Podium(KafkaSink(bootstrap), endpoint.topic("control"), lambda _: None)
    successions = Successions(endpoint, source, topic_id, ThreadPoolExecutor(), outbox.fence)
    return Service(endpoint, source, outbox, podium, clock_us, steady_us, metrics, successions)


class MemoryWorld:
    """A server under a fake clock: time passes in steps of 5 ms, with a turn of the loop after each."""

    STEP_MS = 5.0

    def __init__(self, **changes: object) -> None:
        self.endpoint = endpoint("tests", **{"fallback": QUICK} | changes)
        self.clock = FakeClock()
        self.log = MemoryLog(self.clock, {topic.name: 1 for topic in topics_of(self.endpoint)})
        self.service: Service | None = None
        self.source: MemorySource | None = None
        self.sink = MemorySink(self.log)
        self._hangs = False
        for event in genesis(self.endpoint):
            self.put("control", encode(event))

    def put(self, topic: str, value: bytes, headers: Headers = (), key: bytes | None = None) -> int:
        """See `World.put`."""
        offset = self.log.append(self.endpoint.topic(topic), 0, value, headers, key)
        self.turn()
        return offset

    def read(self, topic: str) -> list[bytes]:
        """See `World.read`."""
        return [record.value for record in self.log.records[self.endpoint.topic(topic), 0] if record.value]

    def turn(self) -> None:
        """One turn of the server's loop, and one more for the delivery reports."""
        if self.service is not None and not self._hangs:
            self.service.turn()
            self.service.turn()

    def hang(self, *, hangs: bool) -> None:
        """See `World.hang`."""
        self._hangs = hangs

    def wait(self, milliseconds: float) -> None:
        """See `World.wait`."""
        passed = 0.0
        while passed < milliseconds:
            step = min(self.STEP_MS, milliseconds - passed)
            self.clock.advance_ms(step)
            passed += step
            self.turn()

    def start(self) -> None:
        """See `World.start`."""
        self.source = MemorySource(self.log, "server")
        self.sink = MemorySink(self.log)
        self.service = memory_server(self.endpoint, self.log, self.source, (self.sink, self.sink), Aside(lambda: True))
        self.turn()

    def crash(self) -> None:
        """See `World.crash`."""
        if self.source is not None:
            self.source.close()
        self.service = None

    def stop(self) -> None:
        """See `World.stop`."""
        if self.service is not None:
            self.service.stop()
        self.service = None


class KafkaWorld:
    """A server on a real broker, in a thread of the test's process, under the real clock."""

    START_S = 20.0

    def __init__(self, bootstrap: str, **changes: object) -> None:
        self.endpoint = endpoint(f"t-{uuid.uuid4().hex[:10]}", **{"fallback": QUICK} | changes)
        self._bootstrap = bootstrap
        self._sink = KafkaSink(bootstrap)
        create(bootstrap, self.endpoint)
        self._finish: Callable[[Service, KafkaSource], None] | None = None
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None
        self._goes_on = threading.Event()
        self._goes_on.set()
        for event in genesis(self.endpoint):
            self.put("control", encode(event))

    def put(self, topic: str, value: bytes, headers: Headers = (), key: bytes | None = None) -> int:
        """See `World.put`."""
        offsets: list[int] = []
        self._sink.send(
            self.endpoint.topic(topic),
            value,
            partition=0,
            key=key,
            headers=headers,
            delivered=lambda _, offset: offsets.append(offset),
        )
        self._sink.flush(10)
        return offsets[0]

    def read(self, topic: str) -> list[bytes]:
        """See `World.read`."""
        return [record.value for record in read_to_end(self._bootstrap, self.endpoint.topic(topic), 0, 0)]

    def wait(self, milliseconds: float) -> None:
        """See `World.wait`."""
        time.sleep(milliseconds / 1e3)
        self._check()

    def start(self) -> None:
        """See `World.start`; returns when the server is live."""
        live = threading.Event()
        self._finish = None
        self._thread = threading.Thread(target=self._run, args=(live,), daemon=True)
        self._thread.start()
        if not live.wait(self.START_S):
            self._check()
            raise AssertionError("the server did not become live")

    def _run(self, live: threading.Event) -> None:
        try:
            source = KafkaSource(self._bootstrap, f"{self.endpoint.name}.server")
            service = kafka_server(self._bootstrap, self.endpoint, source)
            while self._finish is None:
                self._goes_on.wait()
                service.turn()
                if service.ready:
                    live.set()
            self._finish(service, source)
        except BaseException as error:  # noqa: BLE001 - raised again in the test's thread
            self._failure = error

    def _end(self, finish: Callable[[Service, KafkaSource], None]) -> None:
        if self._thread is not None:
            self._finish = finish
            self._thread.join(30)
            self._thread = None
        self._check()

    def _check(self) -> None:
        if self._failure is not None:
            raise AssertionError("the server failed") from self._failure

    def hang(self, *, hangs: bool) -> None:
        """See `World.hang`."""
        if hangs:
            self._goes_on.clear()
        else:
            self._goes_on.set()

    def crash(self) -> None:
        """See `World.crash`: leaves the group, so that the test need not wait for the session to end."""
        self._end(lambda _, source: source.close())

    def stop(self) -> None:
        """See `World.stop`."""
        self._end(lambda service, _: service.stop())


# ----------------------------------------------------------------------------------------- what scenarios say and see


def features(world: World, x: float | None = 1.0) -> bytes:
    """A request's value."""
    return Codec(world.endpoint.features_schema).encode({"x": x, "who": "a"})


def ask(
    world: World,
    name: str,
    *,
    deadline_ms: int | None = None,
    reply: ReplyAddress | None = None,
    x: float = 1.0,
    key: bytes | None = None,
) -> int:
    """Put a request; returns its offset."""
    return world.put("requests", features(world, x), write_envelope(Envelope(name, "tests", deadline_ms, reply)), key)


def say(
    world: World,
    model: str,
    offsets: Sequence[int],
    output: float = 0.5,
    status: Status = Status.OK,
    version: str | None = None,
) -> int:
    """Put a model's scores for some requests."""
    rows = len(offsets)
    scores = Scores(
        model=model,
        version=version or VERSIONS[model],
        taken_us=1,
        scored_us=2,
        offsets=np.array(offsets, np.int64),
        statuses=np.full(rows, status, np.uint8),
        outputs=np.full((rows, 1), output, np.float32),
    )
    return world.put("scores", encode(scores))


def tell(world: World, *events: ControlEvent) -> None:
    """Write to control."""
    for event in events:
        world.put("control", encode(event))


def move(alias: str, model: str, version: str) -> HandOff:
    """An alias moves."""
    return HandOff((Move(alias, model, version),), Cause.PROMOTE, (), seen=10**6, by="tests", at_us=0)


def follow(world: World, *schedule: dict[str, object]) -> RulesChange:
    """The endpoint's rules with another schedule."""
    rules = world.endpoint.rules.model_dump(mode="json") | {"schedule": schedule}
    return RulesChange(json.dumps(rules), by="tests", at_us=0)


def seen(world: World, topic: str, kind: type[M]) -> list[M]:
    """All messages of a topic."""
    return [decode(value, kind) for value in world.read(topic)]


def answers(world: World) -> list[Response]:
    """All answers on the default reply topic."""
    return seen(world, "responses", Response)
