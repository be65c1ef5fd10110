"""From when to when: times as people write them, to microseconds."""

from __future__ import annotations

from datetime import UTC, datetime

from rendezvous.durations import length_us
from rendezvous.replay.tape import Span
from rendezvous.settings import SettingsError


def span_of(first: str | None, last: str | None, now_us: int) -> Span:
    """The span that two options name.

    Raises:
        SettingsError: one is no time, or they leave nothing between them.
    """
    span = Span(
        *(
            None if text is None else moment(text, now_us, option)
            for text, option in ((first, "--from"), (last, "--to"))
        )
    )
    if span.first_us is not None and span.last_us is not None and span.first_us >= span.last_us:
        raise SettingsError(f"--from {first} is not before --to {last}")
    return span


def moment(text: str, now_us: int, option: str) -> int:
    """A duration (2h: that long ago) or an ISO time (UTC when it names no zone), in µs since the epoch.

    Raises:
        SettingsError: it is neither.
    """
    if (ago_us := length_us(text)) is not None:
        return now_us - ago_us
    try:
        time = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise SettingsError(
            f"{option} {text!r} is neither a time such as 2026-11-30T14:00 nor a duration such as 90m, 2h or 3d"
        ) from error
    return round((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1e6)


def duration_us(text: str, option: str) -> int:
    """A duration such as 90m, 2h or 3d in µs.

    Raises:
        SettingsError: it is none.
    """
    if (found_us := length_us(text)) is None:
        raise SettingsError(f"{option} {text!r} is no duration such as 90m, 2h or 3d")
    return found_us


def written(time_us: int) -> str:
    """A time as people read it."""
    return datetime.fromtimestamp(time_us / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
