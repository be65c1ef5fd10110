"""The summaries on the screen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich import box
from rich.table import Table

MEANING = {"p50": "p50", "p99": "p99", "p999": "p99.9", "max": "max"}


def latencies(report: Mapping[str, Any]) -> Iterator[Table]:
    """`steady`: system and floor at each rate."""
    table = Table(title=f"{report['scenario']}: latency from due, ms", box=box.SIMPLE, padding=(0, 1, 0, 0))
    for heading in ("requests/s", "", "", *MEANING.values(), "lost", "late"):
        table.add_column(heading, justify="right", no_wrap=True)
    for rate in report["rates"]:
        for side in ("system", "floor"):
            values = [f"{rate[side]['latency_ms'][name]:.2f}" for name in MEANING]
            counts = [str(rate[side][name]) for name in ("unanswered", "late")]
            table.add_row(f"{rate['rate']:.0f}", rate["load"], side, *values, *counts)
        differences = [f"{rate['difference_ms'][name]:.2f}" for name in MEANING]
        table.add_row("", "", "ratio", *(f"{rate['ratio'][name]:.2f}" for name in MEANING))
        table.add_row("", "", "difference", *differences, end_section=True)
    yield table


def steps(report: Mapping[str, Any]) -> Iterator[Table]:
    """`saturation`: each rate that was tried."""
    table = Table(title=f"{report['saturation']:.0f} requests/s are kept", box=box.SIMPLE)
    for heading in ("requests/s", "in time", "by first choice", "p50, ms", "p99, ms", "cores", "backlog grew"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for step in report["steps"]:
        sent = max(step["sent"], 1)
        table.add_row(
            f"{step['rate']:.0f}",
            f"{step['good'] / sent:.1%}",
            f"{step['preferred'] / sent:.1%}",
            f"{step['latency_ms']['p50']:.1f}",
            f"{step['latency_ms']['p99']:.1f}",
            "" if step["busy_cores"] is None else f"{step['busy_cores']:.1f}",
            f"{step['growth']:.1%}",
            "not kept" if step["faults"] else "kept",
        )
    yield table


def phases(report: Mapping[str, Any]) -> Iterator[Table]:
    """`stall`, `overload`, `burst`: what became of the requests of each phase."""
    for part in report.get("parts", [report]):
        title = f"{report['scenario']}: {part.get('bottleneck', 'requests')}"
        table = Table(title=title, box=box.SIMPLE, padding=(0, 1, 0, 0))
        table.add_column("", no_wrap=True)
        for heading in ("/s", "sent", "lost", "in time", "by a model", "default", "p50, ms", "p99", "max"):
            table.add_column(heading, justify="right")
        for phase in part["phases"]:
            table.add_row(
                phase["phase"],
                f"{phase['rate']:.0f}",
                *(str(phase[name]) for name in ("sent", "lost", "in_time", "good")),
                str(phase["reasons"].get("default", 0)),
                *(f"{phase['latency_ms'][name]:.0f}" for name in ("p50", "p99", "max")),
            )
        yield table


def shapes(report: Mapping[str, Any]) -> Iterator[Table]:
    """`scale`: what was measured, and the model."""
    table = Table(title=f"measured at {report['rate']:.0f} requests/s", box=box.SIMPLE)
    for heading in ("partitions", "servers", "in time", "p50, ms", "p99, ms", "processor µs a request"):
        table.add_column(heading, justify="right")
    for one in report["shapes"]:
        costs = ", ".join(f"{name} {us:.0f}" for name, us in one["cpu_us"].items() if us is not None)
        table.add_row(
            str(one["partitions"]),
            str(one["servers"]),
            f"{one['in_time'] / max(one['sent'], 1):.1%}",
            *(f"{one['latency_ms'][name]:.1f}" for name in ("p50", "p99")),
            costs,
        )
    yield table
    kinds = list(report["service_us"])
    table = Table(title="modelled: requests/s of a group, each process with a core of its own", box=box.SIMPLE)
    for heading in ("partitions", "processes", *kinds):
        table.add_column(heading, justify="right")
    for one in report["model"]:
        table.add_row(str(one["partitions"]), str(one["processes"]), *(f"{one['per_s'][kind]:,}" for kind in kinds))
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


def targets(report: Mapping[str, Any]) -> Iterator[Table]:
    """Each target, met or not, and why not; of a recovery also what it was for a second alone. Nothing without any."""
    if not report["targets"]:
        return
    table = Table(title="targets")
    for heading, justify in (("target", "left"), ("value", "right"), ("limit", "right"), ("", "left")):
        table.add_column(heading, justify="right" if justify == "right" else "left")
    for target in report["targets"]:
        value = "never" if target["value"] is None else f"{target['value']:.2f}"
        if not target["met"] and target.get("first_second") is not None:
            value += f"\nfor 1 s: {target['first_second']:.2f}"
        table.add_row(target["name"], value, f"{target['limit']:.2f}", told(target))
    yield table


def told(target: Mapping[str, Any]) -> str:
    """Met or not, and the reason when not."""
    if target["met"]:
        return "met"
    return f"NOT MET: {target['reason']}" if target.get("reason") else "NOT MET"
