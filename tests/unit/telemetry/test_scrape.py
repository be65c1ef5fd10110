"""What a scrape costs with 50 versions and 100 features: how many series there are, and how long a page takes.

`python -m pytest tests/unit/telemetry/test_scrape.py -s` prints the figures that docs/metrics.md has.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np
import pytest

from endpoints import endpoint
from rendezvous.messages import Status
from rendezvous.monitoring.figures import Kind
from rendezvous.monitoring.findings import Accuracy, Alarm, AlarmKind, Contest, Drift, DriftKind, Span, Stage
from rendezvous.monitoring.newest import Newest
from rendezvous.monitoring.showing import show
from rendezvous.retraining.limits import FIGURES
from rendezvous.telemetry import (
    EndpointMetrics,
    KafkaMetrics,
    MonitorMetrics,
    RegistryMetrics,
    ScorerMetrics,
    ServerMetrics,
    Telemetry,
)

VERSIONS = [(f"model{number:02}", f"{number:012x}") for number in range(50)]
FEATURES = tuple(f"feature{number:03}" for number in range(100))
CHAMPION = VERSIONS[0]
KIND: Kind = "binary"
CLIENTS = ("member", "answers", "records", "control")
TIMES = 20


def server() -> Telemetry:
    """A server's page after requests that every version scored."""
    telemetry = Telemetry()
    metrics = ServerMetrics(telemetry.registry)
    metrics.retain(VERSIONS)
    shape = 10, len(VERSIONS)
    metrics.judged(VERSIONS, np.full(shape, Status.OK, np.uint8), np.full(shape, 30_000, np.int32), {CHAMPION: 80_000})
    for pair in VERSIONS:
        for reason in (0, 1):
            metrics.answered(pair[0], reason, 1)
        metrics.suspended.labels(pair[0]).set(0)
    registry = RegistryMetrics(telemetry.registry)
    registry.version.show({(*pair, "active"): 1.0 for pair in VERSIONS})
    registry.deployed.show(dict.fromkeys(VERSIONS, 1.0))
    registry.suspended.show(dict.fromkeys(VERSIONS, 0.0))
    EndpointMetrics(telemetry.registry).due.show(dict.fromkeys(VERSIONS, 0.08))
    kafka = KafkaMetrics(telemetry.registry)
    for table in (kafka.round_trip, kafka.queue_wait, kafka.send_wait, kafka.throttle):
        table.show({(client, quantile): 0.001 for client in CLIENTS for quantile in ("0.5", "0.99", "1")})
    return telemetry


def scorer() -> Telemetry:
    """A scorer's page."""
    telemetry = Telemetry()
    ScorerMetrics(telemetry.registry).scored(np.array([Status.OK], np.uint8))
    return telemetry


def monitor() -> Telemetry:
    """A monitor's page when every version has figures, drift, an alarm and a contest, and every feature has moved."""
    telemetry = Telemetry()
    newest = Newest()
    figures = FIGURES[KIND]
    count = len(FEATURES)
    for kind in (DriftKind.INPUT, DriftKind.MISSING, DriftKind.RANGE, DriftKind.UNSEEN):
        beside = (0.2,) * count, (0.001,) * count, (True,) * count
        newest.hear(Drift(kind, "", "", 1, 0, 1, 1_000, FEATURES, *beside))
    for feature in FEATURES:
        newest.hear(Alarm(AlarmKind.INPUT, feature, "", "", "block/size", 1, 1, 30.0, 20.0, ()))
    for model, version in VERSIONS:
        for stage in (Stage.PROVISIONAL, Stage.CLOSED):
            about = (model, version, Span.BLOCK, 1, 1, stage, 0, 1, 1_000, 900, 0, 1, 2, 3)
            newest.hear(Accuracy(*about, figures, (0.5,) * len(figures)))
        others = tuple("/".join(pair) for pair in VERSIONS if pair != (model, version))
        for kind, subjects in (
            (DriftKind.SCORE, ("late",)),
            (DriftKind.CANARY, (model,)),
            (DriftKind.DISAGREEMENT, others),
            (DriftKind.LATENCY, ("p50", "p99")),
            (DriftKind.MISS, ("miss",)),
        ):
            n = len(subjects)
            newest.hear(
                Drift(kind, model, version, 1, 0, 1, 1_000, subjects, (0.1,) * n, (math.nan,) * n, (False,) * n)
            )
        newest.hear(Alarm(AlarmKind.CONCEPT, "brier", model, version, "block/higher", 1, 1, 30.0, 20.0, ()))
        newest.hear(Contest(model, version, *CHAMPION, 1, 1, 30, 9_000, 1.5, 1.0, *(0.01,) * 11, 10, 20))
    show(newest, CHAMPION, MonitorMetrics(telemetry.registry))
    return telemetry


@pytest.mark.parametrize(("page", "most"), [(server, 1_800), (scorer, 90), (monitor, 4_000)])
def test_series_of_a_page(page: Callable[[], Telemetry], most: int) -> None:
    """So many series at most, and none grows with the square of the versions; what the page takes is printed."""
    telemetry = page()
    _, _, body = telemetry.page("/metrics")
    series = sum(not line.startswith(b"#") for line in body.splitlines())
    begun = time.process_time()
    for _ in range(TIMES):
        telemetry.page("/metrics")
    taken_ms = (time.process_time() - begun) / TIMES * 1e3
    print(f"{page.__name__}: {series} series, {len(body) / 1e3:.0f} kB, {taken_ms:.1f} ms")  # noqa: T201 - a measurement
    assert most * 0.7 < series <= most


def test_the_endpoint_of_the_tests_has_fewer() -> None:
    """A small endpoint's monitor shows no row of what there is not."""
    assert len(endpoint().features) < len(FEATURES)
    telemetry = Telemetry()
    show(Newest(), None, MonitorMetrics(telemetry.registry))
    assert telemetry.registry.get_sample_value("rendezvous_monitor_drift_limit", {"kind": "input"}) == 0.1
    assert b"rendezvous_monitor_accuracy{" not in telemetry.page("/metrics")[2]
