"""What a scenario is: a name, what can be asked of it, and how it is run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from rich.table import Table

Say: TypeAlias = Callable[[str], None]
"""Gets a line for whoever watches."""
Measured: TypeAlias = tuple[dict[str, Any], int]
"""A report, and how many requests were lost."""


@dataclass(frozen=True, slots=True)
class Option:
    """`--name` on the command line, and the keyword `name` of the scenario's `run`."""

    name: str
    kind: Callable[[str], Any]
    default: Any
    help: str
    many: bool = False
    choices: Sequence[str] | None = None


def nothing(_: Mapping[str, Any]) -> Iterable[Table]:
    """No table beside that of the targets."""
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One scenario.

    run: `run(environment, **options, folder=folder, say=say)` measures and writes NAME.json and NAME.png into folder.
    shown: what is printed of the report beside its targets.
    in_all: the options that it has as a part of `all`, None for one that is none. A `rate` of None is what saturation
    found there. own_brokers: it cannot share a broker with others, since it kills it.
    """

    name: str
    help: str
    run: Callable[..., Measured]
    options: Sequence[Option] = ()
    shown: Callable[[Mapping[str, Any]], Iterable[Table]] = nothing
    in_all: Mapping[str, Any] | None = None
    own_brokers: bool = False
