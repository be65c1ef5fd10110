"""What was true when a version was trained: sketches in `reference.json` beside its card, never rows. Pure.

A few kilobytes for each feature: counts at deciles or by category, and how far each stretch of the training time was
from the others, which is what a stretch of live time must exceed. Quality by block is of rows that the model (or one
trained likewise) had not seen: on its own rows any model looks better than it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, FiniteFloat

from rendezvous.messages import Floats, Int64s
from rendezvous.monitoring.concept import LEAST_LABELLED, statistics
from rendezvous.monitoring.drifting import Moves, drifted_by_kind
from rendezvous.monitoring.figures import Kind, Tally
from rendezvous.monitoring.histograms import Bins, CategoryBins, Histogram, NumberBins
from rendezvous.monitoring.limits import MonitoringLimits
from rendezvous.monitoring.sheets import Judging
from rendezvous.replay.bootstrapping import Float64s
from rendezvous.rules import Document

LARGE_ERROR = 0.9
"""Of a number a row is wrong when its error is larger than this share of the reference's."""


class Sketch(Document):
    """Counts of one column: at `edges` between `low` and `high`, or by `categories` and all others."""

    edges: tuple[FiniteFloat, ...] = ()
    low: FiniteFloat = 0.0
    high: FiniteFloat = 0.0
    categories: tuple[str, ...] | None = None
    counts: tuple[int, ...]
    missing: int
    strange: int

    @classmethod
    def of(cls, histogram: Histogram) -> Sketch:
        """What a histogram counted."""
        bins = histogram.bins
        where: dict[str, Any] = (
            {"edges": bins.edges, "low": bins.low, "high": bins.high}
            if isinstance(bins, NumberBins)
            else {"categories": bins.categories}
        )
        counts = tuple(histogram.counts.tolist())
        return cls(counts=counts, missing=histogram.missing, strange=histogram.strange, **where)

    @property
    def histogram(self) -> Histogram:
        """It as counts to compare with."""
        bins: Bins
        bins = NumberBins(self.edges, self.low, self.high) if self.categories is None else CategoryBins(self.categories)
        return Histogram(bins, self.missing, self.strange, np.array(self.counts, np.int64))


class Reference(Document):
    """See the module. quality: by statistic and block of the reference, None where a block has none.

    effects, levels: by kind of drift and subject, one for each window of whole blocks, see `drifting`. label_delays_us:
    by share, e.g. "0.99". errors: how many of `labelled` rows were wrong; wrong_beyond: of numbers, by how much.
    """

    kind: Kind
    block_us: int = Field(gt=0)
    block_offset_us: int
    window: int
    rows: int
    labelled: int
    features: dict[str, Sketch]
    outputs: dict[str, Sketch]
    quality: dict[str, tuple[FiniteFloat | None, ...]]
    effects: dict[str, dict[str, tuple[FiniteFloat, ...]]]
    levels: dict[str, dict[str, tuple[FiniteFloat, ...]]]
    label_delays_us: dict[str, int]
    errors: int
    wrong_beyond: FiniteFloat

    @property
    def blocks(self) -> int:
        """Blocks with labels enough."""
        return max((sum(value is not None for value in values) for values in self.quality.values()), default=0)

    def known_quality(self) -> dict[str, list[float]]:
        """Quality without the blocks that have none."""
        return {name: [value for value in values if value is not None] for name, values in self.quality.items()}

    def misfit(self, limits: MonitoringLimits) -> str | None:
        """Why it says nothing of an endpoint with these limits, if it does not: its blocks are others."""
        mine = (self.block_us, self.block_offset_us, self.window)
        theirs = (limits.block, limits.block_offset, limits.window)
        if mine == theirs:
            return None
        return (
            f"its reference has (block, offset, window) = {mine}, the endpoint {theirs}: no alarms on this version "
            "until it is trained again"
        )


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """Rows to learn from, in any order. asked_us: int64 [rows].

    features: by name float [rows] with NaN for missing, or text with "" or None for missing. outputs: float32 [rows,
    width] of a model that had not seen the row, NaN for none. labels: float64 [rows], NaN for none. delays_us: int64
    [rows] from request to label, negative for none, or None where that is not known.
    """

    asked_us: Int64s
    features: Mapping[str, NDArray[Any]]
    outputs: Floats
    names: Sequence[str]
    labels: Float64s
    delays_us: Int64s | None = None


def make_reference(history: History, limits: MonitoringLimits, kind: Kind) -> Reference:
    """A reference that the monitor of an endpoint with these limits can use."""
    blocks = (history.asked_us - limits.block_offset) // limits.block
    windows = windows_of(blocks, limits.window)
    names, outputs = history.names, history.outputs
    scores = {name: outputs[:, number].astype(np.float64) for number, name in enumerate(names)}
    features, moved = _sketched(history.features, windows, scores=False)
    said, swayed = _sketched(scores, windows, scores=True)
    beyond = _wrong_beyond(kind, history)
    judging = Judging(kind, limits.threshold)
    labelled = np.flatnonzero(np.isfinite(history.labels) & np.isfinite(outputs[:, 0]))
    return Reference(
        kind=kind,
        block_us=limits.block,
        block_offset_us=limits.block_offset,
        window=limits.window,
        rows=len(blocks),
        labelled=len(labelled),
        features={name: Sketch.of(histogram) for name, histogram in features.items()},
        outputs={name: Sketch.of(histogram) for name, histogram in said.items()},
        quality=_quality(judging, history, blocks, labelled),
        effects=moved.effects | swayed.effects,
        levels=moved.levels | swayed.levels,
        label_delays_us=_quantiles(history.delays_us),
        errors=int(wrong(kind, outputs[labelled], history.labels[labelled], limits.threshold, beyond).sum()),
        wrong_beyond=beyond,
    )


