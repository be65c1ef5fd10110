"""What a backtest is run over: two tables, or an endpoint's model and one."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rendezvous.durations import length_us
from rendezvous.messages import Floats, Int64s
from rendezvous.monitoring.backtest import Past, invented_clock, of_rows
from rendezvous.monitoring.figures import Kind
from rendezvous.monitoring.limits import MonitoringLimits
from rendezvous.monitoring.reference import Reference
from rendezvous.monitoring.shipped import load_reference
from rendezvous.monitoring.tables import Table, TableError
from rendezvous.replay.bootstrapping import Float64s
from rendezvous.scoring.models import load_model
from rendezvous.settings import Endpoint, Environment, SettingsError, load_endpoint

LEAST_BLOCKS = 5
"""Of a reference: from fewer nobody could tell what is usual."""
MAX_CLASSES = 64
SCORED_ROWS = 4_096
"""That a model scores together."""


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """What is to be run: the rows, what was true before, by which limits; `timed`: rows have a time of their own."""

    past: Past
    reference: Reference
    limits: MonitoringLimits
    kind: Kind
    timed: bool


def of_tables(options: argparse.Namespace) -> Case:
    """A table against another one, on which all was well.

    Raises:
        SettingsError: a file, a column or an option is missing or does not fit, or there are too few rows.
    """
    if not (options.reference and options.prediction and options.label):
        raise SettingsError(
            "backtest of a table: give --reference FILE, --prediction COLUMN and --label COLUMN, or --endpoint NAME"
        )
    features = [name.strip() for name in options.features.split(",") if name.strip()]
    names = [options.prediction, options.label, *features, *filter(None, [options.time, options.observed])]
    before, after = (Table.read(path, names) for path in (options.reference, options.data))
    kind = options.kind or _kind(before, after, options.prediction, options.label)
    classes = _classes((before, after), options.prediction, options.label) if kind == "multiclass" else ()
    independent = options.independent or options.time is None
    text = {name for name in features if before.is_text(name) or after.is_text(name)}

    def past(table: Table) -> Past:
        outputs, labels = _answers(table, options.prediction, options.label, kind, classes)
        return Past(
            *_times(table, options, labels, independent=independent),
            outputs,
            classes or (options.prediction,),
            labels,
            {name: table.numbers(name).astype(np.float32) for name in features if name not in text},
            {name: table.texts(name) for name in features if name in text},
        )

    for table in (before, after):
        _need(table, table.rows, 1, "rows")
    rows, known = past(after), past(before)
    limits = of_rows(_limits(options, known)) if independent else _limits(options, known)
    reference = known.reference(limits, kind)
    _check(before, reference, limits)
    return Case(rows, reference, limits, kind, timed=not independent)


def _times(table: Table, options: argparse.Namespace, labels: Float64s, *, independent: bool) -> tuple[Int64s, Int64s]:
    """When each row was asked, and when its label became known; independent rows have an invented clock."""
    if independent:
        asked_us = np.empty(table.rows, np.int64)
        order = np.argsort(table.times_us(options.time), kind="stable") if options.time else np.arange(table.rows)
        asked_us[order] = invented_clock(table.rows)
        return asked_us, asked_us
    asked_us = table.times_us(options.time)
    return asked_us, _observed(table, options.observed, labels, asked_us) if options.observed else asked_us


def _limits(options: argparse.Namespace, known: Past) -> MonitoringLimits:
    delays_us = (known.observed_us - known.asked_us)[~np.isnan(known.labels)]
    delay_us = int(np.quantile(delays_us, 0.99, method="inverted_cdf")) if len(delays_us) else 0
    block_us = _duration("--block", options.block)
    if delay_us > block_us:
        raise SettingsError(
            f"--block {options.block}: 99 % of labels take up to {delay_us / 3.6e9:.1f} h: a block is never "
            "shorter than that"
        )
    return MonitoringLimits(
        block=block_us,
        block_offset=_duration("--block-offset", options.block_offset),
        label_delay=delay_us,
        lateness=0,
        window=500,
        run_length=options.run_length,
        threshold=options.threshold,
    )


def _duration(option: str, text: str) -> int:
    found = length_us(text)
    if found is None or (found == 0 and option == "--block"):
        raise SettingsError(f"{option} {text}: no duration such as 30m, 8h or 1d")
    return found


def of_endpoint(options: argparse.Namespace, environs: Environment) -> Case:
    """An endpoint's rows against what its model is shipped with; scored by that model where there is no prediction.

    Raises:
        SettingsError: the model, its reference, or a column is missing or does not fit.
    """
    endpoint = load_endpoint(options.endpoint, environs.home)
    model = options.model or endpoint.aliases.get(endpoint.monitoring.champion)
    if model not in endpoint.models:
        raise SettingsError(f"{endpoint.name} has no model {model}: give --model, one of {', '.join(endpoint.models)}")
    limits = endpoint.monitoring.model_copy(update={"lateness": 0, "run_length": options.run_length})
    reference = _shipped(endpoint.folder / model, limits)
    label, time, observed = options.label or "label", options.time or "asked_us", options.observed or "observed_us"
    features = [feature.name for feature in endpoint.features]
    table = Table.read(options.data, [*features, label, time, observed, *filter(None, [options.prediction])])
    _need(table, table.rows, 1, "rows")
    labels, asked_us = table.numbers(label), table.times_us(time)
    past = Past(
        asked_us,
        _observed(table, observed, labels, asked_us),
        np.full((table.rows, len(endpoint.output.names)), np.nan, np.float32),
        endpoint.output.names,
        labels,
        {one.name: table.numbers(one.name).astype(np.float32) for one in endpoint.features if not one.is_text},
        {one.name: table.texts(one.name) for one in endpoint.features if one.is_text},
    )
    if options.prediction:
        outputs = table.numbers(options.prediction).astype(np.float32)[:, None]
    else:
        outputs = _scored(endpoint, model, past)
    return Case(replace(past, outputs=outputs), reference, limits, endpoint.output.kind, timed=True)


def _shipped(folder: Path, limits: MonitoringLimits) -> Reference:
    reference = load_reference(folder)
    if reference is None:
        raise SettingsError(
            f"{folder} has no reference: train it again, `python {folder.parent / 'train.py'} --force`, or give "
            "--reference FILE instead of --endpoint"
        )
    if fault := reference.misfit(limits):
        raise SettingsError(f"{folder}: {fault}")
    return reference


def _observed(table: Table, name: str, labels: Float64s, asked_us: Int64s) -> Int64s:
    """When labels became known; rows without a label need no time."""
    known = np.flatnonzero(~np.isnan(labels))
    observed = asked_us.copy()
    observed[known] = Table(table.path, table.columns.take(known)).times_us(name)
    return np.maximum(observed, asked_us)


def _scored(endpoint: Endpoint, model: str, past: Past) -> Floats:
    """What the workbench's model says of every row."""
    loaded = load_model(endpoint, model).model
    words = {name: texts.words for name, texts in past.texts.items()}
    columns = {one.name: words[one.name] if one.is_text else past.numbers[one.name] for one in endpoint.features}
    parts = [
        loaded.score({name: column[start : start + SCORED_ROWS] for name, column in columns.items()})
        for start in range(0, past.rows, SCORED_ROWS)
    ]
    return np.concatenate(parts)


