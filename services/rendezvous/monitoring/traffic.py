"""Requests of one block, counted before any label: what was asked, what each model said, how fast. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, Self

import numpy as np

from rendezvous.messages import Comparisons, FeatureColumns, Floats, Int32s, Int64s, Status
from rendezvous.monitoring.delays import Durations
from rendezvous.monitoring.figures.sums import EXACT_BITS, exact, packed, unpacked
from rendezvous.monitoring.histograms import CategoryBins, Histogram
from rendezvous.monitoring.waiting import Mask, Pair


@dataclass(slots=True)
class Gap:
    """How far two models are apart on the same requests: an exact sum of absolute differences."""

    requests: int = 0
    total: int = 0

    def add(self, one: Floats, other: Floats) -> None:
        """Count requests: float32 [rows, width] each; over a row's outputs it is the mean."""
        apart = np.abs(one.astype(np.float64) - other.astype(np.float64)).mean(axis=1)
        self.requests += len(apart)
        self.total += exact(apart)

    def merge(self, other: Self) -> None:
        """Count another one's requests too."""
        self.requests += other.requests
        self.total += other.total

    @property
    def mean(self) -> float:
        """NaN of no request."""
        return self.total / (self.requests << EXACT_BITS) if self.requests else float("nan")


@dataclass(slots=True)
class ModelTraffic:
    """One version's part: requests that it was expected to score, how many it did, when, and what it said.

    outputs: a histogram for each output, empty for a version without a reference. gaps: by the other version.
    """

    requests: int = 0
    scored: int = 0
    latencies: Durations = field(default_factory=Durations)
    outputs: dict[str, Histogram] = field(default_factory=dict)
    gaps: dict[Pair, Gap] = field(default_factory=dict)

    def merge(self, other: Self) -> None:
        """Count another one's requests too."""
        self.requests += other.requests
        self.scored += other.scored
        self.latencies.merge(other.latencies)
        merge_histograms(self.outputs, other.outputs)
        for pair, gap in other.gaps.items():
            self.gaps.setdefault(pair, Gap()).merge(gap)


@dataclass(slots=True)
class Traffic:
    """Sums over the requests of a block, or of several. inputs: by feature, at the bins of the champion's reference."""

    champion: Pair | None
    canary: Pair | None
    requests: int = 0
    seen: int = 0
    models: dict[Pair, ModelTraffic] = field(default_factory=dict)
    inputs: dict[str, Histogram] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Requests, whether they are known by their scores or by their features."""
        return max(self.requests, self.seen)

    def add_scores(self, models: Sequence[Pair], ok: Mask, outputs: Floats, latencies_us: Int32s) -> None:
        """Count requests: ok bool [rows, models], outputs float32 [rows, models, width]."""
        self.requests += len(ok)
        for number, pair in enumerate(models):
            mine, here = self.of(pair), ok[:, number]
            mine.requests += len(ok)
            mine.scored += int(np.count_nonzero(here))
            mine.latencies.add(latencies_us[here, number].astype(np.int64))
            for column, histogram in enumerate(mine.outputs.values()):
                histogram.add(outputs[here, number, column])
        for one, other in combinations(range(len(models)), 2):
            both = ok[:, one] & ok[:, other]
            gap = Gap()
            gap.add(outputs[both, one], outputs[both, other])
            for this, that in ((models[one], models[other]), (models[other], models[one])):
                self.of(this).gaps.setdefault(that, Gap()).merge(gap)

    def of(self, pair: Pair) -> ModelTraffic:
        """One version's part."""
        if pair not in self.models:
            self.models[pair] = ModelTraffic()
        return self.models[pair]

    def add_inputs(self, columns: FeatureColumns, chosen: Int64s) -> None:
        """Count some rows of features; features that the reference does not know are passed by."""
        self.seen += len(chosen)
        for number, name in enumerate(columns.numeric):
            if name in self.inputs:
                self.inputs[name].add(columns.numbers[chosen, number])
        for number, name in enumerate(columns.textual):
            if name in self.inputs:
                add_codes(self.inputs[name], columns.categories[number], columns.codes[chosen, number])

    def merge(self, other: Self) -> None:
        """Count another one's requests too; it must have the same champion, or have seen no features."""
        self.requests += other.requests
        self.seen += other.seen
        for pair, theirs in other.models.items():
            self.of(pair).merge(theirs)
        merge_histograms(self.inputs, other.inputs)

    def slim(self) -> None:
        """Keep but how many requests each version scored: the rest is in a window now."""
        self.inputs = {}
        for mine in self.models.values():
            mine.latencies, mine.outputs, mine.gaps = Durations(), {}, {}

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return {
            "champion": self.champion,
            "canary": self.canary,
            "requests": self.requests,
            "seen": self.seen,
            "inputs": {name: histogram.to_json() for name, histogram in self.inputs.items()},
            "models": [[pair, _model_json(mine)] for pair, mine in self.models.items()],
        }

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Self:
        """What `to_json` gave."""
        return cls(
            pair_or_none(saved["champion"]),
            pair_or_none(saved["canary"]),
            saved["requests"],
            saved["seen"],
            {tuple(pair): _model_from_json(mine) for pair, mine in saved["models"]},
            {name: Histogram.from_json(histogram) for name, histogram in saved["inputs"].items()},
        )


def merge_histograms(mine: dict[str, Histogram], others: Mapping[str, Histogram]) -> None:
    """Count other histograms of the same bins too."""
    for name, histogram in others.items():
        mine.setdefault(name, Histogram(histogram.bins)).merge(histogram)


def add_codes(histogram: Histogram, categories: Sequence[str], codes: Int32s) -> None:
    """Count text that comes as codes (-1 for missing): each category is looked up once, whatever the rows.

    A feature that was numbers at training and is text now has no known value: all of it is strange.
    """
    counts = np.bincount(codes[codes >= 0], minlength=len(categories))
    if not isinstance(histogram.bins, CategoryBins):
        histogram.missing += len(codes)
        return
    placed, _ = histogram.bins.place(categories)
    there = placed >= 0
    np.add.at(histogram.counts, placed[there], counts[there])
    histogram.missing += len(codes) - int(counts[there].sum())
    histogram.strange += int(counts[placed == histogram.bins.count - 1].sum())


def is_ok(comparisons: Comparisons) -> Mask:
    """Which scores can be used, bool [rows, models]: those that are there and are numbers."""
    finite = np.isfinite(comparisons.outputs).all(axis=2)
    there: Mask = (comparisons.statuses == Status.OK) & finite
    return there


def pair_or_none(saved: Sequence[str] | None) -> Pair | None:
    """A version as JSON has it."""
    return (saved[0], saved[1]) if saved else None


def _model_json(mine: ModelTraffic) -> dict[str, Any]:
    return {
        "requests": mine.requests,
        "scored": mine.scored,
        "latencies": mine.latencies.to_json(),
        "outputs": {name: histogram.to_json() for name, histogram in mine.outputs.items()},
        "gaps": [[pair, gap.requests, packed(gap.total)] for pair, gap in mine.gaps.items()],
    }


def _model_from_json(saved: Mapping[str, Any]) -> ModelTraffic:
    return ModelTraffic(
        saved["requests"],
        saved["scored"],
        Durations.from_json(saved["latencies"]),
        {name: Histogram.from_json(histogram) for name, histogram in saved["outputs"].items()},
        {tuple(pair): Gap(requests, unpacked(total)) for pair, requests, total in saved["gaps"]},
    )
