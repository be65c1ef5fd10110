"""What pictures share: colours that colour-blind readers can tell apart, a heading with the machine, scales in ms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
SKY, YELLOW, PINK, GREY = "#56B4E9", "#F0E442", "#CC79A7", "#999999"
"""Okabe and Ito's palette."""
LATENCY_TICKS_MS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000)
DPI = 110


def head(figure: Figure, report: Mapping[str, Any], told: str) -> None:
    """What was measured, and where."""
    machine = report["machine"]
    others = report["most_other_cores"]
    noise = "" if others is None else f", other work on up to {others:.1f} cores"
    figure.suptitle(
        f"{report['scenario']}: {told}\n{machine['cores']} cores, {machine['processor']}{noise}", fontsize="medium"
    )


def latency_axis(axes: Axes, label: str) -> None:
    """A logarithmic scale of milliseconds."""
    axes.set_yscale("log")
    lowest, highest = axes.get_ylim()
    ticks = [tick for tick in LATENCY_TICKS_MS if lowest <= tick <= highest]
    axes.set_yticks(ticks, labels=[f"{tick:,g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_ylabel(label)
    axes.grid(visible=True, axis="y", alpha=0.25)
