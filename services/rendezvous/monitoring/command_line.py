"""The arguments of `rendezvous backtest`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

Run = Callable[..., int]


def add_backtest(parser: argparse.ArgumentParser, run: Run) -> None:
    """Add the arguments of `rendezvous backtest`."""
    parser.add_argument(
        "--endpoint", help="with its features, its reference, and its model where there is no --prediction"
    )
    parser.add_argument("--model", help="of the endpoint; without it, the one that endpoint.toml makes champion")
    parser.add_argument("--reference", type=Path, metavar="FILE", help="CSV or Parquet: rows on which all was well")
    parser.add_argument("--data", type=Path, metavar="FILE", required=True, help="CSV or Parquet: rows to look through")
    parser.add_argument("--prediction", metavar="COLUMN", help="P(positive), a class, or a number")
    parser.add_argument("--label", metavar="COLUMN", help="what turned out to be true, empty where that is not known")
    parser.add_argument("--features", metavar="A,B,C", default="", help="columns whose drift is looked for")
    parser.add_argument(
        "--kind", choices=("binary", "multiclass", "regression"), help="of the prediction; by the cells without it"
    )
    parser.add_argument("--time", metavar="COLUMN", help="when a row was asked: ISO 8601, or since 1970 in s, ms or us")
    parser.add_argument("--observed", metavar="COLUMN", help="when its label became known; at once without it")
    parser.add_argument("--block", default="1d", help="rows of one block hang together, e.g. 12h, 1d")
    parser.add_argument(
        "--block-offset", default="0s", help="when the first block of 1970 began, UTC: 5h for a New York day"
    )
    parser.add_argument(
        "--independent", action="store_true", help="rows do not hang together: look at each; the rule without --time"
    )
    parser.add_argument(
        "--run-length", type=float, default=200.0, help="blocks to a detector's false alarm; 5,000 times as many rows"
    )
    parser.add_argument("--threshold", type=float, default=0.5, help="P(positive) from which a row counts as positive")
    parser.add_argument("--report", type=Path, metavar="JSON", help="write alarms and figures")
    parser.add_argument("--picture", type=Path, metavar="PNG", help="draw them; needs the `demo` extra")
    parser.set_defaults(command=run)
