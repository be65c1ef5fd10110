"""Decisions, decided again: an untouched log agrees, whatever happened; a touched one is found out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
import pytest

from crashes import PARTITIONS, Run
from endpoints import CLOSE_MS, DEADLINE_MS, STEP_MS
from memory_log import MemoryLog
from rendezvous.messages import Decisions, Reason, Status
from rendezvous.registry.events import (
    Cause,
    Deployment,
    HandOff,
    Move,
    Quality,
    RulesChange,
    Shedding,
    State,
    Suspension,
    Weights,
)
from rendezvous.replay import tape
from rendezvous.replay.audit import AGREES, DIFFERS, INCOMPLETE, figures, lines
from rendezvous.replay.block import ROWS
from rendezvous.replay.tape import Span
from rendezvous.rows import row_of
from rendezvous.rules import Rules
from rendezvous.wire import WireError, codec, decode, encode
from replayed import audited, tamper
from scenarios import SCENARIOS
from worlds import MemoryWorld, World, ask, say

MODELS = ("champion", "challenger", "baseline", "candidate")
SCHEDULES: dict[str, list[dict[str, Any]]] = {
    "prefer": [{"until_ms": STEP_MS, "models": ["champion"]}, {"models": ["champion", "challenger", "baseline"]}],
    "best": [{"models": ["champion", "challenger", "baseline"], "policy": "best"}],
    "split": [
        {
            "until_ms": STEP_MS,
            "models": ["champion", "challenger"],
            "policy": "split",
            "weights": {"champion": 2.0, "challenger": 1.0},
        },
        {"models": ["baseline"]},
    ],
    "mean": [{"models": ["champion", "challenger", "baseline"], "policy": "mean"}],
    "median": [
        {"until_ms": STEP_MS, "models": ["champion", "challenger", "baseline"], "policy": "median"},
        {"models": ["candidate", "baseline"]},
    ],
    "vote": [{"models": ["champion", "challenger", "baseline"], "policy": "vote"}],
    "hedge": [{"until_ms": STEP_MS, "models": ["champion", "challenger"], "policy": "hedge"}, {"models": ["baseline"]}],
}
WEIGHTS = [
    Weights(quality, ("champion", "challenger"), ("c1", "c2"), (0.25, 0.75), by="monitor", at_us=0)
    for quality in (Quality.BEST, Quality.HEDGE)
]


def story(world: MemoryWorld, chance: Random, requests: int, apart_ms: float = 0) -> None:
    """Requests, and every model's scores in any order, some late, some failing, some missing.

    apart_ms: between two scores; without it several turns of the loop may fall into one microsecond.
    """
    offset = 0
    for number in range(requests):
        offset = ask(world, f"r{number}", deadline_ms=chance.choice((None, None, 250, 1_500)))
        for model in chance.sample(MODELS, chance.randint(0, 4)):
            if chance.random() < 0.3:
                world.wait(chance.choice((5, 40, 320)))
            world.clock.advance_ms(apart_ms)
            status = chance.choice((Status.OK, Status.OK, Status.OK, Status.ERROR, Status.INVALID))
            say(world, model, [offset], round(chance.random(), 3), status=status)
        world.wait(chance.choice((0, 5, 60)))
    world.wait(DEADLINE_MS + CLOSE_MS)


def told(world: MemoryWorld) -> MemoryWorld:
    """A world with a few dozen decisions under the plainest rules."""
    world.start()
    story(world, Random(1), 30)  # noqa: S311 - a story, no secret
    return world


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_scenarios_agree(scenario: Callable[[World], None]) -> None:
    """Whatever a scenario did to the server, what it decided is decided again in the same way."""
    world = MemoryWorld()
    scenario(world)
    found = audited(world.endpoint, world.log)
    assert found.verdict.checked > 0
    assert found.exit_code == AGREES, "\n".join(lines(found))


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
@pytest.mark.parametrize("seed", range(3))
def test_every_policy_agrees(schedule: list[dict[str, Any]], seed: int) -> None:
    """Winner, reason, output and propensity to the last bit, by the comparisons' own arrivals."""
    world = MemoryWorld(schedule=schedule)
    for weights in WEIGHTS:
        world.put("control", encode(weights))
    world.start()
    story(world, Random(seed), 40)  # noqa: S311 - a story, no secret
    found = audited(world.endpoint, world.log)
    assert (found.verdict.checked, found.verdict.agreeing, found.verdict.by_word) == (40, 40, 0), lines(found)
    assert found.exit_code == AGREES


