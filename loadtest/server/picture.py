"""The picture of `server`: decisions a second beside the relay's, and what each costs, by the number of models."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from loadtest.server.figures import LEAST_SHARE

SERVER, RELAY, LOOP, CLIENT = "#0072B2", "#E69F00", "#0072B2", "#56B4E9"
"""Of Okabe and Ito's palette, which colour-blind readers can tell apart."""
INCHES = (10.0, 4.4)


def draw(report: Mapping[str, Any], path: Path) -> None:
    """Draw the report to `path`."""
    figure = Figure(figsize=INCHES, layout="constrained")
    rates, prices = figure.subplots(1, 2)
    names = [f"{one['models']}" + ("\nexactly once" if one["exactly_once"] else "") for one in report["servers"]]
    _rates(rates, report, names)
    _prices(prices, report, names)
    machine = report["machine"]
    figure.suptitle(
        f"one server on full topics; {report['partitions']} partition(s), requests each: {report['requests']:,}\n"
        f"{machine['cores']} cores, {machine['processor']}, load average {machine['load_average_at_start'][0]}",
        fontsize="medium",
    )
    figure.savefig(path, dpi=130)


def _rates(axes: Axes, report: Mapping[str, Any], names: list[str]) -> None:
    places = range(len(names))
    relays = [server["relay"]["per_s"] for server in report["servers"]]
    axes.bar(
        [place - 0.2 for place in places],
        [one["per_s"] for one in report["servers"]],
        0.4,
        color=SERVER,
        label="server",
    )
    axes.bar([place + 0.2 for place in places], relays, 0.4, color=RELAY, label="raw relay")
    for place, server, relay in zip(places, report["servers"], relays, strict=True):
        axes.hlines(LEAST_SHARE * relay, place - 0.4, place, color="black", linestyle="--", linewidth=0.9)
        axes.text(place - 0.2, server["per_s"], f"{server['per_s']:,}", ha="center", va="bottom", fontsize="small")
        axes.text(place + 0.2, relay, f"{relay:,.0f}", ha="center", va="bottom", fontsize="small")
    axes.set_xticks(list(places), names)
    axes.set_xlabel("models")
    axes.set_ylabel("decisions a second (dashed: half of the relay)")
    axes.legend(fontsize="small", loc="lower right")


def _prices(axes: Axes, report: Mapping[str, Any], names: list[str]) -> None:
    places = range(len(names))
    loop = [one["loop_cpu_us"] or 0.0 for one in report["servers"]]
    rest = [(one["cpu_us"] or 0.0) - part for one, part in zip(report["servers"], loop, strict=True)]
    axes.bar(places, loop, 0.6, color=LOOP, label="the loop (Python)")
    axes.bar(places, rest, 0.6, bottom=loop, color=CLIENT, label="the Kafka client's threads")
    for place, one in zip(places, report["servers"], strict=True):
        axes.text(
            place, one["cpu_us"] or 0.0, f"{one['cpu_us'] or 0.0:.1f}", ha="center", va="bottom", fontsize="small"
        )
    axes.set_xticks(list(places), names)
    axes.set_xlabel("models")
    axes.set_ylabel("processor time of a decision, us")
    axes.legend(fontsize="small", loc="lower right")
