"""The year's picture: AUC by week of the three curves, what the loop did, and how far each feature drifted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

from rendezvous.demo.year.chronicle import Chronicle
from rendezvous.demo.year.stream import DAY_US, midnight_us

COLOURS = {"frozen": "#0072B2", "looped": "#D55E00", "cron": "#009E73"}
"""Of Okabe and Ito's palette, which colour-blind readers can tell apart."""
STYLES = {"frozen": "-", "looped": "-", "cron": "--"}
MARKS = {
    "alarm on frozen": ("|", "#0072B2"),
    "alarm on champion": ("|", "#CC79A7"),
    "retrain event": ("v", "#E69F00"),
    "promotion": ("^", "#D55E00"),
    "rejection": ("x", "#56B4E9"),
    "roll-back": ("X", "#000000"),
}
WEEK_DAYS = 7
SHIFTS = (0.05, 5.0)
"""Of the heat map, on a logarithmic scale: below it a PSI is noise; .25 is commonly called a large shift."""


def draw(
    report: Mapping[str, Any], chronicle: Chronicle, heat: NDArray[np.float64], features: Sequence[str], path: Path
) -> list[Path]:
    """Draw to `path` with the endings .png and .svg; returns both. heat: [features, weeks]."""
    mpl.rcParams["svg.hashsalt"] = "rendezvous"  # the same run gives the same file
    figure = Figure(figsize=(11, 9), layout="constrained")
    grid = figure.add_gridspec(3, 1, height_ratios=(5, 1.7, 5))
    curves = figure.add_subplot(grid[0])
    marks = figure.add_subplot(grid[1], sharex=curves)
    drift = figure.add_subplot(grid[2], sharex=curves)
    start = date.fromisoformat(report["weeks"][0]["start"])
    _curves(curves, report)
    _marks(marks, chronicle, midnight_us(start))
    _heat(drift, figure, heat, features)
    months = [date(start.year, month, 1) for month in range(start.month, 13)]
    drift.set_xticks([(month - start).days for month in months], labels=[f"{month:%b}" for month in months])
    for axes in (curves, marks):
        axes.tick_params(labelbottom=False)
    difference = report["difference"]["looped_frozen"]
    figure.suptitle(
        f"2013: {report['retrains']} retrainings, {report['promotions']} promotions, {report['rollbacks']} roll-backs; "
        f"looped - frozen {difference['value']:+.3f} [{difference['low']:+.3f}, {difference['high']:+.3f}]"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    paths = [path.with_suffix(".png"), path.with_suffix(".svg")]
    for target in paths:
        figure.savefig(target, dpi=130)
    return paths


def _curves(axes: Axes, report: Mapping[str, Any]) -> None:
    middles = np.arange(len(report["weeks"])) * WEEK_DAYS + WEEK_DAYS / 2
    for name, colour in COLOURS.items():
        values = [np.nan if week["auc"][name] is None else week["auc"][name] for week in report["weeks"]]
        label = f"{name} ({report['mean_auc'][name]:.3f})"
        axes.plot(middles, values, STYLES[name], color=colour, label=label, marker=".", linewidth=1.5)
    axes.set_ylabel("AUC by week")
    axes.legend(loc="lower left", ncols=3, fontsize="small", title="mean weekly AUC")
    axes.grid(visible=True, alpha=0.3)


def _marks(axes: Axes, chronicle: Chronicle, start_us: int) -> None:
    rejected = [judged.at_us for judged in chronicle.judged if judged.verdict.ruling == "rejected"]
    moments = {
        "alarm on frozen": [alarm.at_us for alarm in chronicle.frozen_alarms],
        "alarm on champion": [alarm.at_us for alarm in chronicle.champion_alarms],
        "retrain event": [event.as_of_us for event in chronicle.events.values()],
        "promotion": [moved.at_us for moved in chronicle.promotions],
        "rejection": rejected,
        "roll-back": [moved.at_us for moved in chronicle.rollbacks],
    }
    for row, (name, (marker, colour)) in enumerate(MARKS.items()):
        days = [(at_us - start_us) / DAY_US for at_us in moments[name]]
        axes.plot(days, [row] * len(days), marker, color=colour)
    axes.set_yticks(range(len(MARKS)), labels=[f"{name} ({len(moments[name])})" for name in MARKS], fontsize="small")
    axes.set_ylim(len(MARKS) - 0.5, -0.5)
    axes.grid(visible=True, axis="x", alpha=0.3)


def _heat(axes: Axes, figure: Figure, heat: NDArray[np.float64], features: Sequence[str]) -> None:
    edges = np.arange(heat.shape[1] + 1) * WEEK_DAYS
    mesh = axes.pcolormesh(edges, np.arange(len(features) + 1), heat, cmap="viridis", norm=LogNorm(*SHIFTS, clip=True))
    axes.set_yticks(np.arange(len(features)) + 0.5, labels=list(features), fontsize="small")
    axes.invert_yaxis()
    axes.set_facecolor("lightgrey")
    figure.colorbar(mesh, ax=axes, label="input drift: corrected PSI", extend="both", pad=0.01)
