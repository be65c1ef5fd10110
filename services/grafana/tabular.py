"""A table of newest values, joined by the labels that its queries have in common."""

from __future__ import annotations

from matplotlib.axes import Axes

from grafana.telling import SMALL, in_words
from grafana.view import View

MOST_ROWS = 14


def table(axes: Axes, view: View) -> None:
    """Newest values by labels; as Grafana's `merge` and `organize` do it."""
    axes.axis("off")
    organized = view.panel["transformations"][1]["options"]
    lines = _lines(view, organized["renameByName"])
    hidden = {"__name__", *organized["excludeByName"]}
    columns = [name for name in dict.fromkeys(name for line in lines for name in line) if name not in hidden]
    if not columns:
        axes.text(0.5, 0.5, "no data", ha="center", va="center", fontsize=SMALL, color="#888")
        return
    cells = [[line.get(name, "") for name in columns] for line in lines[:MOST_ROWS]]
    titles = [view.substituted(name) for name in columns]
    drawn = axes.table(cells, colLabels=titles, loc="upper left", cellLoc="left", edges="horizontal")
    drawn.auto_set_font_size(value=False)
    drawn.set_fontsize(SMALL)
    drawn.auto_set_column_width(list(range(len(columns))))


def _lines(view: View, headings: dict[str, str]) -> list[dict[str, str]]:
    """Rows, one for each set of labels; a query that has fewer labels adds to every row that has them."""
    overrides = view.panel["fieldConfig"]["overrides"]
    units = {one["matcher"]["options"]: str(one["properties"][0]["value"]) for one in overrides}
    lines: list[dict[str, str]] = []
    for target in view.panel["targets"]:
        heading = headings[f"Value #{target['refId']}"]
        for one in view.prometheus.at(view.substituted(target["expr"]), view.span.end):
            said = in_words(float(one.values[0]), units[heading])
            alike = [line for line in lines if heading not in line and one.labels.items() <= line.items()]
            for line in alike or [dict(one.labels)]:
                line[heading] = said
                if not alike:
                    lines.append(line)
    return lines
