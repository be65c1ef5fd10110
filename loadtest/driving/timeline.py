"""What became of requests over time, drawn: how many of each fate a second, and how long each of them took."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import blended_transform_factory

from loadtest.drawing import DPI, GREEN, PINK, RED, SKY, YELLOW, head
from loadtest.driving.books import CLOCKS, Case
from loadtest.driving.phases import Played
from rendezvous.messages import Reason

BIN_S = 0.1
FATES = {
    "first choice, in time": GREEN,
    "another model, in time": SKY,
    "default, in time": YELLOW,
    "taken late by the broker": PINK,
    "late": RED,
    "never answered": "#000000",
}
"""In the order in which they are stacked."""
IN_TIME = {Reason.PREFERRED: "first choice, in time", Reason.FALLBACK: "another model, in time"}
LATENCY_TICKS_MS = (1, 10, 100, 1_000, 10_000)
MOST_MS = 30_000.0
INCHES = (14.0, 6.6)
MOVE = 0.02
"""Names of moments closer than this, as a share of the width, would lie on each other."""


@dataclass(frozen=True, slots=True)
class Line:
    """Requests in the order of due, and how they are told: by one of CLOCKS."""

    cases: Sequence[Case]
    started_ms: float
    deadline_ms: float
    clock: str

    @property
    def due_s(self) -> np.ndarray:
        """Of each request, since the start."""
        return np.array([(case.asked.due_ms - self.started_ms) / 1e3 for case in self.cases])

    @property
    def fates(self) -> np.ndarray:
        """Of each request."""
        return np.array([fate(case, self.deadline_ms, self.clock) for case in self.cases])


def fate(case: Case, deadline_ms: float, clock: str) -> str:
    """What became of a request: one of FATES."""
    if not case.answers:
        return "never answered"
    if case.late(deadline_ms, CLOCKS[clock]):
        return "late"
    if case.waited_ms(CLOCKS[clock]) > deadline_ms:
        return "taken late by the broker"
    return IN_TIME.get(case.answers[0].reason, "default, in time")


def rates(line: Line) -> tuple[list[float], dict[str, list[float]]]:
    """(seconds at which each tenth begins, requests a second of each fate), by when a request was due."""
    due_s, fates = line.due_s, line.fates
    edges = np.arange(0, due_s.max() + BIN_S, BIN_S) if len(due_s) else np.array([0.0, BIN_S])
    return edges[:-1].tolist(), {
        name: (np.histogram(due_s[fates == name], edges)[0] / BIN_S).tolist() for name in FATES
    }


def draw_rates(axes: Axes, line: Line) -> None:
    """Stacked, by fate."""
    starts, found = rates(line)
    axes.stackplot(starts, *found.values(), colors=list(FATES.values()), labels=list(FATES), step="post", linewidth=0)
    axes.set_ylabel("requests/s, by when due")
    axes.set_xlim(0, max(starts, default=1.0))
    axes.set_ylim(0)
    axes.tick_params(labelbottom=False)


def draw_latencies(axes: Axes, line: Line) -> None:
    """A dot a request."""
    due_s, fates = line.due_s, line.fates
    waited_ms = np.array([min(case.waited_ms(CLOCKS[line.clock]), MOST_MS) for case in line.cases])
    for name, colour in FATES.items():
        chosen = fates == name
        axes.plot(due_s[chosen], np.maximum(waited_ms[chosen], 1), ".", color=colour, markersize=2, rasterized=True)
    axes.axhline(line.deadline_ms, color="black", linewidth=0.8, linestyle="--")
    place = axes.get_yaxis_transform()
    behind = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1}
    axes.text(0.003, line.deadline_ms * 1.3, "deadline", transform=place, fontsize="x-small", bbox=behind)
    axes.set_yscale("log")
    axes.set_ylim(1, MOST_MS)
    axes.set_yticks(LATENCY_TICKS_MS, labels=[f"{tick:,}" for tick in LATENCY_TICKS_MS])
    axes.minorticks_off()
    axes.set_ylabel("due to answer, ms")
    axes.set_xlabel("seconds")
    axes.grid(visible=True, axis="y", alpha=0.25)


def mark(axes: Axes, moments: Iterable[tuple[float, str]], *, named: bool, rotation: float = 38) -> None:
    """A line at each moment, and its name above the panel."""
    place = blended_transform_factory(axes.transData, axes.transAxes)
    before, apart_s = float("-inf"), MOVE * axes.get_xlim()[1]
    for at_s, name in moments:
        axes.axvline(at_s, color="black", linewidth=0.7)
        if named:
            before = max(at_s, before + apart_s)
            axes.text(before, 1.02, name, transform=place, rotation=rotation, fontsize="x-small", va="bottom")


def legend(figure: Figure, axes: Axes) -> None:
    """Of the fates, below everything."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(FATES), frameon=False)


def draw(parts: Mapping[str, Played], report: Mapping[str, Any], told: str, path: Path) -> None:
    """A scenario of phases: two panels for each part, with a line where a phase begins."""
    figure = Figure(figsize=(INCHES[0], INCHES[1] * len(parts)), layout="constrained")
    panels = figure.subplots(2 * len(parts), 1, squeeze=False).flatten()
    for number, (name, played) in enumerate(parts.items()):
        above, below = panels[2 * number], panels[2 * number + 1]
        below.sharex(above)
        line = Line(played.cases, played.started_ms, played.deadline_ms, "in_hand")
        draw_rates(above, line)
        draw_latencies(below, line)
        begins = [((window.begun_ms - played.started_ms) / 1e3, window.phase) for window in played.windows]
        marks = [(at_s, f"{phase.name}: {phase.rate:.0f}/s") for at_s, phase in begins]
        mark(above, marks, named=True, rotation=0)
        mark(below, marks, named=False)
        above.set_title(name, fontsize="medium", loc="left", pad=18)
    legend(figure, panels[0])
    head(figure, report, told)
    figure.savefig(path, dpi=DPI)
