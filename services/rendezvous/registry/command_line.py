"""The arguments of `rendezvous models`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from rendezvous.registry.changes import CHAMPION
from rendezvous.registry.events import State

if TYPE_CHECKING:
    from rendezvous.registry.commands import Desk  # services have no use for it

Command: TypeAlias = "Callable[[Desk, argparse.Namespace], None]"
WHICH = "a model (its version that was deployed last), MODEL/VERSION, or an alias"
STATES = {
    "retire": (State.RETIRED, "a version is gone for good"),
    "pause": (State.PAUSED, "a version rests: steps pass it by"),
    "resume": (State.ACTIVE, "a paused version is active again"),
}


def add_models(parser: argparse.ArgumentParser, run: Callable[..., int]) -> None:
    """Add the sub-commands; each sets `command` to `run` and `act` to what is to be done at a desk."""
    actions = parser.add_subparsers(required=True, metavar="ACTION")

    def action(name: str, text: str, act: Command) -> argparse.ArgumentParser:
        added = actions.add_parser(name, help=text)
        added.add_argument("--endpoint", required=True)
        added.set_defaults(command=run, act=act)
        return added

    def aliased(added: argparse.ArgumentParser) -> None:
        added.add_argument("--alias", default=CHAMPION, help=f"{CHAMPION} without it")

    action("list", "every version in a line", lambda desk, _: desk.list_versions())
    show = action("show", "everything about one version", lambda desk, told: desk.show(told.model, told.alias))
    show.add_argument("model", metavar="MODEL[/VERSION]", help=WHICH)
    aliased(show)
    deploying = action(
        "deploy",
        "make control agree with endpoint.toml and the models' cards",
        lambda desk, told: desk.deploy_models(told.models),
    )
    deploying.add_argument("models", nargs="*", metavar="MODEL", help="all of endpoint.toml without one")
    promote = action(
        "promote",
        "move an alias to a version that has shown what it must",
        lambda desk, told: desk.promote(told.model, told.alias, force=told.force),
    )
    promote.add_argument("model", metavar="MODEL[/VERSION]", help=WHICH)
    aliased(promote)
    promote.add_argument("--force", action="store_true", help="whatever it has shown; what is skipped is on record")
    aliased(action("rollback", "back to who held an alias before", lambda desk, told: desk.rollback(told.alias)))
    for name, (state, text) in STATES.items():
        action(name, text, _to(state)).add_argument("model", metavar="MODEL[/VERSION]", help=WHICH)


def _to(state: State) -> Command:
    def act(desk: Desk, told: Any) -> None:  # noqa: ANN401 - argparse's own, without types
        desk.change_state(told.model, state)

    return act
