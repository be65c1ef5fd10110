"""Steps that would have been best: found where waiting pays, not claimed where it does not."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
import pytest

from memory_log import MemoryLog
from rendezvous.messages import Label
from rendezvous.replay.bootstrapping import Interval
from rendezvous.replay.gathering import Gathering
from rendezvous.replay.labels import read_labels
from rendezvous.replay.tape import Span
from rendezvous.replay.tuning import Tuned, Tuner, tune
from rendezvous.replay.tuning_told import lines, report, toml
from rendezvous.rules import Step
from rendezvous.settings import Endpoint
from rendezvous.wire import encode
from replayed import Kept, history_of
from worlds import MemoryWorld, ask, say

CURRENT: list[dict[str, Any]] = [{"until_ms": 40, "models": ["champion"]}, {"models": ["champion", "baseline"]}]
REQUESTS = 240
QUICK_MS, SLOW_MS = 5, 75


def days(*, knows: bool, misses: int = 0) -> MemoryWorld:
    """Twenty days, twelve requests each: the baseline is quick, the champion slow, and better if it `knows` anything.

    misses: of a hundred requests, how many nobody scores.
    """
    world, chance = MemoryWorld(schedule=CURRENT), Random(11)  # noqa: S311 - a story, no secret
    world.start()
    for number in range(REQUESTS):
        truth = float(chance.random() < 0.4)
        offset = ask(world, f"r{number}")
        world.clock.advance_ms(QUICK_MS)
        if chance.random() * 100 >= misses:
            say(world, "baseline", [offset], 0.4)
            world.clock.advance_ms(SLOW_MS - QUICK_MS)
            said = 0.25 + 0.5 * truth if knows else 0.4 + 0.001 * chance.choice((-1, 1))
            say(world, "champion", [offset], said)
        world.clock.advance_ms(3_000)
        world.turn()
        world.put("labels", encode(Label(f"r{number}", truth, world.clock.now_us, "tests")))
        world.clock.advance_ms(7_200_000)
    world.turn()
    return world


def tuned(endpoint: Endpoint, log: MemoryLog, miss_rate: float = 0.001) -> tuple[Tuned | None, Tuner]:
    """What the command does, on a log in memory."""
    source = Kept(log)
    history = history_of(endpoint, source)
    control = history.at(history.last)
    assert control.rules is not None
    tuner = Tuner(endpoint, control, control.rules, read_labels(source, endpoint, 1, 0))
    for block in Gathering(source, history, 0, Span()).blocks():
        tuner.take(block)
    return tune(tuner, miss_rate, "brier", np.random.default_rng(2)), tuner


@pytest.fixture(scope="module")
def knowing() -> MemoryWorld:
    """Days on which waiting for the champion pays."""
    return days(knows=True)


def test_waiting_is_proposed_where_it_pays(knowing: MemoryWorld) -> None:
    """Until the champion has come; proven on days that it was not chosen on."""
    found, _ = tuned(knowing.endpoint, knowing.log)
    assert found is not None
    first, *_ = found.later.proposed.schedule
    assert first.models == ("champion",)
    assert first.until_ms is not None
    assert SLOW_MS <= first.until_ms < 100
    assert found.proven
    assert found.first.requests + found.later.requests == REQUESTS
    assert found.later.current.quality.value == pytest.approx(0.24, abs=0.03)
    assert found.later.proposed.quality.value == pytest.approx(0.0625)
    told = lines(found, 0.001)
    assert any("better on the held-out part" in line for line in told)
    assert report(found, 0.001)["proven"] is True


def test_nothing_is_claimed_where_models_are_alike() -> None:
    """What cannot be told apart is not waited for, and is not called better."""
    world = days(knows=False)
    found, _ = tuned(world.endpoint, world.log)
    assert found is not None
    assert not found.proven
    assert found.later.proposed.p99_ms <= found.later.current.p99_ms
    assert any("NOT beaten" in line for line in lines(found, 0.001))


def test_a_gain_within_the_noise_proves_nothing(knowing: MemoryWorld) -> None:
    """However large it looks."""
    found, _ = tuned(knowing.endpoint, knowing.log)
    assert found is not None
    noise = replace(found, later=replace(found.later, gain=Interval(0.5, -0.01, 1.0)))
    assert not noise.proven
    assert any("NOT beaten" in line for line in lines(noise, 0.001))


def test_a_miss_rate_that_nobody_keeps() -> None:
    """No schedule answers what no model scored."""
    world = days(knows=True, misses=10)
    assert tuned(world.endpoint, world.log)[0] is None
    found, _ = tuned(world.endpoint, world.log, miss_rate=0.3)
    assert found is not None
    assert 0 < found.later.proposed.missed < 0.3


def test_candidates_are_valid_rules(knowing: MemoryWorld) -> None:
    """Steps that grow, each order of preference, every model by the deadline; printed as TOML that says the same."""
    _, tuner = tuned(knowing.endpoint, knowing.log)
    candidates = list(tuner.candidates(tuner.past()))
    assert {steps[-1].models for steps in candidates} == {("champion", "baseline"), ("baseline", "champion")}
    for steps in candidates:
        tuner.rules.model_validate(tuner.rules.model_dump(mode="json") | {"schedule": [s.model_dump() for s in steps]})
        again = tomllib.loads("\n".join(toml(steps)))["schedule"]
        assert tuple(Step.model_validate(step) for step in again) == steps
