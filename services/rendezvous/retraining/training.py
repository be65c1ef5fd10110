"""What an owner says of training: `[retraining.training]` of an endpoint's document. Pure."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Field, StringConstraints, field_validator

from rendezvous.durations import Duration
from rendezvous.rules import Document

HOUR_US = 3_600_000_000
SECOND_US = 1_000_000
MB = 1_000_000

Scalar: TypeAlias = str | int | float | bool
Word = Annotated[str, StringConstraints(min_length=1)]
Pattern = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_*?][A-Za-z0-9_.*?/-]*$")]
"""Of files below the model's or the endpoint's folder; it begins with no dot or slash, so it leads nowhere else."""


class TrainingLimits(Document):
    """What is run to train, with which parameters, and how much of the machine it may take."""

    command: tuple[Word, ...] = Field(
        default=(), description="program and arguments; without it, Python's `train(table, params)` of train.py"
    )
    code: tuple[Pattern, ...] = Field(
        default=("train.py",),
        min_length=1,
        description="files it is made of: patterns in the model's folder, else in the endpoint's; they are kept",
    )
    parameters: dict[Word, Scalar] = Field(default={}, description="the owner's own, handed to the training")
    time: Duration = Field(default=HOUR_US, ge=SECOND_US, description="wall time of one run; a job has two and `folds`")
    memory_mb: int = Field(default=4_096, ge=32, description="used by all processes of a run together")
    file_mb: int = Field(default=1_024, ge=1, description="of any one file that a run writes, its log included")
    nice: int = Field(default=10, ge=0, le=19, description="a run takes what serving leaves; 0 where nobody serves")
    folds: int = Field(
        default=5,
        ge=0,
        le=20,
        description="more runs, each without some days: the monitor's reference needs scores of days that a model had "
        "not seen; with 0 it has those of the trial's held-out days alone",
    )

    @field_validator("folds")
    @classmethod
    def _several(cls, folds: int) -> int:
        if folds == 1:
            raise ValueError("one fold would leave nothing to train on: 0, or 2 and more")
        return folds
