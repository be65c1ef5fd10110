"""The arguments of `rendezvous replay` and `rendezvous tune schedule`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

TIME = "2026-11-30T14:00 (UTC), or 2h for two hours ago"
Run = Callable[..., int]


def add_replay(parser: argparse.ArgumentParser, run: Run) -> None:
    """Add the arguments of `rendezvous replay`."""
    _span(parser)
    parser.add_argument("--policy", type=Path, metavar="FILE", help="TOML: what would other rules have answered?")
    _report(parser)
    parser.set_defaults(command=run)


def add_tune(parser: argparse.ArgumentParser, run: Run) -> None:
    """Add `schedule` and its arguments."""
    what = parser.add_subparsers(required=True, metavar="WHAT")
    schedule = what.add_parser("schedule", help="the steps that would have been best, proven on later days")
    _span(schedule)
    schedule.add_argument("--miss-rate", type=float, default=0.001, help="share of defaults that may not be exceeded")
    schedule.add_argument("--quality", metavar="METRIC", help="auc, brier, log_loss, accuracy, mae, rmse; by the kind")
    _drawn(schedule)
    schedule.set_defaults(command=run)


def _span(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--from", dest="since", metavar="TIME", help=f"requests appended from then on: {TIME}")
    parser.add_argument("--to", dest="until", metavar="TIME", help="and before then; the end of the log without it")
    parser.add_argument("--partition", type=int, help="this one alone")


def _report(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--labels-older",
        metavar="DURATION",
        help="judge requests at least this old: without it, so old that 99 %% of labels have come",
    )
    _drawn(parser)


def _drawn(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures")
    parser.add_argument("--picture", type=Path, metavar="PNG", help="draw them; needs the `demo` extra")
