"""Labelled requests of a block, counted: every model's figures, every challenger's beside the champion's. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from rendezvous.messages import Floats, Int64s
from rendezvous.monitoring.contest import PairedTally
from rendezvous.monitoring.delays import Durations
from rendezvous.monitoring.figures import BinaryTally, Kind, Tally, tally, tally_from_json
from rendezvous.monitoring.waiting import Pair
from rendezvous.replay.bootstrapping import Float64s


@dataclass(frozen=True, slots=True)
class Judging:
    """What answers are, and from which P(positive) on a row counts as positive."""

    kind: Kind
    threshold: float

    def tally(self) -> Tally:
        """An empty one."""
        return BinaryTally(self.threshold) if self.kind == "binary" else tally(self.kind)


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Labelled requests: outputs float32 [rows, models, width], NaN where a model had none; delays int64 [rows].

    values: float64 [rows], NaN where there will never be a label.
    """

    models: Sequence[Pair]
    outputs: Floats
    values: Float64s
    delays_us: Int64s


@dataclass(slots=True)
class Sheet:
    """Sums over requests: each can be taken back, and another sheet's can be added or taken back.

    never: for each version how many requests it scored that will not get a label. pairs: by challenger.
    """

    judging: Judging
    champion: Pair | None
    tallies: dict[Pair, Tally] = field(default_factory=dict)
    pairs: dict[Pair, PairedTally] = field(default_factory=dict)
    never: dict[Pair, int] = field(default_factory=dict)
    delays: Durations = field(default_factory=Durations)

    def add(self, rows: Rows) -> None:
        """Count requests."""
        known = ~np.isnan(rows.values)
        self.delays.add(rows.delays_us[known])
        values, outputs = rows.values[known], rows.outputs[known]
        hers = None
        if self.champion is not None and self.champion in rows.models:
            hers = outputs[:, rows.models.index(self.champion)]
        for number, pair in enumerate(rows.models):
            scored = ~np.isnan(rows.outputs[:, number, 0])
            never = int(np.count_nonzero(scored & ~known))
            if never:
                self.never[pair] = self.never.get(pair, 0) + never
            here = scored[known]
            if not here.any():
                continue
            self._tally(pair).add(outputs[here, number], values[here])
            if hers is not None and pair != self.champion:
                self._paired(pair).add(hers[here], outputs[here, number], values[here])

    def remove(self, rows: Rows) -> None:
        """Take requests back."""
        gone = Sheet(self.judging, self.champion)
        gone.add(rows)
        self.subtract(gone)

    def merge(self, other: Self) -> None:
        """Count another sheet's requests too."""
        for pair, sums in other.tallies.items():
            self._tally(pair).merge(sums)
        for pair, paired in other.pairs.items():
            self._paired(pair).merge(paired)
        for pair, never in other.never.items():
            self.never[pair] = self.never.get(pair, 0) + never
        self.delays.merge(other.delays)

    def subtract(self, other: Sheet) -> None:
        """Take another sheet's requests back."""
        for pair, sums in other.tallies.items():
            self._tally(pair).subtract(sums)
        for pair, paired in other.pairs.items():
            self._paired(pair).subtract(paired)
        for pair, never in other.never.items():
            self.never[pair] = self.never.get(pair, 0) - never
        self.delays.subtract(other.delays)

    @property
    def labelled(self) -> int:
        """Requests with a label, whoever scored them."""
        return self.delays.total

    def _tally(self, pair: Pair) -> Tally:
        if pair not in self.tallies:
            self.tallies[pair] = self.judging.tally()
        return self.tallies[pair]

    def _paired(self, pair: Pair) -> PairedTally:
        if pair not in self.pairs:
            self.pairs[pair] = PairedTally.of(self.judging.kind)
        return self.pairs[pair]

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return {
            "champion": self.champion,
            "tallies": [[pair, sums.to_json()] for pair, sums in self.tallies.items()],
            "pairs": [[pair, paired.to_json()] for pair, paired in self.pairs.items()],
            "never": [[pair, count] for pair, count in self.never.items()],
            "delays": self.delays.to_json(),
        }

    @classmethod
    def from_json(cls, judging: Judging, saved: Mapping[str, Any]) -> Self:
        """What `to_json` gave."""
        return cls(
            judging,
            tuple(saved["champion"]) if saved["champion"] else None,
            {tuple(pair): tally_from_json(judging.kind, sums) for pair, sums in saved["tallies"]},
            {tuple(pair): PairedTally.from_json(paired) for pair, paired in saved["pairs"]},
            {tuple(pair): count for pair, count in saved["never"]},
            Durations.from_json(saved["delays"]),
        )
