"""What goes wrong when brokers are started on somebody's machine, and the ways out."""

from __future__ import annotations

from pathlib import Path

TAIL_LINES = 15
"""As much of a log as fits on a screen beside the message."""


class LocalStackError(Exception):
    """The local stack cannot run; the message says what is wrong, where, and what to do."""


def no_kafka(problem: str, install: str) -> LocalStackError:
    """`problem`, with every way to get a Kafka nevertheless; `install` names the packages."""
    return LocalStackError(
        f"{problem}\nWays out:\n"
        f"  - {install}\n"
        "  - docker compose up: the same brokers from official images\n"
        "  - an existing cluster: KAFKA_BOOTSTRAP_SERVERS=host:port"
    )


def no_redis(problem: str, install: str) -> LocalStackError:
    """`problem`, with every way to get a Redis nevertheless."""
    return LocalStackError(
        f"{problem}\nWays out:\n"
        f"  - {install}\n"
        "  - docker compose up: the same brokers from official images\n"
        "  - an existing server: REDIS_URL=redis://host:port/0"
    )


def tail(log: Path) -> str:
    """The last lines of a log under its path, to be put into a message."""
    try:
        lines = log.read_text(errors="replace").splitlines()[-TAIL_LINES:]
    except OSError as error:
        return f"{log} cannot be read ({error.strerror})"
    return "\n  ".join([f"Last lines of {log}:", *(lines or ["(empty)"])])
