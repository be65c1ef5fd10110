"""What librdkafka says of its connections, of every client of a process: it explains latency that is not ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from prometheus_client import CollectorRegistry

from rendezvous.telemetry.families import Families, Labels

Rows = Mapping[str, Mapping[Labels, float]]
"""By the metric's attribute, the rows that are shown."""


class KafkaMetrics:
    """What the process' Kafka clients say now and then; `client` is what each is for; of several the worst."""

    def __init__(self, registry: CollectorRegistry) -> None:
        made = Families("rendezvous_kafka", registry)
        self.lag = made.table(
            "lag_records", "records on a topic's partitions of this process that it has not read yet", "topic"
        )
        self.brokers = made.table("brokers", "brokers that a client knows: up, or away", "client", "state")
        self.round_trip = made.table(
            "round_trip_seconds",
            "from a request to the broker to its answer; a consumer's has the broker's wait for records in it",
            *("client", "quantile"),
        )
        self.queue_wait = made.table(
            "queue_wait_seconds", "how long records wait in a producer before they are sent", "client", "quantile"
        )
        self.send_wait = made.table(
            "send_wait_seconds",
            "how long requests wait for the connection: it grows when that is full",
            *("client", "quantile"),
        )
        self.throttle = made.table(
            "throttle_seconds", "the broker's quota made the client wait so long", "client", "quantile"
        )
        self.queued_records = made.table(
            "queued_records", "in the client's own memory: fetched and not taken, or written and not sent", "client"
        )
        self.queued_bytes = made.table("queued_bytes", "the same in bytes", "client")
        self.errors = made.table(
            "request_errors_total", "requests to brokers that failed or timed out, since the start", "client"
        )
        self.connects = made.table("connects_total", "connections that were made, since the start", "client")
        self.age = made.table(
            "statistics_age_seconds", "since a client said all this: more than 30 means that it is not polled", "client"
        )

    def ask(self, rows: Callable[[], Rows]) -> None:
        """Where the rows come from, whenever somebody looks."""
        for name, table in vars(self).items():
            table.ask(partial(_of, rows, name))


def _of(rows: Callable[[], Rows], name: str) -> Mapping[Labels, float]:
    return rows().get(name, {})
