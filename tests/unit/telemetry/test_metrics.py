"""The pages over real HTTP, and what every metric must have."""

from __future__ import annotations

import http.client
import inspect
import json
import re
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from rendezvous import telemetry
from rendezvous.messages import Status
from rendezvous.telemetry import STALLED_AFTER_S, Telemetry
from rendezvous.telemetry.families import Families
from rendezvous.telemetry.listing import WHO, listed

LOOPBACK = "127.0.0.1"
METRICS: dict[str, Callable[[CollectorRegistry], object]] = {
    name: kind for name, kind in inspect.getmembers(telemetry, inspect.isclass) if re.fullmatch(r"\w+Metrics", name)
}
HISTOGRAM_UNITS = ("_seconds", "_bytes", "_rows")
NOT_BASE = re.compile(r"_(ms|us|ns|millis\w*|micros\w*|nanos\w*|minutes|hours|kb|mb|kilobytes|percent)(_|$)")


class Service:
    """Pages on a free port of loopback, under a clock that only the test moves."""

    def __init__(self) -> None:
        self.now_s = 1_000.0
        self.telemetry = Telemetry(lambda: self.now_s)
        self.port = self.telemetry.serve(LOOPBACK, 0)

    def get(self, path: str, method: str = "GET") -> tuple[int, str, bytes]:
        """(status, content type, body) over HTTP."""
        connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=10)
        try:
            connection.request(method, path)
            response = connection.getresponse()
            return response.status, response.headers.get("Content-Type", ""), response.read()
        finally:
            connection.close()


@pytest.fixture
def service() -> Iterator[Service]:
    """A service that shows its pages."""
    made = Service()
    yield made
    made.telemetry.stop()


@pytest.fixture(scope="module")
def untouched() -> Iterator[Service]:
    """One for the tests that only look: stopping takes half a second."""
    made = Service()
    yield made
    made.telemetry.stop()


# --------------------------------------------------------------------------------------------------------- the pages


def test_metrics_are_shown_as_prometheus_reads_them(service: Service) -> None:
    """Ours beside the process's own, in the exposition format."""
    metrics = telemetry.ScorerMetrics(service.telemetry.registry)
    metrics.rows.labels("ok").inc(3)
    status, kind, body = service.get("/metrics")
    assert status == 200
    assert kind.startswith("text/plain")
    families = {family.name: family for family in text_string_to_metric_families(body.decode())}
    samples = {sample.name: sample for sample in families["rendezvous_scorer_rows"].samples}
    assert samples["rendezvous_scorer_rows_total"].value == 3
    assert samples["rendezvous_scorer_rows_total"].labels == {"status": "ok"}
    assert {"python_info", "python_gc_objects_collected"} <= set(families)


@pytest.mark.parametrize("path", ["/", "/metric", "/metrics/", "/healthz/x", "/..%2fmetrics"])
def test_any_other_page_is_404_and_names_those_there_are(untouched: Service, path: str) -> None:
    """Whoever mistypes a path sees the three that exist."""
    status, kind, body = untouched.get(path)
    assert (status, kind) == (404, "text/plain")
    assert body.split() == [b"/metrics", b"/healthz", b"/readyz"]


def test_a_query_does_not_matter(untouched: Service) -> None:
    """Scrapers may add one."""
    assert untouched.get("/healthz?verbose=1")[0] == 200


def test_nothing_can_be_changed_over_http(untouched: Service) -> None:
    """The pages are read only."""
    assert untouched.get("/metrics", "POST")[0] == 501


def test_health_goes_bad_when_the_loop_stops(service: Service) -> None:
    """A service whose loop has not turned for STALLED_AFTER_S is unhealthy, until it turns again."""
    assert service.get("/healthz") == (200, "application/json", b'{"seconds_since_loop": 0.0}')
    service.now_s += STALLED_AFTER_S - 0.001
    assert service.get("/healthz")[0] == 200
    service.now_s += 0.001
    status, _, body = service.get("/healthz")
    assert status == 503
    assert json.loads(body) == {"seconds_since_loop": STALLED_AFTER_S}
    service.telemetry.turned()
    assert service.get("/healthz")[0] == 200


