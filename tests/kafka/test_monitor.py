"""The monitor's shell on a real Kafka and a real Redis: whatever happens to its process, its streams are the same."""

from __future__ import annotations

import logging
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import redis
from confluent_kafka import Producer

from homes import PATIENCE_S, Home, page, until
from rendezvous.local.ports import free_port
from rendezvous.local.process import GuardedProcess
from rendezvous.local.redis_server import running_redis
from rendezvous.local.services import RunningService
from rendezvous.local.stack import Addresses
from rendezvous.log import KafkaSink, read_to_end
from rendezvous.messages import Comparisons, FeatureColumns, Label, Message, Status
from rendezvous.monitoring.batches import SESSION_S
from rendezvous.monitoring.beginning import committed_in, inputs_of
from rendezvous.monitoring.checkpoint import Checkpoint, Keeper
from rendezvous.monitoring.concluding import Concluding, Kept
from rendezvous.monitoring.findings import Accuracy, Alarm, Contest, Drift, Stage
from rendezvous.monitoring.merging import Fetched, Merge
from rendezvous.monitoring.monitor import Monitor
from rendezvous.monitoring.outlet import Outlet
from rendezvous.monitoring.pending_redis import RedisPending
from rendezvous.registry.control import ControlLog
from rendezvous.registry.state import Control
from rendezvous.telemetry import MonitorMetrics, Telemetry
from rendezvous.wire import decode_any, encode

pytestmark = pytest.mark.kafka
_logger = logging.getLogger(__name__)

PARTITIONS = 2
ROWS = 20
MINUTE_US = 60_000_000
MONITORING = (
    '[monitoring]\ntime = "ce_time"\nblock = "10m"\nlabel_delay = "5m"\nlateness = "10s"\nwindow = 500\ncount = 100\n'
)
SHORT = '[monitoring]\nblock = "2s"\nlabel_delay = "1s"\nlateness = "1s"\ncount = 100\n'
MODELS = ("quick", "slow")


@pytest.fixture
def home(stack: Addresses, tmp_path: Path) -> Home:
    """An endpoint of the test's own, its blocks ten minutes long."""
    return Home.make(tmp_path, stack.kafka, PARTITIONS).written_to(MONITORING)


class Stream:
    """Requests and their labels: each turn a record of comparisons and one of features for each partition.

    Comparisons are in transactions, as `exactly_once` has them, some of which are aborted and written again.
    """

    def __init__(self, home: Home, seed: int, begin_us: int = 0) -> None:
        self._begin_us = begin_us
        self.scored_us = 0
        """When the newest request was asked that any model scored."""
        self._sink, self._endpoint = KafkaSink(home.kafka), home.endpoint
        self._transactions = Producer(
            {"bootstrap.servers": home.kafka, "transactional.id": home.endpoint.name, "retry.backoff.ms": 1}
        )
        self._transactions.init_transactions(20.0)
        deployed = dict(ControlLog(home.kafka, home.endpoint).read().deployed)
        self._versions = tuple(deployed[model] for model in MODELS)
        self._random = np.random.default_rng(seed)
        self._turn = 0
        self._labels: list[tuple[int, Label]] = []

    def write(self, turns: int) -> None:
        """Write the next turns; a turn is a minute of event time."""
        for _ in range(turns):
            for partition in range(PARTITIONS):
                self._write(partition)
            due = [label for turn, label in self._labels if turn <= self._turn]
            self._labels = [(turn, label) for turn, label in self._labels if turn > self._turn]
            for label in due:
                self._send("labels", label, int(self._random.integers(PARTITIONS)))
            self._turn += 1
        assert self._sink.flush(20.0) == 0

    def _write(self, partition: int) -> None:
        begin_us = self._begin_us + self._turn * MINUTE_US
        asked_us = begin_us + np.sort(self._random.integers(0, MINUTE_US, ROWS))
        ids = tuple(f"{partition}-{self._turn}-{row}" for row in range(ROWS))
        offsets = np.arange(ROWS, dtype=np.int64) + self._turn * ROWS
        outputs = self._random.random((ROWS, len(MODELS), 1), np.float32)
        statuses = self._random.integers(1, 3, (ROWS, len(MODELS))).astype(np.uint8)
        self.scored_us = max(self.scored_us, int(asked_us[(statuses == Status.OK).any(axis=1)].max()))
        comparisons = Comparisons(
            begin_us,
            MODELS,
            self._versions,
            offsets,
            ids,
            asked_us,
            np.zeros(ROWS, np.int16),
            np.zeros(ROWS, np.uint8),
            statuses,
            np.full((ROWS, len(MODELS)), 1_000, np.int32),
            outputs,
            asked_us,
        )
        for aborted in (True, False) if self._random.random() < 0.1 else (False,):
            self._transactions.begin_transaction()
            self._transactions.produce(self._endpoint.topic("comparisons"), encode(comparisons), partition=partition)
            if aborted:
                self._transactions.flush()
                self._transactions.abort_transaction(20.0)
            else:
                self._transactions.commit_transaction(20.0)
        numbers = self._random.random((ROWS, 2), np.float32)
        codes = np.zeros((ROWS, 1), np.int32)
        columns = FeatureColumns(offsets, asked_us, ("x", "slow_ms"), numbers, ("who",), (("me",),), codes)
        self._send("features", columns, partition)
        for row in range(ROWS):
            for _ in range(int(self._random.integers(0, 3))):
                delay = int(self._random.integers(0, 6))
                label = Label(
                    ids[row] if self._random.random() < 0.95 else "nobody",
                    float(self._random.integers(0, 2)) if self._random.random() < 0.95 else None,
                    int(asked_us[row]) + delay * MINUTE_US,
                    "tests",
                )
                self._labels.append((self._turn + delay, label))

    def _send(self, topic: str, message: Message, partition: int) -> None:
        self._sink.send(self._endpoint.topic(topic), encode(message), partition=partition)


