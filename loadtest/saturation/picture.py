"""The picture of `saturation`: latency, and what was answered well, at each rate that was tried."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from loadtest.drawing import BLUE, DPI, GREEN, GREY, ORANGE, head, latency_axis

INCHES = (11.0, 4.6)


def draw(report: Mapping[str, Any], path: Path) -> None:
    """Draw the report to `path`."""
    figure = Figure(figsize=INCHES, layout="constrained")
    left, right = figure.subplots(1, 2)
    steps = sorted(report["steps"], key=lambda step: float(step["rate"]))
    for name, colour in (("p50", BLUE), ("p99", ORANGE)):
        _line(left, steps, [step["latency_ms"][name] for step in steps], colour, name)
    latency_axis(left, "due to answer in hand, ms")
    right.axline((0, 0), slope=1, color=GREY, linestyle="--", linewidth=0.9, label="as many as asked")
    _line(right, steps, [step["goodput_per_s"] for step in steps], GREEN, "by a model, in time")
    right.set_ylabel("answers a second")
    right.set_ylim(0, 1.1 * max(step["rate"] for step in steps))
    right.grid(visible=True, alpha=0.25)
    for axes in (left, right):
        axes.axvline(report["saturation"], color="black", linewidth=0.9, label=f"{report['saturation']:.0f}/s kept")
        axes.set_xlim(0)
        axes.set_xlabel("requests a second (hollow: not kept)")
        axes.legend(loc="upper left", fontsize="small")
    told = f"{report['models']} flight models keep {report['saturation']:.0f} requests/s"
    head(figure, report, f"{told}; partitions: {report['partitions']}")
    figure.savefig(path, dpi=DPI)


def _line(axes: Axes, steps: list[dict[str, Any]], values: list[float], colour: str, label: str) -> None:
    rates = [step["rate"] for step in steps]
    axes.plot(rates, values, color=colour, linewidth=1.2, label=label)
    for kept in (True, False):
        chosen = [number for number, step in enumerate(steps) if (not step["faults"]) is kept]
        axes.plot(
            [rates[number] for number in chosen],
            [values[number] for number in chosen],
            "o",
            color=colour,
            markerfacecolor=colour if kept else "white",
        )
