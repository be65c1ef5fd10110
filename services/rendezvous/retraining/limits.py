"""What an owner says of retraining: `[retraining]` of an endpoint's document.

Durations and days are microseconds once read; all of them are event time (see `monitoring.limits`).
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import numpy as np
from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from rendezvous.durations import Duration
from rendezvous.monitoring.limits import DAY_US, MonitoringLimits
from rendezvous.retraining.acceptance import AcceptanceLimits
from rendezvous.retraining.cron import is_cron
from rendezvous.retraining.training import TrainingLimits
from rendezvous.rules import Document, Name
from rendezvous.toml_lines import Where

FIGURES = {
    "binary": (
        *("auc", "average_precision", "log_loss", "brier", "accuracy", "precision", "recall", "f1", "ece"),
        *("calibration_residual", "positives"),
    ),
    "multiclass": ("accuracy", "log_loss"),
    "regression": ("mae", "rmse", "r2"),
}
"""What the monitor says of a closed block, by the kind of the endpoint's output: what a floor can be about."""
MONTH_US = 31 * DAY_US
"""The longest: a budget by it is kept in every month of the calendar too."""

Mode: TypeAlias = Literal["automatic", "proposal"]
"""Whether the retrainer moves an alias by itself, or says that it would and leaves it to a person."""


def _day_us(value: object) -> int:
    """Midnight UTC of a day of TOML, or of a text; a number is what was read before."""
    if isinstance(value, int):
        return value
    day = np.datetime64(str(value), "D")  # a ValueError of numpy's says what is wrong with it
    return int(day.astype("datetime64[us]").astype(np.int64))


def _a_cron(text: str) -> str:
    if not is_cron(text):
        raise ValueError(f"{text!r} is no cron expression such as '0 6 1 * *': minute, hour, day, month, weekday")
    return text


Day = Annotated[int, BeforeValidator(_day_us)]
Cron = Annotated[str, AfterValidator(_a_cron)]


class Floor(Document):
    """One figure of the champion's closed blocks, and the value that it must not stay on the wrong side of.

    Once it has led to a retraining it is quiet until a block is better than the value by the margin.
    """

    metric: str
    value: float = Field(allow_inf_nan=False)
    worse: Literal["below", "above"] = "below"
    blocks: int = Field(default=3, ge=1, le=1_000, description="in a row")
    margin: float = Field(gt=0, allow_inf_nan=False, description="by which it must have been left to speak again")
    labels: int = Field(default=100, ge=1, description="a block with fewer says nothing")

    @property
    def name(self) -> str:
        """As the cause of an event."""
        return f"{self.metric} {self.worse} {self.value:g}"

    def broken(self, value: float) -> bool:
        """Whether a block's figure is on the wrong side."""
        return value < self.value if self.worse == "below" else value > self.value

    def left(self, value: float) -> bool:
        """Whether a block's figure is on the right side by the margin."""
        if self.worse == "below":
            return value >= self.value + self.margin
        return value <= self.value - self.margin


class Windows(Document):
    """So many flagged windows among the last ones."""

    flagged: int = Field(default=3, ge=1)
    of: int = Field(default=5, ge=1, le=1_000)

    @model_validator(mode="after")
    def _fits(self) -> Windows:
        if self.flagged > self.of:
            raise ValueError(f"flagged ({self.flagged}) of {self.of} windows can never be")
        return self


class Triggers(Document):
    """What leads to a retraining. Each is on or off by itself; drift of inputs alone only where it is asked for."""

    concept: bool = Field(default=True, description="a concept-drift alarm about the champion")
    floors: tuple[Floor, ...] = Field(default=(), max_length=16)
    score: Windows | None = Field(default=None, description="the champion's outputs drift")
    input: Windows | None = Field(default=None, description="a feature drifts: loud, and mostly harmless")
    cron: Cron | None = Field(default=None, description="age, by event time, UTC")
    code: bool = Field(default=True, description="the training code is not that of the champion's card")
    hand: bool = Field(default=True, description="`rendezvous retrain request`")


