"""The system's side: the endpoint's real services, asked through the real Client."""

from __future__ import annotations

import time
import urllib.request
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from loadtest.bench import SOURCE, Bench
from loadtest.latency import Run
from loadtest.logged import of_system
from loadtest.noise import busy_cores, other_cores, spent
from loadtest.stages import middle
from rendezvous.client import Client
from rendezvous.demo.traffic import Asked, drive
from rendezvous.local.ports import LOOPBACK
from rendezvous.local.services import RunningService, running_services
from rendezvous.registry.control import ControlLog
from rendezvous.registry.naming import active_names
from rendezvous.registry.state import Control

PAGE_TIMEOUT_S = 5.0
BATCH_METRIC = "rendezvous_scorer_batch_rows"


def measure(bench: Bench, rate: float, seconds: float) -> Run:
    """Start the services, warm up at `rate`, measure for `seconds`, stop them."""
    registry = CollectorRegistry()
    with (
        running_services(bench.endpoint, bench.home, bench.kafka, bench.logs, lambda _: None) as services,
        Client(bench.endpoint, bench.kafka, source=SOURCE, registry=registry) as client,
    ):
        champion = services[active_names(bench.control)[bench.champion]]
        drive(client, *bench.requests(rate, bench.warm_up_s), rate, lambda *_: None)
        counted, scored = counts(registry), _batches(champion)
        sent, before = Sent(), spent()
        log = drive(client, *bench.requests(rate, seconds), rate, sent.note)
        after = spent()
        too_late, duplicates = (now - then for now, then in zip(counts(registry), counted, strict=True))
        rows, number = (now - then for now, then in zip(_batches(champion), scored, strict=True))
    deadline_ms = bench.endpoint.request.deadline_ms
    return Run(
        latencies_ms=[asked.latency_ms for asked in log],
        sent_late_ms=sent.late_ms,
        unanswered=sum(not asked.answered for asked in log) - too_late,
        late=sum(asked.answered and asked.latency_ms > deadline_ms for asked in log) + too_late,
        duplicates=duplicates,
        other_cores=other_cores(before, after),
        batch_rows=rows / number if number else None,
        busy_cores=busy_cores(before, after),
        left_out=left_out(ControlLog(bench.kafka, bench.endpoint).read()),
        stages_ms=middle(of_system(bench, log, sent.started_ms)),
    )


def left_out(control: Control) -> bool:
    """Whether a model is passed by somewhere, or some are left out to save work."""
    return any(event.candidates or event.challengers for event in control.shedding.values()) or any(
        control.suspended.values()
    )


@dataclass(slots=True)
class Sent:
    """When the first request was due, by the wall clock, and how late each was handed over."""

    started_ms: float = 0.0
    late_ms: list[float] = field(default_factory=list)

    def note(self, log: list[Asked], sent: int, seconds: float) -> None:
        """One more was sent, so many seconds after the first was due."""
        if sent == 1:
            self.started_ms = (time.time() - seconds) * 1e3
        self.late_ms.append((seconds - log[sent - 1].due_s) * 1e3)


def counts(registry: CollectorRegistry) -> tuple[int, int]:
    """Answers so far that came after the client had given up, and second answers."""
    names = ("rendezvous_client_late_answers_total", "rendezvous_client_duplicate_answers_total")
    late, duplicates = (int(registry.get_sample_value(name) or 0) for name in names)
    return late, duplicates


def _batches(scorer: RunningService) -> tuple[float, float]:
    """Rows and micro-batches that a scorer has scored, by its own page."""
    with urllib.request.urlopen(f"http://{LOOPBACK}:{scorer.port}/metrics", timeout=PAGE_TIMEOUT_S) as page:
        return batches(page.read().decode())


def batches(page: str) -> tuple[float, float]:
    """Rows and micro-batches on a scorer's page."""
    samples = {
        sample.name: sample.value for family in text_string_to_metric_families(page) for sample in family.samples
    }
    return samples[f"{BATCH_METRIC}_sum"], samples[f"{BATCH_METRIC}_count"]
