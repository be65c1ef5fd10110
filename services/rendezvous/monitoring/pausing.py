"""What a monitor does while Redis cannot be asked: nothing, and it says so."""

from __future__ import annotations

import logging
import threading

from rendezvous.telemetry import MonitorMetrics, Telemetry

AGAIN_S = 0.5
"""Between two attempts."""

_logger = logging.getLogger(__name__)


class StoppedError(Exception):
    """The process was told to stop while it waited."""


class Pause:
    """Waits between two attempts, until it is told to stop; for the thread that asks."""

    def __init__(self, telemetry: Telemetry, metrics: MonitorMetrics) -> None:
        self._telemetry, self._metrics = telemetry, metrics
        self._stopping = threading.Event()
        self.waiting = False

    @property
    def stopping(self) -> bool:
        """Whether the process was told to stop."""
        return self._stopping.is_set()

    def stop(self) -> None:
        """The process was told to stop."""
        self._stopping.set()

    def wait(self, why: str) -> None:
        """Let some time pass: `why` Redis could not be asked.

        Raises:
            StoppedError: the process was told to stop.
        """
        if not self.waiting:
            _logger.warning("waiting for Redis: %s", why)
        self.waiting = True
        self._metrics.waits.inc()
        self._telemetry.turned()
        self._telemetry.ready(is_ready=False)
        if self._stopping.wait(AGAIN_S):
            raise StoppedError

    def over(self) -> None:
        """It could be asked."""
        if self.waiting:
            _logger.info("Redis answers again")
        self.waiting = False
