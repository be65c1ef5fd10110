"""What the monitor counts, and what it found last: by model and feature, from its own findings."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from rendezvous.monitoring.findings import AlarmKind
from rendezvous.telemetry.families import Families

SUBJECT = ("kind", "subject", "model", "version")
"""Of drift: model and version are empty where it is about inputs."""


class MonitorMetrics:
    """What the monitor counts; and the newest findings as gauges, of versions that are deployed."""

    def __init__(self, registry: CollectorRegistry) -> None:
        made = Families("rendezvous_monitor", registry)
        self.rows = made.counter("rows_total", "rows taken up, by topic: requests of comparisons and features", "topic")
        self.unreadable = made.counter(
            "unreadable_records_total", "records left out: not what their topic is for", "topic"
        )
        self.findings = made.counter("findings_total", "findings written, by kind", "kind")
        self.repeats = made.counter("repeated_findings_total", "findings left out, because a process before wrote them")
        self.blocks = made.counter("blocks_total", "blocks closed, once for each model")
        self.alarms = made.counter("alarms_total", "alarms, by what has changed", "kind")
        for kind in AlarmKind:  # shown from the start: of one that begins with 1 Prometheus does not see that it grew
            self.alarms.labels(str(kind))
        self.set_aside = made.gauge(
            "set_aside", "requests, features and labels that did not count, by reason", "reason"
        )
        self.watermark = made.gauge(
            "watermark_timestamp_seconds", "event time up to which requests and labels are known"
        )
        self.pending = made.gauge("pending_requests", "requests that are kept for their labels")
        self.checkpoint = made.gauge("checkpoint_seconds", "how long the last checkpoint took")
        self.checkpoints = made.counter("checkpoints_total", "checkpoints kept")
        self.waits = made.counter(
            "redis_waits_total", "attempts at Redis that failed: the monitor stands still until it answers"
        )
        self.faults = made.gauge(
            "faults", "versions that cannot be watched as they should be, because of what they were shipped with"
        )
        self.newest_request = made.table(
            "newest_request_timestamp_seconds", "event time of the newest request that was compared"
        )
        self.newest_label = made.table(
            "label_watermark_timestamp_seconds",
            "event time of the newest label: labels observed up to then have begun to come",
        )
        self.label_age = made.table(
            "label_watermark_age_seconds",
            "event time from the newest label to the newest request: much more than label_delay means that labels stay "
            "away",
        )
        self.accuracy = made.table(
            "accuracy",
            "a version's figures on its newest block; stage provisional: labels still come, and early ones are not "
            "like the others; closed: they have had their time",
            *("model", "version", "metric", "stage"),
        )
        self.block_end = made.table(
            "accuracy_block_end_timestamp_seconds",
            "event time at which the block ends that `accuracy` is about",
            "stage",
        )
        self.labelled = made.table(
            "accuracy_labelled", "labelled requests that `accuracy` rests on", "model", "version", "stage"
        )
        self.coverage = made.table(
            "label_coverage_ratio",
            "share of a block's requests with a label, of those that will get one",
            *("model", "version", "stage"),
        )
        self.label_delay = made.table(
            "label_delay_seconds", "from request to label, in the newest closed block", "quantile"
        )
        self.drift = made.table(
            "drift",
            "how far a subject moved in the newest window: PSI less what chance adds (input, score), difference of the "
            "shares (missing, range, unseen), mean absolute difference on the same requests (canary; disagreement: to "
            "the champion)",
            *SUBJECT,
        )
        self.flagged = made.table(
            "drift_moved",
            "1 when the newest window lies beyond the limit, not by chance, and beyond what the reference's own "
            "windows do",
            *SUBJECT,
        )
        self.limit = made.table("drift_limit", "from where on a move counts as large, by kind", "kind")
        self.in_alarm = made.table(
            "alarm_active",
            "1 from an alarm until its subject is back; concept: until seven blocks have closed without another one",
            *SUBJECT,
        )
        self.alarm_value = made.table("alarm_value", "what the detector had of evidence at the last alarm", *SUBJECT)
        self.alarm_limit = made.table("alarm_threshold", "what it needed", *SUBJECT)
        self.alarm_at = made.table("alarm_timestamp_seconds", "event time of the last alarm", *SUBJECT)
        self.model_latency = made.table(
            "model_latency_seconds",
            "from append to score in the newest window",
            *("model", "version", "quantile"),
        )
        self.missing_scores = made.table(
            "missing_scores_ratio",
            "share of requests without a version's score in the newest window",
            "model",
            "version",
        )
        self.evidence = made.table(
            "evidence_log10",
            "decimal logarithm of the largest e-value so far that a version is better, or worse, than the champion: "
            "1.3 is 1 in 20 by chance",
            *("model", "version", "direction"),
        )
        self.difference = made.table(
            "contest_difference",
            "a version's figure less the champion's on the same labelled requests; bound: value, and low and high of "
            "its 95 % interval by blocks",
            *("model", "version", "metric", "bound"),
        )
        self.contest_labelled = made.table(
            "contest_labelled", "labelled requests that a contest rests on", "model", "version"
        )
        self.contest_blocks = made.table("contest_blocks", "blocks that a contest rests on", "model", "version")
