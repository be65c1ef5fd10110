"""What a retrainer counts, and where it stands."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from rendezvous.registry.events import Ruling
from rendezvous.retraining.events import Outcome
from rendezvous.telemetry.families import Families


class RetrainerMetrics:
    """What a retrainer counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        made = Families("rendezvous_retrainer", registry)
        self.events = made.counter("events_total", "retrain events written by the owner's rules")
        self.jobs = made.counter("jobs_total", "jobs that ended, by outcome", "outcome")
        self.verdicts = made.counter("verdicts_total", "verdicts written, by ruling", "ruling")
        # shown from the start: of a series that begins with 1 Prometheus does not see that it grew
        for outcome in Outcome:
            self.jobs.labels(str(outcome))
        for ruling in Ruling:
            self.verdicts.labels(str(ruling))
        self.unreadable = made.counter(
            "unreadable_total", "records on accuracy, drift or retrain that could not be read"
        )
        self.leads = made.gauge("leads", "1 when this process works, 0 when it stands by for another one")
        self.running = made.gauge("running_jobs", "jobs under way: 0 or 1")
        self.settled = made.gauge(
            "settled_timestamp_seconds", "event time of the newest closing of a block that was looked at"
        )
        self.last_event = made.table("last_event_timestamp_seconds", "event time of the newest retrain event", "model")
        self.last_job = made.table(
            "last_job_end_timestamp_seconds",
            "when the newest job ended, by the wall clock, and how",
            "model",
            "outcome",
        )
        self.job_time = made.table("last_job_duration_seconds", "how long the newest job took", "model")
        self.job_begun = made.table(
            "job_start_timestamp_seconds", "since when a job is under way, by the wall clock", "model"
        )
        self.waits_for = made.table(
            "episode_waits",
            "1 for what an episode under way waits for: job, verdict (on its candidate), person (a proposal)",
            *("model", "waits_for"),
        )
        self.candidate = made.table("candidate_info", "the version that awaits its verdict", "model", "version", "rule")
        self.budget = made.table(
            "budget_left", "retrain events that the owner's budget still allows, by span", "model", "span"
        )
        self.labels = made.table("new_labels", "mature labels since the data of the last training", "model")
        self.holds = made.table(
            "cause_holds", "1 for each of the owner's rules that holds at the newest closing", "model", "cause"
        )
        self.held = made.table(
            "held_back",
            "1 for what keeps rules that hold from leading to an event: cool_down, budget, new_labels",
            *("model", "reason"),
        )
