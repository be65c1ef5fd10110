"""A bet that a mean is above 0, one block at a time: an e-process. Pure.

Each block's value x becomes y = clip(x / s, -1, 1), where the scale s is SCALE times the root mean square of the values
before; wealth is multiplied by 1 + b y, for each of a few parts b, and the mean of these wealths is the e-value. Since
s and b are known before the block is, the e-value is a supermartingale as long as y is at most 0 on average: so P(ever
>= 20) <= 1/20 (Ville, 1939). That is exact when days' signs are a coin's: under "the sides are exchangeable". Without
clipping, bets would have to be as small as the worst possible block (a Brier difference of 1) demands, where days
differ by hundredths: nothing would be decided in a year. So the claim is about the clipped mean: a rare block of many
times the usual size counts as SCALE times the usual size.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import sqrt
from typing import Any, Self

PARTS = (0.25, 0.5, 0.9)
"""Of the wealth, that are bet on each block."""
SCALE = 2.0
"""Root mean squares of the blocks before; one block in 20 is larger. On the flights 2 decides sooner than 3 or 4."""
UNTOUCHED = 2
"""Blocks that only tell the scale."""


@dataclass(slots=True)
class Wager:
    """wealth: of each of PARTS. squares, blocks: of what was before. most: the highest e-value ever."""

    wealth: list[float] = field(default_factory=lambda: [1.0] * len(PARTS))
    squares: float = 0.0
    blocks: int = 0
    most: float = 1.0

    @property
    def e(self) -> float:
        """The e-value by now."""
        return sum(self.wealth) / len(self.wealth)

    def settle(self, value: float) -> None:
        """Take the next block's value."""
        if self.blocks >= UNTOUCHED and self.squares:
            unit = SCALE * sqrt(self.squares / self.blocks)
            share = min(max(value / unit, -1.0), 1.0)
            self.wealth = [wealth * (1 + part * share) for wealth, part in zip(self.wealth, PARTS, strict=True)]
            self.most = max(self.most, self.e)
        self.squares += value * value
        self.blocks += 1

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return asdict(self)

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Self:
        """What `to_json` gave."""
        return cls(**saved)
