"""The kinds of panels that dashboards are made of, each with the looks that all of its kind share.

A panel's limits are queries, not numbers: they come from the endpoint's own document by way of its metrics. Lines show
them dashed and red; what is coloured by a limit (numbers, cells) is divided by it first, so that 1 is the limit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from grafana_foundation_sdk.builders import common as made
from grafana_foundation_sdk.builders import (
    dashboard,
    heatmap,
    prometheus,
    stat,
    statetimeline,
    statushistory,
    table,
    timeseries,
)
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

Panel: TypeAlias = (
    timeseries.Panel | stat.Panel | statetimeline.Panel | statushistory.Panel | heatmap.Panel | table.Panel
)

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


def lines(
    title: str, says: str, unit: str, *queries: Query, width: int = 8, stacked: bool = False, height: int = 8
) -> timeseries.Panel:
    """Values over time; limits are dashed and red."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(says)
        .datasource(DATASOURCE)
        .unit(unit)
        .height(height)
        .span(width)
        .line_width(1)
        .fill_opacity(30 if stacked else 5)
        .show_points(common.VisibilityMode.NEVER)
        .color_scheme(dashboard.FieldColor().mode(model.FieldColorModeId.PALETTE_CLASSIC_BY_NAME))
        .legend(_legend())
        .tooltip(made.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(common.SortOrder.DESCENDING))
    )
    if unit != "none":  # a figure of quality is worth looking at closely
        panel = panel.axis_soft_min(0)
    if stacked:
        panel = panel.stacking(made.StackingConfig().mode(common.StackingMode.NORMAL).group("A"))
    for ref, query in _lettered(queries):
        panel = panel.with_target(_target(ref, query))
        if query.limit:
            panel = panel.override_by_query(ref, _dashed(query.color))
    return panel


def numbers(
    title: str,
    says: str,
    unit: str,
    *queries: Query,
    width: int = 4,
    thresholds: tuple[float, float] | None = None,
    height: int = 5,
    decimals: int | None = None,
) -> stat.Panel:
    """The newest value of each series, large; thresholds: from where on it is orange, and red."""
    steps = [model.Threshold(None, GOOD if thresholds else NEUTRAL)]
    if thresholds:
        steps += [model.Threshold(thresholds[0], WARNING), model.Threshold(thresholds[1], BAD)]
    panel = (
        stat.Panel()
        .title(title)
        .description(says)
        .datasource(DATASOURCE)
        .unit(unit)
        .height(height)
        .span(width)
        .no_value("–")  # noqa: RUF001 - what Grafana itself shows
        .color_mode(common.BigValueColorMode.BACKGROUND if thresholds else common.BigValueColorMode.VALUE)
        .graph_mode(common.BigValueGraphMode.AREA)
        .text_mode(common.BigValueTextMode.VALUE_AND_NAME)
        .reduce_options(made.ReduceDataOptions().calcs(["lastNotNull"]))
        .thresholds(_thresholds(steps))
        .color_scheme(dashboard.FieldColor().mode(model.FieldColorModeId.THRESHOLDS))
    )
    if decimals is not None:
        panel = panel.decimals(decimals)
    for ref, query in _lettered(queries):
        panel = panel.with_target(_target(ref, query))
    return panel


def states(
    title: str, says: str, mapping: Sequence[tuple[float, str, str]], *queries: Query, width: int = 12, height: int = 8
) -> statetimeline.Panel:
    """What state each series was in over time; mapping: value, word, colour."""
    panel = (
        statetimeline.Panel()
        .title(title)
        .description(says)
        .datasource(DATASOURCE)
        .height(height)
        .span(width)
        .show_value(common.VisibilityMode.NEVER)
        .merge_values(merge_values=True)
        .row_height(0.8)
        .legend(_legend())
        .mappings([_mapping(mapping)])
        .color_scheme(dashboard.FieldColor().mode(model.FieldColorModeId.THRESHOLDS))
        .thresholds(_thresholds([model.Threshold(None, NEUTRAL)]))
    )
    for ref, query in _lettered(queries):
        panel = panel.with_target(_target(ref, query))
    return panel


