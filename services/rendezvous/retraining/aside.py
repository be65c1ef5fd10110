"""What is done with versions that retraining made and that nobody needs any more. Pure."""

from __future__ import annotations

from rendezvous.registry.changes import Author, change_of_state
from rendezvous.registry.events import ControlEvent, State
from rendezvous.registry.state import Pair
from rendezvous.retraining.episodes import is_final
from rendezvous.retraining.ledger import Ledger
from rendezvous.retraining.limits import RetrainingLimits


def set_aside(ledger: Ledger, limits: RetrainingLimits, author: Author) -> tuple[ControlEvent, ...]:
    """Versions that retraining made, and that nobody needs any more: judged, or once the champion, without an alias.

    The newest of them is paused: it costs no scoring, and a person who disagrees can resume it. The others are retired:
    a version that rests keeps one of the places on control, and a process. Cards and artefacts stay.
    """
    control = ledger.control
    spent = [
        pair
        for _, pair in ledger.made(limits.model)
        if pair in control.deployed
        and not control.aliases_of(pair)
        and (is_final(ledger.verdicts.get(pair)) or ledger.has_reigned(pair))
        and not _was_resumed(ledger, pair)
    ]
    events: list[ControlEvent] = []
    for pair in spent[:-1]:
        events += change_of_state(control, pair, State.RETIRED, author)
    for pair in spent[-1:]:
        events += change_of_state(control, pair, State.PAUSED, author)
    return tuple(events)


def _was_resumed(ledger: Ledger, pair: Pair) -> bool:
    """It was set aside before, and is active: a person wants it."""
    return pair in ledger.stopped_us and ledger.control.versions[pair].state is State.ACTIVE
