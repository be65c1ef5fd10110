"""What happens for one retrain event: data, training, judgement, and a version that is kept, or none.

    build the data → split it by time → train a trial on the earlier rows → judge it on the later ones → train on all
    rows, the same way → compare and time that → describe it for the monitor → keep the version, whole → tell control

A limit that is missed ends it as REFUSED, an error or a run's own limit as FAILED; either leaves no version. A job that
is killed leaves none either, and is done again; a version that the same event has made already is only deployed.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fcntl import LOCK_EX, LOCK_NB, flock
from hashlib import sha256
from pathlib import Path
from typing import Protocol

import numpy as np

from rendezvous.archive.manifest import Manifest
from rendezvous.registry.evidence import Check
from rendezvous.registry.naming import written
from rendezvous.registry.state import Pair
from rendezvous.registry.store import VERSIONS, folder_of, keep
from rendezvous.retraining import judgement
from rendezvous.retraining.confined import ConfinedError
from rendezvous.retraining.contract import params_of
from rendezvous.retraining.describing import describe
from rendezvous.retraining.events import Outcome, Retrained, RetrainEvent
from rendezvous.retraining.judgement import Measured
from rendezvous.retraining.limits import RetrainingLimits
from rendezvous.retraining.sources import code_of
from rendezvous.retraining.splitting import end_of, split_us
from rendezvous.retraining.tables import Table, read_table
from rendezvous.retraining.version import Made, write_version
from rendezvous.retraining.workshop import Workshop
from rendezvous.scoring.card import CardError, Span, load_card
from rendezvous.scoring.fidelity import MAX_DIFFERENCE
from rendezvous.settings import Endpoint, SettingsError


class RefusedError(Exception):
    """A limit is missed; its arguments are the reasons."""


class Build(Protocol):
    """Makes training tables: the archive, or whatever stands for it."""

    def __call__(self, span: Span, path: Path) -> str:
        """Write the requests of `span` with their features, `label` and `asked_us` to `path`, as Parquet.

        The archive writes its manifest beside it, as .json: the card keeps it.

        Returns:
            Where they come from, in words.

        Raises:
            SettingsError: they cannot be had.
        """


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a job needs besides the event.

    build: makes the data; deploy: tells control of a version that is kept; work: a folder for files, which needs room
    for the data three times; by: who writes; report: takes lines for people.
    """

    build: Build
    deploy: Callable[[Pair], None]
    work: Path
    by: str
    report: Callable[[str], None]


def run_job(endpoint: Endpoint, event: RetrainEvent, champion: Pair | None, around: Surroundings) -> Retrained:
    """Do what an event asks for, and say what became of it. The new version is compared with `champion`, if any.

    Raises:
        LogError: control could not be told: the version is kept, and doing the job again will tell it.
        BlockingIOError: another process is at the same event.
    """
    started = _now_us()

    def ended(outcome: Outcome, version: str, reasons: Sequence[str]) -> Retrained:
        for reason in reasons:
            around.report(f"{event.key}: {outcome}: {reason}")
        return Retrained(event.key, outcome, event.model, version, tuple(reasons), started, _now_us(), around.by)

    try:
        with _folder(around.work, event.key) as folder:
            pair = made_by(endpoint, event) or _make(endpoint, event, champion, around, folder)
        around.deploy(pair)
    except RefusedError as error:
        return ended(Outcome.REFUSED, "", error.args)
    except (ConfinedError, SettingsError, OSError) as error:
        if isinstance(error, BlockingIOError):
            raise
        return ended(Outcome.FAILED, "", [str(error)])
    around.report(f"{event.key}: {written(pair)} is a candidate")
    return ended(Outcome.REGISTERED, pair[1], [])


def made_by(endpoint: Endpoint, event: RetrainEvent) -> Pair | None:
    """The version that the event has made before its job was killed."""
    for folder in sorted((endpoint.folder / event.model / VERSIONS).glob("[!.]*")):
        try:
            card = load_card(folder)
        except CardError:  # whoever runs or shows that version says so
            continue
        if card.history is not None and card.history.asked.key == event.key:
            return event.model, card.version
    return None


