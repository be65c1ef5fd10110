"""Jobs as the retrainer sees them: one process for an event, started, looked at, ended."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from rendezvous.local.failure import LocalStackError, tail
from rendezvous.local.process import GuardedProcess
from rendezvous.log.records import LogError
from rendezvous.retraining.events import Outcome, Retrained, RetrainEvent
from rendezvous.wire import WireError, decode, encode

EVENT_FILE, OUTCOME_FILE, LOG_FILE = "event.bin", "outcome.bin", "job.log"
TRY_AGAIN = os.EX_TEMPFAIL
"""A child's exit code: its version is kept, control could not be told. Doing the job again tells it."""
GRACE_S = 5.0
PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,200}")

_logger = logging.getLogger(__name__)


class Running(Protocol):
    """A job under way."""

    def poll(self) -> Retrained | None:
        """What became of it; None while it runs.

        Raises:
            LogError: it has to be done again, by a retrainer that is started anew.
        """

    def kill(self) -> None:
        """End it; it leaves no half version."""


class Jobs(Protocol):
    """Does what events ask for."""

    def code(self) -> str | None:
        """Sha256 of the training code as it is now, as cards have it; None when there is none to read."""

    def start(self, event: RetrainEvent) -> Running:
        """Begin. An event whose job has made a version already, and was killed before it said so, makes no other."""


class ChildJobs:
    """Each job is `command FOLDER`, which reads the event in FOLDER and leaves its outcome there.

    The child ends when this process does, whatever way that ends. Its log stays in the folder.
    """

    def __init__(
        self,
        command: Sequence[str],
        work: Path,
        code: Callable[[], str | None],
        by: str,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._command = command
        self._work = work
        self._environment = environment
        self._by = by
        self.code = code

    def start(self, event: RetrainEvent) -> Running:
        """See `Jobs.start`."""
        folder = self._work / _folder_name(event.key)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / OUTCOME_FILE).unlink(missing_ok=True)
        (folder / EVENT_FILE).write_bytes(encode(event))
        begun_us = time.time_ns() // 1_000
        failed = Retrained(event.key, Outcome.FAILED, event.model, "", (), begun_us, 0, self._by)
        log = folder / LOG_FILE
        try:
            process = GuardedProcess.start(
                [*self._command, str(folder)], log=log, environment=self._environment, grace_s=GRACE_S
            )
        except LocalStackError as error:
            return _Stillborn(replace(failed, reasons=(str(error),), ended_us=begun_us))
        _logger.info("%s: job %d, log %s", event.key, process.pid, log)
        return _Child(process, folder, failed)


def _folder_name(key: str) -> str:
    """The key, unless it is one that somebody made up to lead elsewhere."""
    return key if PLAIN.fullmatch(key) else sha256(key.encode()).hexdigest()


class _Stillborn:
    """A job that could not begin."""

    def __init__(self, failed: Retrained) -> None:
        self._failed = failed

    def poll(self) -> Retrained:
        return self._failed

    def kill(self) -> None:
        """There is nothing to end."""


class _Child:
    """A process and the folder in which it leaves its outcome. failed: what is said when it leaves none."""

    def __init__(self, process: GuardedProcess, folder: Path, failed: Retrained) -> None:
        self._process = process
        self._folder = folder
        self._failed = failed

    def poll(self) -> Retrained | None:
        code = self._process.poll()
        if code is None:
            return None
        self._process.stop()
        if code == TRY_AGAIN:
            raise LogError(f"{self._failed.key}: {tail(self._folder / LOG_FILE)}: the job is done again")
        try:
            found = decode((self._folder / OUTCOME_FILE).read_bytes(), Retrained)
        except (OSError, WireError) as error:
            why = f"ended with {code} and left no outcome ({error}). {tail(self._folder / LOG_FILE)}"
            return replace(self._failed, reasons=(why,), ended_us=time.time_ns() // 1_000)
        return found

    def kill(self) -> None:
        self._process.stop()


def leave(folder: Path, outcome: Retrained) -> None:
    """What a child does at its end: leave its outcome, whole or not at all."""
    part = folder / f"{OUTCOME_FILE}.part"
    part.write_bytes(encode(outcome))
    part.replace(folder / OUTCOME_FILE)


def told(folder: Path) -> RetrainEvent:
    """What a child is to do."""
    return decode((folder / EVENT_FILE).read_bytes(), RetrainEvent)
