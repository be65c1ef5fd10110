"""The command line: `python -m loadtest SCENARIO`, from the checkout's root."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from loadtest import tables
from loadtest.everything.page import QUIET_CORES
from loadtest.scenario import Scenario
from loadtest.scenarios import EVERYTHING, SCENARIOS
from rendezvous.cli import MENDABLE
from rendezvous.local.failure import LocalStackError
from rendezvous.log import LogError
from rendezvous.running import start_logging
from rendezvous.settings import SettingsError, environment

FOLDER = Path("loadtest") / "report"
LOST = 1
"""Exit code when a request never had an answer; a target that is not met is a figure, not a failure."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one scenario; returns the exit code."""
    options = parse(arguments)
    scenario: Scenario = options.chosen
    start_logging()
    console = Console()
    given = {option.name: getattr(options, option.name) for option in scenario.options}
    say = partial(console.print, highlight=False, markup=False, soft_wrap=True)
    try:
        report, lost = scenario.run(environment(), **given, folder=options.report, say=say)
    except (SettingsError, LogError, LocalStackError) as error:
        print(f"loadtest: {error}", file=sys.stderr)  # noqa: T201 - this is the command line
        return MENDABLE
    except KeyboardInterrupt:
        return 130
    for table in (*scenario.shown(report), *tables.targets(report)):
        console.print(table)
    _warn(report, console)
    console.print(options.report / f"{scenario.name}.json", highlight=False)
    if lost:
        console.print(f"{lost} requests were lost", style="bold")
    return LOST if lost else 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """What was asked for; `chosen` is the scenario."""
    parser = argparse.ArgumentParser(prog="python -m loadtest", description="Real services on a real broker, measured.")
    parts = parser.add_subparsers(required=True, metavar="SCENARIO", dest="scenario")
    for scenario in (*SCENARIOS, EVERYTHING):
        part = parts.add_parser(scenario.name, help=scenario.help)
        for option in scenario.options:
            part.add_argument(
                f"--{option.name}",
                type=option.kind,
                default=option.default,
                choices=option.choices,
                nargs="+" if option.many else None,
                help=option.help,
            )
        part.add_argument("--report", type=Path, default=FOLDER, help="folder for the JSON and the picture")
        part.set_defaults(chosen=scenario)
    return parser.parse_args(arguments)


def _warn(report: Mapping[str, Any], console: Console) -> None:
    """What weighs on the figures, or is not what was asked for."""
    if "rate_asked" in report and report["rate"] < report["rate_asked"]:
        console.print(
            f"This machine does not keep up with {report['rate_asked']:g} requests/s now: measured at "
            f"{report['rate']:g}/s, the highest that it did of those tried.",
            style="bold",
            highlight=False,
        )
    others = report["most_other_cores"]
    if others is not None and others > QUIET_CORES:
        console.print(
            f"Other work kept up to {others:.1f} of {report['machine']['cores']} cores busy meanwhile: it weighs on "
            "these figures, met and not met alike. Measure again when the machine is quiet.",
            style="bold",
            highlight=False,
        )


if __name__ == "__main__":
    sys.exit(main())
