"""Take-overs beside the loop: taken up once they are read, thrown away when the partition goes or is doubted."""

from __future__ import annotations

from concurrent.futures import Executor, ThreadPoolExecutor
from threading import Event

import pytest

from aside import Aside
from endpoints import endpoint, plan_of
from memory_log import FakeClock, MemoryLog, MemorySource, MemoryTransactor
from rendezvous.log import Committed, LogError
from rendezvous.server.succession import Successions
from rendezvous.topics import topics_of
from worlds import TOPIC_ID

ENDPOINT = endpoint()
PLAN = plan_of(ENDPOINT)
PATIENCE_S = 10.0


class Closing(MemoryTransactor):
    """A producer that remembers whether it was closed."""

    closed = False

    def close(self) -> None:
        """See `Transactor.close`."""
        self.closed = True


class Desk:
    """Take-overs of an empty log, in which `fence` does what the test wants first."""

    def __init__(self, aside: Executor) -> None:
        self.log = MemoryLog(FakeClock(), {topic.name: 2 for topic in topics_of(ENDPOINT)})
        self.source = MemorySource(self.log, "server")
        self.made: list[Closing] = []
        self.may_begin = Event()
        self.may_begin.set()
        self.successions = Successions(ENDPOINT, self.source, TOPIC_ID, aside, self.fence)

    def fence(self, number: int) -> Closing:
        """A producer, when the test lets it be made."""
        assert self.may_begin.wait(PATIENCE_S)
        self.made.append(Closing(self.log, str(number), self.source))
        return self.made[-1]


def test_what_is_learnt_can_be_taken_up_once() -> None:
    """With who sends for it, open."""
    desk = Desk(Aside(lambda: True))
    desk.successions.begin(1, PLAN)
    assert desk.successions.under_way == 1
    ((heir,), again) = desk.successions.ended()
    assert (heir.number, heir.plan, heir.by, heir.takeover.requests) == (1, PLAN, desk.made[0], 0)
    assert not again
    assert not desk.made[0].closed
    assert desk.successions.under_way == 0
    assert desk.successions.ended() == ([], [])


def test_nobody_waits_for_what_is_under_way() -> None:
    """It is taken up in a later turn."""
    soon: list[bool] = [True, False]
    desk = Desk(Aside(soon.pop))
    desk.successions.begin(0, PLAN)
    assert desk.successions.ended() == ([], [])
    assert desk.successions.under_way == 1
    assert [heir.number for heir in desk.successions.ended()[0]] == [0]


def test_what_was_doubted_begins_again() -> None:
    """What it made is closed; what begins after the doubt is good."""
    desk = Desk(Aside(lambda: True))
    desk.successions.begin(0, PLAN)
    desk.successions.doubt()
    desk.successions.begin(1, PLAN)
    heirs, again = desk.successions.ended()
    assert ([heir.number for heir in heirs], again) == ([1], [0])
    assert [made.closed for made in desk.made] == [True, False]
    desk.successions.begin(0, PLAN)
    assert [heir.number for heir in desk.successions.ended()[0]] == [0]


def test_what_goes_before_it_has_begun_never_begins() -> None:
    """So nobody fences its new owner."""
    desk = Desk(Aside(lambda: False))
    desk.successions.begin(0, PLAN)
    desk.successions.end(0, PATIENCE_S)
    assert desk.successions.under_way == 0
    assert desk.made == []


@pytest.mark.parametrize("patience_s", [0.0, PATIENCE_S])
def test_what_goes_while_it_is_under_way_is_closed(patience_s: float) -> None:
    """Whoever gives a partition away waits until its predecessor is fenced; whoever lost one does not."""
    with ThreadPoolExecutor(1) as aside:
        desk = Desk(aside)
        desk.may_begin.clear()
        desk.successions.begin(0, PLAN)
        if patience_s:
            desk.may_begin.set()
        desk.successions.end(0, patience_s)
        assert bool(desk.made) is bool(patience_s)
        assert desk.successions.ended() == ([], [])
        desk.may_begin.set()
    assert desk.made[0].closed


def test_a_take_over_that_fails_stops_the_loop() -> None:
    """Its reason is raised where the loop looks."""
    desk = Desk(Aside(lambda: True))
    desk.successions = Successions(ENDPOINT, desk.source, TOPIC_ID, Aside(lambda: True), _fails)
    desk.successions.begin(0, PLAN)
    with pytest.raises(LogError, match="no producer"):
        desk.successions.ended()


def _fails(number: int) -> Closing:
    raise LogError(f"no producer for {number}")


def test_another_topics_positions_are_refused_at_once() -> None:
    """Before anything is fenced."""
    desk = Desk(Aside(lambda: True))
    desk.log.commits["server", ENDPOINT.topic("requests"), 0] = Committed(5, "")
    with pytest.raises(LogError, match="was truncated or re-created"):
        desk.successions.begin(0, PLAN)
    assert desk.made == []
