"""Control for tests of the registry: after some events, and after a first deployment."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

from rendezvous.registry.changes import Author, deployment
from rendezvous.registry.events import ControlEvent
from rendezvous.registry.state import Control, Pair, after
from rendezvous.settings import Endpoint

AUTHOR = Author("ada@tests", 1_700_000_000_000_000)


def digest_of(pair: Pair) -> str:
    """The digest of a version's artefact that is not there."""
    return sha256("/".join(pair).encode()).hexdigest()


def control_after(events: Iterable[ControlEvent], control: Control | None = None) -> Control:
    """Control after these events, none of which it may refuse."""
    control = control or Control()
    for event in events:
        control = after(control, event, control.position)
        assert control.refusal is None, control.refusal
    return control


def first_deployment(endpoint: Endpoint, version: str = "v1") -> Control:
    """Control after a first `deploy` of every model in the same version."""
    cards = {(model, version): digest_of((model, version)) for model in endpoint.models}
    return control_after(deployment(Control(), endpoint, cards, AUTHOR).events)
