"""The endpoint's own limits, so that panels and alerts take their thresholds from its document."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from rendezvous.telemetry.families import Families


class EndpointMetrics:
    """What the document says, and rules as they are in force; every server shows the same, so take the largest."""

    def __init__(self, registry: CollectorRegistry) -> None:
        made = Families("rendezvous_endpoint", registry)
        self.deadline = made.gauge("deadline_seconds", "of a request that names none, from its append")
        self.max_deadline = made.gauge("max_deadline_seconds", "the longest a request may name")
        self.margin = made.gauge("reply_margin_seconds", "the last step ends so long before the deadline")
        self.step = made.table(
            "step_end_seconds",
            "when a step of the schedule ends, from the append; the last one ends by the deadline",
            *("step", "policy"),
        )
        self.due = made.table(
            "model_due_seconds",
            "by when a scheduled version must have scored: the end of its first step",
            *("model", "version"),
        )
        self.missed = made.gauge("missed_limit_ratio", "a version that misses so large a share is passed by")
        self.failed = made.gauge("failed_limit_ratio", "a version that fails on so large a share is passed by")
        self.capacity = made.gauge("mailbox_capacity", "requests in flight that a partition has room for")
        self.partitions = made.gauge("partitions", "of the requests, by the document")
        self.close = made.gauge("mailbox_close_seconds", "late scores are still compared so long after the append")
        self.block = made.gauge("block_seconds", "event time of a block of the monitor")
        self.label_delay = made.gauge(
            "label_delay_seconds", "p99 of label delays, by the document: a block waits for it"
        )
        self.lateness = made.gauge("lateness_seconds", "how far out of order requests and labels may come")
        self.run_length = made.gauge("run_length_blocks", "blocks to a false alarm of a detector, on average")
        self.floor = made.table(
            "accuracy_floor",
            "a figure of the champion's blocks that must not be worse for long, or it is retrained",
            *("model", "metric", "worse"),
        )
        self.e_value = made.table(
            "evidence_limit_log10",
            "evidence (decimal logarithm of the e-value) that decides: replace, rollback",
            "rule",
        )
        self.new_labels = made.table("new_labels_limit", "labels that a retraining waits for", "model")
        self.budget = made.table("retrain_budget", "retrain events that are allowed in a span", "model", "span")
        self.cool_down = made.table("cool_down_seconds", "event time from event to event", "model")
        self.training_time = made.table(
            "training_limit_seconds", "wall time that a retraining may take, all its runs together", "model"
        )
        self.training_memory = made.table("training_memory_limit_bytes", "what one training run may use", "model")
        self.archive_age = made.gauge("archive_age_seconds", "how long a record may wait for its file")
        self.archive_bytes = made.gauge("archive_limit_bytes", "what may wait for files in one archiver")
        self.coverage = made.gauge(
            "promotion_coverage_ratio", "share of requests that a version must score to be promoted"
        )
        self.in_time = made.gauge("promotion_in_time_ratio", "share that it must score by the end of its step")
