"""The arguments of `rendezvous retrain` and `rendezvous rebuild`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path


def add_retrain(parser: argparse.ArgumentParser, run: Callable[..., int]) -> None:
    """Add the sub-commands; each sets `command` to `run` and `action` to its name."""
    actions = parser.add_subparsers(required=True, metavar="ACTION", dest="action")
    asking = actions.add_parser("request", help="ask for a retraining by hand")
    asking.add_argument("--model", required=True, help="the model that [retraining] of endpoint.toml names")
    asking.add_argument("--reason", required=True, help="why: it stands in the event and in the new version's card")
    listing = actions.add_parser("list", help="events, what came of each, and what is left of the budget")
    for action in (asking, listing):
        action.add_argument("--endpoint", required=True)
        action.set_defaults(command=run)


def add_rebuild(parser: argparse.ArgumentParser, run: Callable[..., int]) -> None:
    """Add the arguments of `rendezvous rebuild`."""
    parser.add_argument("version", metavar="VERSION", help="VERSION or MODEL/VERSION, kept here")
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--data", type=Path, metavar="FILE", help="its training table; without it, from the archive")
    parser.add_argument(
        "--score", type=Path, metavar="FILE", help="labelled rows of other days, e.g. of `rendezvous dataset`: figures"
    )
    parser.set_defaults(command=run)
