"""The command line: `python -m loadtest SCENARIO`, from the checkout's root."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from loadtest import steady, tables
from loadtest.failover import scenario as failover
from loadtest.failover.home import MODES
from loadtest.handoff import scenario as handoff
from loadtest.hostile import scenario as hostile
from loadtest.monitor import scenario as monitor
from loadtest.server import scenario as server
from rendezvous.cli import MENDABLE
from rendezvous.local.failure import LocalStackError
from rendezvous.log import LogError
from rendezvous.running import start_logging
from rendezvous.settings import Environment, SettingsError, environment

RATES = (100.0, 250.0, 500.0)
"""Requests a second, up to the demo's."""
SECONDS = 10.0
FAILOVER_RATE = 200.0
"""What a broker, six services and the driver do on two cores with room for those that start anew."""
HANDOFF_RATE = 1_000.0
"""What is promised of a promotion is promised under so many."""
HOSTILE_RATE = 50.0
"""Good requests a second, between the hostile ones."""
HOSTILE_RECORDS = 100_000
MONITOR_SECONDS = 40.0
"""Of traffic that is written first; the monitor takes about as long to read it."""
SERVER_MODELS = (1, 5, 10, 20)
SERVER_ONCE = (5,)
SERVER_REQUESTS = 100_000
FOLDER = Path("loadtest") / "report"
LOST = 1
"""Exit code when a request never had an answer; a target that is not met is a figure, not a failure."""
QUIET_CORES = 0.3
"""A choice: what the targets leave the system at the median is three tenths of the floor."""

Say = Callable[[str], None]
Measured = tuple[Mapping[str, Any], int, Sequence[Table]]
"""The report, how many requests were lost, and what is shown of it beside its targets."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one scenario; returns the exit code."""
    options = parse(arguments)
    start_logging()
    console = Console()
    run: Callable[[argparse.Namespace, Environment, Say], Measured] = options.run
    try:
        report, lost, shown = run(
            options, environment(), partial(console.print, highlight=False, markup=False, soft_wrap=True)
        )
    except (SettingsError, LogError, LocalStackError) as error:
        print(f"loadtest: {error}", file=sys.stderr)  # noqa: T201 - this is the command line
        return MENDABLE
    except KeyboardInterrupt:
        return 130
    for table in (*shown, tables.targets(report)):
        console.print(table)
    _warn(report, console)
    console.print(options.report / f"{options.scenario}.json", highlight=False)
    if lost:
        console.print(f"{lost} requests were lost", style="bold")
    return LOST if lost else 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(prog="python -m loadtest", description="Real services on a real broker, measured.")
    scenarios = parser.add_subparsers(required=True, metavar="SCENARIO", dest="scenario")
    latency = scenarios.add_parser("steady", help="latency against a floor in the same run")
    latency.add_argument("--rate", type=_positive, nargs="+", default=RATES, help="requests a second, one or several")
    latency.add_argument("--seconds", type=_positive, default=SECONDS, help="of measurement, for each rate and side")
    latency.set_defaults(run=_steady)
    faults = scenarios.add_parser("failover", help="what is lost, answered twice or late when processes die")
    faults.add_argument("--rate", type=_positive, default=FAILOVER_RATE, help="requests a second")
    faults.add_argument(
        "--mode",
        choices=MODES,
        nargs="+",
        default=MODES,
        help="of the endpoint, one or several; all without it",
    )
    faults.set_defaults(run=_failover)
    acts = scenarios.add_parser("handoff", help="what a promotion, a rollback and a frozen champion do to answers")
    acts.add_argument("--rate", type=_positive, default=HANDOFF_RATE, help="requests a second")
    acts.add_argument("--seconds", type=_positive, default=SECONDS, help="of each window, at least")
    acts.set_defaults(run=_handoff)
    records = scenarios.add_parser("hostile", help="what becomes of records that nobody should write")
    records.add_argument("--rate", type=_positive, default=HOSTILE_RATE, help="good requests a second meanwhile")
    records.add_argument("--records", type=int, default=HOSTILE_RECORDS, help="hostile ones, of all kinds together")
    records.set_defaults(run=_hostile)
    monitored = scenarios.add_parser("monitor", help="how many requests and labels a second a monitor keeps up with")
    monitored.add_argument("--seconds", type=_positive, default=MONITOR_SECONDS, help="of traffic to read")
    monitored.set_defaults(run=_monitor)
    decided = scenarios.add_parser("server", help="decisions a second of one server on full topics, against a relay")
    decided.add_argument("--models", type=int, nargs="*", default=SERVER_MODELS, help="one run each")
    decided.add_argument("--once", type=int, nargs="*", default=SERVER_ONCE, help="models, with exactly_once")
    decided.add_argument("--partitions", type=int, default=1, help="of the endpoint")
    decided.add_argument("--records", type=int, default=SERVER_REQUESTS, help="requests of each run")
    decided.add_argument("--payload", type=int, default=40, help="bytes of text in each request, beside 15 numbers")
    decided.add_argument("--under", default="", help="a command to start the server under, such as a profiler's")
    decided.set_defaults(run=_server)
    for scenario in (latency, faults, acts, records, monitored, decided):
        scenario.add_argument("--report", type=Path, default=FOLDER, help="folder for the JSON and the picture")
    return parser.parse_args(arguments)


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"must be positive, not {text}")
    return number


def _steady(options: argparse.Namespace, environs: Environment, say: Say) -> Measured:
    report, lost = steady.run(environs, rates=options.rate, seconds=options.seconds, folder=options.report, say=say)
    return report, lost, [tables.latencies(report)]


def _failover(options: argparse.Namespace, environs: Environment, say: Say) -> Measured:
    report, lost = failover.run(environs, rate=options.rate, modes=options.mode, folder=options.report, say=say)
    return report, lost, list(tables.faults(report))


def _handoff(options: argparse.Namespace, environs: Environment, say: Say) -> Measured:
    report, lost = handoff.run(environs, rate=options.rate, seconds=options.seconds, folder=options.report, say=say)
    return report, lost, [tables.windows(report)]


def _hostile(options: argparse.Namespace, environs: Environment, say: Say) -> Measured:
    report, lost = hostile.run(environs, records=options.records, rate=options.rate, folder=options.report, say=say)
    return report, lost, [tables.hostile(report)]


def _monitor(options: argparse.Namespace, environs: Environment, say: Say) -> Measured:
    report, lost = monitor.run(environs, seconds=options.seconds, folder=options.report, say=say)
    return report, lost, []


def _server(options: argparse.Namespace, environs: Environment, say: Say) -> Measured:
    asked = server.Asked(
        options.models, options.once, options.partitions, options.records, options.payload, options.under
    )
    report, lost = server.run(environs, asked=asked, folder=options.report, say=say)
    return report, lost, []


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