def test_changes_of_control_under_traffic_agree() -> None:
    """Deployments, a hand-off, other rules and weights, a suspension and its end: each from its position on."""
    world = MemoryWorld(
        aliases={"first": "champion"},
        schedule=[{"until_ms": 300, "models": ["first"]}, {"models": ["first", "baseline"]}],
    )
    moved = HandOff((Move("first", "champion", "c1"),), Cause.DEPLOY, (), seen=10**6, by="tests", at_us=0)
    world.put("control", encode(moved))
    world.start()
    rules = world.endpoint.rules.model_dump(mode="json")
    other = Rules.model_validate(rules | {"schedule": SCHEDULES["best"], "default": [0.5], "reply_margin_ms": 50})
    split = Rules.model_validate(rules | {"schedule": SCHEDULES["split"]})
    for event in (
        replace(moved, moves=(Move("first", "challenger", "c2"),), cause=Cause.PROMOTE),
        WEIGHTS[0],
        RulesChange(other.model_dump_json(), by="tests", at_us=0),
        Suspension(0, "challenger", "c2", suspended=True, missed=1.0, failed=0.0, requests=50, by="server", at_us=0),
        Suspension(0, "challenger", "c2", suspended=False, missed=0.0, failed=0.0, requests=50, by="server", at_us=0),
        Shedding(0, candidates=1.0, challengers=1.0, by="server", at_us=0),
        Shedding(0, candidates=0.5, challengers=0.0, by="server", at_us=0),
        RulesChange(split.model_dump_json(), by="tests", at_us=0),
        Deployment("candidate", "n1", "candidate-n1", State.RETIRED, by="tests", at_us=0),
        Deployment("baseline", "b1", "baseline-b1", State.PAUSED, by="tests", at_us=0),
        RulesChange("{}", by="nobody can follow this", at_us=0),
    ):
        last = ask(world, "in flight when it changes")
        world.put("control", encode(event))
        say(world, "champion", [last], 0.7)
        story(world, Random(7), 5)  # noqa: S311 - a story, no secret
    found = audited(world.endpoint, world.log)
    assert (found.verdict.checked, found.verdict.agreeing) == (66, 66), lines(found)
    policies = {terms.policy for terms in found.found[0].terms}
    assert len(policies) > 4


class Story(Run):
    """As `Run`, but no two turns fall into one microsecond.

    A successor that reads a score in the very microsecond in which its predecessor decided could not be told from it.
    """

    def turn(self) -> None:
        """See `Run.turn`."""
        for server in self.servers:
            self.clock.now_us += 1
            server.service.turn()


@pytest.mark.parametrize("seed", range(25))
def test_crashes_agree(seed: int) -> None:
    """Stories of crashes, rebalances and strangers' scores, where a predecessor is taken at its word."""
    run = Story(seed)
    run.play()
    found = audited(run.endpoint, run.log, partitions=PARTITIONS)
    assert found.verdict.checked > 0
    assert found.exit_code == AGREES, "\n".join(lines(found))


def test_a_predecessor_is_believed_about_its_last_step() -> None:
    """A deadline cuts both steps at once; a score that comes later is for the last one, which takes all that is there.

    ask(deadline 150)---|50 both end---|60 champion-->answer---crash---start---close
    """
    world = MemoryWorld()
    world.start()
    offset = ask(world, "r0", deadline_ms=150)
    world.clock.advance_ms(60)
    say(world, "champion", [offset], 0.7)
    world.crash()
    world.wait(50)
    world.start()
    world.wait(2 * CLOSE_MS)
    (decisions,) = [decode(value, Decisions) for value in world.read("decisions")]
    assert (int(decisions.steps[0]), Reason(int(decisions.reasons[0]))) == (1, Reason.PREFERRED)
    found = audited(world.endpoint, world.log)
    assert (found.verdict.agreeing, found.verdict.by_word, found.exit_code) == (1, 1, AGREES)


