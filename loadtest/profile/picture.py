"""The picture of `profile`: a bar for each process and rate, on a scale of its own, its areas one after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from loadtest.drawing import BLUE, DPI, GREEN, GREY, ORANGE, PINK, RED, SKY, YELLOW, head
from loadtest.profile.areas import REST
from loadtest.profile.figures import CLIENTS, OTHERS

COLOURS = (
    *(SKY, BLUE, GREEN, ORANGE, YELLOW, PINK, RED),
    *("#44AA99", "#882255", "#DDCC77", "#332288", "#AA4499", "#117733"),
)
"""Okabe and Ito's palette, and Tol's muted one when that is used up."""
GREYS = {REST: "#DDDDDD", CLIENTS: GREY, OTHERS: "#555555"}
"""What is no area of ours."""
DARK = {BLUE, RED, "#882255", "#332288", "#AA4499", "#117733", "#555555"}
"""Colours on which black is hard to read."""
WIDTH_INCHES, BAR_INCHES, HEAD_INCHES = 13.0, 1.75, 0.8
LEAST_SHARE = 0.025
"""Of a bar: a narrower piece has no room for its figure, which is in the legend."""
FINE = 10.0
"""Below it a figure has a digit after the point."""


def draw(report: Mapping[str, Any], path: Path) -> None:
    """Draw the report to `path`."""
    processes: dict[str, list[Mapping[str, Any]]] = {}
    for one in report["profiles"]:
        processes.setdefault(one["process"], []).append(one)
    bars = sum(map(len, processes.values()))
    figure = Figure(figsize=(WIDTH_INCHES, BAR_INCHES * bars + HEAD_INCHES), layout="constrained")
    parts = figure.subfigures(len(processes), 1, squeeze=False, height_ratios=[*map(len, processes.values())])
    for part, (process, profiles) in zip(parts.flatten(), processes.items(), strict=True):
        colours = colours_of(profiles[0]["us_per_request"])
        panels = part.subplots(len(profiles), 1, squeeze=False).flatten()
        for axes, one in zip(panels, profiles, strict=True):
            _bar(axes, one, colours)
        panels[0].set_title(process, loc="left", fontsize="medium", fontweight="bold")
        panels[-1].set_xlabel("µs of processor time for a request")
        part.legend(
            *_legend(panels[0], profiles),
            title=f"µs at {' | '.join(_rate(one) for one in profiles)}",
            loc="outside right center",
            fontsize="x-small",
            frameon=False,
        )
    head(figure, report, f"where each microsecond goes, {report['models']} flight models, sampled by {report['by']}")
    figure.savefig(path, dpi=DPI)


def colours_of(areas: Mapping[str, float]) -> dict[str, str]:
    """Of one process' areas."""
    ours = [area for area in areas if area not in GREYS]
    return {area: COLOURS[number % len(COLOURS)] for number, area in enumerate(ours)} | GREYS


def _bar(axes: Axes, one: Mapping[str, Any], colours: Mapping[str, str]) -> None:
    total, start = one["total_us"] or 1.0, 0.0
    for area, value in one["us_per_request"].items():
        colour = colours[area]
        axes.barh(0, value, left=start, color=colour, edgecolor="white")
        if value >= LEAST_SHARE * total:
            ink = "white" if colour in DARK else "black"
            axes.text(start + value / 2, 0, _us(value), ha="center", va="center", color=ink, fontsize="small")
        start += value
    axes.text(start, 0, f" {_us(one['total_us'])}", va="center", fontweight="bold")
    axes.set_yticks([0], [_rate(one)])
    axes.set_xlim(0, total * 1.07)
    axes.grid(visible=True, axis="x", alpha=0.25)
    axes.set_axisbelow(True)


def _legend(axes: Axes, profiles: Sequence[Mapping[str, Any]]) -> tuple[list[Any], list[str]]:
    """Each area's colour, and its figures at each rate."""
    areas = profiles[0]["us_per_request"]
    labels = [f"{area}: {' | '.join(_us(one['us_per_request'][area]) for one in profiles)}" for area in areas]
    return list(axes.patches), labels


def _us(value: float) -> str:
    return f"{value:.0f}" if value >= FINE else f"{value:.1f}"


def _rate(one: Mapping[str, Any]) -> str:
    return f"{one['rate']:,g}/s"
