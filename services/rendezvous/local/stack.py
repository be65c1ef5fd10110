"""The brokers that everything else talks to: started here on loopback, or somebody's own, which are only probed."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import redis

from rendezvous.local.broker import running_broker
from rendezvous.local.failure import LocalStackError
from rendezvous.local.lock import Holder, stack_lock
from rendezvous.local.ports import require_free
from rendezvous.local.redis_server import probe_redis, running_redis, without_password
from rendezvous.log import LogError, probe
from rendezvous.settings import Environment

__all__ = ["Addresses", "LocalStackError", "running_stack"]

Report = Callable[[str], None]

PROBE_TIMEOUT_S = 20.0
"""For a cluster that runs already: topics are created and read within two seconds."""

FRESH = "fresh"
"""The folder under the data folder that a fresh stack begins with, empty, and takes away at its end."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the brokers are."""

    kafka: str
    """host:port, or several with commas between them."""
    redis: str
    """redis://host:port/database"""


@contextlib.contextmanager
def running_stack(
    environment: Environment,
    *,
    report: Report,
    fresh: bool = False,
    kafka_port: int | None = None,
    redis_port: int | None = None,
) -> Iterator[Addresses]:
    """Kafka and Redis, ready, for as long as the block runs; those that `environment` names are used, not started.

    Args:
        environment: where data goes, and addresses of brokers that run already.
        report: gets one line per stage.
        fresh: begin with nothing, and leave nothing.
        kafka_port: of loopback; a free one when None.
        redis_port: of loopback; a free one when None.

    Raises:
        LocalStackError: one of them cannot be had; the message names the ways out.
    """
    if environment.kafka:
        _check_kafka(environment.kafka, report)
    if environment.redis:
        _check_redis(environment.redis, report)
    if environment.kafka and environment.redis:
        yield Addresses(environment.kafka, environment.redis)
        return
    with (
        stack_lock(environment.data) as lock,
        _folder(environment.data, fresh, report) as folder,
        contextlib.ExitStack() as undo,
    ):
        # after the lock: a second stack on the same ports hears about the first one, not about a port
        for port, service in ((kafka_port, "Kafka"), (redis_port, "Redis")):
            if port is not None:
                require_free(port, service)
        redis_url = (
            environment.redis
            or undo.enter_context(running_redis(folder / "redis", redis_port, lock.fd, report)).address
        )
        kafka = (
            environment.kafka
            or undo.enter_context(running_broker(folder / "kafka", kafka_port, lock.fd, report)).address
        )
        lock.write(Holder(os.getpid(), kafka, without_password(redis_url)))
        yield Addresses(kafka, redis_url)


@contextlib.contextmanager
def _folder(data: Path, fresh: bool, report: Report) -> Iterator[Path]:  # noqa: FBT001 - handed through, not chosen
    """Where the brokers' files go: the data folder, or an empty one in it that goes away at the end."""
    if not fresh:
        yield data
        return
    folder = data / FRESH
    if folder.exists():
        report(f"stack: removing {folder}, left by a run that did not end")
        shutil.rmtree(folder)
    keep = False
    try:
        yield folder
    except LocalStackError:
        keep = True  # its message names logs in there
        raise
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def _check_kafka(bootstrap: str, report: Report) -> None:
    report(f"kafka: using KAFKA_BOOTSTRAP_SERVERS={bootstrap}")
    try:
        probe(bootstrap, PROBE_TIMEOUT_S)
    except LogError as error:
        raise LocalStackError(
            f"KAFKA_BOOTSTRAP_SERVERS={bootstrap} does not work: {error}.\n"
            "Correct it, or unset it: then a local Kafka is started."
        ) from error


def _check_redis(url: str, report: Report) -> None:
    shown = without_password(url)
    report(f"redis: using REDIS_URL={shown}")
    try:
        probe_redis(url)
    except (redis.RedisError, ValueError) as error:
        raise LocalStackError(
            f"REDIS_URL={shown} does not work: {error}.\nCorrect it, or unset it: then a local Redis is started."
        ) from error
