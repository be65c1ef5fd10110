"""Ticks of a cron expression, in event time. The only module that imports croniter."""

from __future__ import annotations

from functools import lru_cache

from croniter import croniter


def is_cron(text: str) -> bool:
    """Whether it is one: minute, hour, day, month, weekday."""
    return bool(croniter.is_valid(text))


@lru_cache(maxsize=64)
def tick_after(text: str, moment_us: int) -> int:
    """The first tick later than a moment, both microseconds since the epoch, UTC."""
    return int(croniter(text, moment_us / 1e6).get_next(float)) * 1_000_000
