"""The outbox of `exactly_once`: what is refused, aborted or fenced, and what becomes of it."""

from __future__ import annotations

from endpoints import CLOSE_MS, DEADLINE_MS
from memory_log import MemoryTransactor
from rendezvous.messages import Comparisons, DeadLetter, Decisions
from rendezvous.server.transactional import TransactionalOutbox
from worlds import MemoryWorld, answers, ask, say, seen

ID = "tests-0"


def world_with(asked: int) -> MemoryWorld:
    """A server in transactions, and requests that wait in its mailbox."""
    world = MemoryWorld(exactly_once=True)
    world.start()
    for number in range(asked):
        ask(world, f"r{number}")
    return world


def answered(world: MemoryWorld) -> tuple[list[str], list[int]]:
    """Ids in the order of their answers, and offsets in the order of their decisions."""
    decided = [offset for batch in seen(world, "decisions", Decisions) for offset in batch.offsets.tolist()]
    return [answer.request_id for answer in answers(world)], decided


def test_nothing_is_seen_before_its_bundle_is_committed() -> None:
    """An answer, its decision and the position become true together."""
    world = world_with(1)
    assert world.service is not None
    world.clock.advance_ms(DEADLINE_MS)
    world.service.turn()
    assert answered(world) == ([], [])
    world.service.turn()
    assert answered(world) == (["r0"], [0])
    world.wait(CLOSE_MS)
    assert [batch.offsets.tolist() for batch in seen(world, "comparisons", Comparisons)] == [[0]]
    assert world.log.commits["server", "tests.requests", 0].offset == 1


def test_a_topic_that_takes_nothing_becomes_dead_letters() -> None:
    """Its bundle is tried again with letters; later answers to it are refused at once, for a while."""
    world = world_with(1)
    world.log.transactors[ID].broken.add("tests.responses")
    world.wait(DEADLINE_MS)
    letters = seen(world, "dead-letters", DeadLetter)
    assert [(letter.reason, letter.offset) for letter in letters] == [("reply_refused", 0)]
    assert "broken" in letters[0].detail
    assert answered(world) == ([], [0])
    world.log.transactors[ID].broken.clear()
    ask(world, "r1")
    world.wait(DEADLINE_MS)
    assert answered(world) == ([], [0, 1])
    assert "aborted a transaction" in seen(world, "dead-letters", DeadLetter)[1].detail
    world.wait(40_000)
    ask(world, "r2")
    world.wait(DEADLINE_MS)
    assert answered(world) == (["r2"], [0, 1, 2])


def test_a_bundle_that_is_aborted_is_tried_again() -> None:
    """It is the same bundle: nothing is lost, nothing is twice."""
    world = world_with(2)
    aborts = [True, True, True]
    world.log.aborts = lambda: bool(aborts and aborts.pop())
    world.wait(DEADLINE_MS + CLOSE_MS)
    assert aborts == []
    assert answered(world) == (["r0", "r1"], [0, 1])


def test_what_was_aborted_with_a_predecessors_is_not_tried_again() -> None:
    """Not while a partition is given away either: the predecessor's answers would be believed, and are gone."""
    world = world_with(1)
    assert world.service is not None
    outbox, partitions = world.service._outbox, world.service._partitions  # noqa: SLF001 - between two of its turns
    assert isinstance(outbox, TransactionalOutbox)
    outbox._desks[0].unended = True  # noqa: SLF001 - what a take-over would have found
    world.clock.advance_ms(DEADLINE_MS)
    world.service.turn()
    aborts = [True]
    world.log.aborts = lambda: bool(aborts and aborts.pop())
    outbox.finish(partitions, 0.1)
    assert (aborts, answered(world)) == ([], ([], []))
    assert outbox.turn(partitions, world.clock()) == [0]
    world.wait(DEADLINE_MS + CLOSE_MS)
    assert world.service.ready
    assert answered(world) == (["r0"], [0])


def test_a_producer_that_is_lost_is_made_anew() -> None:
    """While the group still has the member: its partition is taken over again from the last commit, by itself."""
    world = world_with(2)
    assert world.source is not None
    assert world.service is not None
    say(world, "champion", [0])
    assert answered(world) == (["r0"], [0])
    MemoryTransactor(world.log, ID, world.source)
    world.wait(DEADLINE_MS + CLOSE_MS)
    assert world.service.ready
    assert answered(world) == (["r0", "r1"], [0, 1])


def test_who_is_fenced_and_expelled_leaves_the_partition_alone() -> None:
    """Its successor answers; it never fences that one in turn."""
    world = world_with(1)
    old, member = world.service, world.source
    assert old is not None
    assert member is not None
    world.log.expel("server", member)
    world.start()
    successor = world.log.transactors[ID]
    for _ in range(2):
        old.turn()
        assert world.log.transactors[ID] is successor
    world.wait(DEADLINE_MS)
    assert answered(world) == (["r0"], [0])
