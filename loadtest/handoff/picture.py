"""The picture of `handoff`: who answers, how long it takes, and who scores, with a mark at each act."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import blended_transform_factory

from loadtest.driving.books import CLOCKS
from loadtest.handoff.report import BY_DEFAULT, QUIET, WARM_UP, History, who
from loadtest.handoff.scored import Numbers, percentiles
from rendezvous.registry.events import Deployment, HandOff, Suspension
from rendezvous.registry.naming import written

BIN_S = 0.2
"""Of who answers."""
LATENCY_BIN_S = 0.5
"""So many requests that p99 is not the maximum."""
MOST_RATE = 2.0
"""Times the rate, of the panel of scores: what is caught up after a gap goes beyond it, and would hide the gap."""
SCORES_BIN_S = 0.1
"""Of who scores: a gap that matters must not hide in it."""
SHORT = 4
"""Digits of a version that tell it from its sister."""
COLOURS = ("#0072B2", "#56B4E9", "#009E73", "#E69F00", "#CC79A7", "#F0E442")
"""Of Okabe and Ito, which colour-blind readers can tell apart; the default answer and nobody have their own."""
NOT_MODELS = {BY_DEFAULT: "#D55E00", "nobody": "#000000"}
LINES = {"max": "#BBBBBB", "p99": "#D55E00", "p50": "#0072B2"}
LATENCY_TICKS_MS = (1, 10, 100, 1_000)
INCHES = (14.0, 10.0)
MOVE_S = 2.0
"""Names of marks closer than this would lie on each other."""


def marks(history: History) -> list[tuple[float, str]]:
    """(seconds, name) of each act, and of what control says of it."""
    found = [
        (window.begun_ms, {"champion frozen": "SIGSTOP", "champion back": "SIGCONT"}.get(window.name, window.name))
        for window in history.windows
        if window.name not in (QUIET, WARM_UP, "fallen back")
    ]
    found += [
        (record.at_ms, "passed by" if record.event.suspended else "trusted again")
        for record in history.control
        if isinstance(record.event, Suspension)
    ]
    return [((at_ms - history.started_ms) / 1e3, name) for at_ms, name in sorted(found) if at_ms >= history.started_ms]


def answering(history: History) -> tuple[list[float], dict[str, list[float]]]:
    """(seconds at which each bin begins, requests a second that each answered), by when a request was due."""
    due_s = _due_s(history)
    names = np.array([who(case) for case in history.cases])
    edges = _edges(due_s, BIN_S)
    present = list(dict.fromkeys(names.tolist()))
    return edges[:-1].tolist(), {
        name: (np.histogram(due_s[names == name], edges)[0] / BIN_S).tolist() for name in present
    }


def taking(history: History) -> tuple[list[float], dict[str, list[float]]]:
    """(seconds at which each bin begins, p50, p99 and maximum of the latencies in it), by when a request was due."""
    due_s = _due_s(history)
    waited = np.array([case.waited_ms(CLOCKS["in_hand"]) for case in history.cases])
    edges = _edges(due_s, LATENCY_BIN_S)
    bins = np.digitize(due_s, edges) - 1
    told = [percentiles(waited[(bins == number) & np.isfinite(waited)]) for number in range(len(edges) - 1)]
    return edges[:-1].tolist(), {
        name: [np.nan if part[name] is None else float(part[name] or 0) for part in told] for name in LINES
    }


def _due_s(history: History) -> Numbers:
    return np.array([(case.asked.due_ms - history.started_ms) / 1e3 for case in history.cases])


def _edges(due_s: Numbers, width_s: float) -> Numbers:
    return np.arange(0, max(float(due_s.max()), width_s) + width_s, width_s)


def draw(history: History, report: Mapping[str, Any], path: Path) -> None:
    """Draw it."""
    figure = Figure(figsize=INCHES, layout="constrained")
    above, middle, below = figure.subplots(3, 1, sharex=True)
    colours = _colours(history)
    _draw_answers(above, history, colours)
    _draw_latencies(middle, history)
    _draw_scores(below, history, colours)
    below.set_ylim(0, MOST_RATE * report["rate"])
    for axes in (above, middle, below):
        _mark(axes, history, named=axes is above)
    totals, machine = report["totals"], report["machine"]
    figure.suptitle(
        f"handoff: {report['rate']:g} requests/s, deadline {history.deadline_ms:g} ms, the champion's step "
        f"{history.step_ms:g} ms: {totals['sent']} sent, {totals['lost']} lost, {totals['duplicates']} twice, "
        f"{totals['late']} late\n"
        f"{machine['cores']} cores, {machine['processor']}, load average {machine['load_average_at_start'][0]}",
        fontsize="medium",
    )
    figure.savefig(path, dpi=110)


def _colours(history: History) -> dict[str, str]:
    versions = [written(move) for move in _deployed(history)]
    return dict(zip(versions, COLOURS, strict=False)) | NOT_MODELS


def _deployed(history: History) -> list[tuple[str, str]]:
    events = (record.event for record in history.control)
    return [(event.model, event.version) for event in events if isinstance(event, Deployment)]


def _short(name: str) -> str:
    model, slash, version = name.partition("/")
    return model + slash + version[:SHORT]


def _draw_answers(axes: Axes, history: History, colours: Mapping[str, str]) -> None:
    starts, found = answering(history)
    axes.stackplot(
        starts,
        *found.values(),
        colors=[colours[name] for name in found],
        labels=[_short(name) for name in found],
        step="post",
        linewidth=0,
    )
    axes.set_ylabel("answers/s by whom")
    axes.set_ylim(0)
    axes.set_xlim(0, max(starts))
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)


def _draw_latencies(axes: Axes, history: History) -> None:
    starts, found = taking(history)
    for name, values in found.items():
        axes.plot(starts, values, color=LINES[name], linewidth=1.0, label=name)
    for height, name in ((history.deadline_ms, "deadline"), (history.step_ms, "step's end")):
        axes.axhline(height, color="black", linewidth=0.7, linestyle="--")
        axes.text(0.003, height * 1.08, name, transform=axes.get_yaxis_transform(), fontsize="x-small")
    axes.set_yscale("log")
    axes.set_yticks(LATENCY_TICKS_MS, labels=[f"{tick:,}" for tick in LATENCY_TICKS_MS])
    axes.minorticks_off()
    axes.set_ylabel("due to answer in hand, ms")
    axes.grid(visible=True, axis="y", alpha=0.25)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)


def _draw_scores(axes: Axes, history: History, colours: Mapping[str, str]) -> None:
    edges = _edges(_due_s(history), SCORES_BIN_S)
    for pair, version in history.scored.items():
        at_s = (version.at_ms[~np.isnan(version.at_ms)] - history.started_ms) / 1e3
        rates = np.histogram(at_s, edges)[0] / SCORES_BIN_S
        name = written(pair)
        axes.plot(edges[:-1], rates, color=colours[name], label=_short(name), linewidth=0.9)
    axes.set_ylabel("scores/s by whom")
    axes.set_xlabel("seconds")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)


def _mark(axes: Axes, history: History, *, named: bool) -> None:
    """A line at each act, and its name above the first panel; dotted where the champion changes on control."""
    place = blended_transform_factory(axes.transData, axes.transAxes)
    before = float("-inf")
    for record in history.control:
        if isinstance(record.event, HandOff) and record.at_ms >= history.started_ms:
            axes.axvline((record.at_ms - history.started_ms) / 1e3, color="black", linewidth=0.7, linestyle=":")
    for at_s, name in marks(history):
        axes.axvline(at_s, color="black", linewidth=0.7)
        if named:
            before = max(at_s, before + MOVE_S)
            axes.text(before, 1.02, name, transform=place, rotation=30, fontsize="small", va="bottom")
