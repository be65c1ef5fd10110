"""What a new version must show before it is registered: `[retraining.acceptance]` of an endpoint's document. Pure.

The limits are read before training begins, and stand in the card beside what was found (`judgement.py`). A version is
judged on the last days of its data, which neither it nor the champion was trained on; the champion on the same rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, StringConstraints, model_validator

from rendezvous.durations import Duration
from rendezvous.rules import Document

DAY_US = 86_400_000_000

Kind: TypeAlias = Literal["binary", "multiclass", "regression"]
HIGHER_IS_BETTER: Mapping[Kind, Mapping[str, bool]] = {
    "binary": {"auc": True, "average_precision": True, "log_loss": False, "brier": False, "accuracy": True},
    "multiclass": {"log_loss": False, "accuracy": True},
    "regression": {"mae": False, "rmse": False, "r2": True},
}
"""Every metric of each kind, and whether more of it is better."""
DEFAULT_MARGINS: Mapping[Kind, Mapping[str, float]] = {
    "binary": {"auc": 0.01, "brier": 0.005},
    "multiclass": {"log_loss": 0.02},
    "regression": {"r2": 0.02},
}
"""By how much a version may be worse than the champion where the owner states no margins: about the noise of two
weeks of flights."""

Finite = Annotated[float, Field(allow_inf_nan=False)]
Text = Annotated[str, StringConstraints(min_length=1)]
Wanted: TypeAlias = str | Finite | tuple[Finite, Finite]
"""Of a slice: a text, a number, or [from, to) of numbers."""


class Limit(Document):
    """What a metric must be, on all rows that are judged or on a slice of them.

    `worse_by` is against the champion on the same rows.
    """

    metric: str
    at_least: Finite | None = None
    at_most: Finite | None = None
    worse_by: Annotated[Finite, Field(ge=0)] | None = None
    slice: dict[Text, Wanted] = Field(default={}, description="features and what they must be; all of them")
    min_rows: int = Field(default=100, ge=1, description="with fewer it is not met: nothing was shown")

    @model_validator(mode="after")
    def _says_something(self) -> Limit:
        if self.at_least is None and self.at_most is None and self.worse_by is None:
            message = f"limit on {self.metric}: give at_least, at_most or worse_by"
            raise ValueError(message)
        return self

    @property
    def where(self) -> str:
        """The slice in words."""
        return slice_in_words(self.slice)


class Invariance(Document):
    """A feature that the score must not depend on."""

    feature: str
    values: tuple[str | Finite, ...] = Field(default=(), description="to be put in; without them, other rows' values")
    within: Finite = Field(default=1e-6, ge=0, description="largest change of any output")


class AcceptanceLimits(Document):
    """What a new version must show before it becomes a candidate."""

    held_out: Duration = Field(default=14 * DAY_US, gt=0, description="judged on the last so much of the data")
    min_rows: int = Field(default=1_000, ge=1, description="labelled rows to judge on, that the champion has not seen")
    min_blocks: int = Field(default=3, ge=1, description="blocks (see monitoring) with such rows")
    worse_by: dict[str, Annotated[Finite, Field(ge=0)]] | None = Field(
        default=None, description="metrics, and by how much each may be worse than the champion's"
    )
    limits: tuple[Limit, ...] = ()
    invariances: tuple[Invariance, ...] = ()
    slower: Finite = Field(default=3.0, gt=0, description="processor time for a row and for a batch, of the champion's")
    max_bytes: int = Field(default=100_000_000, gt=0, description="of the artefact")
    compared: bool = Field(
        default=True, description="refused unless the original's predictions are there to compare the graph with"
    )

    def margins(self, kind: Kind) -> Mapping[str, float]:
        """By how much each metric may be worse than the champion's."""
        return DEFAULT_MARGINS[kind] if self.worse_by is None else self.worse_by


def slice_in_words(wanted: Mapping[str, Wanted]) -> str:
    """Such as `origin=JFK distance=[0, 500)`."""
    return (
        " ".join(
            f"{name}=[{value[0]:g}, {value[1]:g})" if isinstance(value, tuple) else f"{name}={value}"
            for name, value in wanted.items()
        )
        or "all rows"
    )


def fault_of_acceptance(
    limits: AcceptanceLimits, kind: Kind, features: Mapping[str, bool]
) -> tuple[tuple[str | int, ...], str] | None:
    """Where limits name what the endpoint has not, and why; features: by name, whether it is text."""
    metrics = list(HIGHER_IS_BETTER[kind])
    for metric in limits.worse_by or {}:
        if metric not in metrics:
            return ("worse_by", metric), f"no metric of {kind} outputs; they are {metrics}"
    for number, limit in enumerate(limits.limits):
        if limit.metric not in metrics:
            return ("limits", number, "metric"), f"{limit.metric!r} is no metric of {kind} outputs; they are {metrics}"
        for name, wanted in limit.slice.items():
            if fault := _fault_of_value(name, wanted, features):
                return ("limits", number, "slice", name), fault
    for number, invariance in enumerate(limits.invariances):
        for wanted in invariance.values or ("" if features.get(invariance.feature, True) else 0.0,):
            if fault := _fault_of_value(invariance.feature, wanted, features):
                return ("invariances", number, "feature"), fault
    return None


def _fault_of_value(name: str, wanted: Wanted, features: Mapping[str, bool]) -> str | None:
    if name not in features:
        return f"{name!r} is no feature; features are {sorted(features)}"
    if features[name] != isinstance(wanted, str):
        return f"{name} is {'text' if features[name] else 'a number'}, {wanted!r} is not"
    return None
