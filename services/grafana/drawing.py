"""How each kind of panel is drawn with Matplotlib: near enough to Grafana to see what cannot be read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba

from grafana.asking import Series
from grafana.tabular import table
from grafana.telling import COLORS, SMALL, TINY, in_words, threshold_color
from grafana.view import View

PALETTE = ("#56a64b", "#f2cc0c", "#3274d9", "#ff780a", "#e02f44", "#8ab8ff", "#a352cc", "#96d98d", "#705da0", "#447ebc")
JUST_BELOW = 0.03
"""Of the largest value: a line at zero is to be seen."""
MOST = 8
"""Series that a legend names."""


Draw: TypeAlias = Callable[[Axes, View], None]


def over_time(axes: Axes, view: View) -> None:
    """Lines, or areas upon each other."""
    found, limits = view.series(), view.limits()
    stacked = view.panel["fieldConfig"]["defaults"]["custom"].get("stacking", {}).get("mode") == "normal"
    if stacked and found:
        times = np.unique(np.concatenate([one.times for _, _, one in found]))
        layers = [np.interp(times, one.times, np.nan_to_num(one.values), left=0, right=0) for _, _, one in found]
        names = [name for _, name, _ in found]
        axes.stackplot(_dates(times), layers, labels=names, colors=_palette(len(layers)), alpha=0.6)
    else:
        colors = iter(_palette(len(found)))
        for letter, name, one in found:
            color = COLORS[limits[letter]] if letter in limits else next(colors)
            style = "--" if letter in limits else "-"
            axes.plot(*_broken(one, view.span.step), style, color=color, linewidth=1, label=name)
    lowest = min((float(np.nanmin(one.values)) for _, _, one in found), default=0.0)
    if lowest >= 0 and "axisSoftMin" in view.panel["fieldConfig"]["defaults"]["custom"]:
        axes.set_ylim(bottom=-JUST_BELOW * axes.get_ylim()[1])
    _time_axis(axes, view)
    axes.yaxis.set_major_formatter(lambda value, _: in_words(value, view.unit))
    axes.grid(visible=True, color="#ddd", linewidth=0.5)
    handles, labels = axes.get_legend_handles_labels()
    if labels:
        more = [f"and {len(labels) - MOST} more"] if len(labels) > MOST else []
        shown = labels[: MOST - len(more)] + more
        legend = axes.legend(
            handles[:MOST], shown, loc="upper center", ncols=2, fontsize=TINY, frameon=False, handlelength=1.2
        )
        legend.set_bbox_to_anchor((0.5, -0.1))


def number(axes: Axes, view: View) -> None:
    """The newest value of each series, on its threshold's colour."""
    axes.axis("off")
    found = view.series()
    defaults = view.panel["fieldConfig"]["defaults"]
    if not found:
        axes.text(0.5, 0.5, defaults.get("noValue", ""), ha="center", va="center", fontsize=18, color="#888")
    for place, (_, name, one) in enumerate(found):
        value = float(one.values[-1])
        color = threshold_color(value, defaults["thresholds"]["steps"])
        filled = view.panel["options"]["colorMode"] == "background"
        left, width = place / len(found), 1 / len(found)
        axes.axvspan(left + 0.01, left + width - 0.01, color=color if filled else "#f4f5f5")
        text = "white" if filled else color
        middle, said = left + width / 2, in_words(value, view.unit)
        size = min(20, 32 * width * view.panel["gridPos"]["w"] / max(len(said), 1))
        axes.text(middle, 0.55, said, ha="center", va="center", color=text, fontsize=size)
        axes.text(middle, 0.12, name, ha="center", va="center", fontsize=SMALL, color=text)
    axes.set(xlim=(0, 1), ylim=(0, 1))


def bands(axes: Axes, view: View) -> None:
    """A row for each series, coloured by mapping or threshold."""
    defaults = view.panel["fieldConfig"]["defaults"]
    words = {key: result["color"] for one in defaults.get("mappings", ()) for key, result in one["options"].items()}
    found = sorted(view.series(), key=lambda one: one[1], reverse=True)
    for row, (_, _, one) in enumerate(found):
        ends = np.append(one.times[1:], one.times[-1] + view.span.step)
        for begin, end, value in zip(one.times, ends, one.values, strict=True):
            if end - begin > 3 * view.span.step:
                end = begin + view.span.step  # noqa: PLW2901 - a gap: nothing is known of it
            name = words.get(f"{value:g}", "")
            color = COLORS.get(name) or threshold_color(value, defaults["thresholds"]["steps"])
            left = _dates(np.array([begin]))[0]
            axes.barh(row, (end - begin) / 86400, left=left, height=0.85, color=color, linewidth=0)
    axes.set_yticks(range(len(found)), [name for _, name, _ in found])
    axes.set_ylim(-0.6, max(len(found), 1) - 0.4)
    _time_axis(axes, view)


def histogram(axes: Axes, view: View) -> None:
    """Buckets upwards, time to the right, counts as shades."""
    found = [(float(one.labels["le"]), one) for _, _, one in view.series()]
    found = sorted(((bound, one) for bound, one in found if np.isfinite(bound)), key=lambda pair: pair[0])
    _time_axis(axes, view)
    if not found:
        return
    times = np.unique(np.concatenate([one.times for _, one in found]))
    grid = np.array([np.interp(times, one.times, one.values) for _, one in found])
    counts = np.diff(grid, axis=0, prepend=0).clip(0)
    used = counts.max(axis=1) > counts.max() * 1e-3
    low, high = np.flatnonzero(used)[[0, -1]] if used.any() else (0, len(found) - 1)
    edges = np.append(_dates(times), _dates(times[-1:] + view.span.step))
    axes.pcolormesh(edges, np.arange(low, high + 2), counts[low : high + 1], cmap="Blues")
    bounds = [bound for bound, _ in found]
    axes.set_yticks(np.arange(low, high + 1) + 1.0, [in_words(bounds[row], "s") for row in range(low, high + 1)])


DRAWN: Mapping[str, Draw] = {
    "timeseries": over_time,
    "stat": number,
    "state-timeline": bands,
    "status-history": bands,
    "heatmap": histogram,
    "table": table,
}


def _palette(count: int) -> list[tuple[float, float, float, float]]:
    return [to_rgba(PALETTE[number % len(PALETTE)]) for number in range(count)]


def _broken(one: Series, step: float) -> tuple[np.ndarray, np.ndarray]:
    """Days and values, with a gap where there was nothing."""
    gaps = np.flatnonzero(np.diff(one.times) > 2 * step) + 1
    return np.insert(_dates(one.times), gaps, np.nan), np.insert(one.values, gaps, np.nan)


def _dates(times: np.ndarray) -> np.ndarray:
    return times / 86400


def _time_axis(axes: Axes, view: View) -> None:
    axes.set_xlim(view.span.start / 86400, view.span.end / 86400)
    axes.xaxis.set_major_formatter(lambda day, _: f"{datetime.fromtimestamp(day * 86400, UTC):%H:%M}")
    axes.tick_params(labelsize=TINY, length=2)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
