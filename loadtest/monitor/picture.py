"""The picture of `monitor`: rows a second over time, against what it must keep up with."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

COLOURS = {"requests": "#0072B2", "features": "#009E73", "labels": "#E69F00"}
"""Of Okabe and Ito's palette, which colour-blind readers can tell apart."""
INCHES = (8.4, 4.2)


def speeds(report: Mapping[str, Any], what: str) -> tuple[list[float], list[float]]:
    """Seconds since the first sample, and rows a second, between any two samples."""
    samples = report["samples"]
    seconds = [after["at_s"] - samples[0]["at_s"] for _, after in pairwise(samples)]
    rows = [
        (after["rows"][what] - before["rows"][what]) / (after["at_s"] - before["at_s"])
        for before, after in pairwise(samples)
    ]
    return seconds, rows


def draw(report: Mapping[str, Any], path: Path) -> None:
    """Draw the report to `path`."""
    figure = Figure(figsize=INCHES, layout="constrained")
    axes = figure.subplots()
    limits = {target["name"].split()[0]: target["limit"] for target in report["targets"]}
    for what, colour in COLOURS.items():
        axes.plot(*speeds(report, what), color=colour, linewidth=1.8, label=f"{what}: {report[f'{what}_per_s']:,}/s")
        axes.axhline(limits[what], color=colour, linestyle="--", linewidth=0.9)
    axes.set_xlabel("seconds")
    axes.set_ylabel("rows a second (dashed: the target)")
    axes.set_ylim(bottom=0)
    axes.grid(visible=True, alpha=0.25)
    axes.legend(loc="lower right", fontsize="small")
    machine = report["machine"]
    figure.suptitle(
        f"one monitor process: {report['endpoint']['features']} features, {report['endpoint']['models']} models; "
        f"{report['cores']:g} cores, {report['memory_mb']} MB\n"
        f"{machine['cores']} cores, {machine['processor']}, load average {machine['load_average_at_start'][0]}",
        fontsize="medium",
    )
    figure.savefig(path, dpi=130)
