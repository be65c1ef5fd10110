"""The figures of `clients`: each setting as it is and changed, and the ratio. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from rich import box
from rich.table import Table

from loadtest.clients.changes import Change
from loadtest.latency import Run, figures

AS_IS, CHANGED = "as_is", "changed"
SIDES = (AS_IS, CHANGED)
PERCENTILES = ("p50", "p99")

Turn: TypeAlias = tuple[str, Run, float | None]
"""A side, what it measured, and how many cores the load test and all that it started kept busy meanwhile."""


@dataclass(frozen=True, slots=True)
class Load:
    """One rate of one setting: its turns, in the order in which they were measured."""

    rate: float
    turns: Sequence[Turn]


def entry(change: Change, loads: Sequence[Load]) -> dict[str, Any]:
    """One setting's place in the report."""
    return {
        "name": change.name,
        "role": change.role,
        AS_IS: change.as_is,
        CHANGED: change.changed,
        "rates": [rate_figures(load) for load in loads],
    }


def rate_figures(load: Load) -> dict[str, Any]:
    """Both sides at one rate, all turns together; and p50's ratio of the best turns, and of each two."""
    sides = {side: side_figures([turn for turn in load.turns if turn[0] == side]) for side in SIDES}
    as_is, changed = (sides[side] for side in SIDES)
    return {
        "rate": load.rate,
        "order": [side for side, _, _ in load.turns],
        **sides,
        "ratio": {
            **{name: ratio(changed[name], as_is[name]) for name in (*PERCENTILES, "busy_cores")},
            # other work can only make a turn slower
            "p50_of_best_turns": ratio(min(changed["p50_of_turns"]), min(as_is["p50_of_turns"])),
            "p50_of_turns": [
                ratio(more, less) for less, more in zip(as_is["p50_of_turns"], changed["p50_of_turns"], strict=True)
            ],
        },
        "other_cores": max((cores for _, run, _ in load.turns if (cores := run.other_cores) is not None), default=None),
    }


def side_figures(turns: Sequence[Turn]) -> dict[str, Any]:
    """One side's turns at one rate, taken together."""
    taken = figures([run for _, run, _ in turns])
    cores = [busy for _, _, busy in turns if busy is not None]
    return {
        "requests": taken["requests"],
        **{name: taken["latency_ms"][name] for name in PERCENTILES},
        "busy_cores": round(sum(cores) / len(cores), 3) if cores else None,
        "p50_of_turns": taken["p50_ms_of_runs"],
        "unanswered": taken["unanswered"],
    }


def ratio(changed: float | None, as_is: float | None) -> float | None:
    """Changed / as it is; None where either is not known, or nothing."""
    return round(changed / as_is, 3) if changed is not None and as_is else None


def lost(entries: Sequence[Mapping[str, Any]]) -> int:
    """Requests that never had an answer, on either side."""
    return sum(int(rate[side]["unanswered"]) for one in entries for rate in one["rates"] for side in SIDES)


def most_other_cores(entries: Sequence[Mapping[str, Any]]) -> float | None:
    """Cores that other work kept busy in the most disturbed turn; None where nobody can say."""
    found = [rate["other_cores"] for one in entries for rate in one["rates"]]
    return max((cores for cores in found if cores is not None), default=None)


def told(one: Mapping[str, Any]) -> list[str]:
    """What was changed from what to what, a line each: `acks all → 1`; the name of what changes nothing."""
    lines = [f"{name} {plain(one[AS_IS][name])} → {plain(now)}" for name, now in one[CHANGED].items()]
    return lines or [one["name"]]


def plain(value: object) -> str:
    """As librdkafka's documents write it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def table(report: Mapping[str, Any]) -> Iterator[Table]:
    """A row for each setting and rate; changed / as is beside both."""
    found = Table(title=f"{report['scenario']}: as is, changed and their ratio", box=box.SIMPLE, padding=(0, 1, 0, 0))
    found.add_column("setting", min_width=24)
    for heading in ("requests/s", "p50, ms", "", "best turns", "p99, ms", "", "busy cores", ""):
        found.add_column(heading, justify="right", no_wrap=True)
    for one in report["settings"]:
        for number, rate in enumerate(one["rates"]):
            p50, others = _cells(rate, "p50"), [*_cells(rate, "p99"), *_cells(rate, "busy_cores")]
            named = "" if number else "\n".join(told(one))
            found.add_row(named, f"{rate['rate']:g}", *p50, _number(rate["ratio"]["p50_of_best_turns"]), *others)
    yield found


def _cells(rate: Mapping[str, Any], name: str) -> tuple[str, str]:
    values = [rate[side][name] for side in SIDES]
    if None in values:
        return "", ""
    return f"{values[0]:.2f}, {values[1]:.2f}", _number(rate["ratio"][name])


def _number(found: float | None) -> str:
    return "" if found is None else f"{found:.2f}"
