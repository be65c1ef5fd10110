"""What a new owner of a partition starts from: the commit, its metadata, the decisions since; on the log in memory."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from endpoints import VERSIONS, endpoint, plan_of
from memory_log import FakeClock, MemoryLog, MemorySource
from rendezvous.log.records import Committed, LogError, Record, Source
from rendezvous.messages import Decisions, Reason
from rendezvous.server.ledger import Resume
from rendezvous.server.mailbox import Decided
from rendezvous.server.partition import Takeover
from rendezvous.server.recovery import positions, with_decisions
from rendezvous.settings import Endpoint
from rendezvous.wire import encode

GROUP = "server"
NUMBER = 1
"""The partition in these tests."""
REQUESTS, SCORES, DECISIONS = "tests.requests", "tests.scores", "tests.decisions"
TOPIC_ID = "topic-id"
ENDPOINT = endpoint()
PLAN = plan_of(ENDPOINT, VERSIONS)


class AgedSource(MemorySource):
    """A group member that sees a log from which retention has deleted."""

    def __init__(self, log: MemoryLog, lows: dict[str, int]) -> None:
        super().__init__(log, GROUP)
        self._lows = lows

    def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """See `Source.bounds`."""
        _, end = super().bounds(topic, partition)
        return self._lows.get(topic, 0), end

    def read(self, topic: str, partition: int, start: int, *, uncommitted: bool = False) -> Iterator[Record]:
        """See `Source.read`."""
        assert start >= self._lows.get(topic, 0), "a broker has an error for this"
        return super().read(topic, partition, start, uncommitted=uncommitted)


class Desk:
    """A log with some records, and a group's commit."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.log = MemoryLog(self.clock, {REQUESTS: 2, SCORES: 2, DECISIONS: 2})
        self.lows: dict[str, int] = {}

    def write(self, topic: str, records: int = 1) -> int:
        """Records, each a millisecond after the one before; returns the last one's offset."""
        for _ in range(records):
            self.clock.advance_ms(1)
            self.log.append(topic, NUMBER, b"x")
        return self.log.end(topic, NUMBER) - 1

    def decide(
        self,
        offsets: Sequence[int],
        winners: Sequence[int],
        reasons: Sequence[Reason] | None = None,
        models: tuple[str, ...] = PLAN.models,
        versions: tuple[str, ...] = PLAN.versions,
    ) -> int:
        """A decision of the predecessor; returns its position."""
        rows = len(offsets)
        decisions = Decisions(
            decided_us=self.clock(),
            policy=PLAN.policy,
            models=models,
            versions=versions,
            offsets=np.array(offsets, np.int64),
            winners=np.array(winners, np.int16),
            reasons=np.array(reasons or [Reason.PREFERRED] * rows, np.uint8),
            arrived=np.zeros(rows, np.uint64),
            slacks_us=np.zeros(rows, np.int64),
            outputs=np.zeros((rows, 1), np.float32),
            control=PLAN.control,
            steps=np.zeros(rows, np.uint8),
            draws=np.zeros(rows, np.float32),
            propensities=np.ones(rows, np.float32),
        )
        return self.log.append(DECISIONS, NUMBER, encode(decisions))

    def commit(self, offset: int, metadata: str) -> None:
        """What the group committed last."""
        self.log.commits[GROUP, REQUESTS, NUMBER] = Committed(offset, metadata)

    def commit_ours(self, offset: int, scores: int, decisions: int, topic: str = TOPIC_ID) -> None:
        """As a server commits."""
        self.commit(offset, Resume(scores, decisions, topic).text())

    def take_over(self) -> Takeover:
        """What the new owner starts from."""
        return take_over(AgedSource(self.log, self.lows))


def take_over(source: Source, of: Endpoint = ENDPOINT) -> Takeover:
    """Both steps."""
    return with_decisions(positions(source, of, NUMBER, TOPIC_ID), source, of, PLAN, NUMBER)


def starts(takeover: Takeover) -> tuple[int, int, int]:
    """Where requests, scores and decisions are read from."""
    return takeover.requests, takeover.scores, takeover.decisions


# ------------------------------------------------------------------------------------------------ without a commit


def test_an_empty_log() -> None:
    """A new endpoint starts at nothing, and is at the end of it."""
    assert Desk().take_over() == Takeover(0, 0, 0, 0, 0, {})


def test_no_commit() -> None:
    """Without a commit all that the log still has is read, and all that was decided is known."""
    desk = Desk()
    desk.write(REQUESTS, 4)
    desk.write(SCORES, 6)
    position = desk.decide([2], [1])
    assert desk.take_over() == Takeover(0, 0, 0, 4, 6, {2: (Decided(1, Reason.PREFERRED), position)})