def test_a_predecessor_is_believed_about_failures() -> None:
    """Everybody failed early, which the successor's comparison has at a later time.

    ask---champion, challenger, baseline fail-->answer (default)---crash---start---close
    """
    world = MemoryWorld()
    world.start()
    offset = ask(world, "r0")
    for model in MODELS[:3]:
        world.clock.advance_ms(1)
        say(world, model, [offset], status=Status.ERROR)
    world.crash()
    world.wait(50)
    world.start()
    world.wait(2 * CLOSE_MS)
    found = audited(world.endpoint, world.log)
    assert (found.verdict.agreeing, found.verdict.by_word, found.exit_code) == (1, 1, AGREES)


def test_a_predecessor_is_believed_while_somebody_rests() -> None:
    """What the successor's comparison says of who left a request out unread says nothing of when others were heard.

    ask---champion-->answer---crash---start, candidates rest---close
    """
    world = MemoryWorld()
    world.start()
    world.put("control", encode(Shedding(0, candidates=1.0, challengers=0.0, by="server", at_us=0)))
    offset = ask(world, "r0")
    world.clock.advance_ms(5)
    say(world, "champion", [offset], 0.7)
    world.crash()
    world.wait(50)
    world.start()
    world.wait(2 * CLOSE_MS)
    found = audited(world.endpoint, world.log)
    assert (found.verdict.agreeing, found.verdict.by_word, found.exit_code) == (1, 1, AGREES), lines(found)


def test_a_first_score_that_the_server_could_not_keep_does_not_stand() -> None:
    """It spoke of a request beyond the window; the second one answered."""
    world = MemoryWorld(mailbox={"close_ms": CLOSE_MS, "capacity": 16})
    world.start()
    say(world, "champion", [16], 0.1)
    for number in range(17):
        offset = ask(world, f"r{number}")
        world.wait(10)
        say(world, "champion", [offset], 0.7)
        world.wait(DEADLINE_MS + CLOSE_MS)
    found = audited(world.endpoint, world.log)
    assert (found.verdict.agreeing, found.verdict.by_later_score, found.exit_code) == (17, 1, AGREES), lines(found)


# ------------------------------------------------------------------------------------------------- tampered with


def other(column: str, value: Any) -> Callable[[Decisions, int], dict[str, Any]]:  # noqa: ANN401 - of any column
    """A row of a column becomes another."""

    def change(found: Decisions, row: int) -> dict[str, Any]:
        values = getattr(found, column).copy()
        values[row] = value
        return {column: values}

    return change


TAMPERED: dict[str, tuple[Callable[[Decisions, int], dict[str, Any]], str]] = {
    "winner": (other("winners", 1), "winner"),
    "output in its last bit": (other("outputs", np.nextafter(np.float32(0.7), np.float32(1))), "output"),
    "reason": (other("reasons", Reason.FALLBACK), "reason"),
    "expired, though it was not": (other("reasons", Reason.EXPIRED), "reason"),
    "rejected, though it was not": (other("reasons", Reason.REJECTED), "reason"),
    "policy": (lambda _, __: {"policy": "0" * 12}, "policy"),
    "step": (other("steps", 1), "step"),
    "draw": (other("draws", 0.5), "draw"),
    "propensity": (other("propensities", 0.5), "propensity"),
    "slack": (other("slacks_us", 1), "deadline"),
    "arrived: one more": (other("arrived", 0b1001), "arrived"),
    "arrived: nobody": (other("arrived", 0), "reason"),
    "control: before the rules": (lambda _, __: {"control": 4}, ""),
    "decided at another moment": (lambda found, _: {"decided_us": found.decided_us - 50_000}, "deadline"),
}


