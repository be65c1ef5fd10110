"""The command line: `python -m loadtest SCENARIO`, from the checkout's root."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from loadtest import steady, tables
from loadtest.driving.home import MODES
from loadtest.failover import scenario as failover
from loadtest.handoff import scenario as handoff
from loadtest.hostile import scenario as hostile
from loadtest.monitor import scenario as monitor
from loadtest.scenario import Option, Scenario
from loadtest.server import scenario as server
from loadtest.server.table import table as server_table
from rendezvous.cli import MENDABLE
from rendezvous.local.failure import LocalStackError
from rendezvous.log import LogError
from rendezvous.running import start_logging
from rendezvous.settings import SettingsError, environment

FOLDER = Path("loadtest") / "report"
LOST = 1
"""Exit code when a request never had an answer; a target that is not met is a figure, not a failure."""
QUIET_CORES = 0.3
"""A choice: what the targets leave the system at the median is three tenths of the floor."""


def positive(text: str) -> float:
    """A number above nothing."""
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"must be positive, not {text}")
    return number


SCENARIOS = (
    Scenario(
        name="steady",
        help="latency against a floor in the same run",
        run=steady.run,
        options=(
            Option("rate", positive, (100.0, 250.0, 500.0), "requests a second, one or several", many=True),
            Option("seconds", positive, 10.0, "of measurement, for each rate and side"),
        ),
        shown=tables.latencies,
    ),
    Scenario(
        name="failover",
        help="what is lost, answered twice or late when processes die",
        run=failover.run,
        options=(
            # what a broker, six services and the driver do on two cores with room for those that start anew
            Option("rate", positive, 200.0, "requests a second"),
            Option("mode", str, MODES, "of the endpoint, one or several; all without it", many=True, choices=MODES),
        ),
        shown=tables.faults,
    ),
    Scenario(
        name="handoff",
        help="what a promotion, a rollback and a frozen champion do to answers",
        run=handoff.run,
        options=(
            # what is promised of a promotion is promised under so many
            Option("rate", positive, 1_000.0, "requests a second"),
            Option("seconds", positive, 10.0, "of each window, at least"),
        ),
        shown=tables.windows,
    ),
    Scenario(
        name="hostile",
        help="what becomes of records that nobody should write",
        run=hostile.run,
        options=(
            Option("rate", positive, 50.0, "good requests a second, between the hostile ones"),
            Option("records", int, 100_000, "hostile ones, of all kinds together"),
        ),
        shown=tables.hostile,
    ),
    Scenario(
        name="monitor",
        help="how many requests and labels a second a monitor keeps up with",
        run=monitor.run,
        options=(
            # the monitor takes about as long to read it
            Option("seconds", positive, 40.0, "of traffic, which is written first"),
        ),
    ),
    Scenario(
        name="server",
        help="decisions a second of one server on full topics, beside a raw relay",
        run=server.run,
        options=(
            Option("models", int, (1, 5, 10, 20), "one run each", many=True),
            Option("mode", str, MODES, "of the endpoint, one or several; all without it", many=True, choices=MODES),
            Option("partitions", int, 1, "of the endpoint"),
            # some seconds of a server
            Option("records", int, 100_000, "requests of each run"),
            Option("payload", int, 40, "bytes of text in each request, beside 15 numbers"),
            Option("under", str, "", "a command to start the server under, such as a profiler's"),
        ),
        shown=server_table,
        in_all={"records": 60_000},
    ),
)


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
    for table in (*scenario.shown(report), tables.targets(report)):
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
    for scenario in SCENARIOS:
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