def test_no_commit_after_retention() -> None:
    """What the log still has begins where retention stopped."""
    desk = Desk()
    desk.write(REQUESTS, 4)
    desk.write(SCORES, 6)
    desk.write(DECISIONS, 3)
    desk.lows = {REQUESTS: 2, SCORES: 3, DECISIONS: 1}
    assert starts(desk.take_over()) == (2, 3, 1)


# ------------------------------------------------------------------------------------------------ with our metadata


def test_commit_with_metadata() -> None:
    """Each log is read from where the predecessor said; the ends are those of now.

    requests: 0 1 2 [3 4]    scores: 0 1 [2 3 4 5]    decisions: 0 [1: of 2 and 3]
    """
    desk = Desk()
    desk.write(REQUESTS, 5)
    desk.write(SCORES, 6)
    desk.decide([0, 1], [0, 0])
    position = desk.decide([2, 3], [0, -1], [Reason.PREFERRED, Reason.DEFAULT])
    desk.commit_ours(3, 2, 1)
    assert desk.take_over() == Takeover(3, 2, 1, 5, 6, {3: (Decided(-1, Reason.DEFAULT), position)})


def test_committed_at_the_end() -> None:
    """When all was done, nothing is read again."""
    desk = Desk()
    desk.write(REQUESTS, 5)
    desk.write(SCORES, 6)
    desk.commit_ours(5, 6, 0)
    assert desk.take_over() == Takeover(5, 6, 0, 5, 6, {})


def test_another_partitions_commit_is_not_ours() -> None:
    """Commits are by partition."""
    desk = Desk()
    desk.write(REQUESTS, 5)
    desk.log.commits[GROUP, REQUESTS, 0] = Committed(3, Resume(0, 0, TOPIC_ID).text())
    assert desk.take_over().requests == 0


def test_another_topic() -> None:
    """A commit for a topic that was since created anew stops the service, and says what to do."""
    desk = Desk()
    desk.write(REQUESTS, 5)
    desk.commit_ours(3, 0, 0, topic="the old one")
    with pytest.raises(LogError, match=rf"{REQUESTS} .*{TOPIC_ID}.*the old one.*Delete the group"):
        desk.take_over()


def test_retention_was_faster(caplog: pytest.LogCaptureFixture) -> None:
    """Requests that were deleted before they were answered are named in the log; reading begins at what is left."""
    desk = Desk()
    desk.write(REQUESTS, 9)
    desk.write(SCORES, 9)
    desk.write(DECISIONS, 9)
    desk.commit_ours(2, 3, 1)
    desk.lows = {REQUESTS: 6, SCORES: 7, DECISIONS: 5}
    with caplog.at_level(logging.ERROR):
        assert starts(desk.take_over()) == (6, 7, 5)
    assert f"{REQUESTS}-{NUMBER}: requests 2 to 6 were deleted" in caplog.text


def test_committed_beyond_the_end() -> None:
    """A log that ends before what was committed is another one: the service stops, and names both positions."""
    desk = Desk()
    desk.write(REQUESTS, 5)
    desk.commit_ours(6, 0, 0)
    with pytest.raises(LogError, match=rf"{REQUESTS}-{NUMBER} ends at 5, but 6 was committed"):
        desk.take_over()


@pytest.mark.parametrize(("said", "read"), [(100, 6), (10**30, 6), (-5, 0)])
def test_positions_beyond_their_logs(said: int, read: int) -> None:
    """Positions of scores and decisions that are nowhere (these logs were created anew) become the nearest there is."""
    desk = Desk()
    desk.write(REQUESTS, 5)
    desk.write(SCORES, 6)
    desk.write(DECISIONS, 6)
    desk.commit_ours(3, said, said)
    assert starts(desk.take_over()) == (3, read, read)


# ------------------------------------------------------------------------------------------- with another's metadata


@pytest.mark.parametrize("metadata", ["", "by hand", '{"scores": 1e999, "decisions": 0, "topic": "t"}'])
def test_commit_without_metadata(metadata: str) -> None:
    """A commit that another tool made names a request: scores and decisions are read from its append on.

    requests: 0 1 2, [3 4]    scores and decisions: 0 1 before it, [2 3] after it
    """
    desk = Desk()
    desk.write(REQUESTS, 3)
    desk.write(SCORES, 2)
    desk.write(DECISIONS, 2)
    desk.write(REQUESTS, 2)
    desk.write(SCORES, 2)
    position = desk.decide([3], [0])
    desk.commit(3, metadata)
    assert desk.take_over() == Takeover(3, 2, 2, 5, 4, {3: (Decided(0, Reason.PREFERRED), position)})


