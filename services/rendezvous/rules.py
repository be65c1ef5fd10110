"""What decides an answer besides the scores: the schedule, its policies, the default, the times. Validated data.

An endpoint's document gives them; `<endpoint>.control` carries them as JSON, so that every server answers by the same
rules and a decision can be replayed under those that were in force.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from rendezvous.server.policies import fault_of

NAME_PATTERN = r"^[a-z][a-z0-9_-]{0,62}$"
Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
"""Of an endpoint, a model, or an alias."""

MAX_FLOAT32 = 3.4028234e38
Number = Annotated[float, Field(ge=-MAX_FLOAT32, le=MAX_FLOAT32, allow_inf_nan=False)]
"""A finite float32: what models answer."""
MAX_WEIGHT = 1e6
Weight = Annotated[float, Field(ge=0, le=MAX_WEIGHT, allow_inf_nan=False)]
MAX_STEPS = 64
MAX_NAMES = 256
"""In a step, or expected: four times as many as there can be models, and their aliases."""
MAX_MS = 3_600_000
"""An hour: of whatever an application waits for."""


class Document(BaseModel):
    """Frozen, and strict about names: an unknown field is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Step(Document):
    """One step of the schedule: until when (from the append), which models or aliases, chosen how.

    The last step has no `until_ms`: it ends `reply_margin_ms` before the request's own deadline. weights are for
    policies that take them from the document (split, mean); a name without one has none of it.
    """

    models: tuple[Name, ...] = Field(min_length=1, max_length=MAX_NAMES)
    until_ms: int | None = Field(default=None, gt=0, le=MAX_MS)
    policy: str = "prefer"
    weights: dict[Name, Weight] = {}

    @model_validator(mode="after")
    def _consistent(self) -> Step:
        if len(set(self.models)) < len(self.models):
            message = f"models {list(self.models)} names one twice"
            raise ValueError(message)
        if unknown := sorted(set(self.weights) - set(self.models)):
            message = f"weights names {unknown}, which the step's models do not: {list(self.models)}"
            raise ValueError(message)
        if self.weights and not sum(self.weights.values()):
            message = "weights are all 0: nobody could answer"
            raise ValueError(message)
        return self


def fault_of_order(schedule: Sequence[Step]) -> tuple[int, str] | None:
    """The first step whose end does not fit its place, and why."""
    *timed, last = schedule
    before = 0
    for number, step in enumerate(timed):
        if step.until_ms is None or step.until_ms <= before:
            return number, "until_ms must be given and grow from step to step"
        before = step.until_ms
    if last.until_ms is not None:
        return len(timed), "the last step of the schedule ends with the deadline: remove its until_ms"
    return None


def fault_of_times(deadline_ms: int, max_deadline_ms: int, reply_margin_ms: int) -> str | None:
    """Why a deadline does not fit its bounds, or None."""
    if deadline_ms > max_deadline_ms:
        return f"deadline_ms ({deadline_ms}) exceeds max_deadline_ms ({max_deadline_ms})"
    if reply_margin_ms >= deadline_ms:
        return f"reply_margin_ms ({reply_margin_ms}) leaves nothing of deadline_ms ({deadline_ms})"
    return None


class Rules(Document):
    """Everything that decides an answer besides scores, versions and aliases.

    expected: whose reports close a mailbox early; empty for everybody who is alive. Times are in milliseconds from the
    request's append.
    """

    schedule: tuple[Step, ...] = Field(min_length=1, max_length=MAX_STEPS)
    expected: tuple[Name, ...] = Field(default=(), max_length=MAX_NAMES)
    default: tuple[Number, ...] = Field(min_length=1)
    deadline_ms: int = Field(gt=0, le=MAX_MS)
    max_deadline_ms: int = Field(gt=0, le=MAX_MS)
    reply_margin_ms: int = Field(ge=0, le=MAX_MS)

    @model_validator(mode="after")
    def _consistent(self) -> Rules:
        if disorder := fault_of_order(self.schedule):
            message = f"schedule step {disorder[0] + 1}: {disorder[1]}"
            raise ValueError(message)
        for number, step in enumerate(self.schedule, start=1):
            if fault := fault_of(step.policy, None, weighted=bool(step.weights)):
                message = f"schedule step {number}: {fault}"
                raise ValueError(message)
        if fault := fault_of_times(self.deadline_ms, self.max_deadline_ms, self.reply_margin_ms):
            raise ValueError(fault)
        return self

    @property
    def names(self) -> frozenset[str]:
        """Models and aliases that may answer users."""
        return frozenset(name for step in self.schedule for name in step.models)


def read_rules(text: str) -> Rules:
    """Rules as they stand on control.

    Raises:
        ValueError: they do not hold; each fault with its field.
    """
    try:
        return Rules.model_validate_json(text)
    except ValidationError as error:
        faults = (
            f"{'.'.join(str(part) for part in fault['loc']) or 'rules'}: {fault['msg']}" for fault in error.errors()
        )
        raise ValueError("; ".join(faults)) from error
