"""Other rules on the same log: the very rules in force give the same answers, others what they would have given."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from endpoints import DEADLINE_MS, MARGIN_MS, STEP_MS
from rendezvous.envelope import write_envelope
from rendezvous.messages import Envelope, Label
from rendezvous.replay.contrast import DEFAULT, Contrast, Contrasting
from rendezvous.replay.gathering import Gathering
from rendezvous.replay.judging import judge, summary
from rendezvous.replay.labels import Labels, read_labels
from rendezvous.replay.picture import draw
from rendezvous.replay.tape import Span
from rendezvous.replay.telling import lines, report
from rendezvous.rules import Rules
from rendezvous.wire import encode
from replayed import Kept, history_of
from unit.replay.test_verifying import SCHEDULES, WEIGHTS, story
from worlds import MemoryWorld, ask, say

NO_LABELS = Labels({}, 0, 0)


def contrasted(world: MemoryWorld, labels: Labels = NO_LABELS, **changes: Any) -> tuple[Contrast, dict[str, int]]:  # noqa: ANN401 - parts of rules
    """Answered again by the endpoint's rules with some changes; and what was left out."""
    source = Kept(world.log)
    history = history_of(world.endpoint, source)
    rules = Rules.model_validate(world.endpoint.rules.model_dump(mode="json") | changes)
    contrasting = Contrasting(history, history.under(rules), labels)
    gathering = Gathering(source, history, 0, Span())
    for block in gathering.blocks():
        contrasting.take(block, gathering.found, 0)
    return contrasting.result(), contrasting.skipped


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
def test_the_very_rules_in_force_give_the_same_answers(schedule: list[dict[str, Any]]) -> None:
    """To the last bit, and at most one tick earlier: here a turn of the loop is 5 ms."""
    world = MemoryWorld(schedule=schedule)
    for weights in WEIGHTS:
        world.put("control", encode(weights))
    world.start()
    story(world, Random(3), 60, apart_ms=1)  # noqa: S311 - a story, no secret
    found, skipped = contrasted(world)
    assert (len(found.appended_us), skipped) == (60, {})
    np.testing.assert_array_equal(found.then.output, found.now.output)
    np.testing.assert_array_equal(found.then.who, found.now.who)
    gained_us = found.now.latency_us - found.then.latency_us
    assert gained_us.min() >= 0
    assert gained_us.max() <= 5_000
    assert summary(found)["differing"]["answers"] == summary(found)["differing_by_ticks"]["answers"] == 0


def test_other_rules_answer_by_who_was_there() -> None:
    """A shorter first step takes the baseline; one that waits for nobody takes it at once."""
    world = MemoryWorld()
    world.start()
    for number in range(4):
        offset = ask(world, f"r{number}")
        say(world, "baseline", [offset], 0.3)
        world.wait(100)
        say(world, "champion", [offset], 0.7)
        world.wait(1_000)
    world.wait(3_000)
    shorter: list[dict[str, Any]] = [{"until_ms": 50, "models": ["champion"]}, {"models": ["champion", "baseline"]}]
    found, _ = contrasted(world, schedule=shorter)
    names = np.array(found.names)
    assert set(names[found.now.who]) == {"champion/c1"}
    assert set(names[found.then.who]) == {"baseline/b1"}
    assert found.then.latency_us.tolist() == [50_000] * 4
    assert found.then.output[:, 0] == pytest.approx(0.3)
    none, _ = contrasted(world, schedule=[{"models": ["candidate"]}], default=[0.5])
    assert set(none.then.who) == {DEFAULT}
    assert none.then.latency_us.tolist() == [(DEADLINE_MS - MARGIN_MS) * 1_000] * 4
    told = summary(none)
    assert told["missed"] == {"now": 0.0, "then": 1.0}
    assert told["differing"]["answers"] == 4
    assert told["differing"]["largest"] == pytest.approx(0.2, rel=1e-5)
    assert told["answered_by"]["champion/c1"] == {"now": 1.0, "then": 0.0}