def test_commit_without_metadata_at_the_end() -> None:
    """When no request is left, neither scores nor decisions are needed."""
    desk = Desk()
    desk.write(REQUESTS, 3)
    desk.write(SCORES, 2)
    desk.write(DECISIONS, 4)
    desk.commit(3, "")
    assert desk.take_over() == Takeover(3, 2, 4, 3, 2, {})


def test_commit_without_metadata_before_a_gap() -> None:
    """Nor when only markers are left."""
    desk = Desk()
    desk.write(REQUESTS, 3)
    desk.write(SCORES, 2)
    desk.log.skip(REQUESTS, NUMBER, 9)
    desk.commit(3, "")
    assert desk.take_over() == Takeover(3, 2, 0, 9, 2, {})


# ------------------------------------------------------------------------------------------------------ decisions


def test_the_first_decision_stands() -> None:
    """Of two decisions about a request (both owners of a moment answered it) the first is what users saw first."""
    desk = Desk()
    desk.write(REQUESTS, 5)
    first = desk.decide([4], [2], [Reason.FALLBACK])
    desk.decide([3, 4], [0, 0])
    desk.commit_ours(3, 0, 0)
    assert desk.take_over().decided[4] == (Decided(2, Reason.FALLBACK), first)


def test_damaged_decisions_are_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    """A record that is no decision is named in the log and hides no other."""
    desk = Desk()
    desk.write(REQUESTS, 5)
    whole = desk.decide([0], [0])
    value = desk.log.records[DECISIONS, NUMBER][0].value
    for damaged in (b"rubbish", value[:-1], value + b"x", b"\xc3\x01" + bytes(8)):
        desk.log.append(DECISIONS, NUMBER, damaged)
    last = desk.decide([1], [0])
    with caplog.at_level(logging.WARNING):
        decided = desk.take_over().decided
    assert {offset: position for offset, (_, position) in decided.items()} == {0: whole, 1: last}
    assert [f"{DECISIONS}-{NUMBER}@{bad} is no decision" in caplog.text for bad in range(6)] == [
        False,
        *[True] * 4,
        False,
    ]


def test_decisions_name_models_not_columns() -> None:
    """The predecessor's model axis may have had another order: the winner is the same model."""
    desk = Desk()
    desk.write(REQUESTS, 5)
    models = tuple(reversed(PLAN.models))
    versions = tuple(reversed(PLAN.versions))
    desk.decide([0, 1, 2], [0, 3, -1], models=models, versions=versions)
    winners = {offset: found.winner for offset, (found, _) in desk.take_over().decided.items()}
    assert winners == {0: PLAN.models.index("candidate"), 1: PLAN.models.index("champion"), 2: -1}


@pytest.mark.parametrize(
    ("model", "version"), [("retired", "1"), ("champion", "c0")], ids=["another model", "another version"]
)
def test_winners_that_are_gone(model: str, version: str) -> None:
    """What a model decided that is no longer registered is decided all the same, by nobody on today's axis."""
    desk = Desk()
    desk.write(REQUESTS, 5)
    position = desk.decide([0, 1], [1, 0], models=("baseline", model), versions=("b1", version))
    assert desk.take_over().decided == {
        0: (Decided(-1, Reason.PREFERRED), position),
        1: (Decided(PLAN.models.index("baseline"), Reason.PREFERRED), position),
    }


# --------------------------------------------------------------------------------------- transactions without an end


class Killed(MemorySource):
    """A member whose log has decisions in a transaction that its broker never ended: `read` leaves them out."""

    def read(self, topic: str, partition: int, start: int, *, uncommitted: bool = False) -> Iterator[Record]:
        """See `Source.read`."""
        return (record for record in super().read(topic, partition, start, uncommitted=uncommitted) if not record.key)

    def read_open(self, topic: str, partition: int, start: int) -> Iterator[Record]:
        """See `Source.read_open`."""
        return (record for record in super().read(topic, partition, start) if record.key)


@pytest.mark.parametrize("exactly_once", [False, True])
def test_a_transaction_without_an_end_counts_with_exactly_once(exactly_once: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """Its producer's next one ends it; in the other mode it is somebody else's, and nobody knows what becomes of it."""
    desk = Desk()
    desk.write(REQUESTS, 3)
    desk.decide([0], [1])
    position = desk.decide([1], [1])
    records = desk.log.records[DECISIONS, NUMBER]
    records[position] = records[position]._replace(key=b"open")
    desk.commit_ours(0, 0, 0)
    found = take_over(Killed(desk.log, GROUP), endpoint(exactly_once=exactly_once))
    assert sorted(found.decided) == ([0, 1] if exactly_once else [0])
    assert found.unended == exactly_once
