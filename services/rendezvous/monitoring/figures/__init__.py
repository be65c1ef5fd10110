"""Tallies: what is kept of labelled rows, so that any order and any batching gives the same figures, bit for bit. Pure.

Every tally is counts and exact integer sums; a figure is made from them when somebody asks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol, Self, TypeAlias

from rendezvous.messages import Floats
from rendezvous.monitoring.figures.binary import THRESHOLD, BinaryTally
from rendezvous.monitoring.figures.multiclass import MulticlassTally
from rendezvous.monitoring.figures.regression import RegressionTally
from rendezvous.replay.bootstrapping import Float64s

__all__ = ["TALLIES", "BinaryTally", "Kind", "MulticlassTally", "RegressionTally", "Tally", "tally", "tally_from_json"]

Kind: TypeAlias = Literal["binary", "multiclass", "regression"]
"""What a model answers: see `settings.Output`."""


class Tally(Protocol):
    """What is kept of one model's labelled rows."""

    unusable: int
    """Rows that do not count: a label that does not fit (see `usable`), an output that is no finite number."""

    @property
    def rows(self) -> int:
        """Rows that count."""

    def add(self, outputs: Floats, labels: Float64s) -> None:
        """Count rows: outputs float32 [rows, width], labels float64 [rows], NaN for none."""

    def merge(self, other: Self) -> None:
        """Count another tally's rows too."""

    def subtract(self, other: Self) -> None:
        """Take back rows that were counted: a label was corrected."""

    def figures(self) -> dict[str, float]:
        """Every metric of this kind by name; NaN where it is not defined (no rows, one class alone)."""

    def to_json(self) -> dict[str, Any]:
        """All of it, as small as it goes: `json.dumps` takes it."""

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Self:
        """What `to_json` gave."""


TALLIES: Mapping[Kind, type[Tally]] = {
    "binary": BinaryTally,
    "multiclass": MulticlassTally,
    "regression": RegressionTally,
}


def tally(kind: Kind, threshold: float = THRESHOLD) -> Tally:
    """An empty one; threshold: of a binary one, the score from which on a row is said to be positive."""
    return BinaryTally(threshold) if kind == "binary" else TALLIES[kind]()


def tally_from_json(kind: Kind, saved: Mapping[str, Any]) -> Tally:
    """What a tally's `to_json` gave."""
    return TALLIES[kind].from_json(saved)
