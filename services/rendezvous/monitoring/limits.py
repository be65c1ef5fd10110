"""What an owner says of monitoring: `[monitoring]` of an endpoint's document."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from rendezvous.durations import Duration
from rendezvous.rules import Document

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US


class MonitoringLimits(Document):
    """How requests are grouped in time, how long labels take, and when a detector speaks.

    Durations are in microseconds once read.
    """

    time: Literal["append", "ce_time"] = Field(
        default="append", description="a request's time: the broker's, or what the application says in ce_time"
    )
    block: Duration = Field(
        default=DAY_US, ge=1_000_000, description="rows of one block err together; never shorter than label_delay"
    )
    block_offset: Duration = Field(
        default=0, ge=0, description="when the first block of 1970 began, UTC: 5h for a New York day"
    )
    label_delay: Duration = Field(default=8 * HOUR_US, ge=0, description="p99 of label delays: what a block waits for")
    lateness: Duration = Field(default=60_000_000, ge=0, description="how far out of order requests and labels come")
    count: int = Field(default=2_000, ge=100, le=1_000_000, description="labelled requests of a count window")
    window: int = Field(default=1_000, ge=500, le=1_000_000, description="requests of a drift window, at least")
    run_length: float = Field(default=200, ge=10, description="blocks to a false alarm, on average, for each detector")
    threshold: float = Field(default=0.5, gt=0, lt=1, description="P(positive) from which a row counts as positive")
    canary: str = Field(default="canary", description="the alias whose version never changes")
    champion: str = Field(default="champion", description="the alias that challengers are compared with")
    independent: bool = Field(
        default=False, description="rows do not hang together in time: detectors look at each row, not at blocks"
    )
    source_share: float = Field(
        default=1.0, gt=0, le=1, description="a label source with a larger share is quarantined"
    )

    @model_validator(mode="after")
    def _blocks_outlast_delays(self) -> MonitoringLimits:
        if self.block < self.label_delay:
            message = (
                f"block ({self.block / HOUR_US:g} h) is shorter than label_delay ({self.label_delay / HOUR_US:g} h): "
                "several blocks would wait for the same labels, and not be apart from one another"
            )
            raise ValueError(message)
        return self
