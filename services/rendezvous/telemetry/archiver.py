"""What the archiver counts."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from rendezvous.telemetry.families import FILE_BUCKETS_S, Families


class ArchiverMetrics:
    """What the archiver counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        made = Families("rendezvous_archiver", registry)
        self.rows = made.counter("rows_total", "rows in files that were written, by topic", "topic")
        self.files = made.counter("files_total", "files that were written, by topic", "topic")
        self.unreadable = made.counter(
            "unreadable_total", "comparisons and labels that do not decode: not archived", "topic"
        )
        self.features = made.counter("features_rows_total", "requests whose features were sent on")
        self.too_large = made.counter(
            "features_too_large_total", "requests whose features fit no record: archived, and not sent on"
        )
        self.waiting_seconds = made.gauge(
            "waiting_seconds",
            "age of the oldest record that was read and is in no file yet: more than `age` means that files fail",
        )
        self.waiting_bytes = made.gauge("waiting_bytes", "what was read and is in no file yet")
        self.delay = made.gauge("delay_seconds", "age of the oldest request of the last turn")
        self.seconds = made.histogram("file_seconds", "time that a file takes", FILE_BUCKETS_S)
