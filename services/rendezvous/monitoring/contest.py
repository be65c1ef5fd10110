"""Champion against challenger on the same labelled requests, block by block: is the challenger better, or worse? Pure.

Rows of one block err together, so a block is one observation: the mean difference of a loss over its requests. Against
"the challenger is no better" somebody bets on it, before each block, a part of what he has: an e-process (Shafer, 2021;
Waudby-Smith and Ramdas, Estimating means of bounded random variables by betting, 2024). Under that hypothesis the
chance that it *ever* reaches 20 is at most 1/20, however often one looks. Another one bets on "worse".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import nan
from typing import Any, Self

import numpy as np

from rendezvous.monitoring.betting import Wager
from rendezvous.monitoring.figures import Kind
from rendezvous.monitoring.pairing import LOSSES, PairedBlock, PairedTally
from rendezvous.replay.bootstrapping import Figure, Float64s, Interval, interval, resampled
from rendezvous.replay.quality import difference

__all__ = ["LOSSES", "Contest", "PairedBlock", "PairedTally"]


@dataclass(slots=True)
class Contest:
    """One pair of models, fed with closed blocks in the order of time."""

    kind: Kind
    blocks: list[PairedBlock] = field(default_factory=list)
    better: dict[str, Wager] = field(default_factory=dict)
    worse: dict[str, Wager] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for wagers in (self.better, self.worse):
            for loss in LOSSES[self.kind]:
                wagers.setdefault(loss, Wager())

    def add(self, paired: PairedTally) -> None:
        """Take a closed block's requests; without labelled pairs they say nothing."""
        if not paired.rows:
            return
        block = PairedBlock.of(paired)
        self.blocks.append(block)
        for loss, worse_by in block.differences.items():
            self.better[loss].settle(-worse_by)
            self.worse[loss].settle(worse_by)

    @property
    def rows(self) -> int:
        """Pairs, over all blocks."""
        return sum(block.rows for block in self.blocks)

    @property
    def wins(self) -> int:
        """Pairs in which the challenger alone was right; of numbers, nearer."""
        return sum(block.wins for block in self.blocks)

    @property
    def losses(self) -> int:
        """Pairs in which the champion alone was right; of numbers, nearer."""
        return sum(block.losses for block in self.blocks)

    @property
    def e_values(self) -> dict[str, float]:
        """The largest so far of each bet, e.g. `brier_better`, `brier_worse`: what was reached once stands."""
        both = (("better", self.better), ("worse", self.worse))
        return {f"{loss}_{side}": wager.most for side, wagers in both for loss, wager in wagers.items()}

    def difference(self, figure: str, chance: np.random.Generator) -> Interval:
        """The challenger's figure less the champion's over all pairs, with a 95 % interval by resampled blocks.

        figure: one of LOSSES or, for a binary output, `auc`.
        """
        if not self.blocks:
            return Interval(nan, nan, nan)
        return interval(self._figure(figure), resampled(len(self.blocks), chance))

    def value(self, figure: str) -> float:
        """The same without an interval, which costs a thousand times as much."""
        return float(self._figure(figure)(np.ones((1, len(self.blocks))))[0]) if self.blocks else nan

    def champion_loss(self, loss: str) -> float:
        """The champion's own, over all pairs; NaN without any."""
        return sum(block.rows * block.champion[loss] for block in self.blocks) / self.rows if self.blocks else nan

    def _figure(self, figure: str) -> Figure:
        if figure == "auc":
            cells = _cells(self.blocks)
            return difference(_auc(cells[2:]), _auc(cells[:2]))
        rows = np.array([block.rows for block in self.blocks], np.float64)
        sums = rows * np.array([block.differences[figure] for block in self.blocks])
        return lambda drawn: (drawn @ sums) / (drawn @ rows)

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
        return cls(saved["kind"], [PairedBlock.from_json(block) for block in saved["blocks"]], better, worse)


def _cells(blocks: list[PairedBlock]) -> Float64s:
    """The blocks' cells in the bins that any block has: float64 [4, blocks, bins]."""
    bins = np.unique(np.concatenate([block.bins for block in blocks]))
    cells = np.zeros((4, len(blocks), len(bins)))
    for number, block in enumerate(blocks):
        cells[:, number, np.searchsorted(bins, block.bins)] = block.cells
    return cells


def _auc(cells: Float64s) -> Figure:
    """Of one side's cells, float64 [2, blocks, bins]: see `figures.binary.auc`.

    Pairs are counted once, by the blocks of both: a resample then costs a product of matrices as small as there are
    blocks.
    """
    negatives, positives = cells
    pairs = positives @ (np.cumsum(negatives, axis=1) - negatives / 2).T

    def figure(weights: Float64s) -> Float64s:
        ordered = ((weights @ pairs) * weights).sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):  # one class only: there is nothing to rank
            auc: Float64s = ordered / ((weights @ positives.sum(axis=1)) * (weights @ negatives.sum(axis=1)))
        return auc

    return figure
