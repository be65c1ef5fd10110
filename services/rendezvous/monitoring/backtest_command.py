"""`rendezvous backtest`: how owners choose thresholds; what the monitor would have said of a table of the past."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from math import isfinite
from typing import Any

import numpy as np

from rendezvous.durations import length_us
from rendezvous.messages import Floats, Int64s
from rendezvous.monitoring.backtest import Past, Spoken, Told, backtest, invented_clock, of_rows
from rendezvous.monitoring.conclusions import rows_to_a_false_alarm
from rendezvous.monitoring.figures import Kind
from rendezvous.monitoring.limits import MonitoringLimits
from rendezvous.monitoring.reference import Reference
from rendezvous.monitoring.shipped import load_reference
from rendezvous.monitoring.tables import Table, TableError
from rendezvous.replay.bootstrapping import Float64s
from rendezvous.scoring.columns import Columns
from rendezvous.scoring.models import load_model
from rendezvous.settings import Endpoint, Environment, SettingsError, load_endpoint

LEAST_BLOCKS = 5
"""Of a reference: from fewer nobody could tell what is usual."""
MAX_CLASSES = 64
SCORED_ROWS = 4_096
"""That a model scores together."""
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """What is to be run: the rows, what was true before, by which limits; `timed`: rows have a time of their own."""

    past: Past
    reference: Reference
    limits: MonitoringLimits
    kind: Kind
    timed: bool


def run(options: argparse.Namespace, environs: Environment, say: Say) -> int:
    """The command.

    Raises:
        SettingsError: an option, a file or a column is wrong; the message says what to do.
    """
    case = _of_endpoint(options, environs) if options.endpoint else _of_tables(options)
    limits = case.limits
    run = f"{limits.run_length:g} blocks"
    if limits.independent:
        run = f"{rows_to_a_false_alarm(limits):,} rows"
        say(
            "rows are taken to be independent, in the table's order: --time COLUMN says that they hang together in time"
        )
    told = backtest(case.past, case.reference, limits, case.kind)
    for spoken in told.alarms:
        say(_line(spoken, timed=case.timed))
    say(
        f"{len(told.alarms)} alarms on {case.past.rows:,} rows; reference: {case.reference.labelled:,} labelled rows, "
        f"{case.reference.blocks} blocks; a detector gives a false alarm in {run} on average"
    )
    if options.report:
        options.report.parent.mkdir(parents=True, exist_ok=True)
        options.report.write_text(json.dumps(_report(case, told), indent=2, allow_nan=False) + "\n")
    if options.picture:
        from rendezvous.monitoring.backtest_picture import draw  # noqa: PLC0415 - needs the `demo` extra

        draw(case.past, told, options.picture)
    return 0


def _of_tables(options: argparse.Namespace) -> Case:
    if not (options.reference and options.prediction and options.label):
        raise SettingsError(
            "backtest of a table: give --reference FILE, --prediction COLUMN and --label COLUMN, or --endpoint NAME"
        )
    features = [name.strip() for name in options.features.split(",") if name.strip()]
    names = [options.prediction, options.label, *features]
    names += [name for name in (options.time, options.observed) if name]
    before, after = (Table.read(path, names) for path in (options.reference, options.data))
    kind = options.kind or _kind(before, after, options.prediction, options.label)
    classes = _classes((before, after), options.prediction, options.label) if kind == "multiclass" else ()
    independent = options.independent or options.time is None
    text = {name for name in features if before.is_text(name) or after.is_text(name)}

    def past(table: Table) -> Past:
        _need(table, table.rows, 2 if independent else 1, "rows")
        outputs, labels = _answers(table, options.prediction, options.label, kind, classes)
        order = np.argsort(table.times_us(options.time), kind="stable") if options.time else np.arange(table.rows)
        asked_us = np.empty(table.rows, np.int64)
        asked_us[order] = invented_clock(table.rows)
        if not independent:
            asked_us = table.times_us(options.time)
        observed_us = asked_us
        if options.observed and not independent:
            observed_us = _observed(table, options.observed, labels, asked_us)
        return Past(
            asked_us,
            observed_us,
            outputs,
            classes or (options.prediction,),
            labels,
            {name: table.numbers(name).astype(np.float32) for name in features if name not in text},
            {name: table.texts(name) for name in features if name in text},
        )

    rows, known = past(after), past(before)
    limits = _limits(options, known)
    if independent:
        limits = of_rows(limits)
    reference = known.reference(limits, kind)
    _check(before, reference, limits)
    return Case(rows, reference, limits, kind, timed=not independent)


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


def _of_endpoint(options: argparse.Namespace, environs: Environment) -> Case:
    endpoint = load_endpoint(options.endpoint, environs.home)
    model = options.model or endpoint.aliases.get(endpoint.monitoring.champion)
    if model not in endpoint.models:
        raise SettingsError(f"{endpoint.name} has no model {model}: give --model, one of {', '.join(endpoint.models)}")
    folder = endpoint.folder / model
    reference = load_reference(folder)
    if reference is None:
        raise SettingsError(
            f"{folder} has no reference: train it again, `python {endpoint.folder / 'train.py'} --force`"
        )
    limits = endpoint.monitoring.model_copy(update={"lateness": 0, "run_length": options.run_length})
    if fault := reference.misfit(limits):
        raise SettingsError(f"{folder}: {fault}")
    label, time, observed = options.label or "label", options.time or "asked_us", options.observed or "observed_us"
    features = [feature.name for feature in endpoint.features]
    wanted = [*features, label, time, observed, *([options.prediction] if options.prediction else [])]
    table = Table.read(options.data, wanted)
    columns: dict[str, Any] = {
        feature.name: table.texts(feature.name) if feature.is_text else table.numbers(feature.name).astype(np.float32)
        for feature in endpoint.features
    }
    labels = table.numbers(label)
    asked_us = table.times_us(time)
    outputs = (
        table.numbers(options.prediction).astype(np.float32)[:, None]
        if options.prediction
        else _scored(
            endpoint,
            model,
            {f.name: columns[f.name].values() if f.is_text else columns[f.name] for f in endpoint.features},
        )
    )
    past = Past(
        asked_us,
        _observed(table, observed, labels, asked_us),
        outputs,
        endpoint.output.names,
        labels,
        {feature.name: columns[feature.name] for feature in endpoint.features if not feature.is_text},
        {feature.name: columns[feature.name] for feature in endpoint.features if feature.is_text},
    )
    _need(table, past.rows, 1, "rows")
    return Case(past, reference, limits, endpoint.output.kind, timed=True)


def _observed(table: Table, name: str, labels: Float64s, asked_us: Int64s) -> Int64s:
    """When labels became known; rows without a label need no time."""
    known = np.flatnonzero(~np.isnan(labels))
    observed = asked_us.copy()
    observed[known] = Table(table.path, table.columns.take(known)).times_us(name)
    return np.maximum(observed, asked_us)


def _scored(endpoint: Endpoint, model: str, columns: Columns) -> Floats:
    """What the workbench's model says of every row."""
    loaded = load_model(endpoint, model).model
    rows = len(next(iter(columns.values())))
    parts = [
        loaded.score({name: column[start : start + SCORED_ROWS] for name, column in columns.items()})
        for start in range(0, rows, SCORED_ROWS)
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


def _line(spoken: Spoken, *, timed: bool) -> str:
    alarm = spoken.alarm
    when = f" {_iso(alarm.at_us)}" if timed else ""
    moved = f"; moved: {', '.join(alarm.moved)}" if alarm.moved else ""
    return (
        f"row {spoken.position:>9,}{when}  {alarm.kind:<8} {alarm.subject} ({alarm.detector}): "
        f"{alarm.value:.3g} >= {alarm.threshold:.3g}{moved}"
    )


def _iso(at_us: int) -> str:
    return datetime.fromtimestamp(at_us // 1_000_000, UTC).isoformat().replace("+00:00", "Z")


def _report(case: Case, told: Told) -> dict[str, Any]:
    limits = case.limits
    return {
        "alarms": [
            {
                "kind": spoken.alarm.kind.value,
                "subject": spoken.alarm.subject,
                "position": spoken.position,
                "time": _iso(spoken.alarm.at_us) if case.timed else None,
                "value": _number(spoken.alarm.value),
                "threshold": _number(spoken.alarm.threshold),
                "detector": spoken.alarm.detector,
                "assumes_independence": limits.independent,
                "moved": list(spoken.alarm.moved),
            }
            for spoken in told.alarms
        ],
        "rows": case.past.rows,
        "kind": case.kind,
        "reference": {
            "rows": case.reference.rows,
            "labelled": case.reference.labelled,
            "blocks": case.reference.blocks,
        },
        "assumes_independence": limits.independent,
        "run_length": rows_to_a_false_alarm(limits) if limits.independent else limits.run_length,
        "run_length_counts": "rows" if limits.independent else "blocks",
        "blocks": [
            {
                "start": _iso(one.start_us) if case.timed else one.start_us // 1_000_000,
                "span": one.span.value,
                "requests": one.requests,
                "labelled": one.labelled,
                "figures": {name: _number(value) for name, value in zip(one.figures, one.values, strict=True)},
            }
            for one in told.closed
        ],
        "drift": [_jsonable(asdict(one)) for one in told.drift if one.kind not in {"latency", "miss"}],
        "counts": {name: count for name, count in told.counts.items() if count},
    }


def _number(value: float) -> float | None:
    return value if isfinite(value) else None


def _jsonable(record: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: [_number(one) if isinstance(one, float) else one for one in value] if isinstance(value, tuple) else value
        for name, value in record.items()
    }
