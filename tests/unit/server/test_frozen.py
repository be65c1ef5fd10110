"""A server that stood still: it answers nothing until its group has confirmed that it is still a member."""

from __future__ import annotations

import pytest

from endpoints import DEADLINE_MS
from memory_log import MemorySource
from rendezvous.log import Committed
from rendezvous.log.roles import SESSION_MS
from rendezvous.messages import Decisions
from rendezvous.server.service import FROZEN_US, Service
from worlds import MemoryWorld, answers, ask, seen

GROUP = "server"


class Frozen(MemoryWorld):
    """A world whose server stands still for a while, with a request that waits in its mailbox."""

    def __init__(self, **changes: object) -> None:
        super().__init__(**changes)
        self.start()
        self.wait(50)
        self.asked = ask(self, "r1")

    def freeze(self, milliseconds: float) -> None:
        """Time passes, and nobody turns."""
        self.clock.advance_ms(milliseconds)

    @property
    def server(self) -> Service:
        """The one server."""
        assert self.service is not None
        return self.service

    @property
    def member(self) -> MemorySource:
        """Its membership."""
        assert self.source is not None
        return self.source


def test_a_short_pause_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to half a session nothing can have been lost."""
    world = Frozen()
    monkeypatch.setattr(MemorySource, "still_member", None)
    world.freeze(FROZEN_US / 1e3 - MemoryWorld.STEP_MS)
    world.turn()
    assert len(answers(world)) == 1


@pytest.mark.parametrize("exactly_once", [False, True])
def test_a_member_goes_on_once_it_knows(exactly_once: bool, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: FBT001 - a parameter of the test
    """Until the group has said so it is not ready and answers nothing; then all that is due, and what came since."""
    world = Frozen(exactly_once=exactly_once)
    refusals = [1, 2]
    real = MemorySource.still_member

    def still_member(source: MemorySource, topic: str, held: dict[int, Committed]) -> bool:
        return not (refusals and refusals.pop()) and real(source, topic, held)

    monkeypatch.setattr(MemorySource, "still_member", still_member)
    assert world.server.ready
    world.freeze(FROZEN_US / 1e3 + 1)
    world.service, server = None, world.server
    ask(world, "r2")
    for _ in range(2):
        server.turn()
        assert not server.ready
        assert answers(world) == []
    server.turn()
    world.service = server
    world.wait(DEADLINE_MS)
    assert world.server.ready
    assert [answer.request_id for answer in answers(world)] == ["r1", "r2"]


@pytest.mark.parametrize("exactly_once", [False, True])
def test_who_was_expelled_answers_nothing_for_what_it_lost(exactly_once: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """The new owner has answered it meanwhile."""
    world = Frozen(exactly_once=exactly_once)
    frozen, member = world.server, world.member
    world.service = None
    world.freeze(SESSION_MS)
    world.log.expel(GROUP, member)
    world.start()
    world.wait(50)
    assert len(answers(world)) == 1
    ready = []
    for _ in range(4):
        frozen.turn()
        ready.append(frozen.ready)
        world.wait(50)
    assert ready == [False, False, True, True]  # in doubt, expelled, taken in again
    assert len(answers(world)) == 1
    assert [list(batch.offsets) for batch in seen(world, "decisions", Decisions)] == [[world.asked]]


def test_who_was_expelled_and_is_alone_takes_over_from_itself() -> None:
    """What it had not answered it answers now, once, as any successor would."""
    world = Frozen()
    world.freeze(SESSION_MS)
    world.log.expel(GROUP, world.member)
    ask(world, "r2")
    for _ in range(3):
        world.turn()
    assert world.server.ready
    world.wait(DEADLINE_MS)
    assert [answer.request_id for answer in answers(world)] == ["r1", "r2"]


def test_a_member_without_partitions_is_ready() -> None:
    """It takes over when another one goes."""
    world = Frozen()
    first, source = world.server, world.source
    assert source is not None
    world.start()
    first.turn()
    world.turn()
    assert world.server.ready
    assert first.ready
    source.close()
    world.turn()
    assert world.server.ready
