"""What `rendezvous run scorers` counts."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from rendezvous.telemetry.families import Families


class CrewMetrics:
    """What a crew of scorers counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        made = Families("rendezvous_crew", registry)
        self.wanted = made.gauge("wanted_scorers", "versions that are deployed: each has a scorer")
        self.ready = made.gauge("ready_scorers", "scorers that do their work")
        self.restarts = made.counter(
            "restarts_total",
            "scorers that ended, or could not be started, though their version is deployed",
            *("model", "version"),
        )
