"""What a monitor does while Redis does not answer."""

from __future__ import annotations

import logging
import threading

import pytest

from rendezvous.monitoring.pausing import Pause, StoppedError
from rendezvous.telemetry import MonitorMetrics, Telemetry


def pause_of() -> tuple[Pause, Telemetry]:
    """One, and its pages."""
    telemetry = Telemetry()
    return Pause(telemetry, MonitorMetrics(telemetry.registry)), telemetry


def test_it_is_not_ready_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    """And once more when it is over."""
    pause, telemetry = pause_of()
    telemetry.ready(is_ready=True)
    with caplog.at_level(logging.INFO):
        for _ in range(2):
            pause.wait("refused")
        assert pause.waiting
        assert telemetry.page("/readyz")[0] == 503
        assert telemetry.page("/healthz")[0] == 200
        pause.over()
    assert not pause.waiting
    assert [record.message for record in caplog.records] == ["waiting for Redis: refused", "Redis answers again"]
    assert telemetry.registry.get_sample_value("rendezvous_monitor_redis_waits_total") == 2


def test_who_is_told_to_stop_does_not_wait_on() -> None:
    """Even from within a wait."""
    pause, _ = pause_of()
    threading.Timer(0.05, pause.stop).start()
    with pytest.raises(StoppedError):
        pause.wait("refused")
    assert pause.stopping
