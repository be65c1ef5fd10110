"""Which rate to try next: up a staircase, and then between the last that was kept and the first that was not. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

STAIR = 1.6
"""From step to step: three halvings on, two neighbours are as close as CLOSE."""
CLOSE = 1.08
"""Ends the search: a machine's own noise is as large."""
LEAST_RATE, MOST_RATE = 5.0, 50_000.0


@dataclass(slots=True)
class Search:
    """Ask for `rate`, try it, `tell` what came of it, until `done`.

    A rate that was not kept going up is tried a second time before it counts: a pause of the machine is no saturation.
    """

    rate: float
    kept: float | None = None
    failed: float | None = None
    doubted: float | None = None
    tried: list[tuple[float, bool]] = field(default_factory=list)

    def tell(self, *, kept: bool) -> None:
        """What came of `rate`."""
        self.tried.append((self.rate, kept))
        if kept:
            self.kept = self.rate
        elif self.failed is None and self.doubted != self.rate:
            self.doubted = self.rate
            return
        else:
            self.failed = self.rate
        if self.failed is None:
            self.rate *= STAIR
        elif self.kept is None:
            self.rate = self.failed / STAIR
            self.doubted = self.rate  # going down there is no need to doubt
        else:
            self.rate = (self.kept * self.failed) ** 0.5

    @property
    def done(self) -> bool:
        """Whether the answer is known as closely as it will be."""
        if self.kept is None:
            return self.rate < LEAST_RATE
        return self.kept >= MOST_RATE or (self.failed is not None and self.failed / self.kept <= CLOSE)
