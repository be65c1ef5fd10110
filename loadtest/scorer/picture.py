"""The picture of `scorer`: rows a second of scorer and bare loop, and what a row costs, by the size of batches."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from loadtest.drawing import BLUE, DPI, ORANGE, SKY, head

COLOURS = {"scorer": SKY, "bare": ORANGE}
LEGEND = {"fontsize": "small", "loc": "upper center", "ncols": 3, "bbox_to_anchor": (0.5, 1.12), "frameon": False}
NAMES = {"scorer": "scorer", "bare": "bare loop"}
INCHES = (10.0, 4.2)
WIDTH = 0.4


def draw(report: Mapping[str, Any], path: Path) -> None:
    """Draw the report to `path`."""
    figure = Figure(figsize=INCHES, layout="constrained")
    rates, prices = figure.subplots(1, 2)
    _bars(rates, report, "per_s", "rows a second", "{:,.0f}")
    _bars(prices, report, "cpu_us", "processor time of a row, us", "{:.1f}")
    loop = [one["scorer"]["loop_cpu_us"] or 0.0 for one in report["batches"]]
    prices.bar([place - WIDTH / 2 for place in range(len(loop))], loop, WIDTH, color=BLUE, label="the scorer's loop")
    for place, one in enumerate(report["batches"]):
        (target,) = (t for t in report["targets"] if f"batches of {one['most']}," in t["name"])
        line = target["limit"] * one["bare"]["per_s"]
        rates.hlines(line, place - WIDTH, place, color="black", linestyle="--", linewidth=0.9)
    rates.set_ylabel("rows a second (dashed: the target)")
    rates.legend(**LEGEND)
    prices.legend(**LEGEND)
    head(figure, report, f"one on a full topic: the champion of {report['endpoint']}, {report['rows']:,} rows a run")
    figure.savefig(path, dpi=DPI)


def _bars(axes: Axes, report: Mapping[str, Any], what: str, label: str, written: str) -> None:
    batches = report["batches"]
    for shift, (side, colour) in zip((-WIDTH / 2, WIDTH / 2), COLOURS.items(), strict=True):
        places = [place + shift for place in range(len(batches))]
        values = [one[side][what] or 0.0 for one in batches]
        axes.bar(places, values, WIDTH, color=colour, label=NAMES[side])
        for place, value in zip(places, values, strict=True):
            axes.text(place, value, written.format(value), ha="center", va="bottom", fontsize="small")
    axes.set_xticks(range(len(batches)), [f"{one['most']}\n(mean {one['rows']:g})" for one in batches])
    axes.set_xlabel("rows in a batch, at most")
    axes.set_ylabel(label)
