"""What operators look at, for real: a Prometheus scrapes all services of an endpoint to which everything happens.

Each query of each rule and of each panel has an answer, or is named below with what makes it; these alerts fire.
"""

from __future__ import annotations

import json
import logging
import os
import re
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from grafana.asking import Prometheus, Span
from grafana.queries import every_query
from homes import until
from rendezvous import topics
from rendezvous.cli import main
from rendezvous.local.prometheus import find_prometheus, rules_folder, running_prometheus, write_targets
from rendezvous.local.services import RunningService, all_of, lasting, surroundings_of
from rendezvous.local.stack import Addresses
from rendezvous.log import read_to_end
from rendezvous.monitoring.findings import Accuracy
from rendezvous.registry.control import ControlLog
from rendezvous.registry.deploy import deploy
from rendezvous.registry.events import Verdict
from rendezvous.retraining.events import Retrained
from rendezvous.settings import Endpoint
from rendezvous.wire import WireError, decode_any
from watched import HOUR_US, START_US, Town, rows, write_home

pytestmark = pytest.mark.kafka

INTERVAL_S = 1.0
RATE = 120.0
PATIENCE_S = 180.0
"""For what takes some seconds on a machine that has nothing else to do."""
SELECTOR = re.compile(
    r"\b(?:(?:endpoint|model|service):)?(?:rendezvous|process)_[a-z0-9_:]+(?:\{[^}]*\})?|\bup\{[^}]*\}"
)
FIRES = {"ConceptDrift", "DataQuality", "DeadLetters", "HandOff", "RolledBack", "AccuracyBelowFloor"}
"""Alerts whose condition is made here; tests/prometheus makes those of all."""
ELSEWHERE = {
    'alarm_active{kind="input"}': "more windows than these hours have; InputDrift in tests/prometheus/drift.yml",
    'alarm_active{kind="score"}': "the same; ScoreDrift there",
    "rendezvous_service_memory_limit_bytes": "a container with a limit; MemoryHigh in tests/prometheus/services.yml",
    "service:rendezvous_memory:ratio": "the same",
    'outcome="failed"}': "a job that fails; RetrainFailed in tests/prometheus/retraining.yml",
    'outcome="refused"}': "a job whose version is not accepted; RetrainRefused in the same file",
}
"""What has no answer in this test, by a part of the query, and what makes it."""

_logger = logging.getLogger("tests.prometheus")


@dataclass(frozen=True, slots=True)
class Watched:
    """All services of an endpoint, and the Prometheus that looks at them."""

    endpoint: Endpoint
    kafka: str
    services: Mapping[str, RunningService]
    address: str
    begun_s: float

    def answers(self, expr: str) -> bool:
        """Whether a query had an answer at any time since the services were ready."""
        span = Span(self.begun_s, time.time(), INTERVAL_S)
        return any(len(series.values) for series in Prometheus(self.address).over(expr, span))

    def said(self, topic: str, *kinds: type) -> list[Any]:
        """Messages of some kinds on a topic."""
        found: list[Any] = []
        for record in read_to_end(self.kafka, self.endpoint.topic(topic), 0, 0, uncommitted=True):
            try:
                found.append(decode_any(record.value, kinds))
            except WireError:
                continue
        return found

    def judged(self, hour: int) -> bool:
        """Whether the block that ends with this hour has closed."""
        blocks = [one for one in self.said("accuracy", Accuracy) if one.span == "block" and one.stage != "provisional"]
        return any(one.end_us >= START_US + hour * HOUR_US for one in blocks)

    def made(self) -> str:
        """The version that a job has made; empty while none has."""
        return next((one.version for one in self.said("retrain", Retrained) if one.version), "")

    def firing(self) -> dict[str, dict[str, Any]]:
        """Alerts that fire now, by name, as Prometheus words them."""
        alerts = self.told("alerts")["alerts"]
        return {one["labels"]["alertname"]: one for one in alerts if one["state"] == "firing"}

    def told(self, what: str) -> dict[str, Any]:
        """A page of Prometheus's API."""
        with urllib.request.urlopen(f"{self.address}/api/v1/{what}", timeout=10) as answer:  # noqa: S310 - our own
            found: dict[str, Any] = json.load(answer)["data"]
        return found


