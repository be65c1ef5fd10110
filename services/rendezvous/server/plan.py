"""An endpoint's schedule made ready for the mailbox: models as columns, steps as masks, times in microseconds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from rendezvous.messages import Floats
from rendezvous.server.policies import POLICIES, Policy
from rendezvous.settings import Endpoint, SettingsError

MS_US = 1_000


@dataclass(frozen=True)
class PlannedStep:
    """A step of the schedule: until_us from the append (None: the deadline less the margin), and who may answer.

    columns: int64 [models] in the order of preference; mask: the same as bits.
    """

    until_us: int | None
    columns: NDArray[np.int64]
    mask: np.uint64
    choose: Policy


@dataclass(frozen=True)
class Plan:
    """Who is compared (the model axis), who answers when, and how long things may take."""

    models: tuple[str, ...]
    versions: tuple[str, ...]
    steps: tuple[PlannedStep, ...]
    default: Floats
    deadline_us: int
    max_deadline_us: int
    margin_us: int
    close_us: int
    silent_us: int
    capacity: int
    policy: str

    @property
    def width(self) -> int:
        """Numbers in an answer."""
        return len(self.default)

    @cached_property
    def column_of(self) -> Mapping[tuple[str, str], int]:
        """(model, version) to its place on the model axis."""
        return {pair: column for column, pair in enumerate(zip(self.models, self.versions, strict=True))}

    @cached_property
    def scheduled(self) -> int:
        """Bits of all the models that may answer."""
        return int(np.bitwise_or.reduce([step.mask for step in self.steps]))

    @property
    def first_choice(self) -> int:
        """The column whose answer is `preferred`; every other one's is `fallback`."""
        return int(self.steps[0].columns[0])

    def names(self, mask: int) -> tuple[str, ...]:
        """The models whose bits are set."""
        return tuple(name for column, name in enumerate(self.models) if mask >> column & 1)


def plan_for(endpoint: Endpoint, versions: Mapping[str, str]) -> Plan:
    """The plan of an endpoint whose models have these versions.

    Raises:
        SettingsError: a step names an unknown policy.
    """
    names = tuple(endpoint.models)
    return Plan(
        models=names,
        versions=tuple(versions[name] for name in names),
        steps=tuple(
            _step(number, step.until_ms, [names.index(name) for name in step.models], step.policy)
            for number, step in enumerate(endpoint.schedule, start=1)
        ),
        default=np.array(endpoint.output.default, np.float32),
        deadline_us=endpoint.request.deadline_ms * MS_US,
        max_deadline_us=endpoint.request.max_deadline_ms * MS_US,
        margin_us=endpoint.request.reply_margin_ms * MS_US,
        close_us=endpoint.mailbox.close_ms * MS_US,
        silent_us=endpoint.mailbox.silent_ms * MS_US,
        capacity=endpoint.mailbox.capacity,
        policy=policy_hash(endpoint, versions),
    )


def _step(number: int, until_ms: int | None, columns: list[int], policy: str) -> PlannedStep:
    if policy not in POLICIES:
        raise SettingsError(f"schedule step {number}: policy {policy!r} is unknown; there are {sorted(POLICIES)}")
    mask = sum(1 << column for column in set(columns))
    return PlannedStep(
        until_us=None if until_ms is None else until_ms * MS_US,
        columns=np.array(columns, np.int64),
        mask=np.uint64(mask),
        choose=POLICIES[policy],
    )


def policy_hash(endpoint: Endpoint, versions: Mapping[str, str]) -> str:
    """Twelve hex digits of what decides an answer besides the scores: schedule, default, margin and versions."""
    what = {
        "schedule": [step.model_dump() for step in endpoint.schedule],
        "default": endpoint.output.default,
        "margin_ms": endpoint.request.reply_margin_ms,
        "versions": dict(versions),
    }
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:12]
