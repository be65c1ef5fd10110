"""What all kinds of panels share: where data comes from, queries, colours, limits, legends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders import common as made
from grafana_foundation_sdk.builders import dashboard, prometheus
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models import dashboard as model

DATASOURCE = model.DataSourceRef(type_val="prometheus", uid="rendezvous-prometheus")
"""As provisioning/datasources/prometheus.yml names it."""
WIDTH = 24
"""Of the grid."""
GOOD, WARNING, BAD, NEUTRAL = "green", "orange", "red", "blue"
NEAR = 0.8
"""Of a limit: orange from there on, red from the limit on."""


@dataclass(frozen=True, slots=True)
class Query:
    """One expression and what its series are called.

    limit: it is what others should stay below, or above: drawn dashed, in `color`. newest: its newest values alone.
    """

    expr: str
    legend: str = ""
    limit: bool = False
    color: str = "red"
    newest: bool = False


def letters(count: int) -> list[str]:
    """A, B, C, ... for so many queries."""
    return [chr(ord("A") + number) for number in range(count)]


def lettered(queries: Sequence[Query]) -> list[tuple[str, Query]]:
    """Each query with its letter."""
    return list(zip(letters(len(queries)), queries, strict=True))


def target(ref: str, query: Query) -> prometheus.Dataquery:
    """A query as a panel has it."""
    asked = prometheus.Dataquery().datasource(DATASOURCE).ref_id(ref).expr(query.expr)
    asked = asked.instant() if query.newest else asked.range()
    return asked.legend_format(query.legend) if query.legend else asked


def legend() -> made.VizLegendOptions:
    """A list below the panel."""
    return (
        made.VizLegendOptions()
        .show_legend(show_legend=True)
        .display_mode(common.LegendDisplayMode.LIST)
        .placement(common.LegendPlacement.BOTTOM)
    )


def thresholds_of(steps: list[model.Threshold]) -> dashboard.ThresholdsConfig:
    """Steps by value."""
    return dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(steps)


def mapping_of(mapping: Sequence[tuple[float, str, str]]) -> model.ValueMap:
    """Words and colours for values."""
    return model.ValueMap(
        options={
            f"{value:g}": model.ValueMappingResult(text=text, color=color, index=place)
            for place, (value, text, color) in enumerate(mapping)
        }
    )


def dashed(color: str) -> list[model.DynamicConfigValue]:
    """The looks of a limit."""
    return [
        model.DynamicConfigValue("color", {"mode": "fixed", "fixedColor": color}),
        model.DynamicConfigValue("custom.lineStyle", {"fill": "dash", "dash": [8, 6]}),
        model.DynamicConfigValue("custom.fillOpacity", 0),
        model.DynamicConfigValue("custom.stacking", {"mode": "none"}),
    ]