def _make(endpoint: Endpoint, event: RetrainEvent, champion: Pair | None, around: Surroundings, folder: Path) -> Pair:
    limits = _limits(endpoint, event.model)
    code = code_of(endpoint, event.model, limits.training)
    params = params_of(endpoint, event.model, limits.training.parameters)
    span = Span(from_us=event.from_us, until_us=event.until_us, as_of_us=event.as_of_us)
    around.report(f"{event.key}: data of {span.from_us} to {span.until_us}, as of {span.as_of_us}")
    source = around.build(span, folder / "data.parquet")
    table = read_table(folder / "data.parquet", endpoint.features)
    split = _split(endpoint, limits, table, champion)
    shop = Workshop(endpoint, params, code, limits.training, folder, around.report)

    trial = shop.train("trial", table.where(table.asked_us < split))
    judged = shop.measure(trial, limits.acceptance, champion, table.where(table.asked_us >= split))
    results = _accepted(limits, endpoint, judged)
    final = shop.train("final", table)
    measured = shop.measure(final, limits.acceptance, champion)
    results = [*results, *(_of_final(check) for check in _accepted(limits, endpoint, measured))]

    reference = describe(shop, table, trial, split)
    made = Made(
        event=event,
        span=span,
        source=source,
        table=table,
        split=split,
        champion=champion,
        code=code,
        params=params,
        limits=limits,
        results=results,
        judged=judged,
        trial=trial,
        final=final,
        reference=reference,
        manifest=_manifest(folder / "data.json"),
    )
    version = write_version(folder / "version", endpoint, made)
    if champion == (event.model, version):
        raise RefusedError(f"training gave {written(champion)} again, which is the champion: nothing is new")
    return event.model, keep(endpoint, folder / "version").version


def _manifest(path: Path) -> Manifest | None:
    """What the archive has written beside its table; another source of data writes none."""
    return Manifest.model_validate_json(path.read_bytes()) if path.exists() else None


def _limits(endpoint: Endpoint, model: str) -> RetrainingLimits:
    limits = endpoint.retraining
    if limits is None:
        raise SettingsError(f"{endpoint.folder / 'endpoint.toml'}: no [retraining]: it says how models are trained")
    settings = endpoint.models.get(model)
    if settings is None or settings.kind != "onnx":
        raise SettingsError(f"{model!r} cannot be retrained: it is no ONNX model of {endpoint.name}'s endpoint.toml")
    return limits


def _split(endpoint: Endpoint, limits: RetrainingLimits, table: Table, champion: Pair | None) -> int:
    """Where judging begins.

    Raises:
        RefusedError: too little is left on either side.
    """
    if not len(table):
        raise RefusedError("no labelled request in the data's span: widen it, or look whether labels arrive")
    grid, wanted = endpoint.monitoring, limits.acceptance
    last = int(table.asked_us[-1]) + 1
    split = split_us(last, wanted.held_out, seen_us(endpoint, champion), grid.block, grid.block_offset)
    later = table.asked_us[table.asked_us >= split]
    blocks = len(np.unique((later - grid.block_offset) // grid.block))
    if len(later) < wanted.min_rows or blocks < wanted.min_blocks:
        raise RefusedError(
            f"{len(later)} rows in {blocks} blocks are later than all training and unseen by the champion, at least "
            f"{wanted.min_rows} in {wanted.min_blocks} are judged on: wait for more labels"
        )
    if len(later) == len(table):
        raise RefusedError("no row is left to train a trial on: let the data begin earlier, or judge on fewer days")
    return split


def seen_us(endpoint: Endpoint, champion: Pair | None) -> int:
    """The time before which the champion has seen rows."""
    if champion is None:
        return 0
    card = load_card(folder_of(endpoint, champion))
    return end_of(card.data.last) if card.history is None else card.history.span.until_us


def _accepted(limits: RetrainingLimits, endpoint: Endpoint, measured: Measured) -> list[Check]:
    """Every limit.

    Raises:
        RefusedError: one is missed.
    """
    results = judgement.checks(limits.acceptance, endpoint.output.kind, measured, MAX_DIFFERENCE)
    if missed := judgement.shortfalls(results):
        raise RefusedError(*missed)
    return results


def _of_final(check: Check) -> Check:
    return Check(f"{check.name}, trained on all rows", check.met, check.finding)


@contextmanager
def _folder(work: Path, key: str) -> Iterator[Path]:
    """An empty folder for a key, which nobody else has; logs stay there afterwards."""
    folder = work / sha256(key.encode()).hexdigest()[:16]
    work.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        flock(lock, LOCK_EX | LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        try:
            yield folder.resolve()
        finally:
            for path in folder.iterdir():
                if path.is_dir():
                    shutil.rmtree(path)
                elif path.suffix != ".log":
                    path.unlink()


def _now_us() -> int:
    return time.time_ns() // 1_000
