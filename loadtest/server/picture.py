"""The picture of `server`: decisions a second beside the relay's, and what each costs, by the number of models."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from loadtest.drawing import BLUE, DPI, ORANGE, SKY, head
from loadtest.server.figures import LEAST_SHARE

LEGEND = {"fontsize": "small", "loc": "upper center", "ncols": 2, "bbox_to_anchor": (0.5, 1.12), "frameon": False}
INCHES = (10.0, 4.4)


def draw(report: Mapping[str, Any], path: Path) -> None:
    """Draw the report to `path`."""
    figure = Figure(figsize=INCHES, layout="constrained")
    rates, prices = figure.subplots(1, 2)
    names = [f"{one['models']}" + ("\nexactly once" if one["exactly_once"] else "") for one in report["servers"]]
    _rates(rates, report, names)
    _prices(prices, report, names)
    head(figure, report, f"one on full topics; partitions: {report['partitions']}, requests: {report['requests']:,}")
    figure.savefig(path, dpi=DPI)


def _rates(axes: Axes, report: Mapping[str, Any], names: list[str]) -> None:
    places = range(len(names))
    relays = [server["relay"]["per_s"] for server in report["servers"]]
    axes.bar(
        [place - 0.2 for place in places],
        [one["per_s"] for one in report["servers"]],
        0.4,
        color=BLUE,
        label="server",
    )
    axes.bar([place + 0.2 for place in places], relays, 0.4, color=ORANGE, label="raw relay")
    for place, server, relay in zip(places, report["servers"], relays, strict=True):
        axes.hlines(LEAST_SHARE * relay, place - 0.4, place, color="black", linestyle="--", linewidth=0.9)
        axes.text(place - 0.2, server["per_s"], f"{server['per_s']:,}", ha="center", va="bottom", fontsize="small")
        axes.text(place + 0.2, relay, f"{relay:,.0f}", ha="center", va="bottom", fontsize="small")
    axes.set_xticks(list(places), names)
    axes.set_xlabel("models")
    axes.set_ylabel("decisions a second (dashed: half of the relay)")
    axes.legend(**LEGEND)


def _prices(axes: Axes, report: Mapping[str, Any], names: list[str]) -> None:
    places = range(len(names))
    loop = [one["loop_cpu_us"] or 0.0 for one in report["servers"]]
    rest = [(one["cpu_us"] or 0.0) - part for one, part in zip(report["servers"], loop, strict=True)]
    axes.bar(places, loop, 0.6, color=BLUE, label="the loop (Python)")
    axes.bar(places, rest, 0.6, bottom=loop, color=SKY, label="the Kafka client's threads")
    for place, one in zip(places, report["servers"], strict=True):
        axes.text(
            place, one["cpu_us"] or 0.0, f"{one['cpu_us'] or 0.0:.1f}", ha="center", va="bottom", fontsize="small"
        )
    axes.set_xticks(list(places), names)
    axes.set_xlabel("models")
    axes.set_ylabel("processor time of a decision, us")
    axes.legend(**LEGEND)
