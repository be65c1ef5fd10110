"""What a client counts."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from rendezvous.telemetry.families import LATENCY_BUCKETS_S, Families


class ClientMetrics:
    """What a client counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        made = Families("rendezvous_client", registry)
        self.asked = made.counter("requests_total", "requests sent")
        self.answers = made.counter(
            "answers_total", "answers, by reason; no_answer: none came by the deadline", "reason"
        )
        self.latency = made.distribution(
            "latency_seconds", "from the request to its answer, as the application waits for it", LATENCY_BUCKETS_S
        )
        self.duplicates = made.counter("duplicate_answers_total", "second answers to one request, dropped")
        self.late = made.counter("late_answers_total", "answers that came after the client had given up, dropped")
        self.unreadable = made.counter("unreadable_answers_total", "records on the reply topic that are no answers")
