"""The command line: `python -m loadtest SCENARIO`, from the checkout's root."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from loadtest import steady
from rendezvous.cli import MENDABLE
from rendezvous.local.failure import LocalStackError
from rendezvous.log import LogError
from rendezvous.running import start_logging
from rendezvous.settings import SettingsError, environment

SCENARIOS = {"steady": steady.run}
RATES = (100.0, 250.0, 500.0)
"""Requests a second, up to the demo's."""
SECONDS = 10.0
FOLDER = Path("loadtest") / "report"
LOST = 1
"""Exit code when a request never had an answer; a target that is not met is a figure, not a failure."""
QUIET_CORES = 0.3
"""A choice: what the targets leave the system at the median is three tenths of the floor."""
MEANING = {"p50": "p50", "p99": "p99", "p999": "p99.9", "max": "max"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one scenario; returns the exit code."""
    options = parse(arguments)
    start_logging()
    console = Console()
    try:
        report, lost = SCENARIOS[options.scenario](
            environment(),
            rates=options.rate,
            seconds=options.seconds,
            folder=options.report,
            say=lambda line: console.print(line, highlight=False, markup=False, soft_wrap=True),
        )
    except (SettingsError, LogError, LocalStackError) as error:
        print(f"loadtest: {error}", file=sys.stderr)  # noqa: T201 - this is the command line
        return MENDABLE
    except KeyboardInterrupt:
        return 130
    console.print(latencies(report))
    console.print(targets(report))
    console.print(f"{options.report / options.scenario}.json, .png", highlight=False)
    others = report["most_other_cores"]
    if others is not None and others > QUIET_CORES:
        console.print(
            f"Other work kept up to {others:.1f} of {report['machine']['cores']} cores busy meanwhile: it weighs on "
            "these figures, met and not met alike. Measure again when the machine is quiet.",
            style="bold",
            highlight=False,
        )
    if lost:
        console.print(f"{lost} requests were lost", style="bold")
    return LOST if lost else 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(prog="python -m loadtest", description="Latency against a floor in the same run.")
    parser.add_argument("scenario", choices=SCENARIOS)
    parser.add_argument("--rate", type=_positive, nargs="+", default=RATES, help="requests a second, one or several")
    parser.add_argument("--seconds", type=_positive, default=SECONDS, help="of measurement, for each rate and side")
    parser.add_argument("--report", type=Path, default=FOLDER, help="folder for the JSON and the picture")
    return parser.parse_args(arguments)


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"must be positive, not {text}")
    return number


def latencies(report: dict[str, Any]) -> Table:
    """System and floor at each rate."""
    table = Table(title=f"{report['scenario']}: latency from due, ms")
    for heading in ("requests/s", "", *MEANING.values(), "lost", "late"):
        table.add_column(heading, justify="right", no_wrap=True)
    for rate in report["rates"]:
        for side in ("system", "floor"):
            values = [f"{rate[side]['latency_ms'][name]:.2f}" for name in MEANING]
            table.add_row(f"{rate['rate']:g}", side, *values, str(rate[side]["unanswered"]), str(rate[side]["late"]))
        table.add_row("", "ratio", *(f"{rate['ratio'][name]:.2f}" for name in MEANING))
        table.add_row("", "difference", *(f"{rate['difference_ms'][name]:.2f}" for name in MEANING), end_section=True)
    return table


def targets(report: dict[str, Any]) -> Table:
    """Each target, met or not."""
    table = Table(title="targets")
    for heading, justify in (("target", "left"), ("value", "right"), ("limit", "right"), ("", "left")):
        table.add_column(heading, justify="right" if justify == "right" else "left")
    for target in report["targets"]:
        values = (f"{target['value']:.2f}", f"{target['limit']:.2f}")
        table.add_row(target["name"], *values, "met" if target["met"] else "NOT MET")
    return table


if __name__ == "__main__":
    sys.exit(main())
