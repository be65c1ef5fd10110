"""Versions as people write them: MODEL, MODEL/VERSION, or an alias."""

from __future__ import annotations

from collections import Counter

from rendezvous.registry.events import State
from rendezvous.registry.state import Control, Pair
from rendezvous.settings import SettingsError


class RegistryError(SettingsError):
    """The registry refuses, or cannot do, what was asked; the message says why, and what to do."""


def written(pair: Pair) -> str:
    """MODEL/VERSION."""
    return "/".join(pair)


def named(control: Control, text: str) -> Pair:
    """The version that a text names: MODEL/VERSION as it stands, an alias's, or the model's that was deployed last.

    Raises:
        RegistryError: there is none.
    """
    model, slash, version = text.partition("/")
    pair = (model, version) if slash else control.resolve(text)
    if pair is not None and pair in control.versions:
        return pair
    versions = ", ".join(written(deployed) for deployed in control.deployed) or "none"
    aliases = ", ".join(sorted(control.aliases)) or "none"
    raise RegistryError(
        f"{text} is not deployed; versions are {versions}; aliases are {aliases}. `rendezvous models deploy` deploys "
        "what training has written"
    )


def is_live(control: Control, pair: Pair) -> bool:
    """Whether a version may answer users: a step names it, by its model or by an alias."""
    return control.rules is not None and any(control.resolve(name) == pair for name in control.rules.names)


def active_names(control: Control) -> dict[Pair, str]:
    """Active versions and what to call their processes: by model, and MODEL.VERSION where two of one model are active.

    In the order of their deployment.
    """
    active = [pair for pair in control.deployed if control.versions[pair].state is State.ACTIVE]
    counts = Counter(model for model, _ in active)
    return {pair: pair[0] if counts[pair[0]] == 1 else ".".join(pair) for pair in active}