class Process:
    """The monitor's process, started anew as often as it ends."""

    def __init__(self, home: Home, redis_url: str) -> None:
        self._home, self._redis_url = home, redis_url
        self.service = self._start()

    def _start(self) -> RunningService:
        home, port = self._home, free_port()
        log = home.folder / f"monitor-{port}.log"
        variables = {
            "KAFKA_BOOTSTRAP_SERVERS": home.kafka,
            "REDIS_URL": self._redis_url,
            "RENDEZVOUS_HOME": str(home.folder),
        }
        what = ["run", "monitor", "--endpoint", home.endpoint.name, "--http-port", str(port)]
        command = [sys.executable, "-m", "rendezvous", *what]
        return RunningService("monitor", GuardedProcess.start(command, log=log, environment=variables), port, log)

    def ready(self) -> None:
        """Wait until it has caught up."""
        until(self.service.ready, f"the monitor is ready; see {self.service.log}")

    def end(self, number: int) -> int:
        """Send a signal that ends it; its exit code."""
        os.kill(self.service.process.pid, number)
        return self.ended()

    def ended(self) -> int:
        """Wait for its end; its exit code."""
        self.service.process.wait(PATIENCE_S)
        code = self.service.process.poll()
        assert code is not None
        return code

    def supervise(self) -> None:
        """Start it anew if it has ended by itself."""
        if self.service.process.poll() is not None:
            self.again()

    def again(self) -> None:
        """Start it anew."""
        self.service.process.stop()
        self.service = self._start()


@pytest.fixture
def monitor(home: Home, stack: Addresses) -> Iterator[Process]:
    """A running monitor."""
    process = Process(home, stack.redis)
    yield process
    process.service.process.stop()


class Written:
    """A sink that keeps what is sent."""

    def __init__(self) -> None:
        self.records: dict[str, list[bytes]] = {}

    def send(self, topic: str, value: bytes, **_: object) -> None:
        """Keep it."""
        self.records.setdefault(topic, []).append(value)

    def flush(self, timeout_s: float) -> int:  # noqa: ARG002 - as `Sink` has it
        """Nothing is on its way."""
        return 0


