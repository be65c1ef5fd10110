"""The kinds of panels that dashboards are made of, each with the looks that all of its kind share.

A panel's limits are queries, not numbers: they come from the endpoint's own document by way of its metrics. Lines show
them dashed and red; what is coloured by a limit (numbers, cells) is divided by it first, so that 1 is the limit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from grafana_foundation_sdk.builders import common as made
from grafana_foundation_sdk.builders import (
    dashboard,
    heatmap,
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

from grafana.parts import (
    BAD,
    DATASOURCE,
    GOOD,
    NEAR,
    NEUTRAL,
    WARNING,
    Query,
    dashed,
    legend,
    lettered,
    letters,
    mapping_of,
    target,
    thresholds_of,
)

Panel: TypeAlias = (
    timeseries.Panel | stat.Panel | statetimeline.Panel | statushistory.Panel | heatmap.Panel | table.Panel
)


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
        .legend(legend())
        .tooltip(made.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(common.SortOrder.DESCENDING))
    )
    if unit != "none":  # a figure of quality is worth looking at closely
        panel = panel.axis_soft_min(0)
    if stacked:
        panel = panel.stacking(made.StackingConfig().mode(common.StackingMode.NORMAL).group("A"))
    for ref, query in lettered(queries):
        panel = panel.with_target(target(ref, query))
        if query.limit:
            panel = panel.override_by_query(ref, dashed(query.color))
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
        .thresholds(thresholds_of(steps))
        .color_scheme(dashboard.FieldColor().mode(model.FieldColorModeId.THRESHOLDS))
    )
    if decimals is not None:
        panel = panel.decimals(decimals)
    for ref, query in lettered(queries):
        panel = panel.with_target(target(ref, query))
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
        .legend(legend())
        .mappings([mapping_of(mapping)])
        .color_scheme(dashboard.FieldColor().mode(model.FieldColorModeId.THRESHOLDS))
        .thresholds(thresholds_of([model.Threshold(None, NEUTRAL)]))
    )
    for ref, query in lettered(queries):
        panel = panel.with_target(target(ref, query))
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
        .legend(legend())
        .color_scheme(dashboard.FieldColor().mode(model.FieldColorModeId.THRESHOLDS))
        .thresholds(thresholds_of([*steps, model.Threshold(1, BAD)]))
    )
    for ref, query in lettered(queries):
        panel = panel.with_target(target(ref, query))
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
        .with_target(target("A", query).format(PromQueryFormat.HEATMAP))
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
    headings = {f"Value #{ref}": columns[place][0] for place, ref in enumerate(letters(len(columns)))}
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
    for ref, (heading, unit, query) in zip(letters(len(columns)), columns, strict=True):
        panel = panel.with_target(target(ref, query).format(PromQueryFormat.TABLE).instant())
        panel = panel.override_by_name(heading, [model.DynamicConfigValue("unit", unit)])
    for column, leads in (links or {}).items():
        led = [{"title": name, "url": url} for name, url in leads]
        panel = panel.override_by_name(column, [model.DynamicConfigValue("links", led)])
    return panel
