"""What is printed of `server`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.table import Table


def table(report: Mapping[str, Any]) -> list[Table]:
    """A line for each number of models: server, relay, and what a decision costs."""
    made = Table(title=f"server: {report['requests']:,} requests each; processor time in us", box=box.SIMPLE)
    for heading in ("models", "decisions/s", "relay/s", "share", "CPU each", "loop", "its CPU", "lost", "twice"):
        made.add_column(heading, justify="right")
    for one in report["servers"]:
        relay = one["relay"]
        made.add_row(
            f"{one['models']}{' once' if one['exactly_once'] else ''}",
            f"{one['per_s']:,}",
            f"{relay['per_s']:,}",
            f"{one['share_of_relay']:.2f}",
            *(_us(one[name]) for name in ("cpu_us", "loop_cpu_us")),
            _us(relay["cpu_us"]),
            str(one["lost"]),
            str(one["twice"]),
        )
    return [made]


def _us(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