class DataLimits(Document):
    """Which requests are proposed as training data: all since a day, the last so many days, or all there are."""

    since: Day | None = None
    last: Duration | None = Field(default=None, ge=1_000_000)

    @model_validator(mode="after")
    def _one(self) -> DataLimits:
        if self.since is not None and self.last is not None:
            raise ValueError("since and last exclude one another: give one")
        return self


class RefreshLimits(Document):
    """The same training code on newer data takes over unless it does harm: valid tests cannot decide in a fortnight."""

    labels: int = Field(default=3_000, ge=1, description="mature, before anything is said")
    blocks: int = Field(default=3, ge=1, le=1_000)
    brier: float = Field(default=0.002, ge=0, description="by which the Brier score may be worse")
    auc: float = Field(default=0.01, ge=0, description="by which the AUC may be worse")
    log_loss: float = Field(default=0.01, ge=0, description="instead of both, of a multiclass output")
    mae: float = Field(
        default=0.01, ge=0, description="of a regression: share of the champion's by which it may be worse"
    )
    reject_after: int = Field(default=12_000, ge=1, description="labels after which it is rejected")

    @model_validator(mode="after")
    def _ordered(self) -> RefreshLimits:
        if self.reject_after < self.labels:
            raise ValueError(f"reject_after ({self.reject_after}) is less than labels ({self.labels})")
        return self


class ReplaceLimits(Document):
    """Other training code or features take over when they are shown to be better, block by block."""

    e_value: float = Field(default=20.0, gt=1, description="1/20 is the chance of ever getting there without")
    reject_after: int = Field(default=60, ge=1, description="blocks after which it is rejected")


class RollbackLimits(Document):
    """When a champion gives way to the one before it, which stays in shadow for that."""

    mode: Mode = "automatic"
    e_value: float = Field(default=20.0, gt=1, description="of the champion being worse than the one before")
    blocks: int = Field(default=3, ge=1, le=1_000)
    failed: float = Field(
        default=0.5, gt=0, le=1, description="hard fault: passed by on every partition for failing so often"
    )


class WeightLimits(Document):
    """What is published for the policies `best` and `hedge`."""

    blocks: int = Field(default=7, ge=1, le=1_000, description="closed blocks that recent quality is the mean of")
    rate: float = Field(
        default=8.0, gt=0, le=1_000, description="of hedge, a block's mean loss being one loss: models differ by .05"
    )
    labels: int = Field(default=100, ge=1, description="a block with fewer says nothing")


class RetrainingLimits(Document):
    """Which model is retrained, when, and what its successor must show."""

    model: Name = Field(description="whose training code makes the candidates")
    triggers: Triggers = Triggers()
    new_labels: int = Field(default=1_000, ge=0, description="mature, since the data of the last training")
    cool_down: Duration = Field(default=7 * DAY_US, description="from event to event; never shorter than label_delay")
    per_day: int = Field(default=1, ge=1, description="events in 24 hours")
    per_month: int = Field(default=4, ge=1, description="events in 31 days")
    data: DataLimits = DataLimits()
    promotion: Mode = "proposal"
    refresh: RefreshLimits = RefreshLimits()
    replace: ReplaceLimits = ReplaceLimits()
    patience: int = Field(
        default=60, ge=1, description="closings after its event at which a candidate that has shown nothing is rejected"
    )
    rollback: RollbackLimits = RollbackLimits()
    weights: WeightLimits | None = Field(default=None, description="none are published without it")
    training: TrainingLimits = TrainingLimits()
    acceptance: AcceptanceLimits = AcceptanceLimits()

    def fault(self, monitoring: MonitoringLimits, kind: str) -> tuple[str, Where] | None:
        """What does not fit the rest of the endpoint's document, and at which field of this part."""
        if self.cool_down < monitoring.label_delay:
            return "cool_down is shorter than monitoring.label_delay: labels could not show anything new", (
                "cool_down",
            )
        known = FIGURES[kind]
        for number, floor in enumerate(self.triggers.floors):
            if floor.metric not in known:
                message = f"{floor.metric!r} is no figure of a {kind} output; these are: {', '.join(known)}"
                return message, ("triggers", "floors", number, "metric")
        return None
