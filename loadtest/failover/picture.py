"""The picture of `failover`: for each mode what became of the requests, and how long each of them took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from loadtest.driving.timeline import Line, draw_latencies, draw_rates, legend, mark
from loadtest.failover.report import QUIET, WARM_UP, History

INCHES = (14.0, 3.1)
HEAD_INCHES = 1.6


def draw(histories: Sequence[tuple[History, str]], report: Mapping[str, Any], path: Path) -> None:
    """Draw each mode's history, by the clock that tells when an answer is one there."""
    rows = 2 * len(histories)
    figure = Figure(figsize=(INCHES[0], INCHES[1] * rows + HEAD_INCHES), layout="constrained")
    panels = figure.subplots(rows, 1, squeeze=False).flatten()
    for number, (history, clock) in enumerate(histories):
        above, below = panels[2 * number], panels[2 * number + 1]
        below.sharex(above)
        line = Line(history.cases, history.started_ms, history.deadline_ms, clock)
        draw_rates(above, line)
        draw_latencies(below, line)
        for axes in (above, below):
            mark(axes, moments(history), named=axes is above)
        above.set_title(_heading(history, report["modes"][number]), fontsize="medium", loc="left", pad=62)
    legend(figure, panels[0])
    machine = report["machine"]
    figure.suptitle(
        f"failover: {report['rate']:g} requests/s, {report['partitions']} partitions, {report['servers']} servers, "
        f"deadline {report['deadline_ms']:g} ms\n"
        f"{machine['cores']} cores, {machine['processor']}, load average {machine['load_average_at_start'][0]}",
        fontsize="medium",
    )
    figure.savefig(path, dpi=110)


def moments(history: History) -> list[tuple[float, str]]:
    """(seconds, name) of everything that was done."""
    return [
        ((moment.at_ms - history.started_ms) / 1e3, moment.name)
        for fault in history.faults
        if fault.name not in (WARM_UP, QUIET)
        for moment in fault.moments
    ]


def _heading(history: History, mode: Mapping[str, Any]) -> str:
    totals = mode["totals"]
    return (
        f"{history.mode}: {totals['sent']} sent, {totals['answered']} answered, {totals['lost']} lost, "
        f"{totals['duplicates']} twice ({totals['recognisable']} recognisable), {totals['late']} late"
    )
