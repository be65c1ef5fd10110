"""The crew's shell with processes that are none: what is counted, shown and tried again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from prometheus_client import CollectorRegistry

from registers import control_after
from rendezvous.crew.roster import FIRST_PAUSE_S
from rendezvous.crew.service import LOOK_S, Crew, Means
from rendezvous.local.failure import LocalStackError
from rendezvous.log.records import Record
from rendezvous.registry.events import Deployment, State
from rendezvous.registry.state import Pair
from rendezvous.telemetry import CrewMetrics
from rendezvous.wire import encode

TREES, RULE = ("trees", "v1"), ("rule", "v1")


class Standing:
    """A scorer that runs, is ready, or has ended, as the test says."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.code: int | None = None
        self.ready = True
        self.stopped = False

    def ended(self) -> int | None:
        """See `Worker`."""
        return self.code

    def is_ready(self) -> bool:
        """See `Worker`."""
        return self.ready

    def stop(self, _: float) -> None:
        """See `Worker`."""
        self.stopped = True


class Stage:
    """A crew of two versions, its clock, and all that it did."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.failing = False
        self.workers: dict[Pair, list[Standing]] = {TREES: [], RULE: []}
        self.shown: list[Mapping[Pair, int]] = []
        self.news: list[Record] = []
        self.registry = CollectorRegistry()
        self.control = control_after([said(TREES, State.ACTIVE), said(RULE, State.ACTIVE)])
        means = Means(self, self.start, self.shown.append, lambda: self.now_s)
        self.crew = Crew(self.control, means, CrewMetrics(self.registry))

    def start(self, pair: Pair) -> Standing:
        """See `Means`."""
        if self.failing:
            raise LocalStackError("no such program")
        self.workers[pair].append(Standing(len(self.workers[pair])))
        return self.workers[pair][-1]

    def poll(self, *_: float) -> Sequence[Record]:
        """See `Following`."""
        news, self.news = self.news, []
        return news

    def close(self) -> None:
        """See `Following`."""

    def turn(self, seconds: float = 0.0) -> None:
        """One turn, so much later."""
        self.now_s += seconds
        self.crew.turn()

    def count(self, name: str, **labels: str) -> float | None:
        """A metric's value."""
        return self.registry.get_sample_value(f"rendezvous_crew_{name}", labels)


def said(pair: Pair, state: State) -> Deployment:
    """An event of control."""
    return Deployment(*pair, "digest", state, "ada@tests", 1)


def test_it_is_ready_when_all_are() -> None:
    """Both are started and shown at once; one that is not ready holds it back."""
    stage = Stage()
    assert not stage.crew.ready
    stage.turn()
    assert stage.crew.ready
    assert stage.shown == [{TREES: 0, RULE: 0}]
    stage.workers[RULE][0].ready = False
    stage.turn(LOOK_S)
    assert not stage.crew.ready
    assert (stage.count("wanted_scorers"), stage.count("ready_scorers")) == (2, 1)
    assert len(stage.shown) == 1


def test_one_that_ended_is_counted_and_started_again_after_its_pause() -> None:
    """It is shown no more meanwhile."""
    stage = Stage()
    stage.turn()
    stage.workers[TREES][0].code = -9
    stage.turn(1.0)
    assert stage.workers[TREES][0].stopped, "its guard is gone too"
    assert stage.shown[-1] == {RULE: 0}
    assert not stage.crew.ready
    assert stage.count("restarts_total", model="trees", version="v1") == 1
    stage.turn(FIRST_PAUSE_S)
    assert stage.shown[-1] == {TREES: 1, RULE: 0}
    assert stage.crew.ready


def test_one_that_cannot_be_started_is_tried_again() -> None:
    """Nothing ends because of it."""
    stage = Stage()
    stage.failing = True
    stage.turn()
    assert stage.count("restarts_total", model="rule", version="v1") == 1
    stage.failing = False
    stage.turn(FIRST_PAUSE_S)
    assert stage.crew.ready


def test_one_that_is_retired_is_stopped_or_ends_by_itself() -> None:
    """Neither is a restart, and nobody starts it again."""
    stage = Stage()
    stage.turn()
    stage.news = [record(said(TREES, State.RETIRED), stage.control.position)]
    stage.turn(1.0)
    assert stage.workers[TREES][0].stopped
    stage.news = [record(said(RULE, State.RETIRED), stage.control.position + 1)]
    stage.workers[RULE][0].code = 0
    stage.turn(1.0)
    stage.turn(100.0)
    assert stage.shown[-1] == {}
    assert [len(started) for started in stage.workers.values()] == [1, 1]
    assert not stage.count("restarts_total", model="rule", version="v1")


def test_all_of_them_end_with_it() -> None:
    """And nobody is shown."""
    stage = Stage()
    stage.turn()
    stage.crew.stop()
    assert all(worker.stopped for started in stage.workers.values() for worker in started)
    assert stage.shown[-1] == {}


def record(event: Deployment, offset: int) -> Record:
    """As it stands on control."""
    return Record("e.control", 0, offset, 0, b"", encode(event), [])
