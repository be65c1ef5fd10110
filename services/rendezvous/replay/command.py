"""`rendezvous replay` on a real log."""

from __future__ import annotations

import json
import sys
import time
from argparse import Namespace
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rendezvous import running, topics
from rendezvous.log import KafkaSource
from rendezvous.replay.audit import audit, figures, lines
from rendezvous.replay.gathering import Records
from rendezvous.replay.history import History
from rendezvous.replay.span import Span, span_of, written
from rendezvous.settings import Endpoint, Environment, SettingsError, load_endpoint

TELL_EVERY_S = 2.0


@dataclass(frozen=True, slots=True)
class Stage:
    """What every command here works on."""

    endpoint: Endpoint
    records: Records
    history: History
    partitions: tuple[int, ...]
    span: Span


@contextmanager
def on_stage(options: Namespace, environs: Environment) -> Iterator[Stage]:
    """Open the log as the options say.

    Raises:
        SettingsError, LogError: a setting is wrong, or there is no such log.
    """
    endpoint = load_endpoint(options.endpoint, environs.home)
    bootstrap = running.bootstrap_of(environs)
    span = span_of(options.since, options.until, running.clock_us())
    count = topics.check(bootstrap, endpoint)[endpoint.topic("requests")].partitions
    if options.partition is not None and not 0 <= options.partition < count:
        raise SettingsError(f"--partition {options.partition}: {endpoint.topic('requests')} has 0 to {count - 1}")
    partitions = tuple(range(count)) if options.partition is None else (options.partition,)
    source = KafkaSource(bootstrap, f"{endpoint.name}.replay")  # of no group: it never joins
    try:
        control = endpoint.topic("control")
        low, _ = source.bounds(control, 0)
        if low:
            raise SettingsError(f"{control} begins at {low}: what stood before decides who could answer, and is gone")
        yield Stage(endpoint, source, History(endpoint, source.read(control, 0, 0)), partitions, span)
    finally:
        source.close()


class Progress:
    """A line now and then while the log is read."""

    def __init__(self) -> None:
        self._begun_s = self._told_s = time.monotonic()
        self._done: dict[int, int] = {}

    def __call__(self, partition: int, read: int) -> None:
        """So many decisions of this partition have been read."""
        self._done[partition] = read
        if time.monotonic() - self._told_s > TELL_EVERY_S:
            self._told_s = time.monotonic()
            print(f"reading partition {partition}: {self.read} decisions", file=sys.stderr, flush=True)  # noqa: T201 - this is the command line

    @property
    def read(self) -> int:
        """Decisions, of all partitions."""
        return sum(self._done.values())

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self._begun_s


def replay(options: Namespace, environs: Environment) -> int:
    """Verify the decisions of a span; the exit code says what came of it."""
    with on_stage(options, environs) as stage:
        progress = Progress()
        result = audit(stage.records, stage.history, stage.partitions, stage.span, progress)
    say(*lines(result))
    say(f"{progress.read} decisions in {progress.seconds:.1f} s")
    if options.json:
        write(options.json, figures(result) | _asked(stage) | {"seconds": round(progress.seconds, 3)})
    return result.exit_code


def _asked(stage: Stage) -> dict[str, Any]:
    times = {"from": stage.span.first_us, "to": stage.span.last_us}
    return {name: None if time_us is None else written(time_us) for name, time_us in times.items()}


def say(*told: str) -> None:
    """To standard output."""
    print("\n".join(told), flush=True)  # noqa: T201 - this is the command line


def write(path: Path, report: Mapping[str, Any]) -> None:
    """As JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=2) + "\n")
