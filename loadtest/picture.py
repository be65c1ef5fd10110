"""The picture of `steady`: latency at each percentile, system against floor, one panel a rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from hdrh.histogram import HdrHistogram
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from loadtest.latency import PERCENTILES, percentile_ms
from loadtest.report import IDLE

COLOURS = {"system": "#0072B2", "floor": "#E69F00"}
"""Of Okabe and Ito's palette, which colour-blind readers can tell apart."""
PERCENTILE_TICKS = (50, 90, 99, 99.9, 99.99, 99.999)
LATENCY_TICKS_MS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 60_000)
POINTS = 400
COLUMNS = 2
MARGIN = 1.5
"""Above the highest and below the lowest point, on a logarithmic scale."""
PANEL_INCHES = (4.2, 4.3)


def draw(report: Mapping[str, Any], path: Path) -> None:
    """Draw the report's rates to `path`."""
    rates = report["rates"]
    columns = min(COLUMNS, len(rates))
    rows = -(-len(rates) // columns)
    size = (PANEL_INCHES[0] * columns + 0.6, PANEL_INCHES[1] * rows + 0.9)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True).flatten()
    for axes, rate in zip(panels, rates, strict=False):
        _panel(axes, rate)
    for axes in panels[len(rates) :]:
        axes.set_visible(False)
    lowest, highest = extremes(rates)
    for axes in panels[::columns]:
        axes.set_ylabel("latency from due, ms")
        axes.set_ylim(lowest / MARGIN, highest * MARGIN)
    machine = report["machine"]
    figure.suptitle(
        f"{report['scenario']}: {report['endpoint']} with {report['models']} models against the floor\n"
        f"{machine['cores']} cores, {machine['processor']}, load average {machine['load_average_at_start'][0]}",
        fontsize="medium",
    )
    figure.savefig(path, dpi=130)


def _panel(axes: Axes, rate: Mapping[str, Any]) -> None:
    requests = rate["system"]["requests"]
    for side, colour in COLOURS.items():
        beyond, latency_ms = curve(rate[side])
        axes.plot(beyond, latency_ms, color=colour, linewidth=1.8, label=side)
    limits = rate["limit_ms"]
    at = [1 / (1 - PERCENTILES[name] / 100) for name in limits]
    if limits:
        axes.plot(at, list(limits.values()), marker="v", color="black", linestyle="none", label="targets")
    axes.set_title("\n".join(heading(rate)), fontsize="small")
    axes.set_xscale("log")
    axes.set_xlim(1, requests)
    ticks = [percentile for percentile in PERCENTILE_TICKS if 1 / (1 - percentile / 100) <= requests]
    axes.set_xticks([1 / (1 - tick / 100) for tick in ticks], labels=[f"{tick:g} %" for tick in ticks])
    axes.set_yscale("log")
    axes.set_yticks(LATENCY_TICKS_MS, labels=[f"{tick:g}" for tick in LATENCY_TICKS_MS])
    axes.minorticks_off()
    axes.set_xlabel("percentile of requests")
    axes.grid(visible=True, alpha=0.25)
    axes.legend(loc="lower right", fontsize="small")


def heading(rate: Mapping[str, Any]) -> list[str]:
    """A panel's lines: the rate, each target with its figure, and how undisturbed it was."""
    load = "idle" if rate["load"] == IDLE else f"{rate['load']} of saturation"
    lines = [f"{load}: {rate['rate']:.0f} requests/s ({rate['system']['requests']} requests)"]
    for name, limit_ms in rate["limit_ms"].items():
        value_ms = rate["system"]["latency_ms"][name]
        lines.append(f"{name} {value_ms:.3g} ms, target {limit_ms:.3g}: {'met' if value_ms <= limit_ms else 'not met'}")
    others = [cores for side in COLOURS for cores in rate[side]["other_cores_of_runs"] if cores is not None]
    if others:
        lines.append(f"other work meanwhile: {min(others):.1f} to {max(others):.1f} cores")
    return lines


def extremes(rates: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """The lowest and the highest latency in ms of all curves."""
    drawn = [latency for rate in rates for side in COLOURS for latency in curve(rate[side])[1]]
    return min(drawn), max(drawn)


def curve(side: Mapping[str, Any]) -> tuple[list[float], list[float]]:
    """(1 / (1 - percentile), latency in ms) of one run, out to its slowest request."""
    histogram = HdrHistogram.decode(side["histogram"])
    beyond = np.geomspace(1, side["requests"], POINTS).tolist()
    latencies_ms = [percentile_ms(histogram, 100 * (1 - 1 / x)) for x in beyond]
    return [*beyond, beyond[-1]], [*latencies_ms, percentile_ms(histogram, 100)]
