"""`all`: what is run with what, and the page about it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("hdrh", reason="hdrhistogram has no wheel for Linux on arm64")

from loadtest.everything.page import page
from loadtest.everything.scenario import Round
from loadtest.scenario import Measured, Option, Scenario
from loadtest.scenarios import SCENARIOS
from rendezvous.local.failure import LocalStackError
from rendezvous.settings import environment

MACHINE = {"cores": 2, "processor": "any", "memory_gib": 8.0, "system": "Linux"}


def target(name: str, *, met: bool) -> dict[str, Any]:
    """A target, with a reason where it is not met."""
    return {"name": name, "value": 1.0, "limit": 2.0, "met": met, "reason": None if met else "2.0 cores busy | all"}


def report(other: Mapping[str, Any]) -> dict[str, Any]:
    """What `all` reports, but for what is other."""
    return {
        "begun_utc": "2026-11-21T20:00:00+00:00",
        "seconds": 600.0,
        "machine": MACHINE,
        "versions": {"python": "3.11"},
        "most_other_cores": 0.1,
        "scenarios": [{"name": "steady", "help": "latency", "seconds": 9.0, "lost": 0, "failed": ""}],
        "targets": [{"scenario": "steady"} | target("p50", met=True), {"scenario": "stall"} | target("p99", met=False)],
    } | dict(other)


def test_the_page_has_every_target_with_its_reason() -> None:
    """A row each; what is not met says why."""
    text = page(report({}))
    assert "1 of 2 met" in text
    assert "| stall | p99 | 1 | 2 | **not met** | 2.0 cores busy / all |" in text
    assert "![steady](steady.png)" in text
    assert "was quiet" in text


def test_the_page_says_that_the_machine_was_not_quiet() -> None:
    """And nothing about a machine that nobody can look at."""
    assert "**The machine was not quiet**: other work kept up to 1.5" in page(report({"most_other_cores": 1.5}))
    assert "Nobody could say" in page(report({"most_other_cores": None}))


def test_the_page_says_what_did_not_run() -> None:
    """In the place of its picture."""
    failed = {"name": "scale", "help": "", "seconds": 1.0, "lost": 0, "failed": "no broker"}
    text = page(report({"scenarios": [failed]}))
    assert "**It did not run**: no broker" in text
    assert "scale.png" not in text


def test_what_saturation_finds_is_what_the_others_are_given(tmp_path: Path) -> None:
    """Where they ask for it; other rates, and what `all` says, stand."""
    given: dict[str, Any] = {}

    def saturation(_: object, **__: object) -> Measured:
        return {"saturation": 640.0, "targets": [], "most_other_cores": None}, 0

    def other(_: object, **options: object) -> Measured:
        given.update(options)
        bare = {"name": "y", "value": 3.0, "limit": 2.0, "met": False}
        return {"targets": [target("x", met=True), bare], "most_other_cores": 0.5}, 3

    rate = Option("rate", float, None, "")
    done = Round(tmp_path, lambda _: None)
    done.run(Scenario(name="saturation", help="", run=saturation, in_all={}), environment())
    done.run(
        Scenario(
            name="other", help="", run=other, options=(rate, Option("seconds", float, 9.0, "")), in_all={"seconds": 1.0}
        ),
        environment(),
    )
    assert (given["rate"], given["seconds"]) == (640.0, 1.0)
    assert (done.lost, done.others) == (3, [0.5])
    assert done.targets[0] == {"scenario": "other"} | target("x", met=True)
    assert done.targets[1]["reason"] == "other work on up to 0.5 cores meanwhile"


def test_a_scenario_that_fails_does_not_end_the_round(tmp_path: Path) -> None:
    """It is told in the end."""

    def fail(_: object, **__: object) -> Measured:
        raise LocalStackError("no broker")

    done = Round(tmp_path, lambda _: None)
    done.run(Scenario(name="scale", help="", run=fail, in_all={}), environment())
    assert done.parts[0]["failed"] == "no broker"


def test_all_has_what_belongs_to_the_report() -> None:
    """Soak takes half an hour and is left out; what kills its broker has one of its own."""
    chosen = {scenario.name: scenario for scenario in SCENARIOS if scenario.in_all is not None}
    assert {"saturation", "steady", "stall", "overload", "burst", "scale", "monitor", "server", "failover"} <= set(
        chosen
    )
    assert "soak" not in chosen
    assert [name for name, scenario in chosen.items() if scenario.own_brokers] == ["failover"]
    for scenario in chosen.values():
        assert set(scenario.in_all or {}) <= {option.name for option in scenario.options}
