"""What a command has to write to control, given what control says: deploy, promote, rollback, retire, pause, resume."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rendezvous.registry.events import Cause, ControlEvent, Deployment, HandOff, Move, RulesChange, State
from rendezvous.registry.naming import RegistryError, written
from rendezvous.registry.state import Control, Pair
from rendezvous.rules import Rules, read_rules
from rendezvous.settings import Endpoint

CHAMPION = "champion"
PREVIOUS = "previous"


@dataclass(frozen=True, slots=True)
class Author:
    """Who writes to control, and when, microseconds since the epoch."""

    by: str
    at_us: int


@dataclass(frozen=True, slots=True)
class Plan:
    """The events that are missing on control, and what to tell a person besides."""

    events: tuple[ControlEvent, ...]
    notes: tuple[str, ...]


def deployment(control: Control, endpoint: Endpoint, cards: Mapping[Pair, str], author: Author) -> Plan:
    """What is missing on control: the versions of `cards`, aliases that do not exist yet, and the document's rules.

    An alias that exists is never moved: that is for `promote`.

    Args:
        control: as it is.
        endpoint: its document.
        cards: the digest of each version that is to be deployed.
        author: who deploys.
    """
    missing, notes = [], []
    for (model, version), sha256 in cards.items():
        known = control.versions.get((model, version))
        if known is None:
            missing.append(Deployment(model, version, sha256, State.ACTIVE, author.by, author.at_us))
        elif known.state is not State.ACTIVE:
            notes.append(f"{model}/{version} is {known.state} and stays so: {_way_back(known.state, model, version)}")
    moves, unnamed = _first_holders(control, endpoint, _newest(control, missing))
    events: list[ControlEvent] = list(missing)
    if moves:
        events.append(HandOff(moves, Cause.DEPLOY, (), control.position, author.by, author.at_us))
    if control.rules != endpoint.rules:
        events.append(RulesChange(endpoint.rules.model_dump_json(), author.by, author.at_us))
    return Plan(tuple(events), (*notes, *unnamed))


def _newest(control: Control, missing: Sequence[Deployment]) -> dict[str, Pair]:
    """Each model's active version that will have been deployed last."""
    active = [pair for pair in control.deployed if control.versions[pair].state is State.ACTIVE]
    return {pair[0]: pair for pair in [*active, *((event.model, event.version) for event in missing)]}


def _first_holders(
    control: Control, endpoint: Endpoint, newest: Mapping[str, Pair]
) -> tuple[tuple[Move, ...], list[str]]:
    moves, notes = [], []
    for alias, model in endpoint.aliases.items():
        if alias in control.aliases:
            continue
        if model in newest:
            moves.append(Move(alias, *newest[model]))
        else:
            notes.append(f"{alias} names nobody yet: {model} has no active version, deploy one")
    return tuple(moves), notes


def _way_back(state: State, model: str, version: str) -> str:
    if state is State.PAUSED:
        return f"`rendezvous models resume {model}/{version}` makes it active"
    return "a new version can be trained and deployed"


def previous_of(alias: str) -> str:
    """The alias that names who held `alias` before; the champion's has the short name."""
    return PREVIOUS if alias == CHAMPION else f"{alias}-{PREVIOUS}"


def promotion(
    control: Control, endpoint: Endpoint, alias: str, pair: Pair, skipped: Sequence[str], author: Author
) -> HandOff:
    """Move an alias; who held it becomes its `previous`, and takes the place that the version had in the schedule.

    Raises:
        RegistryError: there is no such alias, or the version is not active.
    """
    known = sorted({*endpoint.aliases, *control.aliases} - {previous_of(name) for name in control.aliases})
    if alias not in known:
        raise RegistryError(f"there is no alias {alias!r} to move, only {known}: name it in [aliases] of endpoint.toml")
    return _move(control, alias, pair, Cause.PROMOTE, tuple(skipped), author)


def rollback(control: Control, alias: str, author: Author) -> HandOff:
    """Give an alias back to its `previous`, which then names who held it until now.

    Raises:
        RegistryError: there was nobody before, or nobody who could take over now.
    """
    before, now = control.aliases.get(previous_of(alias)), control.aliases.get(alias)
    if now is None or before is None:
        raise RegistryError(f"{alias} has never been moved by `promote`: there is nothing to go back to")
    if before == now:
        raise RegistryError(f"{previous_of(alias)} is {written(now)}, which is {alias} already: nothing to go back to")
    return _move(control, alias, before, Cause.ROLLBACK, (), author)


def _move(control: Control, alias: str, pair: Pair, cause: Cause, skipped: tuple[str, ...], author: Author) -> HandOff:
    state = control.versions[pair].state
    if state is not State.ACTIVE:
        raise RegistryError(f"{written(pair)} is {state}: {alias} can only name what is active")
    moves = [Move(alias, *pair)]
    former = control.aliases.get(alias)
    # a version that does not score is no way back: then `previous` goes on naming whom it named
    if former is not None and former != pair and control.versions[former].state is State.ACTIVE:
        moves.append(Move(previous_of(alias), *former))
        moves += [Move(other, *former) for other in _scheduled_for(control, pair) if other != alias]
    return HandOff(tuple(moves), cause, skipped, control.position, author.by, author.at_us)


def _scheduled_for(control: Control, pair: Pair) -> tuple[str, ...]:
    """The aliases in the schedule that a version leaves free when it moves: else it would be its own fallback."""
    scheduled = control.rules.names if control.rules is not None else frozenset()
    return tuple(alias for alias in control.aliases_of(pair) if alias in scheduled)


def change_of_state(control: Control, pair: Pair, state: State, author: Author) -> tuple[ControlEvent, ...]:
    """Retire, pause, or make active again; nothing when it is so already.

    What is retired is no way back: a `previous` that names it names the alias's own holder from then on.

    Raises:
        RegistryError: it is retired, or another alias names what is to be retired.
    """
    version = control.versions[pair]
    if version.state is state:
        return ()
    if version.state is State.RETIRED:
        raise RegistryError(f"{written(pair)} is retired, for good: train a new version and deploy it")
    change = Deployment(*pair, version.sha256, state, author.by, author.at_us)
    if state is not State.RETIRED:
        return (change,)
    ways_back = {previous_of(alias): holder for alias, holder in control.aliases.items()}
    aliases = control.aliases_of(pair)
    if held := [alias for alias in aliases if ways_back.get(alias, pair) == pair]:
        raise RegistryError(f"{written(pair)} is {', '.join(held)}: `rendezvous models promote` another version first")
    moves = tuple(Move(alias, *ways_back[alias]) for alias in aliases)
    if not moves:
        return (change,)
    return HandOff(moves, Cause.ROLLBACK, (), control.position, author.by, author.at_us), change


def told(event: ControlEvent) -> str:
    """What an event that people write says, in a line."""
    match event:
        case Deployment():
            return f"{event.model}/{event.version} is {event.state}"
        case HandOff():
            return ", ".join(f"{move.alias} is {move.model}/{move.version}" for move in event.moves)
        case RulesChange():
            return f"the schedule is {schedule_in_words(read_rules(event.rules))}"
        case _:
            return str(event)


def schedule_in_words(rules: Rules) -> str:
    """Its steps in a line."""
    return ", then ".join(
        f"{step.policy} {' '.join(step.models)}" + ("" if step.until_ms is None else f" until {step.until_ms} ms")
        for step in rules.schedule
    )
