"""What `profile` prints: microseconds of processor time a request, a column for each process and rate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich import box
from rich.table import Table


def table(report: Mapping[str, Any]) -> Iterator[Table]:
    """One for each process."""
    for process in dict.fromkeys(one["process"] for one in report["profiles"]):
        profiles = [one for one in report["profiles"] if one["process"] == process]
        shown = Table(title=f"{process}: µs of the processor for a request, by {report['by']}", box=box.SIMPLE)
        shown.add_column("")
        for one in profiles:
            shown.add_column(f"{one['rate']:g}/s", justify="right")
        for area in profiles[0]["us_per_request"]:
            shown.add_row(area, *(f"{one['us_per_request'][area]:.1f}" for one in profiles))
        shown.add_section()
        shown.add_row("together", *(f"{one['total_us']:.1f}" for one in profiles))
        shown.add_row("the loop waited for a core", *(f"{one['queued_us']:.1f}" for one in profiles))
        shown.add_row("samples", *(str(one["samples"]) for one in profiles))
        shown.add_row("torn, unread", *(f"{one['torn']}, {one['unread']}" for one in profiles))
        yield shown
