"""The retrainer's loop on the log in memory: whole episodes, deaths at every write, two at once."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pytest

from found import MODEL, NEW, NEWER, OLD, alarm, block, closing, retraining_endpoint
from rendezvous.log.records import LogError
from rendezvous.registry.events import Quality, Ruling, State, Verdict, Weights
from rendezvous.retraining import service
from rendezvous.retraining.events import Outcome, Retrained, RetrainEvent
from rendezvous.retraining.post import Post
from rendezvous.settings import Endpoint
from retraining_worlds import CrashingSink, MemoryRetraining, Monitor, outline

DAYS = 16


def automatic(**changes: object) -> Endpoint:
    """An endpoint whose retrainer promotes by itself."""
    return retraining_endpoint(**({"promotion": "automatic", "cool_down": "2d"} | changes))


def eventful(sink: CrashingSink | None = None) -> MemoryRetraining:
    """A refused job; c2 that takes over and does harm; c3 that is rejected. sink: of the first retrainer."""
    monitor = Monitor(bad=(1, 4, 6, 10, 11), worse=("c2",), hopeless=("c3",))
    of = automatic(refresh={"labels": 1_800, "blocks": 2, "reject_after": 1_800}, rollback={"blocks": 2}, weights={})
    world = MemoryRetraining(of, monitor, refused=1)
    if sink is not None:
        world.source.close()
        sink._log = world.log  # noqa: SLF001 - made before the world is
        world.retrainer, world.source = world.start(sink)
    for number in range(DAYS):
        world.day(number)
    return world


def count(said: list[Any], kind: type) -> int:
    """How many messages are of a kind."""
    return sum(isinstance(message, kind) for message in said)


def test_whole_episodes() -> None:
    """Events, jobs, verdicts and hand-offs in their order; the rejected version rests."""
    world = eventful()
    outcomes = [m.outcome for m in world.said("retrain") if isinstance(m, Retrained)]
    assert outcomes == [Outcome.REFUSED, Outcome.REGISTERED, Outcome.REGISTERED]
    verdicts = [(m.version, m.ruling) for m in world.said("control") if isinstance(m, Verdict)]
    assert verdicts == [("c2", Ruling.PROMOTED), ("c2", Ruling.ROLLED_BACK), ("c3", Ruling.REJECTED)]
    assert world.control().aliases["first"] == OLD
    assert world.control().versions[NEWER].state is State.PAUSED
    assert world.control().refusal is None


@pytest.fixture(scope="module")
def undisturbed() -> MemoryRetraining:
    """What happens when nobody dies."""
    return eventful()


WRITES = 32
"""More than the story has."""


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", range(WRITES))
def test_death_at_any_write(undisturbed: MemoryRetraining, at: int, after: bool) -> None:  # noqa: FBT001
    """Before a record is written, or after: the topics end up the same, each key once, no job makes two versions."""
    world = eventful(CrashingSink(undisturbed.log, at, after=after))
    for topic in ("retrain", "control"):
        assert outline(world.said(topic)) == outline(undisturbed.said(topic))
    keys = Counter((type(m).__name__, m.key) for m in world.said("retrain") if isinstance(m, RetrainEvent | Retrained))
    assert set(keys.values()) == {1}
    assert world.jobs.versions == undisturbed.jobs.versions


def test_every_write_was_met(undisturbed: MemoryRetraining) -> None:
    """The deaths above cover the story, and the last of them find nothing to kill."""
    written = len(undisturbed.said("retrain", "control")) - len(
        MemoryRetraining(automatic(), Monitor()).said("control")
    )
    assert written - len(undisturbed.jobs.versions) < WRITES
    assert eventful(CrashingSink(undisturbed.log, 3)).deaths == 1


def test_a_proposal_waits() -> None:
    """Nothing moves; alarms join the episode; a person's promotion ends it."""
    monitor = Monitor(bad=(0, 6))
    world = MemoryRetraining(automatic(promotion="proposal", refresh={"labels": 1_800, "blocks": 2}), monitor)
    for number in range(9):
        world.day(number)
    said = world.said("control")
    assert [m.ruling for m in said if isinstance(m, Verdict)] == [Ruling.PROPOSED]
    assert count(world.said("retrain"), RetrainEvent) == 1
    assert world.control().aliases["first"] == OLD


