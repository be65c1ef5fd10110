"""`Control` as JSON and back, exactly: what the cache holds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from types import MappingProxyType
from typing import Any

from rendezvous.registry.events import Cause, HandOff, Move, Quality, Rule, Ruling, Shedding, State, Verdict
from rendezvous.registry.state import Control, Deployed, Pair, Taken
from rendezvous.rules import read_rules

FORMAT = 2
"""Of the snapshot, and of how events are folded: a snapshot of another one is not read."""


def to_json(control: Control) -> str:
    """Control as JSON; mappings become lists of their entries, whose order is kept."""
    return json.dumps(
        {
            "format": FORMAT,
            "position": control.position,
            "versions": [[*pair, asdict(deployed)] for pair, deployed in control.versions.items()],
            "aliases": [[alias, *pair] for alias, pair in control.aliases.items()],
            "rules": None if control.rules is None else control.rules.model_dump_json(),
            "weights": [
                [quality, [[*pair, value] for pair, value in known.items()]]
                for quality, known in control.weights.items()
            ],
            "suspended": [[number, sorted(pairs)] for number, pairs in control.suspended.items()],
            "shedding": [asdict(shedding) for shedding in control.shedding.values()],
            "verdicts": [asdict(verdict) for verdict in control.verdicts.values()],
            "hand_offs": [[taken.position, asdict(taken.hand_off)] for taken in control.hand_offs],
            "handed_off": control.handed_off,
            "refusal": control.refusal,
        },
        separators=(",", ":"),
    )


def from_json(text: str | bytes) -> Control:
    """Control of a snapshot.

    Raises:
        ValueError: it is none, or of another format.
    """
    try:
        found = json.loads(text)
        if found["format"] != FORMAT:
            raise ValueError(f"format {found['format']}, not {FORMAT}")
        return _control(found)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a snapshot of control: {error!r}") from error


def _control(found: Mapping[str, Any]) -> Control:
    return Control(
        position=int(found["position"]),
        versions=MappingProxyType(
            {
                (model, version): Deployed(**(deployed | {"state": State(deployed["state"])}))
                for model, version, deployed in found["versions"]
            }
        ),
        aliases=MappingProxyType({alias: (model, version) for alias, model, version in found["aliases"]}),
        rules=None if found["rules"] is None else read_rules(found["rules"]),
        weights=MappingProxyType(
            {Quality(quality): MappingProxyType(_values(known)) for quality, known in found["weights"]}
        ),
        suspended=MappingProxyType(
            {number: frozenset((model, version) for model, version in pairs) for number, pairs in found["suspended"]}
        ),
        shedding=MappingProxyType({told["partition"]: Shedding(**told) for told in found["shedding"]}),
        verdicts=MappingProxyType({(told["model"], told["version"]): _verdict(told) for told in found["verdicts"]}),
        hand_offs=tuple(Taken(position, _hand_off(told)) for position, told in found["hand_offs"]),
        handed_off=int(found["handed_off"]),
        refusal=found["refusal"],
    )


def _values(known: list[tuple[str, str, float]]) -> dict[Pair, float]:
    return {(model, version): value for model, version, value in known}


def _verdict(told: dict[str, Any]) -> Verdict:
    return Verdict(**(told | {"rule": Rule(told["rule"]), "ruling": Ruling(told["ruling"])}))


def _hand_off(told: dict[str, Any]) -> HandOff:
    moves = tuple(Move(**move) for move in told["moves"])
    return HandOff(**(told | {"moves": moves, "cause": Cause(told["cause"]), "skipped": tuple(told["skipped"])}))