def windows_of(blocks: Int64s, least: int) -> list[Int64s]:
    """Rows by window: as many whole blocks, in their order, as it takes for `least` rows; a rest is left out."""
    order = np.argsort(blocks, kind="stable")
    _, starts = np.unique(blocks[order], return_index=True)
    windows, begun = [], 0
    for end in [*starts[1:].tolist(), len(blocks)]:
        if end - begun >= least:
            windows.append(order[begun:end])
            begun = end
    return windows


def wrong(kind: Kind, outputs: Floats, labels: Float64s, threshold: float, beyond: float) -> NDArray[np.bool_]:
    """Which rows the model got wrong, bool [rows]; of numbers, those that it missed by more than `beyond`."""
    missed: NDArray[np.bool_]
    if kind == "regression":
        missed = np.abs(outputs[:, 0].astype(np.float64) - labels) > beyond
        return missed
    missed = ((outputs[:, 0] >= threshold) if kind == "binary" else np.argmax(outputs, axis=1)) != labels
    return missed


def _wrong_beyond(kind: Kind, history: History) -> float:
    if kind != "regression":
        return 0.0
    errors = np.abs(history.outputs[:, 0].astype(np.float64) - history.labels)
    errors = errors[np.isfinite(errors)]
    return float(np.quantile(errors, LARGE_ERROR, method="inverted_cdf")) if len(errors) else 0.0


class _Usual(NamedTuple):
    """See `Reference`."""

    effects: dict[str, dict[str, tuple[float, ...]]]
    levels: dict[str, dict[str, tuple[float, ...]]]


def _sketched(
    columns: Mapping[str, NDArray[Any]], windows: Sequence[Int64s], *, scores: bool
) -> tuple[dict[str, Histogram], _Usual]:
    """Each column as a whole, and how far each window is from all the others."""
    whole: dict[str, Histogram] = {}
    parts: list[dict[str, Histogram]] = [{} for _ in windows]
    for name, column in columns.items():
        if not _is_text(column) and not np.isfinite(column.astype(np.float64)).any():
            continue  # nothing to compare with
        bins = CategoryBins.of(column) if _is_text(column) else NumberBins.of(column.astype(np.float64))
        whole[name] = Histogram.of(bins, column)
        for number, rows in enumerate(windows):
            parts[number][name] = Histogram.of(bins, column[rows])
        _tell_strange(column, windows, [part[name] for part in parts])
    effects: dict[str, dict[str, list[float]]] = {}
    levels: dict[str, dict[str, list[float]]] = {}
    for part in parts:
        others = {name: _less(histogram, part[name]) for name, histogram in whole.items()}
        for kind, findings in drifted_by_kind(others, part, scores=scores).items():
            moves = Moves.of(findings, others, part)
            for told, values in ((effects, moves.sizes), (levels, moves.levels)):
                for name, value in values.items():
                    told.setdefault(kind.value, {}).setdefault(name, []).append(value)
    return whole, _Usual(_frozen(effects), _frozen(levels))


def _frozen(told: Mapping[str, Mapping[str, list[float]]]) -> dict[str, dict[str, tuple[float, ...]]]:
    return {kind: {name: tuple(values) for name, values in by.items()} for kind, by in told.items()}


def _tell_strange(column: NDArray[Any], windows: Sequence[Int64s], parts: Sequence[Histogram]) -> None:
    """Count in each part what would be strange to a reference of the others alone: in the whole nothing is."""
    if _is_text(column):
        together = np.sum([part.counts for part in parts], axis=0)
        for part in parts:
            part.strange = int(part.counts[part.counts == together].sum())
        return
    values = [column[rows].astype(np.float64) for rows in windows]
    lows = [float(np.nanmin(part, initial=np.inf)) for part in values]
    highs = [float(np.nanmax(part, initial=-np.inf)) for part in values]
    for number, part in enumerate(parts):
        low = min((other for i, other in enumerate(lows) if i != number), default=np.inf)
        high = max((other for i, other in enumerate(highs) if i != number), default=-np.inf)
        part.strange = int(np.count_nonzero((values[number] < low) | (values[number] > high)))


def _less(whole: Histogram, part: Histogram) -> Histogram:
    """The others together."""
    return Histogram(whole.bins, whole.missing - part.missing, 0, whole.counts - part.counts)


def _is_text(column: NDArray[Any]) -> bool:
    return column.dtype.kind in "OUS"


def _quality(
    judging: Judging, history: History, blocks: Int64s, labelled: Int64s
) -> dict[str, tuple[float | None, ...]]:
    by_block: dict[int, Tally] = {}
    for number in np.unique(blocks[labelled]).tolist():
        here = labelled[blocks[labelled] == number]
        if len(here) >= LEAST_LABELLED:
            by_block[number] = judging.tally()
            by_block[number].add(history.outputs[here], history.labels[here])
    quality: dict[str, list[float | None]] = {}
    for sums in by_block.values():
        for name, value in statistics(judging.kind, sums).items():
            quality.setdefault(name, []).append(None if isnan(value) else value)
    return {name: tuple(values) for name, values in quality.items()}


def _quantiles(delays_us: Int64s | None) -> dict[str, int]:
    if delays_us is None or not (come := delays_us[delays_us >= 0]).size:
        return {}
    return {str(share): int(np.quantile(come, share, method="inverted_cdf")) for share in (0.5, 0.9, 0.99)}
