"""What control says now: a fold over its events, total and the same for every reader.

An event that cannot hold (an alias moved to a version that is not there, a hand-off whose writer had not seen the one
before) changes nothing but `refusal`; every reader refuses the same.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, TypeAlias

from rendezvous.registry.events import (
    ControlEvent,
    Deployment,
    HandOff,
    Move,
    Quality,
    RulesChange,
    Shedding,
    State,
    Suspension,
    Verdict,
    Weights,
)
from rendezvous.rules import NAME_PATTERN, Rules, read_rules

Pair: TypeAlias = tuple[str, str]
"""A model's name and a version."""

MAX_DEPLOYED = 48
"""Versions not retired: with those that were retired a moment ago they fit the 64 bits of a decision's `arrived`."""
KEPT_HAND_OFFS = 20
"""What `show` lists; the log has them all."""
MAX_ALIASES = 64
"""As many as models: a choice, so that what is read from control stays small whatever is written there."""
MAX_VERSION = 64
"""Characters of a version: a digest in hex, or what people give a model by hand."""
MAX_BY = 512
"""Characters of who wrote an event: a role, a host's longest name, a process."""
MAX_EVIDENCE = 4_096
"""Characters of a verdict's evidence: a few dozen figures."""
PARTITIONS = range(1_024)
"""Of an endpoint, at most: `topics.partitions`."""
TOLD = 400
"""Characters of an event that a refusal repeats."""
VERSION = re.compile(rf"[A-Za-z0-9._-]{{1,{MAX_VERSION}}}")
EMPTY: Mapping[Any, Any] = MappingProxyType({})


def _empty() -> Mapping[Any, Any]:
    """Python 3.11 takes a mapping proxy for a mutable default."""
    return EMPTY


@dataclass(frozen=True, slots=True)
class Deployed:
    """One version: its artefact, what it is for, and where in control it was deployed first, by whom and when."""

    sha256: str
    state: State
    position: int
    by: str
    at_us: int


@dataclass(frozen=True, slots=True)
class Taken:
    """A hand-off that took effect, and where it stands."""

    position: int
    hand_off: HandOff


@dataclass(frozen=True, slots=True)
class Control:
    """What stands on control up to `position`.

    handed_off: the position after the last hand-off. suspended: for each partition, who is passed by there. shedding:
    for each partition the last word. verdicts: how each version that is not retired was judged last. refusal: why the
    last event changed nothing, or None.
    """

    position: int = 0
    versions: Mapping[Pair, Deployed] = field(default_factory=_empty)
    aliases: Mapping[str, Pair] = field(default_factory=_empty)
    rules: Rules | None = None
    weights: Mapping[Quality, Mapping[Pair, float]] = field(default_factory=_empty)
    suspended: Mapping[int, frozenset[Pair]] = field(default_factory=_empty)
    shedding: Mapping[int, Shedding] = field(default_factory=_empty)
    verdicts: Mapping[Pair, Verdict] = field(default_factory=_empty)
    hand_offs: tuple[Taken, ...] = ()
    handed_off: int = 0
    refusal: str | None = None

    @property
    def deployed(self) -> tuple[Pair, ...]:
        """Versions that are not retired, in the order of their deployment: the model axis."""
        return tuple(pair for pair, version in self.versions.items() if version.state is not State.RETIRED)

    def resolve(self, name: str) -> Pair | None:
        """What an alias names, or a model's version that was deployed last and is not retired."""
        if name in self.aliases:
            return self.aliases[name]
        return next((pair for pair in reversed(self.deployed) if pair[0] == name), None)

    def aliases_of(self, pair: Pair) -> tuple[str, ...]:
        """The aliases that name a version, sorted."""
        return tuple(sorted(alias for alias, named in self.aliases.items() if named == pair))


def after(control: Control, event: ControlEvent, position: int) -> Control:
    """Control with the event that stands at `position`."""
    taken = _FOLDS[type(event)](control, event, position) if len(event.by) <= MAX_BY else "`by` is too long"
    if isinstance(taken, str):
        return passed(control, position, taken)
    return replace(taken, position=position + 1, refusal=None)


def passed(control: Control, position: int, fault: str) -> Control:
    """Control after a record at `position` that is no event."""
    return replace(control, position=position + 1, refusal=fault[:TOLD])


def _deploy(control: Control, event: Deployment, position: int) -> Control | str:
    pair = (event.model, event.version)
    known = control.versions.get(pair)
    fault = _fault_of_new(control, event, pair) if known is None else _fault_of_change(control, event, pair, known)
    if fault is not None:
        return fault
    if known is None:
        known = Deployed(event.sha256, event.state, position, event.by, event.at_us)
    versions = {**control.versions, pair: replace(known, state=event.state)}
    retired = event.state is State.RETIRED
    verdicts = {judged: verdict for judged, verdict in control.verdicts.items() if not (retired and judged == pair)}
    return replace(control, versions=MappingProxyType(versions), verdicts=MappingProxyType(verdicts))


def _fault_of_new(control: Control, event: Deployment, pair: Pair) -> str | None:
    if event.state is not State.ACTIVE:
        return f"{_name(pair)} is not deployed: it cannot be {event.state}"
    if not re.fullmatch(NAME_PATTERN, event.model) or not VERSION.fullmatch(event.version):
        return f"{_name(pair)!s:.{TOLD}} is no name of a version: the model's is {NAME_PATTERN}, {VERSION.pattern}"
    if event.model in control.aliases:
        return f"{event.model} is an alias: give the model another name"
    if len(control.deployed) >= MAX_DEPLOYED:
        return f"{MAX_DEPLOYED} versions are deployed: retire one first"
    return None