def cells(title: str, says: str, *queries: Query, width: int = 24, height: int = 10) -> statushistory.Panel:
    """A heat map: a row for each series, a column for each moment; from 1 on it is red, and orange shortly before."""
    steps = [model.Threshold(None, GOOD), model.Threshold(0.5, "yellow"), model.Threshold(NEAR, WARNING)]
    panel = (
        statushistory.Panel()
        .title(title)
        .description(says)
        .datasource(DATASOURCE)
        .height(height)
        .span(width)
        .decimals(2)
        .max_data_points(90)
        .show_value(common.VisibilityMode.NEVER)
        .row_height(0.95)
        .col_width(0.95)
        .legend(_legend())
        .color_scheme(dashboard.FieldColor().mode(model.FieldColorModeId.THRESHOLDS))
        .thresholds(_thresholds([*steps, model.Threshold(1, BAD)]))
    )
    for ref, query in _lettered(queries):
        panel = panel.with_target(_target(ref, query))
    return panel


def heat(title: str, says: str, unit: str, query: Query, width: int = 12, height: int = 8) -> heatmap.Panel:
    """A histogram over time: `query` gives the increase of each bucket, by le."""
    return (
        heatmap.Panel()
        .title(title)
        .description(says)
        .datasource(DATASOURCE)
        .height(height)
        .span(width)
        .calculate(calculate=False)
        .color(heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Blues").steps(32))
        .y_axis(heatmap.YAxisConfig().unit(unit))
        .with_target(_target("A", query).format(PromQueryFormat.HEATMAP))
    )


def rows(
    title: str,
    says: str,
    columns: Sequence[tuple[str, str, Query]],
    *,
    hidden: Sequence[str] = (),
    links: Mapping[str, Sequence[tuple[str, str]]] | None = None,
    width: int = 24,
    height: int = 8,
) -> table.Panel:
    """A table of newest values, joined by the labels that its queries have in common.

    Args:
        title: of the panel.
        says: what the operator reads when asking.
        columns: heading, unit and query of each column of values.
        hidden: labels that are not shown.
        links: of a column's cells: what each is called, and where it leads.
        width: in 24ths.
        height: in rows of the grid.
    """
    headings = {f"Value #{ref}": columns[place][0] for place, ref in enumerate(_letters(len(columns)))}
    panel = (
        table.Panel()
        .title(title)
        .description(says)
        .datasource(DATASOURCE)
        .height(height)
        .span(width)
        .filterable(filterable=True)
        .with_transformation(model.DataTransformerConfig(id_val="merge", options={}))
        .with_transformation(
            model.DataTransformerConfig(
                id_val="organize",
                options={"excludeByName": dict.fromkeys(["Time", *hidden], True), "renameByName": headings},
            )
        )
    )
    for ref, (heading, unit, query) in zip(_letters(len(columns)), columns, strict=True):
        panel = panel.with_target(_target(ref, query).format(PromQueryFormat.TABLE).instant())
        panel = panel.override_by_name(heading, [model.DynamicConfigValue("unit", unit)])
    for column, leads in (links or {}).items():
        led = [{"title": name, "url": url} for name, url in leads]
        panel = panel.override_by_name(column, [model.DynamicConfigValue("links", led)])
    return panel


def _letters(count: int) -> list[str]:
    return [chr(ord("A") + number) for number in range(count)]


def _lettered(queries: Sequence[Query]) -> list[tuple[str, Query]]:
    return list(zip(_letters(len(queries)), queries, strict=True))


def _target(ref: str, query: Query) -> prometheus.Dataquery:
    target = prometheus.Dataquery().datasource(DATASOURCE).ref_id(ref).expr(query.expr)
    target = target.instant() if query.newest else target.range()
    return target.legend_format(query.legend) if query.legend else target


def _legend() -> made.VizLegendOptions:
    return (
        made.VizLegendOptions()
        .show_legend(show_legend=True)
        .display_mode(common.LegendDisplayMode.LIST)
        .placement(common.LegendPlacement.BOTTOM)
    )


def _thresholds(steps: list[model.Threshold]) -> dashboard.ThresholdsConfig:
    return dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(steps)


def _mapping(mapping: Sequence[tuple[float, str, str]]) -> model.ValueMap:
    return model.ValueMap(
        options={
            f"{value:g}": model.ValueMappingResult(text=text, color=color, index=place)
            for place, (value, text, color) in enumerate(mapping)
        }
    )


def _dashed(color: str) -> list[model.DynamicConfigValue]:
    return [
        model.DynamicConfigValue("color", {"mode": "fixed", "fixedColor": color}),
        model.DynamicConfigValue("custom.lineStyle", {"fill": "dash", "dash": [8, 6]}),
        model.DynamicConfigValue("custom.fillOpacity", 0),
        model.DynamicConfigValue("custom.stacking", {"mode": "none"}),
    ]
