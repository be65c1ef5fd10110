"""Two models' figures over the same labelled requests of one block. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from rendezvous.messages import Floats, Int64s
from rendezvous.monitoring.figures import BinaryTally, Kind, Tally, tally, tally_from_json
from rendezvous.monitoring.figures.binary import BINS, THRESHOLD
from rendezvous.replay.bootstrapping import Float64s

LOSSES: Mapping[Kind, tuple[str, ...]] = {
    "binary": ("brier", "log_loss"),
    "multiclass": ("log_loss",),
    "regression": ("mae",),
}
"""What is bet on; the first is the one that verdicts speak of."""


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

    def difference(self, figure: str) -> float:
        """The challenger's figure less the champion's; NaN where either has none."""
        return self.challenger.figures()[figure] - self.champion.figures()[figure]

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
class PairedBlock:
    """What is kept of a closed block. champion: its LOSSES; differences: the challenger's less those.

    cells: int64 [4, len(bins)], negatives and positives of the champion, then of the challenger, in those of `bins`
    (see `figures.binary`) that hold any; empty where the output is not binary.
    """

    rows: int
    champion: dict[str, float]
    differences: dict[str, float]
    wins: int
    losses: int
    bins: Int64s
    cells: Int64s

    @classmethod
    def of(cls, paired: PairedTally) -> Self:
        """Of one block's requests."""
        sides = [side.cells for side in (paired.champion, paired.challenger) if isinstance(side, BinaryTally)]
        cells = np.concatenate([np.zeros((0, BINS), np.int64), *sides])
        bins = np.flatnonzero(cells.any(axis=0))
        figures = paired.champion.figures()
        champion = {loss: figures[loss] for loss in LOSSES[paired.kind]}
        differences = {loss: paired.difference(loss) for loss in champion}
        return cls(paired.rows, champion, differences, paired.wins, paired.losses, bins, cells[:, bins])

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return asdict(self) | {"bins": self.bins.tolist(), "cells": self.cells.tolist()}

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Self:
        """What `to_json` gave."""
        return cls(**{**saved, "bins": np.array(saved["bins"], np.int64), "cells": np.array(saved["cells"], np.int64)})
