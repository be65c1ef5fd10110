"""Prometheus over HTTP: series of a time span, and newest values."""

from __future__ import annotations

import json
import re
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

TIMEOUT_S = 30


@dataclass(frozen=True, slots=True)
class Series:
    """Labels, times (seconds since the epoch) and values, float64 [points] each."""

    labels: Mapping[str, str]
    times: NDArray[np.float64]
    values: NDArray[np.float64]

    def called(self, legend: str) -> str:
        """Its name by a legend such as `{{model}} p99`."""
        return re.sub(r"\{\{(\w+)\}\}", lambda found: self.labels.get(found[1], ""), legend).strip()


@dataclass(frozen=True, slots=True)
class Span:
    """What is looked at: seconds since the epoch, and seconds between two points."""

    start: float
    end: float
    step: float


class Prometheus:
    """One server, e.g. http://127.0.0.1:9090."""

    def __init__(self, address: str) -> None:
        self._address = address

    def over(self, expr: str, span: Span) -> list[Series]:
        """Values over a span."""
        asked = {"query": expr, "start": span.start, "end": span.end, "step": span.step}
        return [_series(one["metric"], one["values"]) for one in self._ask("query_range", asked)]

    def at(self, expr: str, time: float) -> list[Series]:
        """Values at one moment."""
        return [_series(one["metric"], [one["value"]]) for one in self._ask("query", {"query": expr, "time": time})]

    def _ask(self, what: str, asked: Mapping[str, object]) -> list[dict[str, Any]]:
        url = f"{self._address}/api/v1/{what}?{urllib.parse.urlencode(asked)}"
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:  # noqa: S310 - an address that was given by hand
            found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
        return found


def _series(labels: Mapping[str, str], points: list[Any]) -> Series:
    times = np.array([float(time) for time, _ in points])
    return Series(labels, times, np.array([float(value) for _, value in points]))