def undisturbed(home: Home, redis_url: str) -> dict[str, list[bytes]]:
    """What a monitor writes that reads the whole log in one go and is never disturbed, by output topic."""
    endpoint, name = home.endpoint, f"{home.endpoint.name}-undisturbed"
    inputs = inputs_of(home.kafka, endpoint)
    keeper = Keeper(redis_url, name, pytest.fail)
    assert keeper.read() is None
    keeper.keep(Checkpoint("once", inputs.ids, "", {}, {}, {}, "", b""))
    pending, written = RedisPending(keeper, "once", 1 << 62), Written()
    accuracy, drift = endpoint.topic("accuracy"), endpoint.topic("drift")
    outlet = Outlet(written, {Accuracy: accuracy, Contest: accuracy, Drift: drift, Alarm: drift})  # type: ignore[arg-type] # the half that is used
    core = Monitor(endpoint.monitoring, endpoint.output.kind, pending, lambda _: None)
    metrics = MonitorMetrics(Telemetry().registry)
    concluding = Concluding(endpoint, core, Control(), pending, outlet, keeper, Kept("once", inputs.ids, ""), metrics)
    merge = Merge(list(inputs.ids), {})
    merge.assign(inputs.parts)
    for part in inputs.parts:
        records = list(read_to_end(home.kafka, *part, 0, uncommitted=True))
        merge.add(part, Fetched(records, None, records[-1].offset + 1 if records else 0), 0.0)
    merge.ends(dict.fromkeys(inputs.parts, 0), 1e9)
    while (due := merge.take(7)) is not None:
        concluding.take(due)
    assert not merge.waits
    return written.records


def found(home: Home) -> dict[str, list[bytes]]:
    """What stands on the output topics."""
    topics = [home.endpoint.topic(name) for name in ("accuracy", "drift")]
    return {topic: [record.value for record in read_to_end(home.kafka, topic, 0, 0)] for topic in topics}


def same(home: Home, redis_url: str, supervise: Callable[[], None] = lambda: None) -> None:
    """The output topics hold what an undisturbed monitor writes, in its order, nothing twice."""
    wanted = undisturbed(home, redis_url)
    assert all(len(records) > 5 for records in wanted.values())

    def is_written() -> bool:
        supervise()
        return sum(map(len, found(home).values())) >= sum(map(len, wanted.values()))

    until(is_written, "all is written")
    time.sleep(0.5)
    assert found(home) == wanted


def wipe(client: redis.Redis, home: Home) -> None:
    """Everything of an endpoint's monitor is gone."""
    for key in client.scan_iter(f"rendezvous:{home.endpoint.name}:monitor*", count=100_000):
        client.delete(key)


@pytest.fixture
def client(stack: Addresses) -> Iterator[redis.Redis]:
    """What the monitor keeps, to look at and to damage."""
    with redis.Redis.from_url(stack.redis) as found:
        yield found


def test_killed_again_and_again_it_says_what_it_would_have_said(home: Home, stack: Addresses, monitor: Process) -> None:
    """SIGKILL at random moments while requests and labels come: the streams are those of an undisturbed run."""
    stream, dice = Stream(home, 1), random.Random(1)  # noqa: S311 - a seed, no secret
    monitor.ready()
    for _ in range(3):
        give_up = time.monotonic() + dice.uniform(0.5, 2.0)
        while time.monotonic() < give_up:
            stream.write(3)
            time.sleep(0.05)
        assert monitor.end(signal.SIGKILL) == -signal.SIGKILL
        stream.write(5)
        monitor.again()
        monitor.ready()
    stream.write(30)
    same(home, stack.redis)
    assert monitor.end(signal.SIGTERM) == 0


def test_blocks_end_by_the_clock_where_nobody_asks(stack: Addresses, tmp_path: Path) -> None:
    """An endpoint's last requests are judged too, soon after their labels have had their time."""
    home = Home.make(tmp_path, stack.kafka, PARTITIONS).written_to(SHORT)
    monitor = Process(home, stack.redis)
    try:
        monitor.ready()
        stream, topic = Stream(home, 3, int(time.time() * 1e6) - MINUTE_US), home.endpoint.topic("accuracy")
        stream.write(1)

        def closed_us() -> int:
            told = [decode_any(record.value, (Accuracy, Contest)) for record in read_to_end(home.kafka, topic, 0, 0)]
            return max(
                (one.end_us for one in told if isinstance(one, Accuracy) and one.stage is Stage.CLOSED), default=0
            )

        # the last request's own block too, for which nothing that was written moves the watermark far enough
        until(lambda: closed_us() > stream.scored_us, f"blocks end; see {monitor.service.log}")
    finally:
        monitor.service.process.stop()