@pytest.fixture(scope="module")
def watched(stack: Addresses, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """Ready, and scraped every second."""
    executable = find_prometheus(os.environ)
    if executable is None:
        pytest.skip("no prometheus on PATH: apt-get install prometheus")
    folder = tmp_path_factory.mktemp("watched")
    endpoint = write_home(folder)
    topics.create(stack.kafka, endpoint)
    deploy(stack.kafka, endpoint, ["rule", "flaky"], report=_logger.info)
    targets = folder / "targets"
    around = {**surroundings_of(folder, stack.kafka, stack.redis), "RENDEZVOUS_DATA": str(folder / "data")}
    with ExitStack() as running:
        services = running.enter_context(
            all_of(endpoint, lasting(endpoint, folder / "logs", targets), around, folder / "logs", _logger.info)
        )
        write_targets(targets, endpoint.name, services)
        address = running.enter_context(
            running_prometheus(executable, folder / "prometheus", targets, _logger.info, INTERVAL_S)
        )
        watched = Watched(endpoint, stack.kafka, services, address, time.time())
        with pytest.MonkeyPatch.context() as patch:
            for name, value in around.items():
                patch.setenv(name, value)
            happen(watched)
        yield watched


def happen(watched: Watched) -> None:
    """Good hours; a change; a retraining, whose candidate is better; a hand-off, and its way back.

    The owner's rules ask for a training as soon as there is a block, which is refused for want of rows, and uses the
    budget up; a person asks for the one that counts.
    """
    endpoint, town = watched.endpoint, Town(watched.kafka, watched.endpoint)
    where = ["--endpoint", endpoint.name]
    town.live(rows(range(20), changed=False), RATE)
    town.rubbish()
    town.live(rows(range(20, 42), changed=True), RATE)
    until(lambda: watched.said("retrain", Retrained), "the first job has ended", PATIENCE_S)
    until(lambda: watched.judged(41), "the last block that is whole has closed", PATIENCE_S)
    assert main(["retrain", "request", "--model", "first", "--reason", "the world changed", *where]) == 0
    until(watched.made, lambda: f"a job has made a version; said: {watched.said('retrain', Retrained)}", PATIENCE_S)
    candidate = f"first/{watched.made()}"
    until(
        lambda: watched.answers(f'rendezvous_service_ready{{version="{watched.made()}"}} == 1'),
        "it has a scorer",
        PATIENCE_S,
    )
    town.live(rows(range(42, 60), changed=True), RATE)
    until(lambda: watched.answers("rendezvous_monitor_evidence_log10"), "it is compared with the champion", PATIENCE_S)
    until(lambda: watched.said("control", Verdict), "there is a verdict", PATIENCE_S)
    assert main(["models", "promote", candidate, "--force", *where]) == 0
    town.live(rows(range(60, 62), changed=True), RATE)
    assert main(["models", "rollback", *where]) == 0
    assert ControlLog(watched.kafka, endpoint).read().refusal is None
    give_up = time.monotonic() + PATIENCE_S
    while (missing := FIRES - seen(watched)) and time.monotonic() < give_up:
        time.sleep(INTERVAL_S)
    assert missing == set()


def seen(watched: Watched) -> set[str]:
    """Alerts that have been firing at any time."""
    span = Span(watched.begun_s, time.time(), INTERVAL_S)
    found = Prometheus(watched.address).over('ALERTS{alertstate="firing"}', span)
    return {series.labels["alertname"] for series in found}


def rules() -> list[dict[str, Any]]:
    """Every rule."""
    files = sorted(rules_folder().glob("*.yml"))
    return [rule for path in files for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]]


def elsewhere(query: str) -> bool:
    """Whether it is named above."""
    return any(part in query for part in ELSEWHERE)


def test_every_target_is_scraped(watched: Watched) -> None:
    """Services and scorers, the candidate's too, with the labels that rules and panels group by."""
    found = watched.told("targets")["activeTargets"]
    assert [one["lastError"] for one in found if one["lastError"]] == []
    known = {(one["labels"]["service"], one["labels"].get("model", "")) for one in found}
    scorers = {("scorer", model) for model in ("rule", "flaky", "first")}
    assert known == {*scorers, *((name, "") for name in watched.services)}
    assert {one["labels"]["endpoint"] for one in found} == {watched.endpoint.name}


def test_every_rule_has_its_data(watched: Watched) -> None:
    """Each recording rule has a value, and each metric that an alert looks at a series."""
    asked = {
        query
        for rule in rules()
        for query in ([rule["expr"], rule["record"]] if "record" in rule else SELECTOR.findall(rule["expr"]))
    }
    silent = sorted(query for query in asked if not elsewhere(query) and not watched.answers(query))
    assert silent == []


def test_every_panel_has_its_data(watched: Watched) -> None:
    """Each query of each panel, variable and annotation of the dashboards as Grafana gets them."""
    asked = list(every_query({"endpoint": watched.endpoint.name, "metric": "auc"}))
    assert asked
    silent = [
        (one.dashboard, one.what, one.expr)
        for one in asked
        if not elsewhere(one.expr) and not watched.answers(one.expr)
    ]
    assert silent == []


def test_no_rule_fails(watched: Watched) -> None:
    """Prometheus evaluates them all without a fault: no two series where one is meant."""
    found = [rule for group in watched.told("rules")["groups"] for rule in group["rules"]]
    assert len(found) == len(rules())
    assert [(rule["name"], rule["lastError"]) for rule in found if rule["health"] != "ok"] == []


def test_alerts_are_in_plain_words(watched: Watched) -> None:
    """What fires says whom it is about: every label that its words name is there."""
    firing = watched.firing()
    assert firing
    for alert in firing.values():
        for text in alert["annotations"].values():
            assert "<no value>" not in text
            assert "error" not in text.lower()
        assert watched.endpoint.name in alert["annotations"]["summary"]
