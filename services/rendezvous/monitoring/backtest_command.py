"""`rendezvous backtest`: how owners choose thresholds; what the monitor would have said of a table of the past."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from math import isfinite
from typing import Any

from rendezvous.monitoring.backtest import Spoken, Told, backtest
from rendezvous.monitoring.cases import Case, of_endpoint, of_tables
from rendezvous.monitoring.watches import rows_to_a_false_alarm
from rendezvous.settings import Environment

Say = Callable[[str], None]


def run(options: argparse.Namespace, environs: Environment, say: Say) -> int:
    """The command.

    Raises:
        SettingsError: an option, a file or a column is wrong; the message says what to do.
    """
    case = of_endpoint(options, environs) if options.endpoint else of_tables(options)
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
