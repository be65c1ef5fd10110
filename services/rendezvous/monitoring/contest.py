"""Champion against challenger on the same labelled requests, block by block: is the challenger better, or worse? Pure.

Rows of one block err together, so a block is one observation: the mean difference of a loss over its requests. Against
"the challenger is no better" somebody bets on it, before each block, a part of what he has: an e-process (Shafer, 2021;
Waudby-Smith and Ramdas, Estimating means of bounded random variables by betting, 2024). Under that hypothesis the
chance that it *ever* reaches 20 is at most 1/20, however often one looks. Another one bets on "worse".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isnan, nan
from typing import Any, Self

import numpy as np

from rendezvous.messages import Floats
from rendezvous.monitoring.betting import Wager
from rendezvous.monitoring.figures import BinaryTally, Kind, Tally, tally, tally_from_json
from rendezvous.monitoring.figures.binary import THRESHOLD
from rendezvous.replay.bootstrapping import Float64s, Interval, interval, resampled

LOSSES: Mapping[Kind, tuple[str, ...]] = {
    "binary": ("brier", "log_loss"),
    "multiclass": ("log_loss",),
    "regression": ("mae",),
}
"""What is bet on; the first is the one that verdicts speak of."""
DECISIVE = 20.0
"""An e-value from which on a difference is taken for one: a chance of 1 in 20 of ever getting there without."""


@dataclass(slots=True)
class PairedTally:
    """Both sides' figures over the same requests of one block. wins, losses: of the challenger, by the 0/1 error.

    Wins are shown and never decide: at a median of 9,000 labels to an e-value of 20 they see a shift of the level and
    nearly nothing of the ranking, where Brier takes 1,100.
    """

    kind: Kind
    champion: Tally
    challenger: Tally
    wins: int = 0
    losses: int = 0

    @classmethod
    def of(cls, kind: Kind) -> Self:
        """An empty one."""
        return cls(kind, tally(kind), tally(kind))

    @property
    def rows(self) -> int:
        """Pairs that count."""
        return self.champion.rows

    def add(self, champion: Floats, challenger: Floats, labels: Float64s) -> None:
        """Count requests that both scored: outputs float32 [rows, width], labels float64 [rows]."""
        both = np.isfinite(champion).all(axis=1) & np.isfinite(challenger).all(axis=1)
        champion, challenger, labels = champion[both], challenger[both], labels[both]
        self.champion.add(champion, labels)
        self.challenger.add(challenger, labels)
        ahead = _wrong(self.kind, champion, labels) - _wrong(self.kind, challenger, labels)
        self.wins += int(np.count_nonzero(ahead > 0))
        self.losses += int(np.count_nonzero(ahead < 0))

    def merge(self, other: Self) -> None:
        """Count another one's requests too."""
        self.champion.merge(other.champion)
        self.challenger.merge(other.challenger)
        self.wins += other.wins
        self.losses += other.losses

    def subtract(self, other: Self) -> None:
        """Take back requests that were counted: a label was corrected."""
        self.champion.subtract(other.champion)
        self.challenger.subtract(other.challenger)
        self.wins -= other.wins
        self.losses -= other.losses

    def gain(self, figure: str) -> float:
        """How much lower the challenger's figure is; NaN where either has none."""
        return self.champion.figures()[figure] - self.challenger.figures()[figure]

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return {
            "kind": self.kind,
            "champion": self.champion.to_json(),
            "challenger": self.challenger.to_json(),
            "wins": self.wins,
            "losses": self.losses,
        }

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Self:
        """What `to_json` gave."""
        kind: Kind = saved["kind"]
        champion, challenger = (tally_from_json(kind, saved[side]) for side in ("champion", "challenger"))
        return cls(kind, champion, challenger, saved["wins"], saved["losses"])


