"""Deploy: keep what training has written as versions, and tell control."""

from __future__ import annotations

import getpass
import os
import socket
import time
from collections.abc import Callable, Sequence

from rendezvous.registry import changes
from rendezvous.registry.changes import Author
from rendezvous.registry.control import ControlLog
from rendezvous.registry.events import Deployment, HandOff, State
from rendezvous.registry.naming import RegistryError, written
from rendezvous.registry.state import Control, Pair
from rendezvous.registry.store import folder_of, store, stored
from rendezvous.scoring.card import load_card
from rendezvous.settings import Endpoint

TRIES = 5
"""Somebody who moves aliases at the same moment makes us look again; five times in a row is no coincidence."""


def author() -> Author:
    """Who runs this process, as user@host, and now."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container may run under a number that has no name
        user = str(os.getuid())
    return Author(f"{user}@{socket.gethostname()}", time.time_ns() // 1_000)


def deploy(bootstrap: str, endpoint: Endpoint, models: Sequence[str] = (), *, report: Callable[[str], None]) -> Control:
    """Make control agree with the endpoint's document and the cards of `models`, or of all; changes nothing twice.

    Returns:
        Control as it is then.

    Raises:
        CardError: a model has no card or artefact.
        RegistryError: a version cannot be kept, control refuses it, a model that is named was retired in the version
            that it has, or others keep moving aliases meanwhile.
        LogError: control cannot be read or written.
    """
    cards = _kept(endpoint, models or tuple(endpoint.models))
    log = ControlLog(bootstrap, endpoint)
    control = log.read()
    if gone := [written(pair) for pair in cards if models and _is_retired(control, pair)]:
        raise RegistryError(f"{', '.join(gone)}: retired, for good: train a new version and deploy that")
    for number in range(TRIES):
        plan = changes.deployment(control, endpoint, cards, author())
        if not plan.events:
            if number == 0:
                report(f"{log.topic} agrees with endpoint.toml and the cards: nothing to deploy")
            for note in plan.notes:
                report(note)
            return control
        control, appended = log.append(plan.events, control)
        for done in appended:
            if done.refusal is None:
                report(f"{log.topic} {done.position}: {changes.told(done.event)}")
            elif not isinstance(done.event, HandOff):  # that one only says that others were faster: look again
                raise RegistryError(f"{log.topic} {done.position}: refused: {done.refusal}")
    raise RegistryError(f"{log.topic}: aliases were moved by others {TRIES} times meanwhile: deploy again")


def deploy_version(bootstrap: str, endpoint: Endpoint, pair: Pair, *, report: Callable[[str], None]) -> None:
    """Tell control of one version that is kept, as a candidate: no alias moves, and no edit of the document comes in.

    Raises:
        RegistryError: the version is not kept here, retired, or control refuses it.
        LogError: control cannot be read or written.
    """
    digest = load_card(folder_of(endpoint, pair)).sha256
    stored(endpoint, pair, digest)
    log = ControlLog(bootstrap, endpoint)
    control = log.read()
    if _is_retired(control, pair):
        raise RegistryError(f"{written(pair)}: retired, for good: train a new version and deploy that")
    if pair in control.versions:
        report(f"{written(pair)} is deployed already")
        return
    who = author()
    _, (done,) = log.append([Deployment(*pair, digest, State.ACTIVE, who.by, who.at_us)], control)
    if done.refusal is not None:
        raise RegistryError(f"{log.topic} {done.position}: refused: {done.refusal}")
    report(f"{log.topic} {done.position}: {changes.told(done.event)}")


def _kept(endpoint: Endpoint, models: Sequence[str]) -> dict[Pair, str]:
    """What the workbenches hold, kept as versions; each one's digest."""
    if unknown := sorted(set(models) - set(endpoint.models)):
        raise RegistryError(f"endpoint {endpoint.name} has no models {unknown}; it has {sorted(endpoint.models)}")
    cards = [(model, store(endpoint, model)) for model in models]
    return {(model, card.version): card.sha256 for model, card in cards}


def _is_retired(control: Control, pair: Pair) -> bool:
    known = control.versions.get(pair)
    return known is not None and known.state is State.RETIRED
