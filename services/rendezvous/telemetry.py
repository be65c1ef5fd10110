"""Every metric of every service, each with a line for the operator; and the pages /metrics, /healthz, /readyz.

Base units (seconds, bytes), `_total` for counters, no label whose values an outsider chooses.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from rendezvous.messages import Bytes, Reason, Scores, Status

LATENCY_BUCKETS_S = (
    0.001,
    0.002,
    0.005,
    0.01,
    0.02,
    0.035,
    0.05,
    0.075,
    0.1,
    0.15,
    0.2,
    0.25,
    0.35,
    0.5,
    1.0,
    2.0,
    5.0,
)
"""Fine below and around usual deadlines (50 to 500 ms), coarse above."""
BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
STALLED_AFTER_S = 10.0
"""A service whose loop has not turned for this long is unhealthy: it may be restarted."""


def _registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=registry)
    return registry


class ServerMetrics:
    """What the rendezvous server counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._children: dict[tuple[object, ...], Counter] = {}

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"rendezvous_server_{name}", text, labels, registry=registry)

        self.requests = counter("requests_total", "requests taken up")
        self.answers = counter("answers_total", "answers, by who answered (default: nobody) and why", "model", "reason")
        self.late = counter(
            "late_answers_total", "answers decided after their deadline: the service is too slow or was away"
        )
        self.scores = counter(
            "scores_total",
            "rows of scores, by model and fate: kept, duplicate, late (mailbox closed), unknown (no such request), "
            "passed (a version that is retired, or that this server has not heard of yet)",
            "model",
            "fate",
        )
        self.faults = counter(
            "row_faults_total", "rows in which a model gave no usable score, by status", "model", "status"
        )
        self.shut_out = counter(
            "shut_out_records_total",
            "scores records not read, because their writer sends too many that are of no use",
            "writer",
        )
        self.dead_letters = counter("dead_letters_total", "records that could not be used, by reason", "reason")
        self.refused = counter(
            "refused_control_total", "records of control that change nothing: no event, or one that cannot hold"
        )
        self.control = Gauge(
            "rendezvous_server_control_position", "how far this server has read control", registry=registry
        )
        self.slack = Histogram(
            "rendezvous_server_slack_seconds",
            "what was left of the deadline when an answer was decided",
            buckets=LATENCY_BUCKETS_S,
            registry=registry,
        )
        self.latency = Histogram(
            "rendezvous_server_latency_seconds",
            "from a request's append to its decision",
            buckets=LATENCY_BUCKETS_S,
            registry=registry,
        )
        self.in_flight = Gauge(
            "rendezvous_server_in_flight",
            "requests that hold a mailbox slot (open, or waiting for late scores)",
            registry=registry,
        )
        self.undelivered = Gauge(
            "rendezvous_server_undelivered",
            "answers and records on their way: grows when a reply topic or the cluster takes nothing",
            registry=registry,
        )
        self.partitions = Gauge(
            "rendezvous_server_partitions",
            "partitions owned, by state: live, held (a take-over is under way)",
            ["state"],
            registry=registry,
        )
        self.suspended = Gauge(
            "rendezvous_server_suspended",
            "owned partitions on which a scheduled model is passed by, because it misses its step or fails",
            ["model"],
            registry=registry,
        )
        self.shed = Gauge(
            "rendezvous_server_shed_share",
            "share of requests that candidates, or challengers, leave out under load (of the partition pressed most)",
            ["kind"],
            registry=registry,
        )
        self.append_age = Gauge(
            "rendezvous_server_append_age_seconds",
            "age of the last request when it was read: negative means this clock is behind the broker's",
            registry=registry,
        )

    def answered(self, model: str, reason: int, count: int) -> None:
        """Count answers; label look-ups are remembered, because there is one for each answer of an idle system."""
        _child(self._children, self.answers, model, Reason(reason)).inc(count)

    def buried(self, reason: str) -> None:
        """Count a dead letter."""
        self.dead_letters.labels(reason).inc()

    def tally(self, models: Sequence[str], fates: Mapping[str, Sequence[int]], batch: Sequence[Scores]) -> None:
        """Count what became of some scores records: for each fate the rows of each model, empty when there are none."""
        for fate, rows in fates.items():
            for model, count in zip(models, rows, strict=False):
                if count:
                    _child(self._children, self.scores, model, fate).inc(count)
        for said in batch:
            if int(said.statuses.max()) > OK:
                for status, count in _by_status(said.statuses):
                    if status != OK:
                        _child(self._children, self.faults, said.model, Status(status)).inc(count)