def test_hand_off_conditions_hold() -> None:
    """A version that has not shown what the alias asks for waits, and takes over when it has."""
    world = MemoryRetraining(automatic(refresh={"labels": 1_800, "blocks": 2}), Monitor(bad=(0,)))
    world.shortfalls.append("coverage: 0 of 200")
    for number in range(5):
        world.day(number)
    assert world.control().aliases["first"] == OLD
    world.shortfalls.clear()
    world.rest()
    assert world.control().aliases["first"] == NEW


def test_a_persons_event_is_done() -> None:
    """Whoever wrote it."""
    world = MemoryRetraining(automatic(), Monitor())
    world.put("retrain", RetrainEvent("by-hand", MODEL, "c1", ("by hand",), "{}", "x", 0, 1, 1, (), (), "ada", 1))
    world.rest()
    (_, done) = world.said("retrain")
    assert isinstance(done, Retrained)
    assert (done.key, done.outcome) == ("by-hand", Outcome.REGISTERED)


def test_two_at_once() -> None:
    """One works and the other stands by; when the first leaves, the other goes on from the topics."""
    world = MemoryRetraining(automatic(), Monitor(bad=(0, 5)))
    second, source = world.start(CrashingSink(world.log))
    for number in range(4):
        world.day(number)
        for _ in range(5):
            second.turn()
    assert count(world.said("retrain"), RetrainEvent) == 1
    assert (world.retrainer.ready, second.ready) == (True, True)
    world.retrainer.stop()
    world.retrainer, world.source = second, source
    for number in range(4, 9):
        world.day(number)
    keys = Counter(m.key for m in world.said("retrain") if isinstance(m, RetrainEvent))
    assert set(keys.values()) == {1}
    assert len(world.jobs.starts) == len(set(world.jobs.starts))


def test_who_lost_its_place_writes_nothing() -> None:
    """A retrainer that was frozen beyond its session, and does not know it, asks the group before it writes."""
    world = MemoryRetraining(automatic(), Monitor())
    world.day(0)
    world.put("accuracy", block(1))
    world.put("drift", alarm(1))
    world.turn()
    world.log.expel("retrainers", world.source)
    world.source._told = True  # noqa: SLF001 - it hears of it one poll later
    world.clock.advance_ms(5_000)
    world.retrainer.turn()
    assert world.said("retrain") == []
    world.rest()
    assert count(world.said("retrain"), RetrainEvent) == 1


def test_nothing_is_done_before_all_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """What its predecessor wrote last may stand behind everything else; and what it writes itself it reads first."""
    before = MemoryRetraining(automatic(), Monitor(bad=(0,)))
    before.day(0)
    assert count(before.said("retrain"), RetrainEvent) == 1
    monkeypatch.setattr(service, "READ", 1)
    starts = Post.begin
    monkeypatch.setattr(Post, "begin", lambda post: starts(post)[::-1])  # control first, retrain last
    before.source.close()
    before.retrainer, before.source = before.start(CrashingSink(before.log))
    assert not before.retrainer.ready
    before.rest(60)
    assert before.retrainer.ready
    assert count(before.said("retrain"), RetrainEvent) == 1
    assert len(before.jobs.starts) == 1


def test_a_job_ends_with_leadership() -> None:
    """Whoever comes next does it again: two would make two versions."""
    world = MemoryRetraining(automatic(), Monitor(bad=(0,)))
    for topic, message in world.monitor.says(0, world.control()):
        world.put(topic, message)
    while not world.jobs.starts:
        world.turn()
    world.retrainer.stop()
    assert count(world.said("retrain"), Retrained) == 0
    world.retrainer, world.source = world.start(CrashingSink(world.log))
    world.rest()
    assert count(world.said("retrain"), Retrained) == 1
    assert len(world.jobs.versions) == 1


