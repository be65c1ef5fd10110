"""Latency and who answers, as it was and as it would be; what waiting buys."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rendezvous.replay.contrast import Contrast, Side
from rendezvous.replay.tuning import Tuned

PALETTE = ("#D55E00", "#56B4E9", "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#F0E442", "#000000")
"""Okabe and Ito's, which colour-blind readers can tell apart; the default first."""
UNITS = ((86_400_000_000, "days"), (3_600_000_000, "hours"), (60_000_000, "minutes"), (1_000_000, "seconds"), (1, "µs"))
PARTS = 60
"""Of the time axis."""


def draw(contrast: Contrast, title: str, path: Path) -> None:
    """Draw to a PNG."""
    mpl.rcParams["svg.hashsalt"] = "rendezvous"
    figure = Figure(figsize=(11, 8), layout="constrained")
    grid = figure.add_gridspec(3, 1, height_ratios=(3, 2, 2))
    _latency(figure.add_subplot(grid[0]), contrast)
    was = figure.add_subplot(grid[1])
    _shares(was, contrast, contrast.now, "as it was")
    _shares(figure.add_subplot(grid[2], sharex=was), contrast, contrast.then, "as it would be")
    handles, labels = was.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize="small")
    figure.suptitle(title)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130, format="png")


def draw_tuned(tuned: Tuned, title: str, path: Path) -> None:
    """What waiting buys: each schedule that was tried, by its p99 latency and its quality on the first part."""
    figure = Figure(figsize=(9, 6), layout="constrained")
    axes = figure.add_subplot()
    tried = tuned.tried
    axes.scatter([one.p99_ms for one in tried], [one.quality.value for one in tried], s=12, color="grey", label="tried")
    for one, name, colour in (
        (tuned.first.current, "in force", "#000000"),
        (tuned.first.proposed, "proposed", "#0072B2"),
    ):
        spread = [[one.quality.value - one.quality.low], [one.quality.high - one.quality.value]]
        axes.errorbar([one.p99_ms], [one.quality.value], yerr=spread, fmt="o", color=colour, label=name, capsize=4)
    axes.set_xlabel("p99 latency, ms from the append")
    axes.set_ylabel(f"{tuned.metric}, with 95 % intervals")
    axes.grid(visible=True, alpha=0.2)
    axes.legend()
    figure.suptitle(title)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130, format="png")


def _latency(axes: Axes, contrast: Contrast) -> None:
    for side, name, colour in ((contrast.now, "was", "#000000"), (contrast.then, "would be", "#0072B2")):
        waits_ms = np.sort(side.latency_us) / 1e3
        axes.plot(np.maximum(waits_ms, 0.1), np.arange(1, len(waits_ms) + 1) / len(waits_ms), label=name, color=colour)
    axes.set_xscale("log")
    axes.set_xlabel("ms from the append to the answer")
    axes.set_ylabel("share answered by then")
    axes.grid(visible=True, which="both", alpha=0.2)
    axes.legend(loc="lower right")


def _shares(axes: Axes, contrast: Contrast, side: Side, title: str) -> None:
    since = contrast.appended_us - contrast.appended_us.min()
    edges = np.linspace(0, since.max() + 1, PARTS + 1)
    unit_us, unit = next((size, name) for size, name in UNITS if since.max() >= 2 * size or size == 1)
    total = np.maximum(np.histogram(since, edges)[0], 1)
    numbers = [n for n in range(len(contrast.names)) if (contrast.now.who == n).any() or (contrast.then.who == n).any()]
    shares = [np.histogram(since[side.who == number], edges)[0] / total for number in numbers]
    shares = [np.append(share, share[-1]) for share in shares]  # a step is drawn to its end
    axes.stackplot(
        edges / unit_us,
        shares,
        labels=[contrast.names[number] for number in numbers],
        colors=[PALETTE[number % len(PALETTE)] for number in numbers],
        step="post",
    )
    axes.set_ylim(0, 1)
    axes.set_ylabel(title)
    axes.set_xlabel(f"{unit} since the first request")
