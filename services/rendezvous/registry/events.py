"""What stands on `<endpoint>.control`: each record one thing that happened, never changed afterwards.

`by` says who wrote it (a person, a server, the monitor), `at_us` when, by the writer's clock. The order of the log is
what counts; times are for people.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias


class State(StrEnum):
    """What a version is for, now."""

    ACTIVE = "active"
    """It scores; if an alias or a step names it, it answers."""
    PAUSED = "paused"
    """Its scorer rests, and steps pass it by, until it is active again."""
    RETIRED = "retired"
    """It is gone for good; its name can be deployed again as another version."""


class Cause(StrEnum):
    """Why aliases moved."""

    DEPLOY = "deploy"
    """The first holder of an alias that endpoint.toml names."""
    PROMOTE = "promote"
    ROLLBACK = "rollback"


class Quality(StrEnum):
    """What `Weights` are."""

    BEST = "best"
    """Recent quality, larger is better: policy `best`."""
    HEDGE = "hedge"
    """Shares learned from labels: policy `hedge`."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """A version was deployed, paused, made active again, or retired.

    sha256 is the artefact's: a version is immutable, another artefact under its name is refused.
    """

    model: str
    version: str
    sha256: str
    state: State
    by: str
    at_us: int


@dataclass(frozen=True, slots=True)
class Move:
    """An alias and the version that it names from now on."""

    alias: str
    model: str
    version: str


@dataclass(frozen=True, slots=True)
class HandOff:
    """Aliases moved, all at once.

    seen: the position up to which the writer had read control. A hand-off that stands after another one which its
    writer had not seen is refused: two operators cannot overwrite one another unawares. skipped names the checks that
    `--force` left out, each with what it found.
    """

    moves: tuple[Move, ...]
    cause: Cause
    skipped: tuple[str, ...]
    seen: int
    by: str
    at_us: int


@dataclass(frozen=True, slots=True)
class RulesChange:
    """The schedule and what else decides an answer: `rendezvous.rules.Rules` as JSON."""

    rules: str
    by: str
    at_us: int


@dataclass(frozen=True, slots=True)
class Weights:
    """What the monitor knows of versions; replaces what it said before under the same `quality`.

    models, versions and values run side by side; a version without a value has none.
    """

    quality: Quality
    models: tuple[str, ...]
    versions: tuple[str, ...]
    values: tuple[float, ...]
    by: str
    at_us: int


@dataclass(frozen=True, slots=True)
class Suspension:
    """On one partition a version was passed by, or trusted again, because of what it did there.

    missed and failed are the shares, of `requests` looked at, for which it had no score in its step, or said that it
    could not score.
    """

    partition: int
    model: str
    version: str
    suspended: bool
    missed: float
    failed: float
    requests: int
    by: str
    at_us: int


@dataclass(frozen=True, slots=True)
class Shedding:
    """Under load: which share of a partition's requests candidates, and challengers, shall not score.

    By a stable hash of the request's key; 0 is none, 1 all.
    """

    partition: int
    candidates: float
    challengers: float
    by: str
    at_us: int


class Rule(StrEnum):
    """By what a version was judged."""

    REFRESH = "refresh"
    """The same training code, newer data: promoted unless it does harm."""
    REPLACE = "replace"
    """Another code or other features: promoted when it is shown to be better."""
    HARM = "harm"
    """A champion that does worse than the one before it: rolled back."""


class Ruling(StrEnum):
    """What follows."""

    PROPOSED = "proposed"
    """It may be promoted; a person decides."""
    PROMOTED = "promoted"
    REJECTED = "rejected"
    ROLLED_BACK = "rolled_back"


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a version was judged, and the figures that it rests on, as JSON. It moves nothing: a `HandOff` does."""

    model: str
    version: str
    rule: Rule
    ruling: Ruling
    evidence: str
    by: str
    at_us: int


ControlEvent: TypeAlias = Deployment | HandOff | RulesChange | Weights | Suspension | Shedding | Verdict
