"""A contrast in figures: who answers, how late, what differs, and with labels how well. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rendezvous.replay.block import NEVER
from rendezvous.replay.bootstrapping import Interval, TimeBlocks, interval, resampled, time_blocks
from rendezvous.replay.contrast import DEFAULT, Contrast, Side
from rendezvous.replay.labels import horizon_us
from rendezvous.replay.quality import METRICS, difference, figures, usable

FEWEST_LABELS = 30
"""With fewer there is nothing to estimate a horizon from, nor to judge by."""


@dataclass(frozen=True, slots=True)
class Judged:
    """How well: each metric of what was answered, of the other rules, and by how much these are more (paired)."""

    horizon_us: int
    estimated: bool
    old_enough: int
    labelled: int
    never: int
    blocks: TimeBlocks
    metrics: dict[str, tuple[Interval, Interval, Interval]]


def summary(contrast: Contrast) -> dict[str, Any]:
    """Shares, latencies, misses and differences, for programs."""
    rows = len(contrast.appended_us)
    return {
        "requests": rows,
        "fixed": int(np.count_nonzero(contrast.fixed)),
        "proxied": int(np.count_nonzero(contrast.proxied)),
        "answered_by": {
            name: {"now": _share(contrast.now, number), "then": _share(contrast.then, number)}
            for number, name in enumerate(contrast.names)
            if (contrast.now.who == number).any() or (contrast.then.who == number).any()
        },
        "latency_ms": {
            "now": _latencies(contrast.now),
            "exact": _latencies(contrast.exact),
            "then": _latencies(contrast.then),
        },
        "missed": {"now": _missed(contrast, contrast.now), "then": _missed(contrast, contrast.then)},
        "differing": _differing(contrast.now, contrast.then),
        "differing_by_ticks": _differing(contrast.now, contrast.exact),
    }


def _share(side: Side, number: int) -> float:
    return float(np.count_nonzero(side.who == number) / max(len(side.who), 1))


def _missed(contrast: Contrast, side: Side) -> float:
    """The share that the schedule left to the default."""
    return float(np.count_nonzero((side.who == DEFAULT) & ~contrast.fixed) / max(len(side.who), 1))


def _latencies(side: Side) -> dict[str, float | None]:
    if not len(side.latency_us):
        return {"p50": None, "p99": None}
    p50, p99 = np.percentile(side.latency_us / 1e3, [50, 99])
    return {"p50": round(float(p50), 3), "p99": round(float(p99), 3)}


def _differing(one: Side, other: Side) -> dict[str, float]:
    """Answers that are another number, and by how much (of several outputs, the one that moves most)."""
    apart = np.abs(one.output.astype(np.float64) - other.output).max(axis=1, initial=0.0)
    moved = apart[apart > 0]
    return {
        "answers": len(moved),
        "share": float(len(moved) / max(len(apart), 1)),
        "mean": float(moved.mean()) if len(moved) else 0.0,
        "largest": float(moved.max()) if len(moved) else 0.0,
    }


def judge(
    contrast: Contrast, kind: str, as_of_us: int, older_us: int | None, chance: np.random.Generator
) -> Judged | None:
    """How well both sides answered the requests that are old enough; None with too few labels.

    older_us: how old; without it, so old that 99 % of labels have come.
    """
    come = contrast.labelled_us != NEVER
    if np.count_nonzero(come) < FEWEST_LABELS:
        return None
    ages_us = as_of_us - contrast.appended_us
    waits_us = np.minimum(contrast.labelled_us[come] - contrast.appended_us[come], ages_us[come])
    horizon = horizon_us(np.maximum(waits_us, 0), ages_us[come]) if older_us is None else older_us
    old = ages_us >= horizon
    width = contrast.now.output.shape[1]
    rows = old & usable(kind, contrast.labels, width)
    if np.count_nonzero(rows) < FEWEST_LABELS:
        return None
    blocks = time_blocks(contrast.appended_us[rows])
    return Judged(
        horizon_us=horizon,
        estimated=older_us is None,
        old_enough=int(np.count_nonzero(old)),
        labelled=int(np.count_nonzero(rows)),
        never=int(np.count_nonzero(old & come & np.isnan(contrast.labels))),
        blocks=blocks,
        metrics=_metrics(contrast, kind, rows, blocks, chance),
    )


def _metrics(
    contrast: Contrast, kind: str, rows: NDArray[np.bool_], blocks: TimeBlocks, chance: np.random.Generator
) -> dict[str, tuple[Interval, Interval, Interval]]:
    labels = contrast.labels[rows]
    now = figures(kind, contrast.now.output[rows], labels, blocks)
    then = figures(kind, contrast.then.output[rows], labels, blocks)
    weights = resampled(blocks.count, chance)
    return {
        name: (
            interval(now[name], weights),
            interval(then[name], weights),
            interval(difference(then[name], now[name]), weights),
        )
        for name in METRICS[kind]
    }