def _kind(before: Table, after: Table, prediction: str, label: str) -> Kind:
    """Probabilities of 0 and 1; classes, where there is text; else numbers."""
    tables = (before, after)
    if any(table.is_text(name) for table in tables for name in (prediction, label)):
        return "multiclass"
    labels = np.concatenate([table.numbers(label) for table in tables])
    said = np.concatenate([table.numbers(prediction) for table in tables])
    binary = np.isin(labels[~np.isnan(labels)], (0, 1)).all() and np.nanmin(said) >= 0 and np.nanmax(said) <= 1
    return "binary" if binary else "regression"


def _classes(tables: tuple[Table, Table], prediction: str, label: str) -> tuple[str, ...]:
    words = {word for table in tables for name in (prediction, label) for word in table.texts(name).categories if word}
    if not 1 < len(words) <= MAX_CLASSES:
        raise TableError(
            f"{tables[1].path}: {prediction} and {label} have {len(words)} classes together, must be 2 to "
            f"{MAX_CLASSES}: are these the columns? --kind regression takes them as numbers"
        )
    return tuple(sorted(words))


def _answers(
    table: Table, prediction: str, label: str, kind: Kind, classes: tuple[str, ...]
) -> tuple[Floats, Float64s]:
    """Outputs float32 [rows, width] and labels float64 [rows]; of classes, 1 for the one that was said."""
    if kind != "multiclass":
        return table.numbers(prediction).astype(np.float32)[:, None], table.numbers(label)
    numbers = {word: number for number, word in enumerate(classes)}

    def codes(name: str) -> Float64s:
        texts = table.texts(name)
        return np.array([*(numbers.get(word, np.nan) for word in texts.categories), np.nan])[texts.codes]

    said = codes(prediction)
    outputs = (said[:, None] == np.arange(len(classes))).astype(np.float32)
    outputs[np.isnan(said)] = np.nan
    return outputs, codes(label)


def _check(table: Table, reference: Reference, limits: MonitoringLimits) -> None:
    """See that there is enough to compare with."""
    if limits.independent:
        _need(table, reference.labelled, limits.window, "rows with a prediction and a label")
    else:
        _need(table, reference.blocks, LEAST_BLOCKS, "blocks with 30 labelled rows or more")


def _need(table: Table, found: int, least: int, what: str) -> None:
    if found < least:
        raise TableError(f"{table.path}: {found} {what}, {least} are needed: give more rows, or another --block")
