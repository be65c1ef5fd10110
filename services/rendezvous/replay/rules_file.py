"""Rules that somebody would like to try: a TOML file with [[schedule]], and what else is to differ."""

from __future__ import annotations

import tomllib
from collections.abc import Container
from pathlib import Path

from pydantic import Field, ValidationError

from rendezvous.rules import Document, Name, Number, Rules, Step, fault_of_order
from rendezvous.server.policies import fault_of
from rendezvous.settings import Endpoint, SettingsError, place_of, told_fault


class Wish(Document):
    """The file: what is left out stays as it is in the rules in force."""

    schedule: tuple[Step, ...] = Field(min_length=1)
    expected: tuple[Name, ...] | None = None
    default: tuple[Number, ...] | None = None
    deadline_ms: int | None = Field(default=None, gt=0)
    max_deadline_ms: int | None = Field(default=None, gt=0)
    reply_margin_ms: int | None = Field(default=None, ge=0)


def read_rules(path: Path, endpoint: Endpoint, in_force: Rules, known: Container[str]) -> Rules:
    """The rules of a file.

    known: names of models and aliases that control knows.

    Raises:
        SettingsError: naming file, line and field.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        wish = Wish.model_validate(document)
    except ValidationError as error:
        raise SettingsError("; ".join(told_fault(path, fault) for fault in error.errors())) from error
    except (OSError, ValueError) as error:  # no file, no permission, not UTF-8, not TOML
        raise SettingsError(f"{path}: {error}") from error
    _check(path, wish, endpoint, known)
    changes = {name: value for name in Wish.model_fields if (value := getattr(wish, name)) is not None}
    rules = in_force.model_copy(update=changes)
    if rules.reply_margin_ms >= rules.deadline_ms or rules.deadline_ms > rules.max_deadline_ms:
        raise SettingsError(
            f"{path}: reply_margin_ms ({rules.reply_margin_ms}), deadline_ms ({rules.deadline_ms}) and "
            f"max_deadline_ms ({rules.max_deadline_ms}) must grow in this order"
        )
    return rules


def _check(path: Path, wish: Wish, endpoint: Endpoint, known: Container[str]) -> None:
    if disorder := fault_of_order(wish.schedule):
        raise SettingsError(f"{place_of(path, ('schedule', disorder[0], 'until_ms'))}: {disorder[1]}")
    for number, step in enumerate(wish.schedule):
        if unknown := [name for name in step.models if name not in known]:
            raise SettingsError(
                f"{place_of(path, ('schedule', number, 'models'))}: names {unknown}, which control does not know: "
                f"see `rendezvous models list --endpoint {endpoint.name}`"
            )
        if fault := fault_of(step.policy, endpoint.output.kind, weighted=bool(step.weights)):
            raise SettingsError(f"{place_of(path, ('schedule', number, 'policy'))}: {fault}")
    if wish.default is not None and len(wish.default) != len(endpoint.output.default):
        raise SettingsError(
            f"{place_of(path, ('default',))}: has {len(wish.default)} numbers, the endpoint's output "
            f"{len(endpoint.output.default)}"
        )
