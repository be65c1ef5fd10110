"""The picture of `soak`: latency, memory and lag over time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from loadtest.drawing import BLUE, DPI, GREEN, GREY, ORANGE, PINK, RED, SKY, YELLOW, head, latency_axis

INCHES = (11.0, 9.0)
COLOURS = (BLUE, ORANGE, GREEN, RED, SKY, PINK, YELLOW, GREY)


def draw(report: Mapping[str, Any], path: Path) -> None:
    """Draw the report to `path`."""
    figure = Figure(figsize=INCHES, layout="constrained")
    above, middle, below = figure.subplots(3, 1, sharex=True)
    samples = report["samples"]
    at_s = [sample["at_s"] for sample in samples]
    for name, colour in zip(("p50", "p99", "max"), (BLUE, ORANGE, GREY), strict=True):
        above.plot(at_s, [sample["latency_ms"][name] for sample in samples], color=colour, label=name)
    latency_axis(above, "due to answer, ms")
    for number, name in enumerate(samples[0]["memory_mb"]):
        colour = COLOURS[number % len(COLOURS)]
        middle.plot(at_s, [sample["memory_mb"][name] for sample in samples], color=colour, label=name)
        below.plot(at_s, [sample["lag_ms"][name] for sample in samples], color=colour, label=name)
    middle.set_ylabel("memory, MB")
    middle.set_ylim(0)
    below.set_ylim(0)
    below.set_ylabel("age of what is worked on, ms")
    below.set_xlabel("seconds")
    for axes in (above, middle, below):
        axes.grid(visible=True, alpha=0.25)
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    head(figure, report, f"{report['models']} flight models at {report['rate']:.0f} requests/s, half of saturation")
    figure.savefig(path, dpi=DPI)