OK = int(Status.OK)


def _by_status(statuses: Bytes) -> list[tuple[int, int]]:
    """(status, rows) for each status that occurs."""
    return [(status, count) for status, count in enumerate(np.bincount(statuses).tolist()) if count]


def _child(children: dict[tuple[object, ...], Counter], counter: Counter, *labels: str | IntEnum) -> Counter:
    """The counter of these labels: prometheus-client takes 1.5 us to find it, a dict 0.1."""
    key = (counter, *labels)
    child = children.get(key)
    if child is None:
        child = children[key] = counter.labels(*(x.name.lower() if isinstance(x, IntEnum) else x for x in labels))
    return child


class ScorerMetrics:
    """What a scorer counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._children: dict[tuple[object, ...], Counter] = {}
        self.rows = Counter(
            "rendezvous_scorer_rows_total", "rows, by status of the score", ["status"], registry=registry
        )
        self.skipped = Counter(
            "rendezvous_scorer_skipped_total",
            "records that are no requests; the server sends them to dead-letters",
            registry=registry,
        )
        self.batch = Histogram(
            "rendezvous_scorer_batch_rows", "rows in a natural micro-batch", buckets=BATCH_BUCKETS, registry=registry
        )
        self.seconds = Histogram(
            "rendezvous_scorer_batch_seconds",
            "time a batch takes in the model",
            buckets=LATENCY_BUCKETS_S,
            registry=registry,
        )
        self.delay = Gauge(
            "rendezvous_scorer_delay_seconds",
            "age of the oldest request of the last batch when it was scored",
            registry=registry,
        )

    def scored(self, statuses: Bytes) -> None:
        """Count the rows of a batch."""
        for status, count in _by_status(statuses):
            _child(self._children, self.rows, Status(status)).inc(count)


class CrewMetrics:
    """What `rendezvous run scorers` counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.wanted = Gauge(
            "rendezvous_crew_wanted_scorers", "versions that are deployed: each has a scorer", registry=registry
        )
        self.ready = Gauge("rendezvous_crew_ready_scorers", "scorers that do their work", registry=registry)
        self.restarts = Counter(
            "rendezvous_crew_restarts_total",
            "scorers that ended, or could not be started, though their version is deployed",
            ["model", "version"],
            registry=registry,
        )


class MonitorMetrics:
    """What the monitor counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"rendezvous_monitor_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"rendezvous_monitor_{name}", text, labels, registry=registry)

        self.rows = counter("rows_total", "rows taken up, by topic: requests of comparisons and features", "topic")
        self.unreadable = counter("unreadable_records_total", "records left out: not what their topic is for", "topic")
        self.findings = counter("findings_total", "findings written, by kind", "kind")
        self.repeats = counter("repeated_findings_total", "findings left out, because a process before wrote them")
        self.blocks = counter("blocks_total", "blocks closed, once for each model")
        self.alarms = counter("alarms_total", "alarms, by what has changed", "kind")
        self.set_aside = gauge("set_aside", "requests, features and labels that did not count, by reason", "reason")
        self.lag = gauge("lag_records", "records that are on a topic and not taken up yet", "topic")
        self.watermark = gauge("watermark_seconds", "event time up to which requests and labels are known")
        self.pending = gauge("pending_requests", "requests that are kept for their labels")
        self.checkpoint = gauge("checkpoint_seconds", "how long the last checkpoint took")
        self.checkpoints = counter("checkpoints_total", "checkpoints kept")
        self.waits = counter(
            "redis_waits_total", "attempts at Redis that failed: the monitor stands still until it answers"
        )


class RetrainerMetrics:
    """What a retrainer counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"rendezvous_retrainer_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(f"rendezvous_retrainer_{name}", text, registry=registry)

        self.events = counter("events_total", "retrain events written by the owner's rules")
        self.jobs = counter("jobs_total", "jobs that ended, by outcome", "outcome")
        self.verdicts = counter("verdicts_total", "verdicts written, by ruling", "ruling")
        self.unreadable = counter("unreadable_total", "records on accuracy, drift or retrain that could not be read")
        self.leads = gauge("leads", "1 when this process works, 0 when it stands by for another one")
        self.running = gauge("running_jobs", "jobs under way: 0 or 1")
        self.settled = gauge(
            "settled_timestamp_seconds", "event time of the newest closing of a block that was looked at"
        )


