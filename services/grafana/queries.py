"""Every query that a dashboard asks, as Prometheus would get it: read from the JSON, its variables substituted."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DASHBOARDS = Path(__file__).parent / "dashboards"
BUILT_IN = {"__rate_interval": "1m", "__interval": "15s", "__range": "15m"}
"""What Grafana puts in itself, at a scrape every 15 s."""
ALL = ".+"
"""What a variable stands for when everything is chosen."""
LABEL_VALUES = re.compile(r"label_values\((.+),\s*(\w+)\)")


@dataclass(frozen=True, slots=True)
class Asked:
    """One query: of which dashboard, for which panel, variable or annotation."""

    dashboard: str
    what: str
    expr: str


def every_query(chosen: Mapping[str, str], folder: Path = DASHBOARDS) -> Iterator[Asked]:
    """All queries of all dashboards in a folder of JSON.

    Args:
        chosen: value by variable, e.g. {"endpoint": "flights"}; any other variable stands for everything.
        folder: where the JSON is.
    """
    for path in sorted(folder.glob("*.json")):
        yield from queries_of(json.loads(path.read_text()), chosen)


def queries_of(dashboard: Mapping[str, Any], chosen: Mapping[str, str]) -> Iterator[Asked]:
    """All queries of one dashboard."""
    uid = dashboard["uid"]
    for variable in dashboard["templating"]["list"]:
        found = LABEL_VALUES.fullmatch(variable["query"])
        expr = variable["query"] if found is None else found[1]
        yield Asked(uid, f"variable {variable['name']}", substituted(expr, chosen))
    for annotation in dashboard["annotations"].get("list", ()):
        yield Asked(uid, f"annotation {annotation['name']}", substituted(annotation["expr"], chosen))
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            yield Asked(uid, f"panel {panel['title']} {target['refId']}", substituted(target["expr"], chosen))


def substituted(expr: str, chosen: Mapping[str, str]) -> str:
    """An expression with its variables' values."""
    return re.sub(r"\$\{?(\w+)\}?", lambda found: BUILT_IN.get(found[1]) or chosen.get(found[1], ALL), expr)
