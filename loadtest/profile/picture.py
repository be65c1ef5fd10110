"""The picture of `profile`: a bar for each process and rate, its areas one after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from loadtest.drawing import BLUE, DPI, GREEN, GREY, ORANGE, PINK, RED, SKY, YELLOW, head

COLOURS = (
    *(SKY, BLUE, GREEN, ORANGE, YELLOW, PINK, RED),
    *("#44AA99", "#882255", "#DDCC77", "#332288", "#AA4499", "#117733", "#88CCEE", "#BBBBBB", "#666666"),
)
"""Okabe and Ito's palette, and Tol's muted one when that is used up."""
WIDTH_INCHES = 12.0
PANEL_INCHES = 3.6
LEAST_SHARE = 0.035
"""Of the longest bar: a narrower piece has no room for its figure, which is in the table beside."""
LIGHT = {BLUE, "#882255", "#332288", "#AA4499", "#117733", "#666666", RED}
"""Colours on which black is hard to read."""


def draw(report: Mapping[str, Any], path: Path) -> None:
    """Draw the report to `path`."""
    processes = list(dict.fromkeys(one["process"] for one in report["profiles"]))
    figure = Figure(figsize=(WIDTH_INCHES, PANEL_INCHES * len(processes) + 0.6), layout="constrained")
    panels = figure.subplots(len(processes), 1, squeeze=False).flatten()
    for axes, process in zip(panels, processes, strict=True):
        _panel(axes, process, [one for one in report["profiles"] if one["process"] == process])
    panels[-1].set_xlabel("µs of processor time for a request")
    head(figure, report, f"where each microsecond goes, {report['models']} flight models, sampled by {report['by']}")
    figure.savefig(path, dpi=DPI)


def _panel(axes: Axes, process: str, profiles: Sequence[Mapping[str, Any]]) -> None:
    longest = max(one["total_us"] for one in profiles) or 1.0
    starts = [0.0] * len(profiles)
    for number, area in enumerate(profiles[0]["us_per_request"]):
        values = [one["us_per_request"][area] for one in profiles]
        colour = COLOURS[number % len(COLOURS)]
        figures = " | ".join(f"{value:.1f}" for value in values)
        axes.barh(
            range(len(profiles)), values, left=starts, color=colour, edgecolor="white", label=f"{area}: {figures}"
        )
        for place, (start, value) in enumerate(zip(starts, values, strict=True)):
            if value >= LEAST_SHARE * longest:
                ink = "white" if colour in LIGHT else "black"
                axes.text(
                    start + value / 2, place, f"{value:.0f}", ha="center", va="center", color=ink, fontsize="small"
                )
        starts = [start + value for start, value in zip(starts, values, strict=True)]
    for place, one in enumerate(profiles):
        axes.text(one["total_us"], place, f" {one['total_us']:.0f}", va="center", fontweight="bold")
    axes.set_yticks(range(len(profiles)), [f"{one['rate']:g}/s" for one in profiles])
    axes.invert_yaxis()
    axes.set_xlim(0, longest * 1.08)
    rates = " | ".join(f"{one['rate']:g}/s" for one in profiles)
    axes.set_title(process, loc="left", fontsize="medium", fontweight="bold")
    axes.legend(title=f"µs at {rates}", loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize="x-small", frameon=False)
    axes.grid(visible=True, axis="x", color=GREY, alpha=0.25)
    axes.set_axisbelow(True)
