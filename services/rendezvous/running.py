"""A service as a process: its clocks, its log, signals, and a loop until it is told to stop."""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
import threading
import time
from types import FrameType
from typing import Protocol

from rendezvous.settings import Environment, SettingsError
from rendezvous.telemetry import Telemetry

WAKE_S = 1.0
"""A wait without an end would not let Python run its signal handlers on every platform."""

_logger = logging.getLogger(__name__)


class Looping(Protocol):
    """A service: a loop that turns, a word whether it does its work, and an orderly end."""

    @property
    def ready(self) -> bool:
        """Joined, warm, caught up."""

    @property
    def over(self) -> bool:
        """There is nothing more to do: it may end."""

    def turn(self) -> None:
        """Wait a little for what comes, and do what is due."""

    def stop(self) -> None:
        """Finish what is under way and leave."""


def clock_us() -> int:
    """The wall clock, microseconds since the epoch: deadlines run on it."""
    return time.time_ns() // 1_000


def steady_us() -> int:
    """A clock that nobody sets, microseconds: it tells how long this process was frozen, or its machine slept."""
    if sys.platform == "linux":
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000  # unlike CLOCK_MONOTONIC, it goes on in a sleep
    return time.monotonic_ns() // 1_000


def start_logging() -> None:
    """Plain lines on standard error: time, process, level, module, message. RENDEZVOUS_LOG_LEVEL sets the level."""
    level = os.environ.get("RENDEZVOUS_LOG_LEVEL", "INFO").upper()
    if level not in logging.getLevelNamesMapping():
        known = ", ".join(logging.getLevelNamesMapping())
        raise SettingsError(f"RENDEZVOUS_LOG_LEVEL is {level!r}: it must be one of {known}")
    logging.basicConfig(
        level=level,
        format="%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )


def loop(service: Looping, telemetry: Telemetry) -> None:
    """Turn until SIGTERM or SIGINT; then stop in order. An error ends the process: its supervisor starts it anew."""
    stopping: list[int] = []

    def on_signal(number: int, _: FrameType | None) -> None:
        stopping.append(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    gc.collect()
    gc.freeze()  # what was imported lives for ever: the collector need not walk it again
    while not stopping and not service.over:
        service.turn()
        telemetry.turned()
        telemetry.ready(is_ready=service.ready)
    _logger.info("stopping: %s", signal.Signals(stopping[0]).name if stopping else "nothing more to do")
    telemetry.ready(is_ready=False)
    service.stop()
    telemetry.stop()


def bootstrap_of(environment: Environment) -> str:
    """Kafka's address.

    Raises:
        SettingsError: none is set.
    """
    if not environment.kafka:
        raise SettingsError("KAFKA_BOOTSTRAP_SERVERS is not set; `rendezvous up` starts a local Kafka and prints it")
    return environment.kafka


def wait_for_signal() -> None:
    """Sleep until SIGTERM or SIGINT, also where a shell started us with SIGINT ignored."""
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    while not stopping.wait(WAKE_S):
        pass