def _wrong(kind: Kind, outputs: Floats, labels: Float64s) -> Float64s:
    """0 where right and 1 where wrong; of numbers, how far off."""
    if kind == "regression":
        off: Float64s = np.abs(outputs[:, 0] - labels)
        return off
    said = outputs[:, 0] >= THRESHOLD if kind == "binary" else np.argmax(outputs, axis=1)
    wrong: Float64s = (said != labels).astype(np.float64)
    return wrong


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the challenger does no harm, and by what. worse_by: figures by which it is worse (below 0: better).

    A statement about what was seen, not proof: over a few blocks the interval is wide. It is there to be shown.
    """

    harmless: bool
    worse_by: dict[str, float]
    auc: Interval
    e_worse: float
    blocks: int
    rows: int


@dataclass(slots=True)
class Contest:
    """One pair of models, fed with closed blocks in the order of time."""

    kind: Kind
    blocks: list[PairedTally] = field(default_factory=list)
    better: dict[str, Wager] = field(default_factory=dict)
    worse: dict[str, Wager] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for wagers in (self.better, self.worse):
            for loss in LOSSES[self.kind]:
                wagers.setdefault(loss, Wager())

    def add(self, block: PairedTally) -> None:
        """Take a closed block; one without labelled pairs says nothing."""
        if not block.rows:
            return
        self.blocks.append(block)
        for loss in LOSSES[self.kind]:
            gain = block.gain(loss)
            self.better[loss].settle(gain)
            self.worse[loss].settle(-gain)

    @property
    def rows(self) -> int:
        """Pairs, over all blocks."""
        return sum(block.rows for block in self.blocks)

    @property
    def e_values(self) -> dict[str, float]:
        """What each bet has come to, e.g. `brier_better`, `brier_worse`."""
        both = (("better", self.better), ("worse", self.worse))
        return {f"{loss}_{side}": wager.e for side, wagers in both for loss, wager in wagers.items()}

    @property
    def decided(self) -> dict[str, bool]:
        """Which of the bets have ever reached DECISIVE: that stands, whatever comes later."""
        both = (("better", self.better), ("worse", self.worse))
        return {f"{loss}_{side}": wager.most >= DECISIVE for side, wagers in both for loss, wager in wagers.items()}

    def together(self) -> PairedTally:
        """All blocks as one."""
        whole = PairedTally.of(self.kind)
        for block in self.blocks:
            whole.merge(block)
        return whole

    def auc_gain(self, chance: np.random.Generator) -> Interval:
        """AUC of the challenger less that of the champion over all rows, with a 95 % interval by resampled blocks."""
        if self.kind != "binary" or not self.blocks:
            return Interval(nan, nan, nan)
        sides = [_cells([getattr(block, side) for block in self.blocks]) for side in ("challenger", "champion")]
        weights = resampled(len(self.blocks), chance)
        return interval(lambda drawn: _auc(sides[0], drawn) - _auc(sides[1], drawn), weights)

    def not_worse(self, margin: float, margin_auc: float, chance: np.random.Generator) -> Verdict:
        """Whether the challenger is worse by no more than `margin` (of the first loss) and `margin_auc`.

        By the figures over all pairs as they are, and unless "worse" is decided. An interval within the margins would
        take months of blocks for margins as small as a refresh wants.
        """
        first = LOSSES[self.kind][0]
        whole = self.together()
        worse_by = {first: -whole.gain(first)}
        within = worse_by[first] <= margin
        if self.kind == "binary":
            worse_by["auc"] = whole.gain("auc")
            within = within and (isnan(worse_by["auc"]) or worse_by["auc"] <= margin_auc)
        e_worse = self.worse[first].most
        harmless = bool(within) and e_worse < DECISIVE
        return Verdict(harmless, worse_by, self.auc_gain(chance), e_worse, len(self.blocks), whole.rows)

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return {
            "kind": self.kind,
            "blocks": [block.to_json() for block in self.blocks],
            "better": {loss: wager.to_json() for loss, wager in self.better.items()},
            "worse": {loss: wager.to_json() for loss, wager in self.worse.items()},
        }

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Self:
        """What `to_json` gave."""
        better, worse = (
            {loss: Wager.from_json(wager) for loss, wager in saved[side].items()} for side in ("better", "worse")
        )
        return cls(saved["kind"], [PairedTally.from_json(block) for block in saved["blocks"]], better, worse)


def _cells(tallies: list[BinaryTally]) -> tuple[Float64s, Float64s]:
    """Negatives and positives, float64 [blocks, bins], of the bins that hold any."""
    cells = np.stack([found.cells for found in tallies]).astype(np.float64)
    cells = cells[:, :, cells.any(axis=(0, 1))]
    return cells[:, 0], cells[:, 1]


def _auc(cells: tuple[Float64s, Float64s], weights: Float64s) -> Float64s:
    """Of each resample, float64 [resamples]: see `figures.binary.auc`."""
    negatives, positives = (weights @ counts for counts in cells)
    below = np.cumsum(negatives, axis=1) - negatives / 2
    pairs = negatives.sum(axis=1) * positives.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):  # one class only: there is nothing to rank
        found: Float64s = (positives * below).sum(axis=1) / pairs
    return found
