"""The arguments of `rendezvous dataset`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

TIME = "2013-03-01T05:00 (UTC), or 2h for two hours ago"


def add_dataset(parser: argparse.ArgumentParser, run: Callable[..., int]) -> None:
    """Add the arguments of `rendezvous dataset`."""
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--from", dest="since", metavar="TIME", help=f"requests asked from then on: {TIME}")
    parser.add_argument("--to", dest="until", metavar="TIME", help="and before then")
    parser.add_argument("--as-of", metavar="TIME", help="with what was known then; now, without it")
    parser.add_argument("--label-delay", metavar="DURATION", help="as 8h; without it, [monitoring] label_delay")
    parser.add_argument(
        "--like",
        type=Path,
        metavar="MANIFEST",
        help="the same rows again: window, as-of and positions are a manifest's",
    )
    parser.add_argument("--out", required=True, type=Path, metavar="FILE.parquet", help="FILE.json is its manifest")
    parser.set_defaults(command=run)
