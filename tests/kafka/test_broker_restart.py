"""The broker is killed and started again on its files, under the real processes."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from homes import Home, Services, services_of, until
from rendezvous.envelope import write_envelope
from rendezvous.local.broker import running_broker
from rendezvous.local.ports import free_port
from rendezvous.log import KafkaSink, LogError, read_to_end
from rendezvous.log.transactions import DESERTED
from rendezvous.messages import Envelope, Response
from rendezvous.wire import Codec, decode

pytestmark = pytest.mark.kafka

RATE = 50.0
BOUND_S = 60.0
"""From the broker's new start to the last answer: a supervisor's restart and a dead member's session among it."""
STAYS_UP_S = 8.0
"""A broker that is away for longer may cost a process its records' delivery timeout, and with it a restart."""

_logger = logging.getLogger("tests.broker")


class Broker:
    """A node of the test's own that can be killed."""

    def __init__(self, folder: Path, lock: int) -> None:
        self._folder, self._lock, self._port = folder, lock, free_port()
        self._running = contextlib.ExitStack()
        self.address = ""

    def start(self) -> None:
        """Start it, on its files if there are any; returns when it works."""
        self.address = self._running.enter_context(
            running_broker(self._folder, self._port, self._lock, lambda _: None)
        ).address

    def kill(self) -> None:
        """SIGKILL, as a machine that fails."""
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and self._is_ours((entry / "cmdline").read_bytes()):
                    os.kill(int(entry.name), signal.SIGKILL)
        self.stop()

    def _is_ours(self, command: bytes) -> bool:
        words = command.split(b"\0")
        return words[0].endswith(b"java") and f"-Djava.io.tmpdir={self._folder / 'tmp'}".encode() in words

    def stop(self) -> None:
        """End it, or clear up what is left of it."""
        self._running.close()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A running node."""
    folder = tmp_path / "kafka"
    folder.mkdir()
    lock = os.open(tmp_path / "lock", os.O_CREAT | os.O_RDWR)
    broker = Broker(folder, lock)
    broker.start()
    yield broker
    broker.stop()
    os.close(lock)


class Asking:
    """Requests in open loop, and which of them are answered."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._sink = KafkaSink(home.kafka)
        self._value = Codec(home.endpoint.features_schema).encode({"x": 0.5, "slow_ms": 0.0, "who": "a"})
        self.asked: set[str] = set()

    def ask(self) -> None:
        """One request; what finds no broker waits in the client."""
        name = f"r{len(self.asked)}"
        self.asked.add(name)
        headers = write_envelope(Envelope(name, "tests", None, None))
        self._sink.send(self._home.endpoint.topic("requests"), self._value, partition=0, headers=headers)
        self._sink.serve()

    def answers(self) -> list[str]:
        """Ids in the order of their answers."""
        self._sink.serve()
        try:
            records = list(read_to_end(self._home.kafka, self._home.endpoint.topic("responses"), 0, 0))
        except LogError:
            return []
        return [decode(record.value, Response).request_id for record in records]


def supervise(services: Services) -> list[str]:
    """Start again what has ended, as a supervisor would; returns what that was."""
    ended = [name for name, service in services.running.items() if service.process.poll() is not None]
    for name in ended:
        _logger.info("%s ended: %s", name, services[name].log.read_text().splitlines()[-1])
        services.running.pop(name).process.stop()
    services.start(*ended)
    return ended


class Side:
    """One mode's endpoint: who is asked, and who asks; `ended`: what had to be started again."""

    def __init__(self, home: Home, services: Services, *, exactly_once: bool) -> None:
        self.exactly_once = exactly_once
        self.services = services
        self.asking = Asking(home)
        self.ended: list[str] = []

    def all_answered(self) -> bool:
        """Whether every request is; services that end are started again."""
        self.ended += supervise(self.services)
        return set(self.asking.answers()) >= self.asking.asked


@contextlib.contextmanager
def running_side(folder: Path, kafka: str, *, exactly_once: bool) -> Iterator[Side]:
    """All services of one mode, ready."""
    folder.mkdir()
    home = Home.make(folder, kafka)
    document = home.endpoint.folder / "endpoint.toml"
    document.write_text(f"exactly_once = {str(exactly_once).lower()}\n{document.read_text()}")
    with services_of(home) as services:
        services.ready("server", "quick", "failing", "slow")
        yield Side(home, services, exactly_once=exactly_once)


def ask(sides: list[Side], seconds: float) -> None:
    """Everybody, so long, at RATE each."""
    for _ in range(int(seconds * RATE)):
        for side in sides:
            side.asking.ask()
        time.sleep(1 / RATE)


def test_a_killed_broker_loses_nothing(broker: Broker, tmp_path: Path) -> None:
    """Every request is answered once the broker is back, those asked meanwhile too; processes stay, or start again.

    In both modes, which share a broker and its death.
    """
    with (
        running_side(tmp_path / "default", broker.address, exactly_once=False) as default,
        running_side(tmp_path / "exactly once", broker.address, exactly_once=True) as exact,
    ):
        sides = [default, exact]
        ask(sides, 2.0)
        broker.kill()
        killed_s = time.monotonic()
        ask(sides, 2.0)
        broker.start()
        back_s = time.monotonic()
        ask(sides, 2.0)
        for side in sides:
            until(side.all_answered, "every request is answered", timeout_s=120.0)
            done_s = time.monotonic()
            said = side.asking.answers()
            _logger.info(
                "exactly once %s: down for %.1f s; all answered %.1f s after; %d of %d twice; restarted: %s",
                side.exactly_once,
                back_s - killed_s,
                done_s - back_s,
                len(said) - len(set(said)),
                len(said),
                side.ended,
            )
            assert side.ended == [] or back_s - killed_s > STAYS_UP_S
            assert done_s - back_s < BOUND_S
            assert not side.exactly_once or len(said) == len(set(said))
            # whose brokers were all away sends nothing more, and is made anew
            told = side.services["server"].log.read_text()
            assert not side.exactly_once or side.ended or DESERTED in told
        for side in sides:
            until(side.services["server"].ready, "the server is ready")
        ask(sides, 0.2)
        for side in sides:
            until(side.all_answered, "new requests are answered")
