"""What the rendezvous server counts."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from prometheus_client import CollectorRegistry, Counter

from rendezvous.messages import Bytes, DeadLetterReason, Int32s, Reason, Scores, Status
from rendezvous.telemetry.counts import by_status, child
from rendezvous.telemetry.families import COARSE_BUCKETS_S, LATENCY_BUCKETS_S, SLACK_BUCKETS_S, Families, Labels

OK = int(Status.OK)


class ServerMetrics:
    """What the rendezvous server counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        made = Families("rendezvous_server", registry)
        self._children: dict[tuple[object, ...], Counter] = {}
        self.requests = made.counter("requests_total", "requests taken up")
        self.answers = made.counter(
            "answers_total",
            "answers, by who answered (default: nobody, several: a policy that combines) and why",
            *("model", "reason"),
        )
        self.late = made.counter(
            "late_answers_total", "answers decided after their deadline: the service is too slow or was away"
        )
        self.scores = made.counter(
            "scores_total",
            "rows of scores, by model and fate: kept, duplicate, late (mailbox closed), unknown (no such request), "
            "passed (a version that is retired, or that this server has not heard of yet)",
            *("model", "fate"),
        )
        self.faults = made.counter(
            "row_faults_total", "rows in which a model gave no usable score, by status", "model", "status"
        )
        self.shut_out = made.counter(
            "shut_out_records_total",
            "scores records not read, because their writer sends too many that are of no use",
            "writer",
        )
        self.dead_letters = made.counter("dead_letters_total", "records that could not be used, by reason", "reason")
        self.refused = made.counter(
            "refused_control_total", "records of control that change nothing: no event, or one that cannot hold"
        )
        self.control = made.gauge("control_position", "how far this server has read control")
        self.slack = made.distribution(
            "slack_seconds",
            "what was left of its own deadline when an answer was decided; below 0 it was late",
            SLACK_BUCKETS_S,
        )
        self.latency = made.distribution(
            "latency_seconds", "from a request's append to its decision", LATENCY_BUCKETS_S
        )
        self.compared = made.counter(
            "compared_total",
            "closed requests that models had their chance with, by version and what became of its score: in_time, late "
            "(after the end of its first step), none (silent), failed (error, not finite), expired, shed, other (the "
            "request's fault: invalid, unreadable)",
            *("model", "version", "outcome"),
        )
        self.model_latency = made.distribution(
            "model_latency_seconds",
            "from a request's append to the arrival of a version's score, late ones too",
            COARSE_BUCKETS_S,
            *("model", "version"),
        )
        self.in_flight = made.gauge("in_flight", "requests that hold a mailbox slot (open, or waiting for late scores)")
        self.room = made.gauge("in_flight_limit", "requests that the mailboxes of owned partitions have room for")
        self.undelivered = made.gauge(
            "undelivered", "answers and records on their way: grows when a reply topic or the cluster takes nothing"
        )
        self.partitions = made.gauge(
            "partitions", "partitions owned, by state: live, held (a take-over is under way)", "state"
        )
        self.takeovers = made.counter(
            "takeovers_total", "partitions taken over: at a start, or from a server that went away"
        )
        self.gone = made.counter(
            "partitions_gone_total",
            "partitions that went away: given (the group wanted it so), lost (this process was away too long)",
            "how",
        )
        self.suspended = made.gauge(
            "suspended",
            "owned partitions on which a scheduled model is passed by, because it misses its step or fails",
            "model",
        )
        self.shed = made.gauge(
            "shed_share",
            "share of requests that candidates, or challengers, leave out under load (of the partition pressed most)",
            "kind",
        )
        self.skipped = made.counter(
            "skipped_total", "offsets of requests left for later, since this server was behind: they will be late"
        )
        self.arrears = made.gauge("arrears", "offsets of requests left for later and not read again yet")
        self.append_age = made.gauge(
            "append_age_seconds",
            "age of the last request when it was read: negative means this clock is behind the broker's",
        )
        # shown from the start: of a series that begins with 1 Prometheus does not see that it grew
        for why in (Reason.DEFAULT, Reason.EXPIRED, Reason.OVERLOADED, Reason.REJECTED):
            child(self._children, self.answers, "default", why)
        for how in ("given", "lost"):
            self.gone.labels(how)
        for name, reason in vars(DeadLetterReason).items():
            if name.isupper():
                self.dead_letters.labels(reason)

    def answered(self, model: str, reason: int, count: int) -> None:
        """Count answers; label look-ups are remembered, because there is one for each answer of an idle system."""
        child(self._children, self.answers, model, Reason(reason)).inc(count)

    def buried(self, reason: str) -> None:
        """Count a dead letter."""
        self.dead_letters.labels(reason).inc()

    def tally(self, models: Sequence[str], fates: Mapping[str, Sequence[int]], batch: Sequence[Scores]) -> None:
        """Count what became of some scores records: for each fate the rows of each model, empty when there are none."""
        for fate, rows in fates.items():
            for model, count in zip(models, rows, strict=False):
                if count:
                    child(self._children, self.scores, model, fate).inc(count)
        for said in batch:
            if max(said.statuses.tobytes()) > OK:  # NumPy's own takes ten times as long for one
                for status, count in by_status(said.statuses):
                    if status != OK:
                        child(self._children, self.faults, said.model, Status(status)).inc(count)

    def judged(
        self,
        pairs: Sequence[tuple[str, str]],
        statuses: Bytes,
        latencies_us: Int32s,
        due_us: Mapping[tuple[str, str], int],
    ) -> None:
        """Count what versions said of closed requests; all at once, since NumPy's price is by the call.

        Args:
            pairs: the versions, in the order of the columns.
            statuses: uint8 [rows, versions].
            latencies_us: int32 [rows, versions], -1 for none.
            due_us: by when a version should have scored, from the append; none for one that is not scheduled.
        """
        codes = OUTCOME_OF[statuses]
        due = np.array([due_us.get(pair, NEVER_US) for pair in pairs])
        codes[(codes == IN_TIME) & (latencies_us >= due)] = LATE
        width = len(OUTCOMES)
        counts = np.bincount((codes + width * np.arange(len(pairs))).ravel(), minlength=width * len(pairs))
        for place in np.flatnonzero(counts).tolist():
            pair, outcome = pairs[place // width], OUTCOMES[place % width]
            child(self._children, self.compared, *pair, outcome).inc(int(counts[place]))
        self.model_latency.observe_columns(latencies_us / 1e6, pairs)

    def retain(self, pairs: Collection[Labels]) -> None:
        """Show versions that are deployed, and forget all others."""
        self.model_latency.retain(pairs)
        for pair in pairs:
            for outcome in OUTCOMES:
                child(self._children, self.compared, *pair, outcome)
        for key in [key for key in self._children if key[0] is self.compared and key[1:3] not in pairs]:
            del self._children[key]
            self.compared.remove(*key[1:])


OUTCOMES = ("in_time", "late", "none", "failed", "expired", "shed", "other")
IN_TIME, LATE = 0, 1
NEVER_US = np.iinfo(np.int32).max
_BECAME = {
    Status.OK: "in_time",
    Status.NONE: "none",
    Status.ERROR: "failed",
    Status.NONFINITE: "failed",
    Status.EXPIRED: "expired",
    Status.SHED: "shed",
}
OUTCOME_OF = np.full(256, OUTCOMES.index("other"))
"""By a status' code, the place of its outcome."""
for _status, _name in _BECAME.items():
    OUTCOME_OF[_status] = OUTCOMES.index(_name)
