"""What an owner says of retraining: `[retraining]` of an endpoint's document."""

from __future__ import annotations

from pydantic import Field

from rendezvous.retraining.acceptance import AcceptanceLimits
from rendezvous.retraining.training import TrainingLimits
from rendezvous.rules import Document, Name


class RetrainingLimits(Document):
    """Which model is retrained, when, and what its successor must show."""

    model: Name = Field(description="whose training code makes the candidates")
    training: TrainingLimits = TrainingLimits()
    acceptance: AcceptanceLimits = AcceptanceLimits()
