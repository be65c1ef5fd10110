"""Locks that the kernel frees on any death, and who holds them."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from rendezvous.local.failure import LocalStackError

WAIT_S = 30.0
"""How long the guards of a stack that died may take to end its brokers, its grace and a margin included."""

LOOK_AGAIN_S = 0.1


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has the stack's lock; the addresses are empty while it starts."""

    pid: int
    kafka: str = ""
    redis: str = ""


class StackLock:
    """The one stack of a data folder: held by its process, and by its brokers for as long as they outlive it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)

    def write(self, holder: Holder | None) -> None:
        """Say who holds it, for whoever comes second; None when nobody does."""
        os.ftruncate(self.fd, 0)
        if holder is not None:
            os.pwrite(self.fd, json.dumps(asdict(holder)).encode(), 0)

    def read(self) -> Holder | None:
        """Who said last that they hold it."""
        try:
            return Holder(**json.loads(os.pread(self.fd, 4096, 0)))
        except (ValueError, TypeError):
            return None

    def take(self, wait_s: float = WAIT_S) -> None:
        """Take it; wait only for brokers of a stack whose own process is gone.

        Raises:
            LocalStackError: somebody has it.
        """
        give_up = time.monotonic() + wait_s
        while not _try_lock(self.fd):
            holder = self.read()
            alive = holder is None or _alive(holder.pid)
            if (alive and holder is not None) or time.monotonic() > give_up:
                raise LocalStackError(_refusal(self.path.parent, holder))
            time.sleep(LOOK_AGAIN_S)
        self.write(Holder(os.getpid()))


@contextlib.contextmanager
def stack_lock(data: Path) -> Iterator[StackLock]:
    """Hold the lock of a data folder, which is made when it is not there.

    Raises:
        LocalStackError: another stack holds it, or the folder cannot be written.
    """
    try:
        data.mkdir(parents=True, exist_ok=True)
        lock = StackLock(data / "stack.lock")
    except OSError as error:
        raise LocalStackError(
            f"the data folder {data} cannot be used: {error.strerror}. Set RENDEZVOUS_DATA to one that can be written."
        ) from error
    try:
        lock.take()
        try:
            yield lock
        finally:
            lock.write(None)
    finally:
        os.close(lock.fd)


@contextlib.contextmanager
def waiting_lock(path: Path, waits: Callable[[], None]) -> Iterator[None]:
    """Hold `path` locked; `waits` is called if another process has it, for as long as that takes."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if not _try_lock(fd):
            waits()
            fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # somebody else's, and there
    try:
        # Linux: one that has ended, and whose parent has not asked, is there as a Z and holds no lock
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (OSError, IndexError):
        return True


def _refusal(data: Path, holder: Holder | None) -> str:
    if holder is None:
        return f"{data} is locked by another process (lsof {data / 'stack.lock'} names it)."
    if not _alive(holder.pid):
        return (
            f"{data}: the stack of process {holder.pid}, which has died, still has a broker running "
            f"(lsof {data / 'stack.lock'} names it): end that one first."
        )
    where = f"Kafka on {holder.kafka}, Redis on {holder.redis}" if holder.kafka else "still starting"
    return (
        f"{data}: a local stack is running already, in process {holder.pid}: {where}.\nWays out:\n"
        f"  - use it: KAFKA_BOOTSTRAP_SERVERS={holder.kafka or 'host:port'} REDIS_URL={holder.redis or 'redis://...'}\n"
        f"  - end it: kill {holder.pid}\n"
        "  - start another beside it: set RENDEZVOUS_DATA to another folder"
    )
