"""The picture of `scale`: what was measured on this machine, and beside it the model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from loadtest.drawing import BLUE, DPI, GREEN, ORANGE, PINK, SKY, head

INCHES = (13.0, 4.6)
WIDTH = 0.38
COLOURS = (BLUE, ORANGE, GREEN, PINK)


def draw(report: Mapping[str, Any], path: Path) -> None:
    """Draw the report to `path`."""
    figure = Figure(figsize=INCHES, layout="constrained")
    latency, cost, modelled = figure.subplots(1, 3)
    shapes = report["shapes"]
    labels = [f"{one['partitions']}\n{one['servers']}" for one in shapes]
    places = np.arange(len(shapes))
    for number, (name, colour) in enumerate((("p50", BLUE), ("p99", SKY))):
        values = [one["latency_ms"][name] for one in shapes]
        latency.bar(places + (number - 0.5) * WIDTH, values, WIDTH, color=colour, label=name)
    latency.set_ylabel("measured: due to answer, ms")
    bottoms = np.zeros(len(shapes))
    for name, colour in (("server", ORANGE), ("server-2", PINK)):
        costs = np.array([one["cpu_us"].get(name) or 0.0 for one in shapes])
        cost.bar(places, costs, 2 * WIDTH, bottom=bottoms, color=colour, label=name)
        bottoms += costs
    cost.set_ylabel("measured: processor µs of servers, a request")
    for axes in (latency, cost):
        axes.set_xticks(places, labels=labels)
        axes.set_xlabel("partitions\nservers")
        axes.set_ylim(0)
        axes.legend(fontsize="small")
    _model(modelled, report)
    head(figure, report, f"{report['rate']:.0f} requests/s, half of saturation; on the right: a model")
    figure.savefig(path, dpi=DPI)


def _model(axes: Axes, report: Mapping[str, Any]) -> None:
    """Requests a second of each kind of process, by how many there are, where partitions suffice for all."""
    most = max(one["partitions"] for one in report["model"])
    rows = [one for one in report["model"] if one["partitions"] == most]
    for kind, colour in zip(report["service_us"], COLOURS, strict=False):
        values = [one["per_s"][kind] for one in rows]
        label = f"{kind}: {report['service_us'][kind]:.0f} µs a request"
        axes.plot([one["processes"] for one in rows], values, "o--", color=colour, label=label)
    axes.set_xticks([one["processes"] for one in rows])
    axes.set_xlabel(f"processes, each with a core\n{most} partitions")
    axes.set_ylabel(f"modelled from {report['service_us_from']}: requests/s")
    axes.set_ylim(0)
    axes.grid(visible=True, alpha=0.25)
    axes.legend(fontsize="small")
