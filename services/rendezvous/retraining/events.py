"""What stands on `<endpoint>.retrain`: that a model should be trained again, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """How the job for an event ended."""

    REGISTERED = "registered"
    """A new version is deployed as a candidate."""
    REFUSED = "refused"
    """Trained, and not accepted: the reasons say which limit it misses."""
    FAILED = "failed"
    """Not trained: an error, or a limit of time or memory."""


@dataclass(frozen=True, slots=True)
class RetrainEvent:
    """A model should be trained again.

    key names the episode: an event that stands twice is one. causes are the owner's rules that hold, evidence what they
    saw, as JSON; reason is what a person wrote, empty for a rule. The data proposed: requests asked in
    [from_us, until_us) with what was known at as_of_us, all in event time; positions are those of the requests' topic
    by partition when the event was written. unknown says what the evidence cannot tell.
    """

    key: str
    model: str
    version: str
    causes: tuple[str, ...]
    evidence: str
    reason: str
    from_us: int
    until_us: int
    as_of_us: int
    positions: tuple[int, ...]
    unknown: tuple[str, ...]
    by: str
    at_us: int


@dataclass(frozen=True, slots=True)
class Retrained:
    """What became of the event `key`. version is empty unless it was registered; times are of the job's own clock."""

    key: str
    outcome: Outcome
    model: str
    version: str
    reasons: tuple[str, ...]
    started_us: int
    ended_us: int
    by: str
