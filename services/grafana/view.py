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

    def limits(self) -> set[str]:
        """The letters of queries that are drawn dashed."""
        overrides = self.panel["fieldConfig"].get("overrides", ())
        return {one["matcher"]["options"] for one in overrides if one["matcher"]["id"] == "byFrameRefID"}

    def series(self) -> list[tuple[str, str, Series]]:
        """(letter, name, series) over the span."""
        return [
            (target["refId"], one.called(target.get("legendFormat", "")), one)
            for target in self.panel["targets"]
            for one in self.prometheus.over(self.substituted(target["expr"]), self.span)
        ]
