"""What a picture of a panel is drawn from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from grafana.asking import Prometheus, Series, Span


@dataclass(frozen=True, slots=True)
class View:
    """What a panel is drawn from: its JSON, whom it asks, when, and what its variables stand for."""

    panel: Mapping[str, Any]
    prometheus: Prometheus
    span: Span
    substituted: Callable[[str], str]

    @property
    def unit(self) -> str:
        """Of its values."""
        return str(self.panel["fieldConfig"]["defaults"].get("unit", "none"))

    def limits(self) -> dict[str, str]:
        """The colours of queries that are drawn dashed, by letter."""
        overrides = self.panel["fieldConfig"].get("overrides", ())
        dashed = [one for one in overrides if one["matcher"]["id"] == "byFrameRefID"]
        return {one["matcher"]["options"]: one["properties"][0]["value"]["fixedColor"] for one in dashed}

    def series(self) -> list[tuple[str, str, Series]]:
        """(letter, name, series) over the span."""
        return [
            (target["refId"], one.called(target.get("legendFormat", "")), one)
            for target in self.panel["targets"]
            for one in self._answers(target)
        ]

    def _answers(self, target: Mapping[str, Any]) -> list[Series]:
        expr = self.substituted(target["expr"])
        return self.prometheus.at(expr, self.span.end) if target["instant"] else self.prometheus.over(expr, self.span)
