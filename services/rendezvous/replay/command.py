"""`rendezvous replay` and `rendezvous tune schedule` on a real log."""

from __future__ import annotations

import json
import sys
import time
from argparse import Namespace
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from rendezvous import running, topics
from rendezvous.log import KafkaSource
from rendezvous.registry.state import Control
from rendezvous.replay import audit, judging, telling, tuning, tuning_told
from rendezvous.replay.block import Block
from rendezvous.replay.contrast import Contrasting
from rendezvous.replay.gathering import Gathering
from rendezvous.replay.history import History
from rendezvous.replay.labels import Labels, read_labels
from rendezvous.replay.quality import METRICS
from rendezvous.replay.rules_file import read_rules
from rendezvous.replay.span import duration_us, span_of, written
from rendezvous.replay.tape import Records, Span
from rendezvous.rules import Rules
from rendezvous.server.plan import MS_US
from rendezvous.settings import Endpoint, Environment, SettingsError, load_endpoint

TELL_EVERY_S = 2.0
FEWEST_TO_TUNE = 100
"""Requests: with fewer, whatever looks best is chance."""
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

    def labels(self) -> Labels:
        """Those that may be about the span."""
        return read_labels(self.records, self.endpoint, self.label_partitions, (self.span.first_us or 0) // MS_US)

    def blocks(self, progress: Progress) -> Iterator[tuple[int, Gathering, Block]]:
        """All blocks of the span, each with its partition and how it was gathered."""
        for partition in self.partitions:
            gathering = Gathering(self.records, self.history, partition, self.span, partial(progress, partition))
            for block in gathering.blocks():
                yield partition, gathering, block

    def in_force(self) -> tuple[Control, Rules]:
        """Control at its end.

        Raises:
            SettingsError: it has no rules.
        """
        control = self.history.at(self.history.last)
        if control.rules is None:
            raise SettingsError(f"{self.endpoint.topic('control')} holds no rules: there is nothing to compare with")
        return control, control.rules


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
        history = History(endpoint, source.read(control, 0, 0, uncommitted=True))
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
    control, in_force = stage.in_force()
    names = {*(model for model, _ in control.versions), *control.aliases}
    rules = read_rules(options.policy, stage.endpoint, in_force, names)
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
        draw.draw(
            result, f"{stage.endpoint.name}: {len(result.appended_us)} requests, {options.policy.name}", options.picture
        )
        say(f"drawn: {options.picture}")
    return 0


def contrast(stage: Stage, rules: Rules, progress: Progress) -> Contrasting:
    """All blocks of the span, answered again."""
    contrasting = Contrasting(stage.history, stage.history.under(rules), stage.labels())
    for partition, gathering, block in stage.blocks(progress):
        contrasting.take(block, gathering.found, partition)
    return contrasting


def tune(options: Namespace, environs: Environment) -> int:
    """Propose a schedule, and say how it did on days that it was not chosen on.

    Raises:
        SettingsError, LogError: a setting is wrong, there is no such log, or too little on it.
    """
    with on_stage(options, environs) as stage:
        kind = stage.endpoint.output.kind
        metric = options.quality or tuning.DEFAULT_QUALITY[kind]
        if metric not in METRICS[kind]:
            raise SettingsError(f"--quality {metric}: outputs of kind {kind} have {', '.join(METRICS[kind])}")
        if not 0 <= options.miss_rate <= 1:
            raise SettingsError(f"--miss-rate {options.miss_rate:g} is no share: from 0 to 1")
        draw = drawing() if options.picture else None
        control, rules = stage.in_force()
        tuner = tuning.Tuner(stage.endpoint, control, rules, stage.labels())
        for _, _, block in stage.blocks(Progress()):
            tuner.take(block)
        if tuner.rows < FEWEST_TO_TUNE:
            raise SettingsError(
                f"{tuner.rows} labelled and compared requests in this span: {FEWEST_TO_TUNE} are needed"
            )
        tuned = tuning.tune(tuner, options.miss_rate, metric, np.random.default_rng(SEED))
        if tuned is None:
            raise SettingsError(f"no schedule of {', '.join(tuner.names)} keeps --miss-rate {options.miss_rate:g}")
        say(*tuning_told.lines(tuned, options.miss_rate))
        if options.json:
            write(options.json, tuning_told.report(tuned, options.miss_rate) | _asked(stage))
        if draw is not None:
            draw.draw_tuned(tuned, f"{stage.endpoint.name}: schedules tried", options.picture)
            say(f"drawn: {options.picture}")
    return 0


def drawing() -> ModuleType:
    """What draws, before hours of reading.

    Raises:
        SettingsError: matplotlib is not there.
    """
    try:
        from rendezvous.replay import picture  # noqa: PLC0415 - matplotlib is in the demo extra only
    except ImportError as error:
        raise SettingsError("--picture needs matplotlib: pip install 'rendezvous[demo]'") from error
    return picture


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
