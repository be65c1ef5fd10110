"""The picture of `failover`: for each mode what became of the requests, and how long each of them took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import blended_transform_factory

from loadtest.driving.books import CLOCKS, Case
from loadtest.failover.report import QUIET, WARM_UP, History
from rendezvous.messages import Reason

BIN_S = 0.1
FATES = {
    "first choice, in time": "#009E73",
    "another model, in time": "#56B4E9",
    "default, in time": "#F0E442",
    "taken late by the broker": "#CC79A7",
    "late": "#D55E00",
    "never answered": "#000000",
}
"""In the order in which they are stacked; colours of Okabe and Ito, which colour-blind readers can tell apart."""
IN_TIME = {Reason.PREFERRED: "first choice, in time", Reason.FALLBACK: "another model, in time"}
LATENCY_TICKS_MS = (1, 10, 100, 1_000, 10_000)
MOST_MS = 30_000.0
INCHES = (14.0, 3.1)
HEAD_INCHES = 1.6
MOVE_S = 0.5
"""Names of moments closer than this would lie on each other."""


def fate(case: Case, deadline_ms: float, clock: str) -> str:
    """What became of a request: one of FATES."""
    if not case.answers:
        return "never answered"
    if case.late(deadline_ms, CLOCKS[clock]):
        return "late"
    if case.waited_ms(CLOCKS[clock]) > deadline_ms:
        return "taken late by the broker"
    return IN_TIME.get(case.answers[0].reason, "default, in time")


def rates(history: History, clock: str) -> tuple[list[float], dict[str, list[float]]]:
    """(seconds at which each tenth begins, requests a second of each fate), by when a request was due."""
    due_s = np.array([(case.asked.due_ms - history.started_ms) / 1e3 for case in history.cases])
    fates = np.array([fate(case, history.deadline_ms, clock) for case in history.cases])
    edges = np.arange(0, due_s.max() + BIN_S, BIN_S) if len(due_s) else np.array([0.0, BIN_S])
    return edges[:-1].tolist(), {
        name: (np.histogram(due_s[fates == name], edges)[0] / BIN_S).tolist() for name in FATES
    }


def draw(histories: Sequence[tuple[History, str]], report: Mapping[str, Any], path: Path) -> None:
    """Draw each mode's history, by the clock that tells when an answer is one there."""
    rows = 2 * len(histories)
    figure = Figure(figsize=(INCHES[0], INCHES[1] * rows + HEAD_INCHES), layout="constrained")
    panels = figure.subplots(rows, 1, squeeze=False).flatten()
    for number, (history, clock) in enumerate(histories):
        above, below = panels[2 * number], panels[2 * number + 1]
        below.sharex(above)
        _draw_rates(above, history, clock)
        _draw_latencies(below, history, clock)
        above.set_title(_heading(history, report["modes"][number]), fontsize="medium", loc="left", pad=62)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(FATES), frameon=False)
    machine = report["machine"]
    figure.suptitle(
        f"failover: {report['rate']:g} requests/s, {report['partitions']} partitions, {report['servers']} servers, "
        f"deadline {report['deadline_ms']:g} ms\n"
        f"{machine['cores']} cores, {machine['processor']}, load average {machine['load_average_at_start'][0]}",
        fontsize="medium",
    )
    figure.savefig(path, dpi=110)


def _heading(history: History, mode: Mapping[str, Any]) -> str:
    totals = mode["totals"]
    return (
        f"{history.mode}: {totals['sent']} sent, {totals['answered']} answered, {totals['lost']} lost, "
        f"{totals['duplicates']} twice ({totals['recognisable']} recognisable), {totals['late']} late"
    )


def _draw_rates(axes: Axes, history: History, clock: str) -> None:
    starts, found = rates(history, clock)
    axes.stackplot(starts, *found.values(), colors=list(FATES.values()), labels=list(FATES), step="post", linewidth=0)
    axes.set_ylabel("requests/s, by when due")
    axes.set_xlim(0, max(starts, default=1.0))
    axes.set_ylim(0)
    axes.tick_params(labelbottom=False)
    _mark(axes, history, named=True)


def _draw_latencies(axes: Axes, history: History, clock: str) -> None:
    fates = np.array([fate(case, history.deadline_ms, clock) for case in history.cases])
    due_s = np.array([(case.asked.due_ms - history.started_ms) / 1e3 for case in history.cases])
    waited_ms = np.array([min(case.waited_ms(CLOCKS[clock]), MOST_MS) for case in history.cases])
    for name, colour in FATES.items():
        chosen = fates == name
        axes.plot(due_s[chosen], np.maximum(waited_ms[chosen], 1), ".", color=colour, markersize=2, rasterized=True)
    axes.axhline(history.deadline_ms, color="black", linewidth=0.8, linestyle="--")
    axes.text(0.003, history.deadline_ms * 1.15, "deadline", transform=axes.get_yaxis_transform(), fontsize="x-small")
    axes.set_yscale("log")
    axes.set_ylim(1, MOST_MS)
    axes.set_yticks(LATENCY_TICKS_MS, labels=[f"{tick:,}" for tick in LATENCY_TICKS_MS])
    axes.minorticks_off()
    axes.set_ylabel("due to answer, ms")
    axes.set_xlabel("seconds")
    axes.grid(visible=True, axis="y", alpha=0.25)
    _mark(axes, history, named=False)


def _mark(axes: Axes, history: History, *, named: bool) -> None:
    """A line at each moment, and its name above the panel."""
    place = blended_transform_factory(axes.transData, axes.transAxes)
    before = float("-inf")
    for fault in history.faults:
        if fault.name in (WARM_UP, QUIET):
            continue
        for moment in fault.moments:
            at_s = (moment.at_ms - history.started_ms) / 1e3
            axes.axvline(at_s, color="black", linewidth=0.7)
            if named:
                before = max(at_s, before + MOVE_S)
                axes.text(before, 1.02, moment.name, transform=place, rotation=38, fontsize="x-small", va="bottom")
