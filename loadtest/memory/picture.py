"""The picture of `memory`: bytes of a request in flight, and seconds from start to ready."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from loadtest.drawing import BLUE, DPI, GREY, SKY, head

LEGEND = {"fontsize": "small", "loc": "upper center", "ncols": 2, "bbox_to_anchor": (0.5, 1.12), "frameon": False}
INCHES = (10.0, 4.2)


def draw(report: Mapping[str, Any], path: Path) -> None:
    """Draw the report to `path`."""
    figure = Figure(figsize=INCHES, layout="constrained")
    flight, starts = figure.subplots(1, 2)
    _flight(flight, report)
    _starts(starts, report)
    head(figure, report, f"{report['models']} models of {report['outputs']} outputs; starts")
    figure.savefig(path, dpi=DPI)


def _limit(report: Mapping[str, Any], word: str) -> float:
    return float(next(target["limit"] for target in report["targets"] if target["name"].startswith(word)))


def _flight(axes: Axes, report: Mapping[str, Any]) -> None:
    mailbox, server = report["flight"]["mailbox"], report["flight"]["server"]
    rings = [mailbox["ring_bytes"], server["ring_mb"] * 1e6 / server["requests"]]
    totals = [mailbox["bytes"], server["bytes"]]
    axes.bar((0, 1), rings, 0.6, color=BLUE, label="the ring's columns")
    rest = [total - ring for total, ring in zip(totals, rings, strict=True)]
    axes.bar((0, 1), rest, 0.6, bottom=rings, color=SKY, label="envelopes, ledger and all else")
    for place, total in enumerate(totals):
        axes.text(place, total, f"{total:,.0f}", ha="center", va="bottom", fontsize="small")
    axes.axhline(_limit(report, "bytes"), color="black", linestyle="--", linewidth=0.9)
    names = (f"a partition by itself\n{mailbox['requests']:,} requests", f"a server\n{server['requests']:,} requests")
    axes.set_xticks((0, 1), names)
    axes.set_ylabel("bytes a request in flight (dashed: the target)")
    axes.legend(**LEGEND)


def _starts(axes: Axes, report: Mapping[str, Any]) -> None:
    starts = report["starts"]
    places = range(len(starts))
    imports = [one["imports_s"] for one in starts.values()]
    axes.bar(places, [one["beyond_s"] for one in starts.values()], 0.6, color=BLUE, label="beyond imports")
    axes.bar(places, imports, 0.6, bottom=[one["beyond_s"] for one in starts.values()], color=GREY, label="imports")
    for place, one in enumerate(starts.values()):
        axes.text(place, one["beyond_s"], f"{one['beyond_s']:.2f}", ha="center", va="bottom", fontsize="small")
    axes.axhline(_limit(report, "seconds"), color="black", linestyle="--", linewidth=0.9)
    axes.set_xticks(places, list(starts))
    axes.set_ylabel("seconds from start to ready (dashed: the target)")
    axes.legend(**LEGEND)