def _fault_of_change(control: Control, event: Deployment, pair: Pair, known: Deployed) -> str | None:
    if known.sha256 != event.sha256:
        return f"{_name(pair)} is immutable: its artefact is {known.sha256[:12]}, not {event.sha256[:12]}"
    if known.state is State.RETIRED:
        return f"{_name(pair)} is retired: deploy a new version"
    if event.state is State.RETIRED and (aliases := control.aliases_of(pair)):
        return f"{_name(pair)} is {', '.join(aliases)}: move these aliases first"
    return None


def _hand_off(control: Control, event: HandOff, position: int) -> Control | str:
    if event.seen < control.handed_off:
        return f"aliases moved at {control.handed_off - 1}, which its writer had not seen: look again, then decide"
    if len(event.moves) > MAX_ALIASES:
        return f"{len(event.moves)} moves: there are {MAX_ALIASES} aliases at most"
    names = {model for model, _ in control.versions}
    if fault := next(filter(None, (_fault_of_move(control, move, names) for move in event.moves)), None):
        return fault
    moved = {move.alias: (move.model, move.version) for move in event.moves}
    if not event.moves or len(moved) < len(event.moves):
        return "a hand-off moves at least one alias, and none twice"
    if len({**control.aliases, **moved}) > MAX_ALIASES:
        return f"there are {MAX_ALIASES} aliases at most: move one that exists"
    return replace(
        control,
        aliases=MappingProxyType({**control.aliases, **moved}),
        hand_offs=(*control.hand_offs, Taken(position, event))[-KEPT_HAND_OFFS:],
        handed_off=position + 1,
    )


def _fault_of_move(control: Control, move: Move, models: Container[str]) -> str | None:
    if move.alias in models:
        return f"{move.alias} is the name of a model: an alias needs another"
    if not re.fullmatch(NAME_PATTERN, move.alias):
        return f"{move.alias!r:.{TOLD}} is no alias: it must be as {NAME_PATTERN}"
    version = control.versions.get((move.model, move.version))
    if version is None or version.state is not State.ACTIVE:
        state = "not deployed" if version is None else str(version.state)
        return f"{move.alias} cannot name {move.model}/{move.version}: it is {state}"
    return None


def _change_rules(control: Control, event: RulesChange, _: int) -> Control | str:
    try:
        rules = read_rules(event.rules)
    except ValueError as error:
        return f"rules do not hold: {error!s:.{TOLD}}"
    return replace(control, rules=rules)


def _weigh(control: Control, event: Weights, _: int) -> Control | str:
    pairs = tuple(zip(event.models, event.versions, strict=False))
    if not len(event.models) == len(event.versions) == len(event.values) == len(set(pairs)):
        return "models, versions and values run side by side, and name each version once"
    if not all(math.isfinite(value) for value in event.values):
        return f"values must be finite: {event.values!s:.{TOLD}}"
    shares = event.values if event.quality is Quality.HEDGE else ()
    if not all(0 <= share <= 1 for share in shares) or (shares and not any(shares)):
        return f"shares must lie in [0, 1], and not all be 0: {event.values!s:.{TOLD}}"
    known = dict(zip(pairs, event.values, strict=True))
    weights = {**control.weights, event.quality: MappingProxyType(known)}
    return replace(control, weights=MappingProxyType(weights))


def _suspend(control: Control, event: Suspension, _: int) -> Control | str:
    pair = (event.model, event.version)
    if pair not in control.versions:
        return f"{_name(pair)} is not deployed"
    if event.partition not in PARTITIONS:
        return _no_partition(event.partition)
    before = control.suspended.get(event.partition, frozenset())
    now = before | {pair} if event.suspended else before - {pair}
    return replace(control, suspended=MappingProxyType({**control.suspended, event.partition: now}))


def _no_partition(number: int) -> str:
    return f"partition {number}: an endpoint has at most {len(PARTITIONS)}"


def _shed(control: Control, event: Shedding, _: int) -> Control | str:
    if event.partition not in PARTITIONS:
        return _no_partition(event.partition)
    if not (0 <= event.candidates <= 1 and 0 <= event.challengers <= 1):
        return f"shares must lie in [0, 1]: candidates {event.candidates}, challengers {event.challengers}"
    return replace(control, shedding=MappingProxyType({**control.shedding, event.partition: event}))


def _judge(control: Control, event: Verdict, _: int) -> Control | str:
    pair = (event.model, event.version)
    if pair not in control.deployed:
        return f"{_name(pair)} is not deployed"
    if len(event.evidence) > MAX_EVIDENCE:
        return f"evidence has {MAX_EVIDENCE} characters at most"
    return replace(control, verdicts=MappingProxyType({**control.verdicts, pair: event}))


def _name(pair: Pair) -> str:
    return "/".join(pair)


_FOLDS: dict[type, Callable[[Control, Any, int], Control | str]] = {
    Deployment: _deploy,
    HandOff: _hand_off,
    RulesChange: _change_rules,
    Weights: _weigh,
    Suspension: _suspend,
    Shedding: _shed,
    Verdict: _judge,
}
