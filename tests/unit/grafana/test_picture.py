"""Pictures: every kind of panel is drawn from what a Prometheus answers, and from nothing."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from grafana.asking import Prometheus, Series, Span
from grafana.drawing import DRAWN
from grafana.picture import draw
from grafana.queries import DASHBOARDS, substituted
from grafana.telling import in_words, threshold_color
from grafana.view import View

CHOSEN = {"endpoint": "flights", "metric": "auc"}
SPAN = Span(1_000.0, 1_600.0, 15.0)
LABELS = {"endpoint": "flights", "model": "trees", "version": "v1", "subject": "temp", "le": "0.1", "alias": "champion"}


class Answering(Prometheus):
    """Answers every query with the same series."""

    def __init__(self, *values: float, gap: bool = False) -> None:
        super().__init__("nowhere")
        self._values = values
        self._gap = gap

    def over(self, expr: str, span: Span) -> list[Series]:
        """Each value for the whole span."""
        assert "$" not in expr
        times = np.arange(span.start, span.end, span.step)
        times = np.delete(times, slice(10, 20)) if self._gap else times
        return [Series(LABELS, times, np.full(len(times), value)) for value in self._values]

    def at(self, expr: str, time: float) -> list[Series]:
        """Each value at one moment."""
        assert "$" not in expr
        return [Series(LABELS, np.array([time]), np.array([value])) for value in self._values]


@pytest.mark.parametrize("path", sorted(DASHBOARDS.glob("*.json")), ids=lambda path: path.stem)
def test_every_dashboard_is_drawn(path: Path) -> None:
    """A card and axes for each panel that shows something."""
    dashboard = json.loads(path.read_text())
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    assert {panel["type"] for panel in panels} <= set(DRAWN)
    assert len(draw(dashboard, Answering(1.0, 2.5), SPAN, CHOSEN).axes) == 2 * len(panels)


def test_a_panel_without_data_is_drawn_empty() -> None:
    """Each kind of panel once."""
    panels = [panel for path in DASHBOARDS.glob("*.json") for panel in json.loads(path.read_text())["panels"]]
    for kind, drawn in DRAWN.items():
        panel = next(panel for panel in panels if panel["type"] == kind)
        drawn(Figure().add_subplot(), View(panel, Answering(), SPAN, partial(substituted, chosen=CHOSEN)))


def test_limits_are_dashed_and_gaps_are_gaps() -> None:
    """A line does not go on where there was no data."""
    dashboard = json.loads((DASHBOARDS / "rendezvous-overview.json").read_text())
    (panel,) = (one for one in dashboard["panels"] if one["title"] == "p99 latency and the deadline")
    axes = Figure().add_subplot()
    DRAWN["timeseries"](axes, View(panel, Answering(1.0, gap=True), SPAN, partial(substituted, chosen=CHOSEN)))
    assert sorted(line.get_linestyle() for line in axes.lines) == ["-", "--"]
    assert all(np.isnan(np.asarray(line.get_ydata())).sum() == 1 for line in axes.lines)


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [
        (0.0123, "s", "12.3 ms"),
        (7_200.0, "s", "2 h"),
        (0.9991, "percentunit", "99.9 %"),
        (373.164, "reqps", "373 req/s"),
        (52_300.0, "short", "52.3 K"),
        (0.0, "none", "0"),
        (1_371_700_740_000.0, "dateTimeAsIso", "2013-06-20 03:59"),
    ],
)
def test_values_are_written_with_their_unit(value: float, unit: str, words: str) -> None:
    """Three digits, and no more."""
    assert in_words(value, unit) == words


def test_a_threshold_is_reached_at_its_value() -> None:
    """The last step that was reached counts; the first has no value."""
    steps: list[dict[str, object]] = [
        {"value": None, "color": "white"},
        {"value": 0.8, "color": "grey"},
        {"value": 1, "color": "black"},
    ]
    assert [threshold_color(value, steps) for value in (-1.0, 0.8, 1.0, 9.0)] == ["white", "grey", "black", "black"]
