"""What a version must show before an alias is moved to it, looked up on the log."""

from __future__ import annotations

from rendezvous.registry.evidence import Check, checks, evidence, step_end_ms
from rendezvous.registry.recent import recent_comparisons
from rendezvous.registry.state import Control, Pair
from rendezvous.rules import Rules
from rendezvous.settings import Endpoint


def checks_of(bootstrap: str, endpoint: Endpoint, control: Control, pair: Pair, alias: str, now_us: int) -> list[Check]:
    """Each limit of `[promotion]` against what the version has done about the last requests.

    Raises:
        LogError: comparisons cannot be read.
    """
    limits = endpoint.promotion
    comparisons = recent_comparisons(bootstrap, endpoint, limits.requests)
    found = evidence(comparisons, pair, within_ms(endpoint, control, alias), limits.requests)
    return checks(control, pair, found, limits, now_us)


def within_ms(endpoint: Endpoint, control: Control, alias: str) -> int:
    """What counts as in time for a version that the alias is to name."""
    rules: Rules = control.rules or endpoint.rules
    return step_end_ms(rules, alias)
