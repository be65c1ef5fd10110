"""The summaries on the screen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich import box
from rich.table import Table

MEANING = {"p50": "p50", "p99": "p99", "p999": "p99.9", "max": "max"}


def latencies(report: Mapping[str, Any]) -> Iterator[Table]:
    """`steady`: system and floor at each rate."""
    table = Table(title=f"{report['scenario']}: latency from due, ms")
    for heading in ("requests/s", "", *MEANING.values(), "lost", "late"):
        table.add_column(heading, justify="right", no_wrap=True)
    for rate in report["rates"]:
        for side in ("system", "floor"):
            values = [f"{rate[side]['latency_ms'][name]:.2f}" for name in MEANING]
            table.add_row(f"{rate['rate']:g}", side, *values, str(rate[side]["unanswered"]), str(rate[side]["late"]))
        table.add_row("", "ratio", *(f"{rate['ratio'][name]:.2f}" for name in MEANING))
        table.add_row("", "difference", *(f"{rate['difference_ms'][name]:.2f}" for name in MEANING), end_section=True)
    yield table


COUNTS = {"sent": "sent", "lost": "lost", "duplicates": "twice", "late": "late"}
REASONS = ("preferred", "fallback", "default", "expired")
"""Of first answers; the others do not come up here, and are in the JSON if they do."""


def faults(report: Mapping[str, Any]) -> Iterator[Table]:
    """`failover`: what each fault did, a table a mode."""
    for mode in report["modes"]:
        table = Table(title=f"{report['scenario']}, {mode['mode']}: requests", box=box.SIMPLE)
        table.add_column("", no_wrap=True)
        for heading in (*COUNTS.values(), *REASONS):
            table.add_column(heading, justify="right")
        for fault in [*mode["faults"], {"fault": "altogether", **mode["totals"]}]:
            reasons = (str(fault["reasons"].get(name, 0)) for name in REASONS)
            table.add_row(fault["fault"], *(str(fault[name]) for name in COUNTS), *reasons)
        yield table


def windows(report: Mapping[str, Any]) -> Iterator[Table]:
    """`handoff`: what became of the requests in each window, and how long they took."""
    table = Table(
        title=f"{report['scenario']}, {report['rate']:g} requests/s; latency in ms",
        box=box.SIMPLE,
        padding=(0, 1, 0, 0),
    )
    table.add_column("", no_wrap=True)
    for heading in (*COUNTS.values(), "in quiet", *REASONS[1:3], "p50", "p99", "max"):
        table.add_column(heading, justify="right")
    for window in report["windows"]:
        table.add_row(
            window["window"],
            *(str(window[name]) for name in COUNTS),
            f"{window['late_in_quiet']:g}" if "late_in_quiet" in window else "",
            *(str(window["reasons"].get(name, 0)) for name in REASONS[1:3]),
            *(f"{window['latency_ms'][name] or 0:.0f}" for name in ("p50", "p99", "max")),
        )
    yield table


def hostile(report: Mapping[str, Any]) -> Iterator[Table]:
    """`hostile`: what became of each kind, and of the good requests meanwhile."""
    table = Table(title=f"{report['scenario']}: records, and good requests meanwhile", box=box.SIMPLE)
    table.add_column("kind", no_wrap=True, min_width=40)
    table.add_column("became", min_width=16)
    for heading in ("sent", "no trace", "µs each", "by models", "default", "late", "worst, ms"):
        table.add_column(heading, justify="right")
    for kind in report["kinds"]:
        became = kind["dead_letters"] | kind["answers"] | kind["rows"]
        became |= {name: kind[name] for name in ("shut_out", "refused") if kind[name]}
        good = kind["good"]
        figures = (kind["sent"], kind["unaccounted"], kind["server_us_per_record"])
        table.add_row(
            f"{kind['topic']}: {kind['kind']}",
            ", ".join(f"{count} {name}" for name, count in became.items()),
            *(str(figure) for figure in figures),
            *(str(good[name]) for name in ("by_models", "default", "late", "worst_ms")),
        )
    yield table


def targets(report: Mapping[str, Any]) -> Table:
    """Each target, met or not; of a recovery also what it was for a second alone."""
    table = Table(title="targets")
    for heading, justify in (("target", "left"), ("value", "right"), ("limit", "right"), ("", "left")):
        table.add_column(heading, justify="right" if justify == "right" else "left")
    for target in report["targets"]:
        value = "never" if target["value"] is None else f"{target['value']:.2f}"
        if not target["met"] and target.get("first_second") is not None:
            value += f"\nfor 1 s: {target['first_second']:.2f}"
        table.add_row(target["name"], value, f"{target['limit']:.2f}", "met" if target["met"] else "NOT MET")
    return table