@pytest.mark.parametrize(("change", "kind"), TAMPERED.values(), ids=TAMPERED)
def test_a_touched_decision_is_found_out(change: Callable[[Decisions, int], dict[str, Any]], kind: str) -> None:
    """By what was touched; or it cannot be checked, and does not count as agreeing."""
    world = MemoryWorld()
    world.start()
    for number in range(3):
        offset = ask(world, f"r{number}")
        world.wait(20)
        say(world, "champion", [offset], 0.7)
        world.wait(50)
    world.wait(CLOSE_MS)
    assert audited(world.endpoint, world.log).exit_code == AGREES
    tamper(world.endpoint, world.log, 1, change)
    found = audited(world.endpoint, world.log)
    assert found.verdict.agreeing == 2
    if not kind:
        assert found.exit_code == INCOMPLETE
        assert "holds no rules" in lines(found)[1]
        return
    first = found.verdict.first
    assert found.exit_code == DIFFERS
    assert first is not None
    assert (first.partition, first.offset, first.request_id, first.record) == (0, 1, "r1", 1)
    assert kind in first.kinds
    report = "\n".join(lines(found))
    for words in (
        "tests.requests-0@1, request 'r1'",
        "tests.decisions-0@1",
        "champion/c1: ok [0.69999",
        "step 0, until 300 ms",
    ):
        assert words in report
    assert figures(found)["first"]["kinds"] == first.kinds


def test_the_first_difference_is_the_lowest_offset() -> None:
    """Of several, with a count of each kind."""
    world = told(MemoryWorld())
    for offset in (20, 4, 11):
        tamper(world.endpoint, world.log, offset, other("slacks_us", 1))
    found = audited(world.endpoint, world.log)
    assert found.verdict.first is not None
    assert found.verdict.first.offset == 4
    assert (found.verdict.differing, found.verdict.differences["deadline"]) == (3, 3)


def test_a_default_that_passed_a_score_by_is_found_out() -> None:
    """Nobody in time is a claim that the comparison contradicts."""
    world = told(MemoryWorld())
    decisions = [decode(value, Decisions) for value in world.read("decisions")]
    offset = next(int(d.offsets[row]) for d in decisions for row in np.flatnonzero(d.reasons == Reason.PREFERRED))

    def change(found: Decisions, row: int) -> dict[str, Any]:
        columns = {"winners": -1, "reasons": Reason.DEFAULT, "arrived": 0, "outputs": 0.25, "steps": 1}
        return {name: other(name, value)(found, row)[name] for name, value in columns.items()}

    tamper(world.endpoint, world.log, offset, change)
    found = audited(world.endpoint, world.log)
    assert found.verdict.first is not None
    assert found.verdict.first.offset == offset


def test_a_decision_without_its_score_in_the_log_is_found_out() -> None:
    """Also when no comparison speaks of it: what is said to have arrived must stand in the log."""
    world = MemoryWorld()
    world.start()
    say(world, "champion", [ask(world, "r0")], 0.7)
    world.wait(10)
    del world.log.records[world.endpoint.topic("scores"), 0][:]
    found = audited(world.endpoint, world.log)
    assert found.verdict.first is not None
    assert "score" in found.verdict.first.kinds


# ------------------------------------------------------------------------------------- twice, missing, unreadable


def again(log: MemoryLog, topic: str, change: Callable[[Decisions, int], dict[str, Any]]) -> None:
    """The first decision is written once more, changed."""
    found = decode(log.records[topic, 0][0].value, Decisions)
    log.append(topic, 0, encode(replace(found, **change(found, 0))))