class ClientMetrics:
    """What a client counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"rendezvous_client_{name}", text, labels, registry=registry)

        self.asked = counter("requests_total", "requests sent")
        self.answers = counter("answers_total", "answers, by reason; no_answer: none came by the deadline", "reason")
        self.duplicates = counter("duplicate_answers_total", "second answers to one request, dropped")
        self.late = counter("late_answers_total", "answers that came after the client had given up, dropped")
        self.unreadable = counter("unreadable_answers_total", "records on the reply topic that are no answers")


class ArchiverMetrics:
    """What the archiver counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"rendezvous_archiver_{name}", text, labels, registry=registry)

        self.rows = counter("rows_total", "rows in files that were written, by topic", "topic")
        self.files = counter("files_total", "files that were written, by topic", "topic")
        self.unreadable = counter(
            "unreadable_total", "comparisons and labels that do not decode: not archived", "topic"
        )
        self.features = counter("features_rows_total", "requests whose features were sent on")
        self.too_large = counter(
            "features_too_large_total", "requests whose features fit no record: archived, and not sent on"
        )
        self.waiting_seconds = Gauge(
            "rendezvous_archiver_waiting_seconds",
            "age of the oldest record that was read and is in no file yet: more than `age` means that files fail",
            registry=registry,
        )
        self.waiting_bytes = Gauge(
            "rendezvous_archiver_waiting_bytes", "what was read and is in no file yet", registry=registry
        )
        self.delay = Gauge(
            "rendezvous_archiver_delay_seconds", "age of the oldest request of the last turn", registry=registry
        )
        self.seconds = Histogram(
            "rendezvous_archiver_file_seconds",
            "time that a file takes",
            buckets=LATENCY_BUCKETS_S,
            registry=registry,
        )


class Telemetry:
    """A service's registry, its health, and the HTTP pages that show them. `stop` ends the pages."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.registry = _registry()
        self._clock = clock
        self._turned_s = clock()
        self._ready = False
        self._server: ThreadingHTTPServer | None = None

    def turned(self) -> None:
        """The service's loop went round."""
        self._turned_s = self._clock()

    def ready(self, *, is_ready: bool) -> None:
        """Whether the service does its work now: joined, warm, caught up."""
        self._ready = is_ready

    def health(self) -> tuple[bool, str]:
        """Whether the loop turns, and since when not."""
        age_s = self._clock() - self._turned_s
        return age_s < STALLED_AFTER_S, json.dumps({"seconds_since_loop": round(age_s, 3)})

    def serve(self, host: str, port: int) -> int:
        """Show the pages; port 0 takes a free one. Returns the port.

        Raises:
            OSError: the port is taken.
        """
        server = ThreadingHTTPServer((host, port), _pages(self))
        server.daemon_threads = True
        self._server = server
        threading.Thread(target=server.serve_forever, name="telemetry", daemon=True).start()
        return int(server.server_address[1])

    def stop(self) -> None:
        """Close the pages."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    def page(self, path: str) -> tuple[int, str, bytes]:
        """(HTTP status, content type, body) of one page."""
        if path == "/metrics":
            return 200, CONTENT_TYPE_LATEST, generate_latest(self.registry)
        if path == "/healthz":
            healthy, body = self.health()
            return 200 if healthy else 503, "application/json", body.encode()
        if path == "/readyz":
            return 200 if self._ready else 503, "application/json", json.dumps({"ready": self._ready}).encode()
        return 404, "text/plain", b"/metrics /healthz /readyz\n"


def _pages(telemetry: Telemetry) -> type[BaseHTTPRequestHandler]:
    class Pages(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, kind, body = telemetry.page(self.path.partition("?")[0])
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """A scrape every few seconds is no news."""

    return Pages