def test_a_wiped_redis_is_found_out_and_all_is_made_anew(
    home: Home, stack: Addresses, monitor: Process, client: redis.Redis
) -> None:
    """While it runs it ends, before it says anything wrong; and from an empty Redis it begins at the log's start."""
    stream = Stream(home, 2)
    stream.write(40)
    monitor.ready()
    until(lambda: any(found(home).values()), "something is written")
    wipe(client, home)
    stream.write(40)
    assert monitor.ended() not in (0, None)
    assert "Redis was wiped or restored" in monitor.service.log.read_text()
    monitor.again()
    monitor.ready()
    assert monitor.end(signal.SIGKILL) == -signal.SIGKILL
    wipe(client, home)
    monitor.again()
    stream.write(40)
    monitor.ready()
    same(home, stack.redis)


def test_an_older_redis_is_found_out(home: Home, stack: Addresses, monitor: Process, client: redis.Redis) -> None:
    """One that was restored from a copy: requests between it and Kafka's own positions would never be read again."""
    stream = Stream(home, 3)
    stream.write(30)
    monitor.ready()
    until(lambda: any(found(home).values()), "something is written")
    key = f"rendezvous:{home.endpoint.name}:monitor"
    older, document = client.dump(key), client.hget(key, "document")
    assert older is not None
    assert isinstance(document, bytes)
    kept = Checkpoint.read(document, b"")
    stream.write(30)
    with committed_in(home.kafka, home.endpoint) as committed:
        until(
            lambda: any(committed(kept.generation, part) > place.offset for part, place in kept.places.items()),
            "a commit that is further than that checkpoint",
        )
    assert monitor.end(signal.SIGKILL) == -signal.SIGKILL
    client.restore(key, 0, older, replace=True)
    monitor.again()
    stream.write(30)
    monitor.ready()
    assert "it is older than what was done" in monitor.service.log.read_text()
    same(home, stack.redis)


def test_frozen_for_longer_than_its_session_it_goes_on(home: Home, stack: Addresses, monitor: Process) -> None:
    """Its partitions are taken away and given back, and what was fetched before comes again: nothing counts twice.

    Now and then Faust loses a fetch in this: the monitor finds that out and ends, and goes on from its checkpoint.
    """
    stream = Stream(home, 6)
    stream.write(30)
    monitor.ready()
    os.kill(monitor.service.process.pid, signal.SIGSTOP)
    stream.write(30)
    time.sleep(SESSION_S + 2.0)
    os.kill(monitor.service.process.pid, signal.SIGCONT)
    stream.write(30)
    same(home, stack.redis, monitor.supervise)
    monitor.ready()
    assert monitor.end(signal.SIGTERM) == 0


def test_a_second_monitor_takes_the_first_ones_place(home: Home, stack: Addresses, monitor: Process) -> None:
    """Two never write together: the first one ends."""
    stream = Stream(home, 4)
    stream.write(30)
    monitor.ready()
    second = Process(home, stack.redis)
    try:
        second.ready()
        stream.write(30)
        assert monitor.ended() != 0
        stream.write(30)
        same(home, stack.redis)
    finally:
        second.service.process.stop()


def test_without_redis_it_waits_and_says_so(home: Home, stack: Addresses, tmp_path: Path) -> None:
    """It is alive, not ready, and writes nothing; it ends when told to; the next one goes on once Redis is back."""
    stream, port = Stream(home, 5), free_port()
    lock = os.open(tmp_path, os.O_RDONLY)
    with running_redis(tmp_path / "redis", port, lock, _logger.info) as own:
        monitor = Process(home, own.address)
        stream.write(30)
        monitor.ready()
    try:
        stream.write(30)
        until(lambda: page(monitor.service, "/readyz")[0] == 503, "it is not ready")
        time.sleep(1.0)
        assert page(monitor.service, "/healthz")[0] == 200
        assert monitor.end(signal.SIGTERM) == 0
        monitor.again()  # waits from its first question on
        with running_redis(tmp_path / "redis", port, lock, _logger.info):
            monitor.ready()
            same(home, stack.redis)
    finally:
        monitor.service.process.stop()
        os.close(lock)
