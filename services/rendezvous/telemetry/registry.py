"""What control says now, as the server that follows it shows it."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from rendezvous.telemetry.families import Families


class RegistryMetrics:
    """Versions, aliases, hand-offs; every server shows the same, so take the largest."""

    def __init__(self, registry: CollectorRegistry) -> None:
        made = Families("rendezvous_registry", registry)
        self.alias = made.table("alias_info", "which version an alias names", "alias", "model", "version")
        self.version = made.table(
            "version_info", "the versions that are deployed, and what they are for", "model", "version", "state"
        )
        self.deployed = made.table("deployed_timestamp_seconds", "when a version was deployed", "model", "version")
        self.policy = made.table("policy_info", "hash of what decides an answer besides the scores", "policy")
        self.position = made.gauge("control_position", "up to where control was read")
        self.hand_off = made.table(
            "hand_off_timestamp_seconds",
            "when aliases moved last, by cause: deploy (named for the first time), promote, rollback",
            "cause",
        )
        self.hand_offs = made.gauge("hand_off_position", "the position on control after the last hand-off")
        self.verdict = made.table(
            "verdict_timestamp_seconds", "when a version was judged last, and how", "model", "version", "rule", "ruling"
        )
        self.weight = made.table("weight", "what the policies `best` and `hedge` go by", "quality", "model", "version")
        self.suspended = made.table(
            "suspended_partitions",
            "partitions on which a version is passed by, because it misses its step or fails: others answer for it",
            *("model", "version"),
        )
