"""Dashboards: code and JSON agree, everything links, and no query asks for what nobody exports."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from grafana.frame import DASHBOARDS, RUNBOOK
from grafana.parts import DATASOURCE, WIDTH
from grafana.queries import DASHBOARDS as FOLDER
from grafana.queries import every_query, queries_of, substituted
from grafana.written import written
from rendezvous.telemetry.listing import WHO, listed

ROOT = Path(__file__).parents[3]
MADE: dict[str, dict[str, Any]] = {name: json.loads(text) for name, text in written().items()}
CHOSEN = {"endpoint": "flights"}


def panels() -> Iterator[tuple[str, dict[str, Any]]]:
    """(file, panel) of every panel that shows something."""
    for name, dashboard in MADE.items():
        for panel in dashboard["panels"]:
            if panel["type"] != "row":
                yield name, panel


@pytest.mark.parametrize("name", sorted(MADE))
def test_code_and_json_agree(name: str) -> None:
    """What Grafana is provisioned with is what the code makes: `make dashboards` writes it."""
    assert (FOLDER / name).read_text() == written()[name]


def test_there_is_no_json_without_code() -> None:
    """A dashboard that was taken out of the code is not provisioned any more."""
    assert sorted(path.name for path in FOLDER.iterdir()) == sorted(MADE)
    assert {dashboard["uid"]: dashboard["title"] for dashboard in MADE.values()} == DASHBOARDS


def test_panels_lie_side_by_side_within_the_grid() -> None:
    """No panel is on another one, and each has an id of its own."""
    for name, dashboard in MADE.items():
        places: set[tuple[int, int]] = set()
        for panel in dashboard["panels"]:
            at = panel["gridPos"]
            own = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
            assert not own & places, (name, panel["title"])
            assert at["x"] + at["w"] <= WIDTH, (name, panel["title"])
            places |= own
        assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


def test_a_panel_says_what_it_shows() -> None:
    """A sentence for whoever is woken up, and a name for each of a chart's series."""
    for name, panel in panels():
        assert len(panel["description"].split()) >= 4, (name, panel["title"])
        for target in panel["targets"]:
            assert target["datasource"] == {"type": DATASOURCE.type_val, "uid": DATASOURCE.uid}
            assert panel["type"] == "table" or target["legendFormat"], (name, panel["title"])


def test_titles_are_unique_within_a_dashboard() -> None:
    """A query is known by its dashboard, panel and letter."""
    for dashboard in MADE.values():
        asked = list(queries_of(dashboard, CHOSEN))
        assert len({(one.what, one.expr) for one in asked}) == len(asked)
        titles = [panel["title"] for panel in dashboard["panels"]]
        assert len(set(titles)) == len(titles)


def test_every_dashboard_leads_to_every_other_one() -> None:
    """With the endpoint and the time that were chosen."""
    for dashboard in MADE.values():
        links = {link["url"]: link for link in dashboard["links"]}
        assert links.pop(RUNBOOK[1])
        assert set(links) == {f"/d/{uid}" for uid in DASHBOARDS if uid != dashboard["uid"]}
        assert all(link["includeVars"] and link["keepTime"] for link in links.values())


def test_the_runbook_is_where_links_lead() -> None:
    """Compose puts docs/ where Grafana serves files from."""
    mounts = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["grafana"]["volumes"]
    folder, name = RUNBOOK[1].rsplit("/", 1)
    assert f"./docs:/usr/share/grafana{folder}:ro" in mounts
    assert (ROOT / "docs" / name).is_file()


def test_alerts_lead_to_dashboards_that_exist() -> None:
    """Each rule's `dashboard` is one of ours, with a variable of its own."""
    for path in (ROOT / "services" / "prometheus" / "rules").glob("*.yml"):
        for rule in (rule for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]):
            if "alert" in rule:
                found = re.match(r"/d/([a-z-]+)(?:\?|$)", rule["annotations"]["dashboard"])
                assert found is not None, rule["alert"]
                assert found[1] in DASHBOARDS, rule["alert"]
                asked = re.findall(r"var-(\w+)=", rule["annotations"]["dashboard"])
                variables = {one["name"] for one in MADE[f"{found[1]}.json"]["templating"]["list"]}
                assert set(asked) <= variables, rule["alert"]


def test_recorded_series_are_recorded() -> None:
    """What a panel asks by the name of a recording rule is one."""
    rules = [
        rule
        for path in (ROOT / "services" / "prometheus" / "rules").glob("*.yml")
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
    ]
    recorded = {rule["record"] for rule in rules if "record" in rule}
    asked = {name for one in every_query(CHOSEN) for name in re.findall(r"\w+:rendezvous_\w+:\w+", one.expr)}
    assert asked
    assert asked <= recorded


def test_variables_are_substituted_everywhere() -> None:
    """What is left of a variable would be a query that Prometheus refuses, or that selects nothing."""
    asked = list(every_query(CHOSEN))
    assert {one.dashboard for one in asked} == set(DASHBOARDS)
    assert all("$" not in one.expr and "label_values" not in one.expr for one in asked)
    assert substituted('a{endpoint="$endpoint",model=~"${model}"}[$__rate_interval]', CHOSEN) == (
        'a{endpoint="flights",model=~".+"}[1m]'
    )


def test_every_selector_is_of_the_endpoint_that_was_chosen() -> None:
    """No panel adds the series of one endpoint to those of another."""
    for one in every_query(CHOSEN):
        for selector in re.findall(r"\b(?:\w+:)?rendezvous_[\w:]+(\{[^}]*\})?", one.expr):
            if not one.what.startswith("variable endpoint"):
                assert re.search(r'endpoint=~?"flights"', selector), one


def test_limits_come_from_the_endpoint() -> None:
    """What is drawn dashed is a query, never a number in the dashboard."""
    dashed = [
        (panel["title"], target["expr"])
        for _, panel in panels()
        for override in panel.get("fieldConfig", {}).get("overrides", ())
        if override["matcher"]["id"] == "byFrameRefID"
        for target in panel["targets"]
        if target["refId"] == override["matcher"]["options"]
    ]
    assert len(dashed) >= 15
    for title, expr in dashed:
        assert re.search(r"rendezvous_endpoint_|rendezvous_monitor_drift_limit", expr), title


def test_every_metric_is_exported_with_the_labels_that_are_asked_for() -> None:
    """A metric or label that was renamed would leave a panel empty without a word."""
    known = {one.name: set(one.labels) for kind in WHO.values() for one in listed(kind)}
    for one in every_query(CHOSEN):
        for name, selector in re.findall(r"(?<!:)\b(rendezvous_\w+)\b(?!:)(?:\{([^}]*)\})?", one.expr):
            metric = name if name in known else re.sub(r"_(bucket|count|sum)$", "", name)
            assert metric in known, one
            labels = set(re.findall(r"(\w+)=~?\"", selector))
            from_target = {"endpoint", "service"} | ({"model", "version"} if "_scorer_" in name else set())
            assert labels <= known[metric] | from_target | {"le"}, one