def test_readiness_is_what_the_service_says(service: Service) -> None:
    """Not before it has joined, nor after it has begun to stop; and no business of the loop's."""
    assert service.get("/readyz") == (503, "application/json", b'{"ready": false}')
    service.telemetry.ready(is_ready=True)
    service.now_s += 10 * STALLED_AFTER_S
    assert service.get("/readyz") == (200, "application/json", b'{"ready": true}')
    service.telemetry.ready(is_ready=False)
    assert service.get("/readyz")[0] == 503


def test_a_taken_port_is_an_error_at_the_start(untouched: Service) -> None:
    """`serve` raises where it is called, not in a thread."""
    second = Telemetry()
    with pytest.raises(OSError, match="in use"):
        second.serve(LOOPBACK, untouched.port)
    second.stop()


def test_stopped_pages_are_gone() -> None:
    """The port is free again."""
    made = Service()
    made.telemetry.stop()
    with pytest.raises(ConnectionRefusedError):
        made.get("/metrics")


def test_each_service_has_a_registry_of_its_own() -> None:
    """Two in one process do not meet."""
    for _ in range(2):
        telemetry.ServerMetrics(Telemetry().registry)


# ------------------------------------------------------------------------------------------------------- every metric


def metrics_of(kind: Callable[[CollectorRegistry], object]) -> list[Metric]:
    """What a class registers; it takes the registry it should use, and no other."""
    registry = CollectorRegistry()
    kind(registry)
    found = list(registry.collect())
    public = [name for name in vars(kind(CollectorRegistry())) if not name.startswith("_")]
    assert len(found) == len(public)
    return found


EVERY = [pytest.param(metric, id=metric.name) for kind in METRICS.values() for metric in metrics_of(kind)]


def test_the_metrics_classes_are_found() -> None:
    """Server, scorer and client count at least."""
    assert {"ServerMetrics", "ScorerMetrics", "ClientMetrics"} <= set(METRICS)


@pytest.mark.parametrize("metric", EVERY)
def test_a_metric_explains_itself(metric: Metric) -> None:
    """A line for the operator, in more than its own name."""
    assert len(metric.documentation.split()) >= 2
    assert metric.documentation.replace(" ", "_") not in metric.name


@pytest.mark.parametrize("metric", EVERY)
def test_a_metric_is_named_as_prometheus_asks(metric: Metric) -> None:
    """One prefix, base units, a unit on every histogram, no `_total` on what may fall."""
    services = "server|scorer|client|monitor|registry|archiver|retrainer|endpoint|service|kafka|redis|crew"
    assert re.fullmatch(rf"rendezvous_({services})_[a-z_]+(_log10)?", metric.name)
    assert not NOT_BASE.search(metric.name)
    assert not metric.name.endswith(("_total", "_count", "_sum", "_bucket"))
    if metric.type == "histogram":
        assert metric.name.endswith(HISTOGRAM_UNITS)
    assert metric.type in {"counter", "gauge", "histogram"}


def test_counters_end_in_total() -> None:
    """On the page a counter is `<name>_total`, and nothing else is."""
    registry = CollectorRegistry()
    for kind in METRICS.values():
        kind(registry)
    text = generate_latest(registry).decode()
    types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    assert types
    for name, kind in types.items():
        assert name.endswith("_total") == (kind == "counter"), name


def test_names_are_unique_over_all_services() -> None:
    """No two services mean different things by one name."""
    names = [metric.name for kind in METRICS.values() for metric in metrics_of(kind)]
    assert len(set(names)) == len(names)


def test_every_class_of_metrics_is_listed() -> None:
    """What the listing, and with it the documentation, leaves out would be known to nobody."""
    assert set(WHO.values()) == set(METRICS.values())
    for kind in METRICS.values():
        assert {one.name.removesuffix("_total") for one in listed(kind)} == {one.name for one in metrics_of(kind)}


# --------------------------------------------------------------------------------------------- tables, distributions


def test_rows_of_a_table_are_replaced_together() -> None:
    """Of a version that is gone no row stays behind."""
    registry = CollectorRegistry()
    table = Families("tests", registry).table("state", "what is there", "model")
    table.show({("trees",): 1.0, ("forest",): 2.0})
    table.show({("forest",): 3.0})
    assert registry.get_sample_value("tests_state", {"model": "trees"}) is None
    assert registry.get_sample_value("tests_state", {"model": "forest"}) == 3