def test_what_no_rules_change_keeps_its_time() -> None:
    """Rejected requests get the other rules' default, when they got theirs."""
    world = MemoryWorld()
    world.start()
    offset = world.put("requests", b"nonsense", write_envelope(Envelope("r0", "tests", None, None)))
    say(world, "champion", [offset], 0.9)
    world.wait(3_000)
    found, _ = contrasted(world, default=[0.75])
    assert found.fixed.tolist() == [True]
    assert (found.then.output[0, 0], found.then.who[0]) == (np.float32(0.75), DEFAULT)
    assert found.then.latency_us.tolist() == found.now.latency_us.tolist()
    assert summary(found)["missed"] == {"now": 0.0, "then": 0.0}


def test_without_a_comparison_scores_count_from_their_append() -> None:
    """A proxy, and counted."""
    world = MemoryWorld()
    world.start()
    offset = ask(world, "r0")
    world.wait(40)
    say(world, "champion", [offset], 0.7)
    world.wait(10)
    found, _ = contrasted(world)
    assert found.proxied.tolist() == [True]
    assert found.then.latency_us.tolist() == [40_000]


def test_requests_under_way_are_left_out() -> None:
    """What was not answered has nothing to be held against."""
    world = MemoryWorld()
    world.start()
    ask(world, "r0")
    assert contrasted(world)[1] == {"without a decision in the log": 1}


def labelled() -> tuple[MemoryWorld, Labels]:
    """Two hundred requests over 20 hours; the champion is right, the baseline a coin; labels come 30 minutes later."""
    world, chance = MemoryWorld(), Random(5)  # noqa: S311 - a story, no secret
    world.start()
    waiting: list[tuple[str, float | None]] = []
    for number in range(200):
        truth = float(chance.random() < 0.4)
        offset = ask(world, f"r{number}")
        say(world, "champion", [offset], 0.2 + 0.6 * truth + 0.1 * chance.random())
        say(world, "baseline", [offset], chance.random())
        world.clock.advance_ms(360_000)
        world.turn()
        waiting.append((f"r{number}", None if number % 50 == 0 else truth))
        if len(waiting) > 5:
            request_id, value = waiting.pop(0)
            world.put("labels", encode(Label(request_id, value, world.clock.now_us, "tests")))
    world.put("labels", b"no label")
    return world, read_labels(Kept(world.log), world.endpoint, 1, 0)


def test_with_labels_it_says_how_well(tmp_path: Path) -> None:
    """Each metric with an interval, and their paired difference; only requests whose labels should have come."""
    world, labels = labelled()
    assert labels.unreadable == 1
    found, _ = contrasted(world, labels, schedule=[{"models": ["baseline"]}])
    judged = judge(found, "binary", labels.as_of_us, None, np.random.default_rng(1))
    assert judged is not None
    assert 25 * 60e6 <= judged.horizon_us <= 40 * 60e6
    assert judged.old_enough == 195
    assert (judged.labelled, judged.never) == (191, 4)
    assert (judged.blocks.count, judged.blocks.name) == (21, "hours")
    was, would_be, apart = judged.metrics["auc"]
    assert was.value == 1.0
    assert would_be.low < 0.5 < would_be.high
    assert apart.high < 0
    told = lines(summary(found), {}, judged)
    assert any("21 hours" in line for line in told)
    assert any(line.startswith("auc") and line.endswith("worse") for line in told)
    assert report(summary(found), {}, judged)["quality"]["metrics"]["brier"]["difference"]["low"] > 0
    picture = tmp_path / "then" / "replay.png"
    draw(found, "tests", picture)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_an_older_horizon_can_be_asked_for() -> None:
    """Instead of the estimate."""
    world, labels = labelled()
    found, _ = contrasted(world, labels)
    judged = judge(found, "binary", labels.as_of_us, 10 * 3_600_000_000, np.random.default_rng(1))
    assert judged is not None
    assert (judged.estimated, judged.old_enough) == (False, 101)
    assert all(apart.value == 0 for _, _, apart in judged.metrics.values())


def test_few_labels_say_nothing() -> None:
    """Not even a wide interval."""
    world = MemoryWorld()
    world.start()
    story(world, Random(3), 5)  # noqa: S311 - a story, no secret
    found, _ = contrasted(world)
    assert judge(found, "binary", world.clock.now_us, None, np.random.default_rng(1)) is None
    assert lines(summary(found), {"why": 2}, None)[-1] == "too few labels to say how well"


def test_steps_are_as_told() -> None:
    """The story above needs its step to be longer than its waits."""
    assert STEP_MS > 100
