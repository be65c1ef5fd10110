"""What a backtest found: quality by block, drift by feature, and where alarms were given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rendezvous.monitoring.backtest import Past, Told
from rendezvous.monitoring.findings import AlarmKind, DriftKind, Span

COLOURS = {
    AlarmKind.CONCEPT: "#D55E00",
    AlarmKind.INPUT: "#0072B2",
    AlarmKind.SCORE: "#009E73",
    AlarmKind.QUALITY: "#CC79A7",
}
"""Okabe and Ito's, which colour-blind readers can tell apart."""
SHOWN = ("auc", "brier", "accuracy", "mae")
LARGE_PSI = 1.0
"""The darkest: most of the rows are elsewhere."""


def draw(past: Past, told: Told, path: Path) -> None:
    """Draw to a PNG."""
    drift = [one for one in told.drift if one.kind in {DriftKind.INPUT, DriftKind.SCORE}]
    subjects = list(dict.fromkeys(name for one in drift for name in one.subjects))
    figure = Figure(figsize=(11, 5 + 0.22 * len(subjects)), layout="constrained")
    upper, lower = figure.subplots(2, 1, height_ratios=(3, 1 + 0.22 * len(subjects)))
    _quality(upper, past, told)
    _heat(lower, past, told, subjects)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130, format="png")


def _row(past: Past, at_us: int) -> int:
    return int(np.searchsorted(np.sort(past.asked_us), at_us))


def _quality(axes: Axes, past: Past, told: Told) -> None:
    blocks = [one for one in told.closed if one.span is Span.BLOCK]
    for name in SHOWN:
        points = [
            (_row(past, one.end_us), one.values[one.figures.index(name)]) for one in blocks if name in one.figures
        ]
        if points:
            axes.plot(*zip(*points, strict=True), label=name, linewidth=1)
    for spoken in told.alarms:
        axes.axvline(spoken.position, color=COLOURS[spoken.alarm.kind], alpha=0.5, linewidth=1)
    for kind, colour in COLOURS.items():
        axes.plot([], [], color=colour, label=f"alarm: {kind}")
    axes.set_xlim(0, past.rows)
    axes.set_ylabel("by block")
    axes.legend(loc="lower left", ncols=4, fontsize="small")


def _heat(axes: Axes, past: Past, told: Told, subjects: list[str]) -> None:
    drift = [one for one in told.drift if one.kind in {DriftKind.INPUT, DriftKind.SCORE}]
    for one in drift:
        start, end = _row(past, one.start_us), _row(past, one.end_us)
        for name, effect in zip(one.subjects, one.effects, strict=True):
            shade = 1 - min(effect / LARGE_PSI, 1.0)
            axes.barh(subjects.index(name), end - start, left=start, height=1.0, color=str(shade))
    axes.set_yticks(range(len(subjects)), subjects, fontsize="small")
    axes.set_xlim(0, past.rows)
    axes.set_xlabel("row (in the order of time); dark: PSI of 1 or more against the reference")
