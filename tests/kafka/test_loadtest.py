"""The way of the load test's scenarios of phases, on a real broker with real services; figures mean nothing here."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("hdrh", reason="hdrhistogram has no wheel for Linux on arm64")

from loadtest.bench import Bench, afresh, deployed
from loadtest.driving import deadlines, timeline
from loadtest.driving.fates import figures
from loadtest.driving.flights import serving
from loadtest.driving.phases import Phase, play
from loadtest.overload import home
from loadtest.saturation.scenario import Prober
from rendezvous.local.stack import Addresses
from rendezvous.registry.state import Pair

pytestmark = pytest.mark.kafka

RATE = 20.0


@pytest.fixture
def bench(stack: Addresses, tmp_path: Path) -> Bench:
    """Three simulated models, deployed under a name that no other test has."""
    return deployed(stack.kafka, tmp_path / "simulated-smoke", home.write_home, home.ROWS, ())


def test_what_is_sent_in_phases_is_told_by_phases(bench: Bench, tmp_path: Path) -> None:
    """Every request has its append, its answer with both clocks, and its place in a window; what was done was done."""
    done = []
    phases = [Phase("quiet", RATE, 1.0), Phase("burst", RATE, 1.0, burst=10)]
    with serving(bench, RATE) as field:
        assert field.champion.name == "first"
        played = play(
            bench.endpoint, bench.kafka, field.values, phases, acts={"burst": lambda: done.append(field.champion.port)}
        )
    assert len(done) == 1
    quiet, burst = (figures(played, window) for window in played.windows)
    assert (quiet["sent"], burst["sent"]) == (20, 30)
    assert (quiet["lost"], burst["lost"], played.lost) == (0, 0, 0)
    told = deadlines.figures(played.cases, played.deadline_ms)
    assert {view: entry["requests"] for view, entry in told.items()} == dict.fromkeys(deadlines.VIEWS, 50)
    for case in played.cases:
        (answer,) = case.answers
        assert case.asked.appended_ms is not None
        assert case.asked.appended_ms - 1 <= answer.decided_ms <= answer.appended_ms + 1 <= answer.in_hand_ms + 2
    head = {"scenario": "smoke", "machine": {"cores": 2, "processor": "any"}, "most_other_cores": None}
    timeline.draw({"": played}, head, "two phases", tmp_path / "smoke.png")
    assert (tmp_path / "smoke.png").read_bytes().startswith(b"\x89PNG")


def test_an_endpoint_anew_knows_nothing_of_the_one_before(bench: Bench) -> None:
    """Another name, the same models, topics of its own."""
    other = afresh(bench, "simulated-smoke-2")
    assert other.endpoint.name == "simulated-smoke-2"
    assert versions(other) == versions(bench)
    assert other.endpoint.topic("requests") != bench.endpoint.topic("requests")


def versions(bench: Bench) -> set[Pair]:
    """What is deployed."""
    return set(bench.control.deployed)


def test_a_rate_that_models_cannot_do_is_not_kept(bench: Bench) -> None:
    """Three times what they can do, by their own sleep; the prober then goes on with an endpoint anew."""
    with Prober(bench, 1.0, lambda _: None) as prober:
        assert not prober.kept(3 * home.RATE)
    (step,) = prober.steps
    assert step["faults"]
    assert step["sent"] == 3 * home.RATE
    assert {"server", "first", "second", "third", "driver"} == set(step["cores"])
    assert prober.lost == 0