def test_a_distribution_counts_as_a_histogram_does() -> None:
    """One by one and many at once: the same buckets, bounds included, as prometheus-client's own."""
    registry = CollectorRegistry()
    made = Families("tests", registry)
    bounds = (-0.5, 0.0, 0.1, 2.0)
    values = [-1.0, -0.5, -0.1, 0.0, 0.05, 0.1, 0.10001, 2.0, 7.0]
    theirs, ours = made.histogram("theirs_seconds", "theirs", bounds), made.distribution("ours_seconds", "ours", bounds)
    many = made.distribution("many_seconds", "many", bounds)
    for value in values:
        theirs.observe(value)
        ours.observe(value)
    many.observe_all(np.array(values))
    text = generate_latest(registry).decode()
    shown = {
        name: re.findall(rf"^tests_{name}_seconds_(\S+ \S+)$", text, re.MULTILINE)
        for name in ("theirs", "ours", "many")
    }
    rows = {name: [row for row in found if row.startswith(("bucket", "count"))] for name, found in shown.items()}
    assert len(rows["theirs"]) == len(bounds) + 2
    assert rows["ours"] == rows["theirs"] == rows["many"]
    assert registry.get_sample_value("tests_many_seconds_sum") == pytest.approx(sum(values))


def test_columns_of_a_distribution_are_counted_each_under_its_own_labels() -> None:
    """As if one by one; what is below 0 is none, and who has none has no series."""
    registry = CollectorRegistry()
    made = Families("tests", registry)
    one, many = (made.distribution(f"{name}_seconds", name, (0.1, 1.0), "model", "version") for name in ("one", "many"))
    values = np.array([[0.05, -1.0, 0.5], [0.1, -1.0, -1.0], [7.0, -1.0, 0.2]])
    labels = [("a", "1"), ("b", "1"), ("c", "1")]
    many.observe_columns(values, labels)
    for column, pair in enumerate(labels):
        for value in values[:, column].tolist():
            if value >= 0:
                one.observe(value, pair)
    shown = [
        re.findall(rf"^tests_{name}_seconds(_\S+ \S+)$", generate_latest(registry).decode(), re.MULTILINE)
        for name in ("one", "many")
    ]
    assert shown[0] == shown[1]
    assert len(shown[0]) == 2 * 5


def test_outcomes_are_counted_by_version() -> None:
    """A score after the end of a version's first step is late; one that is not scheduled has no such end."""
    registry = CollectorRegistry()
    metrics = telemetry.ServerMetrics(registry)
    statuses = np.array([[Status.OK, Status.OK], [Status.OK, Status.ERROR], [Status.NONE, Status.INVALID]], np.uint8)
    latencies_us = np.array([[79_999, 90_000], [80_000, 1_000], [-1, 1_000]], np.int32)
    metrics.judged((("trees", "t1"), ("rule", "r1")), statuses, latencies_us, {("trees", "t1"): 80_000})

    def count(model: str, version: str, outcome: str) -> float | None:
        labels = {"model": model, "version": version, "outcome": outcome}
        return registry.get_sample_value("rendezvous_server_compared_total", labels)

    assert [count("trees", "t1", outcome) for outcome in ("in_time", "late", "none")] == [1, 1, 1]
    assert [count("rule", "r1", outcome) for outcome in ("in_time", "failed", "other")] == [1, 1, 1]
    who = {"model": "trees", "version": "t1"}
    assert registry.get_sample_value("rendezvous_server_model_latency_seconds_count", who) == 2


def test_a_distribution_forgets_whom_it_is_told_to() -> None:
    """Its series are those of deployed versions."""
    registry = CollectorRegistry()
    latency = Families("tests", registry).distribution("latency_seconds", "how long", (1.0,), "model", "version")
    for version in ("a", "b"):
        latency.observe(0.5, ("trees", version))
    latency.retain({("trees", "b")})
    assert registry.get_sample_value("tests_latency_seconds_count", {"model": "trees", "version": "a"}) is None
    assert registry.get_sample_value("tests_latency_seconds_count", {"model": "trees", "version": "b"}) == 1
