"""The demo's picture: latency over time, the freeze, who answered, and who would have been right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rendezvous.demo.report import Stall
from rendezvous.demo.traffic import Asked
from rendezvous.settings import Endpoint

COLOURS = {
    "trees": "#0072B2",
    "forest": "#E69F00",
    "logistic": "#009E73",
    "rule": "#CC79A7",
    "default": "#D55E00",
    "nobody": "#000000",
}
"""Okabe and Ito's palette, which colour-blind readers can tell apart."""
BIN_S = 0.25
TICKS_MS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


def draw(endpoint: Endpoint, log: Sequence[Asked], stall: Stall, report: Mapping[str, Any], path: Path) -> list[Path]:
    """Draw to `path` with the endings .png and .svg; returns both."""
    mpl.rcParams["svg.hashsalt"] = "rendezvous"  # the same run gives the same file
    figure = Figure(figsize=(11, 8.5), layout="constrained")
    grid = figure.add_gridspec(3, 2, height_ratios=(3, 2, 2))
    latency = figure.add_subplot(grid[0, :])
    shares = figure.add_subplot(grid[1, :], sharex=latency)
    _latency(latency, endpoint, log, stall)
    _shares(shares, log, stall)
    _bars(figure.add_subplot(grid[2, 0]), report, "auc", "AUC (higher is better)")
    _bars(figure.add_subplot(grid[2, 1]), report, "log_loss", "log loss (lower is better)")
    figure.suptitle(
        f"{endpoint.name}: {report['requests']} requests, {report['unanswered']} unanswered, "
        f"{report['duplicates']} answered twice, {report['late']} late"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    paths = [path.with_suffix(".png"), path.with_suffix(".svg")]
    for target in paths:
        figure.savefig(target, dpi=130)
    return paths


def _latency(axes: Axes, endpoint: Endpoint, log: Sequence[Asked], stall: Stall) -> None:
    answered = [asked for asked in log if asked.answered]
    for who in sorted({asked.who for asked in answered}):
        due = [asked.due_s for asked in answered if asked.who == who]
        points = [asked.latency_ms for asked in answered if asked.who == who]
        axes.scatter(due, points, s=4, label=f"{who} ({len(points)})", color=COLOURS.get(who, "grey"))
    axes.axhline(endpoint.request.deadline_ms, color="black", linewidth=1, label="deadline")
    step_ms = endpoint.schedule[0].until_ms
    if step_ms is not None:
        axes.axhline(step_ms, color="grey", linewidth=1, linestyle="--", label="end of the first step")
    axes.axvspan(stall.start_s, stall.end_s, color="grey", alpha=0.2, label=f"{stall.model} frozen")
    axes.set_yscale("log")
    axes.set_yticks(TICKS_MS, labels=[str(tick) for tick in TICKS_MS])
    axes.minorticks_off()
    lowest = min((asked.latency_ms for asked in answered), default=1.0)
    axes.set_ylim(lowest * 0.8, endpoint.request.deadline_ms * 1.6)
    axes.set_ylabel("latency from due, ms")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.16), ncols=6, fontsize="small", markerscale=3)
    axes.grid(visible=True, which="both", alpha=0.2)


def _shares(axes: Axes, log: Sequence[Asked], stall: Stall) -> None:
    edges = np.arange(0, log[-1].due_s + BIN_S, BIN_S)
    names = [name for name in COLOURS if any(asked.who == name for asked in log)]
    counts = [np.histogram([asked.due_s for asked in log if asked.who == name], edges)[0] / BIN_S for name in names]
    counts = [np.append(count, count[-1]) for count in counts]  # a step is drawn to its end
    axes.stackplot(edges, counts, labels=names, colors=[COLOURS[name] for name in names], step="post", alpha=0.9)
    axes.axvspan(stall.start_s, stall.end_s, color="grey", alpha=0.2)
    axes.set_ylabel("answers/s, by whom")
    axes.set_xlabel("seconds since the first request was due")


def _bars(axes: Axes, report: Mapping[str, Any], figure: str, title: str) -> None:
    quality = report["quality"]
    models = sorted(quality, key=lambda model: quality[model][figure], reverse=figure != "auc")
    values = [quality[model][figure] for model in models]
    bars = axes.barh(models, values, color=[COLOURS.get(model, "grey") for model in models])
    axes.bar_label(bars, fmt="%.3f", padding=3, fontsize="small")
    axes.set_xlim(0.5 if figure == "auc" else 0, max([*values, 0.6]) * 1.1)
    axes.set_title(title, fontsize="medium")
