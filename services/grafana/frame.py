"""What every dashboard has around its panels: variables, links to the others and to what to do, annotations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import dashboard as model

from grafana.panels import Panel
from grafana.parts import DATASOURCE

DASHBOARDS = {
    "rendezvous-overview": "Rendezvous: overview",
    "rendezvous-endpoint": "Rendezvous: endpoint",
    "rendezvous-models": "Rendezvous: models",
    "rendezvous-drift": "Rendezvous: drift",
    "rendezvous-retraining": "Rendezvous: retraining",
}
"""Title by uid, in the order of a look: is anybody hurt, where, by whom, since when, and what is done about it."""
TAG = "rendezvous"
RUNBOOK = ("What it means, how to confirm it, how to mend it", "/public/rendezvous/operating.md")
"""docs/, as docker-compose.yml puts it where Grafana serves files from."""


class Marked(model.AnnotationQuery):
    """An annotation by a query, with the two fields that the SDK's lacks: its text, and that the value is its time."""

    def __init__(self, name: str, color: str, expr: str, text: str, *, value_is_time: bool) -> None:
        super().__init__(name=name, datasource=DATASOURCE, icon_color=color, expr=expr)
        self._text = text
        self._value_is_time = value_is_time

    def to_json(self) -> dict[str, object]:
        """As Grafana reads it."""
        more = {"titleFormat": self.name, "textFormat": self._text, "step": "15s"}
        return super().to_json() | more | ({"useValueForTime": True} if self._value_is_time else {})


@dataclass(frozen=True)
class Mark(Builder[model.AnnotationQuery]):
    """Moments that are drawn into every panel of a dashboard. value_is_time: the series' value is the moment, in ms."""

    name: str
    color: str
    expr: str
    text: str
    value_is_time: bool = False

    def build(self) -> Marked:
        """See `Builder`."""
        return Marked(self.name, self.color, self.expr, self.text, value_is_time=self.value_is_time)


def choice(name: str, label: str, query: str, *, several: bool = False) -> dashboard.QueryVariable:
    """A variable whose values are those of a label. several: any number of them, all at first."""
    variable = (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(DATASOURCE)
        .query(query)
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
    )
    if several:
        everything = model.VariableOption(selected=True, text="All", value="$__all")
        return variable.multi(multi=True).include_all(include_all=True).all_value(".+").current(everything)
    return variable


def build(
    uid: str,
    description: str,
    variables: Sequence[dashboard.QueryVariable],
    sections: Mapping[str, Sequence[Panel]],
    marks: Sequence[Mark] = (),
    span: str = "now-1h",
) -> model.Dashboard:
    """The dashboard `uid`: its panels under a heading each, from left to right and downwards."""
    made = (
        dashboard.Dashboard(DASHBOARDS[uid])
        .uid(uid)
        .description(description)
        .tags([TAG])
        .readonly()
        .timezone("browser")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .time(span, "now")
        .refresh("15s")
    )
    for variable in variables:
        made = made.with_variable(variable)
    for mark in marks:
        made = made.annotation(mark)
    for link in _links(uid):
        made = made.link(link)
    for heading, panels in sections.items():
        made = made.with_row(dashboard.Row(heading))
        for panel in panels:
            made = made.with_panel(panel)
    return made.build()


def _links(uid: str) -> list[dashboard.DashboardLink]:
    words, url = RUNBOOK
    runbook = dashboard.DashboardLink("Runbook").type(model.DashboardLinkType.LINK).tooltip(words).url(url)
    others = [
        dashboard.DashboardLink(title.partition(": ")[2].capitalize())
        .type(model.DashboardLinkType.LINK)
        .url(f"/d/{other}")
        .keep_time(keep_time=True)
        .include_vars(include_vars=True)
        for other, title in DASHBOARDS.items()
        if other != uid
    ]
    return [*others, runbook.target_blank(target_blank=True)]


OF = 'endpoint="$endpoint"'
"""Selects the endpoint that was chosen."""
THE_ENDPOINT = choice("endpoint", "Endpoint", "label_values(rendezvous_server_requests_total, endpoint)")
MODELS = choice("model", "Model", f"label_values(rendezvous_registry_version_info{{{OF}}}, model)", several=True)
"""Of the endpoint that was chosen."""
HAND_OFFS = tuple(
    Mark(
        name,
        color,
        f'1000 * max by (cause) (rendezvous_registry_hand_off_timestamp_seconds{{{OF},cause="{cause}"}})',
        "{{cause}}",
        value_is_time=True,
    )
    for name, cause, color in (("Promotions", "promote", "green"), ("Roll-backs", "rollback", "red"))
)
"""When aliases moved, by whoever's hand."""
RETRAINED = (
    Mark(
        "Retrain events",
        "purple",
        f"sum by (model) (changes(rendezvous_retrainer_last_event_timestamp_seconds{{{OF}}}[1m])) > 0",
        "retraining of {{model}}",
    ),
    Mark(
        "Jobs",
        "blue",
        f"1000 * max by (model, outcome) (rendezvous_retrainer_last_job_end_timestamp_seconds{{{OF}}})",
        "job for {{model}}: {{outcome}}",
        value_is_time=True,
    ),
)
"""What the retrainer wrote: the times of events are event time, so they are marked when they were heard of."""
