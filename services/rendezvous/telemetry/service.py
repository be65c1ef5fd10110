"""What every service shows, whatever it does."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

from prometheus_client import CollectorRegistry

from rendezvous.telemetry.families import Families

MEMORY_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Where Linux says how much a container may use, in its two ways."""
NO_LIMIT = 1 << 60
"""A number so large is the older way's word for none."""


class ServiceMetrics:
    """What every service shows."""

    def __init__(self, registry: CollectorRegistry) -> None:
        made = Families("rendezvous_service", registry)
        self.ready = made.gauge("ready", "1 when the service does its work: joined, warm, caught up; as /readyz says")
        self.loop_age = made.gauge("loop_age_seconds", "since the loop turned last: /healthz fails from 10 on")
        self.memory_limit = made.table(
            "memory_limit_bytes",
            "what the process may use before the system ends it; no series where there is no limit",
        )
        self.release = made.table("info", "which release runs here", "release")
        limit = memory_limit()
        self.memory_limit.show({} if limit is None else {(): float(limit)})
        self.release.show({(version("rendezvous"),): 1.0})


class RedisMetrics:
    """What a service shows that uses Redis."""

    def __init__(self, registry: CollectorRegistry) -> None:
        made = Families("rendezvous_redis", registry)
        self.up = made.gauge("up", "1 when Redis answered the last question, 0 when it did not")


def memory_limit() -> int | None:
    """Of this process' container, in bytes; None where there is none."""
    for path in MEMORY_LIMITS:
        try:
            found = int(path.read_text())
        except (OSError, ValueError):  # not this way, or "max"
            continue
        if found < NO_LIMIT:
            return found
    return None
