"""`rendezvous replay` on a real log."""

from __future__ import annotations

import json
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from rendezvous import running, topics
from rendezvous.log import KafkaSource
from rendezvous.replay import audit, judging, telling
from rendezvous.replay.contrast import Contrast, Contrasting
from rendezvous.replay.gathering import Gathering
from rendezvous.replay.history import History
from rendezvous.replay.labels import read_labels
from rendezvous.replay.rules_file import read_rules
from rendezvous.replay.span import duration_us, span_of, written
from rendezvous.replay.tape import Records, Span
from rendezvous.rules import Rules
from rendezvous.settings import Endpoint, Environment, SettingsError, load_endpoint

TELL_EVERY_S = 2.0
SEED = 20131
"""Of the resamples: the same log gives the same intervals."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What every command here works on."""

    endpoint: Endpoint
    records: Records
    history: History
    partitions: tuple[int, ...]
    span: Span
    label_partitions: int


@contextmanager
def on_stage(options: Namespace, environs: Environment) -> Iterator[Stage]:
    """Open the log as the options say.

    Raises:
        SettingsError, LogError: a setting is wrong, or there is no such log.
    """
    endpoint = load_endpoint(options.endpoint, environs.home)
    bootstrap = running.bootstrap_of(environs)
    span = span_of(options.since, options.until, running.clock_us())
    found = topics.check(bootstrap, endpoint)
    count = found[endpoint.topic("requests")].partitions
    if options.partition is not None and not 0 <= options.partition < count:
        raise SettingsError(f"--partition {options.partition}: {endpoint.topic('requests')} has 0 to {count - 1}")
    partitions = tuple(range(count)) if options.partition is None else (options.partition,)
    source = KafkaSource(bootstrap, f"{endpoint.name}.replay")  # of no group: it never joins
    try:
        control = endpoint.topic("control")
        low, _ = source.bounds(control, 0)
        if low:
            raise SettingsError(f"{control} begins at {low}: what stood before decides who could answer, and is gone")
        history = History(endpoint, source.read(control, 0, 0))
        yield Stage(endpoint, source, history, partitions, span, found[endpoint.topic("labels")].partitions)
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
    """Verify the decisions of a span, or ask what other rules would have answered; returns the exit code.

    Raises:
        SettingsError, LogError: a setting is wrong, or there is no such log.
    """
    with on_stage(options, environs) as stage:
        return _verify(stage, options) if options.policy is None else _contrast(stage, options)


def _verify(stage: Stage, options: Namespace) -> int:
    if options.picture or options.labels_older:
        raise SettingsError("--picture and --labels-older are about other rules: they need --policy")
    progress = Progress()
    result = audit.audit(stage.records, stage.history, stage.partitions, stage.span, progress)
    say(*audit.lines(result))
    say(f"{progress.read} decisions in {progress.seconds:.1f} s")
    if options.json:
        write(options.json, audit.figures(result) | _asked(stage) | {"seconds": round(progress.seconds, 3)})
    return result.exit_code


def _contrast(stage: Stage, options: Namespace) -> int:
    control = stage.history.at(stage.history.last)
    if control.rules is None:
        raise SettingsError(f"{stage.endpoint.topic('control')} holds no rules: there is nothing to compare with")
    names = {*(model for model, _ in control.versions), *control.aliases}
    rules = read_rules(options.policy, stage.endpoint, control.rules, names)
    older_us = None if options.labels_older is None else duration_us(options.labels_older, "--labels-older")
    draw = drawing() if options.picture else None
    contrasted = contrast(stage, rules, Progress())
    result = contrasted.result()
    if not len(result.appended_us):
        raise SettingsError("no answered request in this span: nothing to answer again")
    figures = judging.summary(result)
    judged = judging.judge(
        result, stage.endpoint.output.kind, contrasted.labels.as_of_us, older_us, np.random.default_rng(SEED)
    )
    say(*telling.lines(figures, contrasted.skipped, judged))
    if options.json:
        write(options.json, telling.report(figures, contrasted.skipped, judged) | _asked(stage))
    if draw is not None:
        draw(
            result, f"{stage.endpoint.name}: {len(result.appended_us)} requests, {options.policy.name}", options.picture
        )
        say(f"drawn: {options.picture}")
    return 0


def contrast(stage: Stage, rules: Rules, progress: Progress) -> Contrasting:
    """All blocks of the span, answered again."""
    labels = read_labels(stage.records, stage.endpoint, stage.label_partitions, (stage.span.first_us or 0) // 1_000)
    contrasting = Contrasting(stage.history, stage.history.under(rules), labels)
    for partition in stage.partitions:
        gathering = Gathering(stage.records, stage.history, partition, stage.span, partial(progress, partition))
        for block in gathering.blocks():
            contrasting.take(block, gathering.found, partition)
    return contrasting


def drawing() -> Callable[[Contrast, str, Path], None]:
    """What draws, before hours of reading.

    Raises:
        SettingsError: matplotlib is not there.
    """
    try:
        from rendezvous.replay.picture import draw  # noqa: PLC0415 - in the demo extra only
    except ImportError as error:
        raise SettingsError("--picture needs matplotlib: pip install 'rendezvous[demo]'") from error
    return draw


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
