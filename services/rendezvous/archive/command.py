"""`rendezvous dataset`: a training table and its manifest, to files."""

from __future__ import annotations

import argparse
from pathlib import Path

import pyarrow.parquet

from rendezvous.archive.dataset import Dataset, build
from rendezvous.archive.files import COMPRESSION, Archive
from rendezvous.archive.manifest import Manifest
from rendezvous.replay.span import duration_us, moment, written
from rendezvous.running import clock_us
from rendezvous.settings import Environment, SettingsError, load_endpoint

DIFFERS = 1
"""Exit code when `--like` gave other rows than the manifest says."""


def dataset(options: argparse.Namespace, environs: Environment) -> int:
    """Build, write, say; returns the exit code."""
    endpoint = load_endpoint(options.endpoint, environs.home)
    archive = Archive(environs.archive_of(endpoint), endpoint.name)
    if options.like is not None:
        like = _manifest(options.like)
        made = build(
            endpoint,
            archive,
            like.from_us,
            like.until_us,
            like.as_of_us,
            label_delay_us=like.label_delay_us,
            positions=like.positions,
        )
    else:
        like = None
        made = _asked_for(options, archive, environs)
    save(made, options.out)
    for line in told(made.manifest):
        print(line, flush=True)  # noqa: T201 - this is the command line
    if like is not None and like.sha256 != made.manifest.sha256:
        print(f"sha256 differs: {options.like} says {like.sha256}", flush=True)  # noqa: T201 - ditto
        return DIFFERS
    return 0


def _asked_for(options: argparse.Namespace, archive: Archive, environs: Environment) -> Dataset:
    if options.since is None or options.until is None:
        raise SettingsError("--from and --to say which requests; --like names a manifest that does")
    now_us = clock_us()
    from_us, until_us = moment(options.since, now_us, "--from"), moment(options.until, now_us, "--to")
    if from_us >= until_us:
        raise SettingsError(f"--from {options.since} is not before --to {options.until}")
    return build(
        load_endpoint(options.endpoint, environs.home),
        archive,
        from_us,
        until_us,
        now_us if options.as_of is None else moment(options.as_of, now_us, "--as-of"),
        label_delay_us=None if options.label_delay is None else duration_us(options.label_delay, "--label-delay"),
    )


def _manifest(path: Path) -> Manifest:
    try:
        return Manifest.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path}: no manifest of a training table ({error})") from error


def save(made: Dataset, out: Path) -> None:
    """Write the table, and its manifest beside it under the same name with .json; each whole or not at all.

    Raises:
        SettingsError: it cannot be written there.
    """
    beside = out.with_suffix(".json")
    if beside == out:
        raise SettingsError(f"{out}: the manifest takes that name: call the table FILE.parquet")
    try:
        part = out.with_name(f".{out.name}.part")
        pyarrow.parquet.write_table(made.table, part, compression=COMPRESSION)
        part.replace(out)
        part.write_text(made.manifest.model_dump_json(indent=1) + "\n", encoding="utf-8")
        part.replace(beside)
    except OSError as error:
        raise SettingsError(f"{out} cannot be written: {error}") from error


def told(manifest: Manifest) -> list[str]:
    """A manifest in words."""
    window = f"{written(manifest.from_us)} to {written(manifest.until_us)}, as of {written(manifest.as_of_us)}"
    lines = [
        f"{manifest.rows} rows, {window}",
        f"sha256 {manifest.sha256}",
        (
            f"{manifest.requests} requests; {manifest.immature} immature, left out ({manifest.immature_labelled} of "
            f"them labelled); {manifest.never} never to be labelled, {manifest.unlabelled} without a label; coverage "
            f"{manifest.coverage:.1%} of the mature"
        ),
    ]
    if manifest.unreadable or manifest.no_requests:
        lines.append(f"left out: {manifest.unreadable} unreadable, {manifest.no_requests} that are no requests")
    if manifest.delay_p99_us > manifest.label_delay_us:
        lines.append(
            f"99 % of labels take {manifest.delay_p99_us / 3.6e9:.1f} h, label_delay is "
            f"{manifest.label_delay_us / 3.6e9:.1f} h: rows near the end are not like the others. Set [monitoring] "
            "label_delay"
        )
    lines += [f"lost before it was archived: {name}" for name in manifest.lost]
    return lines
