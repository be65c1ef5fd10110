"""Pictures of the dashboards, from a real Prometheus's data: `python -m grafana.picture --prometheus URL --endpoint E`.

There is no Grafana where this was written; Matplotlib shows what the queries give, panel by panel, on the same grid.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from grafana.asking import Prometheus, Series, Span
from grafana.drawing import DRAWN
from grafana.queries import DASHBOARDS, substituted
from grafana.telling import COLORS, SMALL
from grafana.view import View

COLUMN_IN, ROW_IN = 0.72, 0.4
POINTS = 240
"""Across a panel: about as many as Grafana asks for."""
DPI = 80
HEAD_IN = 0.5
ROOM = {
    "stat": (0.01, 0.15),
    "table": (0.01, 0.15),
    "state-timeline": (0.11, 0.3),
    "status-history": (0.08, 0.3),
    "heatmap": (0.035, 0.35),
}
"""Beside the axes (of the figure's width) and below them (inches), where it is not as much as a legend needs."""


def main(arguments: Sequence[str]) -> None:
    """Draw every dashboard."""
    parser = argparse.ArgumentParser(prog="python -m grafana.picture")
    parser.add_argument("--prometheus", default="http://127.0.0.1:9090")
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--metric", default="auc", help="of the models dashboard")
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--until", type=float, default=None, help="seconds since the epoch; now without it")
    parser.add_argument("--out", type=Path, default=Path("docs/dashboards"))
    options = parser.parse_args(arguments)
    end = options.until or time.time()
    span = Span(end - options.minutes * 60, end, max(options.minutes * 60 / POINTS, 5.0))
    options.out.mkdir(parents=True, exist_ok=True)
    chosen = {"endpoint": options.endpoint, "metric": options.metric}
    for path in sorted(DASHBOARDS.glob("*.json")):
        picture = draw(json.loads(path.read_text()), Prometheus(options.prometheus), span, chosen)
        file = options.out / f"{path.stem.removeprefix('rendezvous-')}.png"
        picture.savefig(file, dpi=DPI)
        sys.stdout.write(f"{file}\n")


def draw(dashboard: Mapping[str, Any], prometheus: Prometheus, span: Span, chosen: Mapping[str, str]) -> Figure:
    """One dashboard."""
    mpl.rcParams["font.family"] = "DejaVu Sans"
    panels = dashboard["panels"]
    height_in = max(one["gridPos"]["y"] + one["gridPos"]["h"] for one in panels) * ROW_IN + HEAD_IN
    figure = Figure(figsize=(24 * COLUMN_IN, height_in), facecolor="#f4f5f5")
    put = partial(substituted, chosen=chosen)
    marks = [
        (COLORS[one["iconColor"]], moment)
        for one in dashboard["annotations"].get("list", ())
        for series in prometheus.over(put(one["expr"]), span)
        for moment in _moments(series, span, value_is_time="useValueForTime" in one)
    ]
    figure.text(
        0.01, 1 - HEAD_IN / 2 / height_in, f"{dashboard['title']}  ({chosen['endpoint']})", fontsize=15, va="center"
    )
    for panel in panels:
        at = panel["gridPos"]
        top = 1 - (HEAD_IN + at["y"] * ROW_IN) / height_in
        if panel["type"] == "row":
            figure.text(0.01, top - ROW_IN / 2 / height_in, panel["title"], fontsize=11, weight="bold", va="center")
            continue
        axes = _frame(figure, panel, top, height_in, put(panel["title"]))
        DRAWN[panel["type"]](axes, View(panel, prometheus, span, put))
        if panel["type"] == "timeseries":
            for color, moment in marks:
                axes.axvline(moment / 86400, color=color, linewidth=1, linestyle=":")
    return figure


def _moments(series: Series, span: Span, *, value_is_time: bool) -> list[float]:
    """When something happened: at the values, or where the series begins (again)."""
    if value_is_time:
        return [moment for moment in sorted({*series.values / 1e3}) if span.start <= moment <= span.end]
    begins = np.diff(series.times, prepend=-np.inf) > 2 * span.step
    return [float(moment) for moment in series.times[begins]]


def _frame(figure: Figure, panel: Mapping[str, Any], top: float, height_in: float, title: str) -> Axes:
    """A white card with a title, and axes in it, with room for what stands beside them."""
    at = panel["gridPos"]
    left, width, high = at["x"] / 24, at["w"] / 24, at["h"] * ROW_IN / height_in
    card = figure.add_axes((left + 0.002, top - high + 0.05 / height_in, width - 0.004, high - 0.1 / height_in))
    card.set(xticks=[], yticks=[], facecolor="white")
    for spine in card.spines.values():
        spine.set_color("#ddd")
    at_top = 1 - 0.08 / (high * height_in)
    card.text(0.24 / at["w"], at_top, title, fontsize=SMALL, weight="bold", va="top", transform=card.transAxes)
    beside, below = ROOM.get(panel["type"], (0.035, 0.85))
    return figure.add_axes(
        (left + beside, top - high + below / height_in, width - beside - 0.01, high - (below + 0.45) / height_in)
    )


if __name__ == "__main__":
    main(sys.argv[1:])
