"""Values, sizes and colours as Grafana writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from math import floor, isfinite, log10
from typing import Any

COLORS = {
    "green": "#56a64b",
    "yellow": "#f2cc0c",
    "orange": "#ff780a",
    "red": "#e02f44",
    "blue": "#3274d9",
    "purple": "#a352cc",
}
SMALL, TINY = 8, 6.5
"""Points of text."""
LENGTHS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
MANY = 10_000
ENDINGS = {"reqps": " req/s", "cps": " c/s"}


def in_words(value: float, unit: str) -> str:
    """A value with its unit."""
    if not isfinite(value):
        return str(value)
    if unit == "dateTimeAsIso":
        return f"{datetime.fromtimestamp(value / 1e3, UTC):%Y-%m-%d %H:%M}"
    if unit == "percentunit":
        return f"{value * 100:.3g} %"
    if unit == "s":
        fitting = (f"{value / size:.3g} {name}" for size, name in LENGTHS if abs(value) >= size)
        return next(fitting, f"{value * 1e3:.3g} ms")
    digits = max(0, 2 - floor(log10(abs(value)))) if value else 0
    return (f"{value / 1e3:.3g} K" if abs(value) >= MANY else f"{round(value, digits):g}") + ENDINGS.get(unit, "")


def threshold_color(value: float, steps: Sequence[Mapping[str, Any]]) -> str:
    """The colour of the last step that the value has reached."""
    reached = [str(step["color"]) for step in steps if step["value"] is None or value >= step["value"]]
    return COLORS.get(reached[-1], reached[-1])