@pytest.mark.parametrize("chunk", [1, 4_000])
def test_of_two_decisions_the_first_stands(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that says the same is counted, one that says something else is told; neither is a difference of replay."""
    monkeypatch.setattr(tape, "CHUNK", chunk)
    world = told(MemoryWorld())
    topic = world.endpoint.topic("decisions")
    again(world.log, topic, lambda found, _: {"decided_us": found.decided_us + 5})
    found = audited(world.endpoint, world.log)
    rows = len(decode(world.log.records[topic, 0][0].value, Decisions).offsets)
    assert (found.found[0].repeated, found.contradicted, found.exit_code) == (rows, [], AGREES)
    again(world.log, topic, other("winners", 2))
    found = audited(world.endpoint, world.log)
    assert (found.found[0].repeated, found.exit_code) == (2 * rows, AGREES)
    assert found.contradicted == [(0, 0)]
    assert "tests.requests-0@0" in "\n".join(lines(found))


@pytest.mark.parametrize(
    ("topic", "low", "why"),
    [
        ("requests", 10, "their request cannot be read: deleted"),
        ("scores", 25, "scores that they name were deleted"),
        ("decisions", 5, "they have no decision in the log"),
    ],
)
def test_what_retention_took_does_not_count_as_agreeing(topic: str, low: int, why: str) -> None:
    """How many could not be checked, and why; the rest agrees."""
    world = told(MemoryWorld())
    world.clock.advance_ms(120_000)
    ask(world, "much later")
    found = audited(world.endpoint, world.log, lows={world.endpoint.topic(topic): low})
    assert found.exit_code == INCOMPLETE
    ((reason, count),) = found.unchecked.items()
    assert reason.startswith(why)
    assert 0 < count < 30
    assert found.verdict.checked == found.verdict.agreeing == 30 - count


def test_unreadable_decisions_are_counted() -> None:
    """They may have said anything."""
    world = told(MemoryWorld())
    world.put("decisions", b"no decision")
    found = audited(world.endpoint, world.log)
    assert (found.exit_code, dict(found.unchecked)) == (INCOMPLETE, {"their record is unreadable": 1})


@pytest.mark.parametrize(
    "damage",
    [
        {"winners": b"\x00"},
        {"winners": b"\x63\x00"},
        {"reasons": b"\xff"},
        {"offsets": (-1).to_bytes(8, "little", signed=True)},
        {"offsets": b"", "winners": b"", "reasons": b"", "arrived": b"", "slacks_us": b"", "outputs": b""},
        {"versions": []},
    ],
)
def test_columns_that_do_not_fit_spoil_their_record_alone(damage: dict[str, Any]) -> None:
    """Read together with the others, and as strictly as alone."""
    world = told(MemoryWorld())
    whole = decode(world.log.records[world.endpoint.topic("decisions"), 0][0].value, Decisions)
    row = row_of(replace(whole, **{name: getattr(whole, name)[:1] for name in ROW_COLUMNS}))
    value = codec("decisions").write(row | damage)
    with pytest.raises(WireError):
        decode(value, Decisions)
    world.put("decisions", value)
    found = audited(world.endpoint, world.log)
    assert found.verdict.agreeing == 30
    assert dict(found.unchecked) == {"their record is unreadable": 1}


ROW_COLUMNS = ("offsets", "winners", "reasons", "arrived", "slacks_us", "outputs", "steps", "draws", "propensities")


def test_a_decision_beyond_what_control_says_cannot_be_checked() -> None:
    """Control was re-created, or cut off."""
    world = told(MemoryWorld())
    tamper(world.endpoint, world.log, 3, lambda _, __: {"control": 99})
    found = audited(world.endpoint, world.log)
    assert found.exit_code == INCOMPLETE
    assert "it had read control up to 99, which ends at " in "\n".join(lines(found))


def test_a_span_is_by_append_time() -> None:
    """From a moment on, and before another; what was decided about the others is passed over, not missed."""
    world = MemoryWorld()
    world.start()
    times = []
    for number in range(6):
        times.append(world.clock.now_us)
        say(world, "champion", [ask(world, f"r{number}")], 0.7)
        world.wait(200)
    world.wait(CLOSE_MS)
    assert audited(world.endpoint, world.log, span=Span(times[2], times[5])).verdict.checked == 3
    found = audited(world.endpoint, world.log, span=Span(times[4]))
    assert (found.verdict.checked, found.exit_code) == (2, AGREES)
    nothing = audited(world.endpoint, world.log, span=Span(times[5] + 1_000_000))
    assert (nothing.verdict.checked, nothing.exit_code) == (0, AGREES)


def test_blocks_are_seamless() -> None:
    """Requests on both sides of a block's edge, in one decisions record and one scores record."""
    world = MemoryWorld()
    world.log.skip(world.endpoint.topic("requests"), 0, ROWS - 2)
    world.start()
    offsets = [ask(world, f"r{number}") for number in range(4)]
    assert offsets == [ROWS - 2, ROWS - 1, ROWS, ROWS + 1]
    say(world, "champion", offsets, 0.7)
    world.wait(CLOSE_MS + 100)
    assert max(len(decode(value, Decisions).offsets) for value in world.read("decisions")) > 1
    found = audited(world.endpoint, world.log)
    assert (found.verdict.checked, found.verdict.agreeing, found.verdict.by_word) == (4, 4, 0)
