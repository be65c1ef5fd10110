"""Recording rules and alerts: what they name exists, each alert says what to do, and each was seen firing."""

from __future__ import annotations

import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from rendezvous.local.prometheus import rules_folder
from rendezvous.telemetry.listing import WHO, listed, table

ROOT = Path(__file__).parents[3]
PROMETHEUS = ROOT / "services" / "prometheus"
OPERATING, METRICS = (ROOT / "docs" / name for name in ("operating.md", "metrics.md"))
CASES = sorted((ROOT / "tests" / "prometheus").glob("*.yml"))
DASHBOARDS = ROOT / "services" / "grafana" / "dashboards"
SEVERITIES = {"critical", "warning", "info"}
THE_SYSTEMS = {"up", "process_start_time_seconds", "process_resident_memory_bytes"}
"""What is no metric of ours, and is there all the same."""
OURS = re.compile(
    r"\brendezvous_(?:server|scorer|client|monitor|retrainer|archiver|registry|endpoint|service|kafka|redis)_[a-z0-9_]+"
)
NAMES = re.compile(r"\b(?:(?:endpoint|model|service):)?(?:rendezvous|process)_[a-z0-9_:]+")


@cache
def rules() -> list[dict[str, Any]]:
    """Every rule of every file."""
    files = sorted(rules_folder().glob("*.yml"))
    groups = [group for path in files for group in yaml.safe_load(path.read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"]]


ALERTS = [pytest.param(rule, id=rule["alert"]) for rule in rules() if "alert" in rule]


def known() -> set[str]:
    """Names that a query may use."""
    ours = {one.name for kind in WHO.values() for one in listed(kind)}
    parts = {f"{name}_{part}" for name in ours for part in ("bucket", "count", "sum")}
    return ours | parts | {rule["record"] for rule in rules() if "record" in rule} | THE_SYSTEMS


def run(*command: str | Path) -> None:
    """One of Prometheus's own tools, which says that all is well."""
    if shutil.which(str(command[0])) is None:
        pytest.skip(f"no {command[0]} on PATH: apt-get install prometheus prometheus-alertmanager")
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)  # noqa: S603 - as above
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_takes_the_rules_and_its_settings() -> None:
    """As promtool reads them, for both."""
    run("promtool", "check", "rules", *sorted(rules_folder().glob("*.yml")))
    run("promtool", "check", "config", "--lint=none", PROMETHEUS / "prometheus.yml")


def test_alertmanager_takes_its_settings() -> None:
    """As amtool reads them."""
    run("amtool", "check-config", PROMETHEUS / "alertmanager.yml")


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_every_condition_is_made_once(case: Path) -> None:
    """Quiet while all is well, and firing once it is not."""
    run("promtool", "test", "rules", case)


def test_every_alert_has_a_case() -> None:
    """One in tests/prometheus that sees it firing."""
    seen = set()
    for path in CASES:
        for group in yaml.safe_load(path.read_text())["tests"]:
            calm, firing = group["promql_expr_test"]
            assert calm["exp_samples"] == []
            assert group["name"] in firing["expr"]
            assert firing["exp_samples"]
            seen.add(group["name"])
    assert seen == {param.id for param in ALERTS}


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.get("alert") or rule["record"])
def test_a_rule_names_what_there_is(rule: dict[str, Any]) -> None:
    """Every metric of its expression is one of the services', of another rule, or of the process itself."""
    named = set(NAMES.findall(rule["expr"]))
    assert named or "up{" in rule["expr"]
    assert named <= known()


@pytest.mark.parametrize("rule", ALERTS)
def test_an_alert_says_what_it_means_and_where_to_look(rule: dict[str, Any]) -> None:
    """A severity, a sentence, figures, a dashboard that there is, and an entry of the runbook with its three parts."""
    said = rule["annotations"]
    assert rule["labels"]["severity"] in SEVERITIES
    assert re.fullmatch(r".*[.]", said["summary"])
    assert said["description"] != said["summary"]
    found = re.match(r"/d/(rendezvous-[a-z]+)\?var-endpoint=\{\{ \$labels\.endpoint \}\}", said["dashboard"])
    assert found is not None
    assert (DASHBOARDS / f"{found[1]}.json").exists()
    assert said["runbook_url"] == f"docs/operating.md#{rule['alert'].lower()}"
    entry = re.search(rf"^#### {rule['alert']}\n(.*?)(?=^#|\Z)", OPERATING.read_text(), re.MULTILINE | re.DOTALL)
    assert entry is not None
    assert re.findall(r"^- \*(\w+)\*: \S", entry[1], re.MULTILINE) == ["Means", "Confirm", "Mend"]


@pytest.mark.parametrize("rule", ALERTS)
def test_an_alerts_labels_are_there_to_be_named(rule: dict[str, Any]) -> None:
    """What its words take from labels is among those that its expression keeps, where it says which it keeps."""
    words = " ".join(rule["annotations"].values())
    named = set(re.findall(r"\$labels\.(\w+)", words))
    kept = [set(re.split(r",\s*", by)) for by in re.findall(r"\bby \(([^)]*)\)", rule["expr"])]
    if kept and not rule["expr"].startswith(("changes", "up")):
        assert named <= set.union(*kept) | ({"model", "version"} if "model:" in rule["expr"] else set())


def test_no_runbook_without_its_alert() -> None:
    """What is no alert any more is nobody's entry."""
    section = OPERATING.read_text().partition("\n## Alerts\n")[2].partition("\n## ")[0]
    assert re.findall(r"^#### (\w+)$", section, re.MULTILINE) != []
    assert set(re.findall(r"^#### (\w+)$", section, re.MULTILINE)) == {param.id for param in ALERTS}


def test_the_page_of_metrics_is_as_the_code_has_it() -> None:
    """`python -m rendezvous.telemetry.listing` writes it."""
    assert METRICS.read_text().endswith(table())


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda path: path.stem)
def test_pages_name_metrics_that_there_are(page: Path) -> None:
    """A name that was changed is changed there too."""
    mentioned = OURS.findall(page.read_text())
    assert {name for name in mentioned if not name.endswith("_")} <= known()
