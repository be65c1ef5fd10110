"""The picture of `clients`: p50 with each setting changed, as a multiple of what it is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from loadtest.clients.report import told
from loadtest.drawing import BLUE, DPI, GREEN, ORANGE, PINK, head

COLOURS = (ORANGE, BLUE, GREEN, PINK)
"""Of the rates, from the first on."""
TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)
MARGIN = 1.4
"""Beyond the least and the greatest, on a logarithmic scale."""
MIDDLE = (25, 75)
"""Percentiles of the ratios of pairs of turns."""
GROUP = 0.8
"""Of the room for a setting that its bars take."""


def draw(report: Mapping[str, Any], path: Path) -> None:
    """Draw the report to `path`."""
    found = report["settings"]
    figure = Figure(figsize=(9.5, 1.8 + 0.5 * len(found)), layout="constrained")
    axes = figure.subplots()
    drawn = [1.0]
    for number, rate in enumerate(report["rates"]):
        drawn += _bars(axes, report, number, rate)
    axes.axvline(1.0, color="black", linewidth=1.0)
    axes.set_yticks(range(len(found)), ["\n".join(told(one)) for one in found])
    axes.tick_params(axis="y", labelsize="small")
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlim(min(drawn) / MARGIN, max(drawn) * MARGIN)
    low, high = axes.get_xlim()
    ticks = [tick for tick in TICKS if low <= tick <= high]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.grid(visible=True, axis="x", alpha=0.25)
    axes.set_xlabel("p50 changed / as it is (line: the middle half of pairs of turns; point: best turns)")
    axes.legend(fontsize="small", loc="best")
    head(figure, report, "one setting changed at a time, on the floor")
    figure.savefig(path, dpi=DPI)


def _bars(axes: Axes, report: Mapping[str, Any], number: int, rate: float) -> list[float]:
    """Those of one rate, from 1 on; returns all that must be in sight."""
    height = GROUP / len(report["rates"])
    colour = COLOURS[number % len(COLOURS)]
    seen: list[float] = []
    for place, one in enumerate(report["settings"]):
        at = place - GROUP / 2 + (number + 0.5) * height
        ratios = one["rates"][number]["ratio"]
        value = ratios["p50"] or 1.0
        turns = np.percentile([found for found in ratios["p50_of_turns"] if found] or [value], MIDDLE).tolist()
        axes.barh(at, value - 1, height, left=1.0, color=colour, label=f"{rate:g} requests/s" if place == 0 else None)
        best = ratios["p50_of_best_turns"] or value
        axes.hlines(at, *turns, color="black", linewidth=0.8)
        axes.plot(best, at, marker="o", markersize=4, color="black")
        axes.text(max(value, best, *turns, 1.0) * 1.03, at, f"{value:.2f}", va="center", fontsize="x-small")
        seen += [value, best, *turns]
    return seen
