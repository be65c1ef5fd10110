"""Control and the endpoint's limits as metrics."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import pytest

from endpoints import DEADLINE_MS, MARGIN_MS, STEP_MS, VERSIONS, control_of, endpoint, genesis
from rendezvous.registry.events import Cause, HandOff, Move, State
from rendezvous.registry.state import Taken
from rendezvous.retraining.limits import RetrainingLimits
from rendezvous.server.showing import Showing
from rendezvous.telemetry import EndpointMetrics, RegistryMetrics, Telemetry


class Page:
    """What a server shows of control."""

    def __init__(self, **changes: object) -> None:
        self._telemetry = Telemetry()
        registry = self._telemetry.registry
        self.endpoint = endpoint("tests", **changes)
        self.showing = Showing(self.endpoint, RegistryMetrics(registry), EndpointMetrics(registry))

    def value(self, name: str, **labels: str) -> float | None:
        """One sample."""
        return self._telemetry.registry.get_sample_value(f"rendezvous_{name}", labels)


def test_limits_are_those_in_force() -> None:
    """Deadline and steps are control's, as requests that come now are answered by them."""
    page, said = Page(), control_of(*genesis(endpoint()))
    page.showing.control(said)
    assert said.rules is not None
    assert page.value("endpoint_deadline_seconds") == pytest.approx(DEADLINE_MS / 1e3)
    page.showing.control(replace(said, rules=said.rules.model_copy(update={"deadline_ms": 1_234})))
    assert page.value("endpoint_deadline_seconds") == pytest.approx(1.234)
    assert page.value("endpoint_step_end_seconds", step="1", policy="prefer") == pytest.approx(STEP_MS / 1e3)
    assert page.value("endpoint_step_end_seconds", step="2", policy="prefer") == pytest.approx(1.234 - MARGIN_MS / 1e3)
    champion = {"model": "champion", "version": VERSIONS["champion"]}
    assert page.value("endpoint_model_due_seconds", **champion) == pytest.approx(STEP_MS / 1e3)


def test_limits_of_the_document_are_there_before_anything_is_read() -> None:
    """Without [retraining] evidence is held against what would be its default."""
    page = Page()
    assert page.value("endpoint_missed_limit_ratio") == page.endpoint.fallback.missed
    assert page.value("endpoint_evidence_limit_log10", rule="replace") == pytest.approx(1.301, abs=1e-3)
    limits = RetrainingLimits.model_validate(
        {"model": "champion", "replace": {"e_value": 100}, "training": {"folds": 3}}
    )
    page = Page(retraining=limits.model_dump())
    assert page.value("endpoint_evidence_limit_log10", rule="replace") == pytest.approx(2)
    assert page.value("endpoint_training_limit_seconds", model="champion") == 5 * 3_600
    assert page.value("endpoint_retrain_budget", model="champion", span="month") == 4


def test_who_is_passed_by_and_who_was_handed_over_to() -> None:
    """Partitions by version; the last hand-off by its cause; of a retired version nothing."""
    page, said = Page(), control_of(*genesis(endpoint()))
    pair = "champion", VERSIONS["champion"]
    moves = (Move("best", *pair),)
    taken = tuple(Taken(at, HandOff(moves, cause, (), 0, "tests", at * 1_000_000)) for at, cause in enumerate(Cause))
    page.showing.control(
        replace(
            said,
            suspended=MappingProxyType({0: frozenset({pair}), 1: frozenset({pair})}),
            aliases=MappingProxyType({"best": pair}),
            hand_offs=taken,
        )
    )
    who = {"model": pair[0], "version": pair[1]}
    assert page.value("registry_suspended_partitions", **who) == 2
    assert page.value("registry_alias_info", alias="best", **who) == 1
    assert [page.value("registry_hand_off_timestamp_seconds", cause=str(cause)) for cause in Cause] == [0, 1, 2]
    retired = {**said.versions, pair: replace(said.versions[pair], state=State.RETIRED)}
    page.showing.control(replace(said, versions=MappingProxyType(retired)))
    assert page.value("registry_version_info", state="active", **who) is None
    assert page.value("registry_suspended_partitions", **who) is None