def test_weights() -> None:
    """For `best` and `hedge`, once for each closing that changes them; none without the setting."""
    world = MemoryRetraining(automatic(weights={}), Monitor())
    world.day(0)
    world.day(1)
    said = [message for message in world.said("control") if isinstance(message, Weights)]
    assert [(m.quality, m.versions) for m in said] == [(Quality.BEST, ("c1",)), (Quality.HEDGE, ("c1",))]
    assert said[0].values == (-0.15,)
    without = MemoryRetraining(automatic(), Monitor())
    without.day(0)
    assert count(without.said("control"), Weights) == 0


def test_rubbish_is_passed() -> None:
    """A record that is no finding is counted, and stops nobody."""
    world = MemoryRetraining(automatic(), Monitor(bad=(0,)))
    for topic in ("accuracy", "drift", "retrain", "control"):
        world.log.append(world.of.topic(topic), 0, b"rubbish")
    world.day(0)
    assert count(world.said("retrain"), RetrainEvent) == 1


def test_what_is_not_delivered_ends_the_process() -> None:
    """A restart goes on from what is on the log."""
    world = MemoryRetraining(automatic(), Monitor(bad=(0,)))
    world.sink.broken.add(world.of.topic("retrain"))
    with pytest.raises(LogError, match=r"tests\.retrain: broken"):
        world.day(0)


class Couple:
    """Two retrainers of one endpoint that chance turns, kills and takes for dead, while days go by."""

    def __init__(self, seed: int) -> None:
        self.chance = Random(seed)  # noqa: S311 - a story, no secret
        monitor = Monitor(bad=(1, 4, 6, 10, 11), worse=("c2",), hopeless=("c3",))
        of = automatic(refresh={"labels": 1_800, "blocks": 2, "reject_after": 1_800}, rollback={"blocks": 2})
        self.world = MemoryRetraining(of, monitor, refused=1)
        self.both = [(self.world.retrainer, self.world.source), self.world.start(CrashingSink(self.world.log))]

    def play(self) -> None:
        """The whole story, and then peace."""
        for day in range(DAYS):
            for topic, message in self.world.monitor.says(day, self.world.control()):
                self.world.put(topic, message)
            for _ in range(40):
                self.chance.choices((self.turn, self.kill, self.expel), (20, 1, 1))[0]()
            self.peace()
        self.peace()

    def turn(self) -> None:
        """One of them."""
        self.world.clock.advance_ms(self.chance.choice((0, 500, 3_000)))
        self.chance.choice(self.both)[0].turn()

    def kill(self) -> None:
        """One dies, and is started anew; a job ends with its retrainer."""
        number = self.chance.randrange(2)
        retrainer, source = self.both[number]
        retrainer._attendant.end()  # noqa: SLF001 - what the job's guard does
        source.close()
        self.both[number] = self.world.start(CrashingSink(self.world.log))

    def expel(self) -> None:
        """The group gives one up, which does not know of it."""
        _, source = self.chance.choice(self.both)
        if not source.expelled:
            self.world.log.expel("retrainers", source)

    def peace(self) -> None:
        """Both turn until there is nothing more to do."""
        for _ in range(30):
            self.world.clock.advance_ms(2_000)
            for retrainer, _ in self.both:
                retrainer.turn()


@pytest.mark.parametrize("seed", range(25))
def test_two_that_die_and_are_taken_for_dead(undisturbed: MemoryRetraining, seed: int) -> None:
    """In any story: what stands on the topics in the end is what one alone would have written, once."""
    couple = Couple(seed)
    couple.play()
    for topic in ("retrain", "control"):
        assert outline(couple.world.said(topic)) == outline(undisturbed.said(topic))
    assert couple.world.control().refusal is None


def test_what_is_counted() -> None:
    """Events, jobs by outcome, verdicts by ruling, and the newest closing."""
    registry = eventful().registry

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"rendezvous_retrainer_{name}", labels)

    assert (value("events_total"), value("leads"), value("running_jobs"), value("unreadable_total")) == (3, 1, 0, 0)
    assert (value("jobs_total", outcome="refused"), value("jobs_total", outcome="registered")) == (1, 2)
    assert (value("verdicts_total", ruling="promoted"), value("verdicts_total", ruling="rejected")) == (1, 1)
    assert value("settled_timestamp_seconds") == closing(DAYS - 1) / 1e6
