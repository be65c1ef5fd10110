"""What a scorer counts; which version it is Prometheus knows from its list of targets."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter

from rendezvous.messages import Bytes, Status
from rendezvous.telemetry.counts import by_status, child
from rendezvous.telemetry.families import BATCH_BUCKETS, LATENCY_BUCKETS_S, Families


class ScorerMetrics:
    """What a scorer counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        made = Families("rendezvous_scorer", registry)
        self._children: dict[tuple[object, ...], Counter] = {}
        self.rows = made.counter("rows_total", "rows, by status of the score", "status")
        self.skipped = made.counter(
            "skipped_total", "records that are no requests; the server sends them to dead-letters"
        )
        self.batch = made.histogram("batch_rows", "rows in a natural micro-batch", BATCH_BUCKETS)
        self.seconds = made.histogram("batch_seconds", "time a batch takes in the model", LATENCY_BUCKETS_S)
        self.delay = made.gauge("delay_seconds", "age of the oldest request of the last batch when it was scored")
        self.undelivered = made.gauge("undelivered", "records of scores on their way: grows while the cluster is away")
        self.duty = made.table(
            "duty",
            "1 for what control asks of this version: live (it may answer), shadow (it is compared), paused, retired",
            "duty",
        )
        self.shed = made.gauge(
            "shed_share", "share of requests that this version leaves out under load (of the partition pressed most)"
        )

    def scored(self, statuses: Bytes) -> None:
        """Count the rows of a batch."""
        for status, count in by_status(statuses):
            child(self._children, self.rows, Status(status)).inc(count)
