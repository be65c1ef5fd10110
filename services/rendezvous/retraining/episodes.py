"""From an event to the verdict on what came of it is one episode; what speaks meanwhile joins it.

::

    event ---- no outcome yet -----------> under way
          |--- refused, failed ----------> over, at the event's own time: cool-down and budget do the rest
          `--- registered --- no verdict, or proposed ---> under way
                          |-- promoted, rejected, ... ---> over, at the time of its verdict
                          `-- a person promoted, paused or retired it ---> over, when that was

What the retrainer itself promoted is under way until its verdict stands, which follows at once.

All in event time, so that it is the same after a restart; a person's deed has the wall clock's time only, which counts
where requests go by their append time, and is the event's own otherwise.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from rendezvous.registry.events import Ruling, State, Verdict
from rendezvous.registry.state import Pair
from rendezvous.retraining.events import RetrainEvent
from rendezvous.retraining.ledger import Ledger

EVENT_TIME = "event_us"
"""In a verdict's evidence: when it was reached, in event time."""
RETRAINER = "retrainer "
"""How `by` begins of what a retrainer writes; who and where it runs follows."""


@dataclass(frozen=True, slots=True)
class Episode:
    """An event, the version that its job made, and when it was over, None while it is under way."""

    event: RetrainEvent
    candidate: Pair | None
    ended_us: int | None

    @property
    def consumed_us(self) -> int:
        """What spoke until then has led to it or joined it."""
        return max(self.event.at_us, self.ended_us or 0)


def episodes(ledger: Ledger, model: str) -> list[Episode]:
    """Every episode of a model, by the time of its event."""
    return [_episode(ledger, event) for event in ledger.events_of(model)]


def consumed_us(ledger: Ledger, model: str) -> int:
    """What spoke until then has led to an event, or joined one; before a roll-back it was about another champion."""
    rolled_back = [reached_us(said) or -1 for said in ledger.harms.values() if said.ruling is Ruling.ROLLED_BACK]
    return max([episode.consumed_us for episode in episodes(ledger, model)] + rolled_back, default=-1)


def under_way(ledger: Ledger, model: str) -> Episode | None:
    """The first episode that is not over."""
    return next((episode for episode in episodes(ledger, model) if episode.ended_us is None), None)


def is_final(verdict: Verdict | None) -> bool:
    """Whether a version was judged for good; a proposal waits for a person."""
    return verdict is not None and verdict.ruling is not Ruling.PROPOSED


def reached_us(verdict: Verdict) -> int | None:
    """When a verdict was reached in event time, as it says."""
    try:
        found = json.loads(verdict.evidence)[EVENT_TIME]
    except (ValueError, KeyError, TypeError):
        return None
    return found if isinstance(found, int) else None


def _episode(ledger: Ledger, event: RetrainEvent) -> Episode:
    outcome = ledger.outcomes.get(event.key)
    if outcome is None:
        return Episode(event, None, None)
    if not outcome.version:
        return Episode(event, None, event.at_us)
    pair = outcome.model, outcome.version
    return Episode(event, pair, _ended_us(ledger, event, pair))


def _ended_us(ledger: Ledger, event: RetrainEvent, pair: Pair) -> int | None:
    verdict = ledger.verdicts.get(pair)
    if verdict is not None and is_final(verdict):
        reached = reached_us(verdict)
        return _told(ledger, event, verdict.at_us) if reached is None else reached
    reign = next((reign for reign in ledger.reigns if reign.pair == pair), None)
    if reign is not None and reign.by.startswith(RETRAINER):
        return None  # the verdict on it is about to be written
    if reign is not None:
        return _told(ledger, event, reign.at_us)
    version = ledger.control.versions.get(pair)
    if version is not None and version.state is not State.ACTIVE:
        return _told(ledger, event, ledger.stopped_us.get(pair, 0))
    return None


def _told(ledger: Ledger, event: RetrainEvent, wall_us: int) -> int:
    return max(event.at_us, wall_us) if ledger.monitoring.time == "append" else event.at_us
