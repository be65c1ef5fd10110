"""The scorer's shell on a log in memory: what it reads, what it writes, and when it commits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from endpoints import FEATURES, VERSIONS, control_of, endpoint, genesis
from memory_log import FakeClock, MemoryLog, MemorySink, MemorySource
from rendezvous.envelope import write_envelope
from rendezvous.log.records import LogError, Owner, Record
from rendezvous.messages import Envelope, Floats, Scores, Status
from rendezvous.registry.events import ControlEvent, Deployment, RulesChange, Shedding, State, Suspension
from rendezvous.scoring.card import Card
from rendezvous.scoring.columns import Columns
from rendezvous.scoring.duty import BACK_MOST_US, BACK_SHARE, duty_of
from rendezvous.scoring.models import LoadedModel
from rendezvous.scoring.seat import BACKLOG_MS
from rendezvous.scoring.service import COMMIT_EVERY_US, Scorer, group_of
from rendezvous.telemetry import ScorerMetrics
from rendezvous.wire import Codec, decode, encode

REQUESTS, SCORES = "tests.requests", "tests.scores"
CODEC = Codec(FEATURES)
MAX_BATCH = 4
LONGEST_MS = 2_000
"""The endpoint's max_deadline_ms."""
COMMIT_MS = COMMIT_EVERY_US / 1_000


class Doubles:
    """A model that answers twice `x`, and takes no time."""

    def score(self, columns: Columns) -> Floats:
        """See `Model.score`."""
        answers: Floats = 2 * columns["x"][:, None]
        return answers


class HeldSink(MemorySink):
    """Reports nothing while it is told to hold, as a broker that takes its time; `flush` waits for it."""

    held = True

    def serve(self) -> None:
        """Nothing yet."""
        if not self.held:
            super().serve()

    def flush(self, timeout_s: float) -> int:
        """The broker answers at last."""
        self.held = False
        return super().flush(timeout_s)


class Joined(MemorySource):
    """A member that tells whom it belongs to; while it is slow, the group has no word for it."""

    owner: Owner
    slow = False
    closed = False

    def poll(self, max_records: int, timeout_s: float) -> list[Record]:
        """See `Source.poll`."""
        return [] if self.slow else super().poll(max_records, timeout_s)

    def close(self) -> None:
        """See `Source.close`."""
        self.closed = True
        super().close()

    def subscribe(self, topic: str, owner: Owner) -> None:
        """See `Source.subscribe`."""
        self.owner = owner
        super().subscribe(topic, owner)


class Room:
    """A log of two partitions, and the scorers that work on it."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.log = MemoryLog(self.clock, {REQUESTS: 2, SCORES: 2})
        models: dict[str, object] = {
            name: {"max_batch": MAX_BATCH, "required": ["x"]} for name in ("champion", "candidate")
        }
        self.endpoint = endpoint(models=models, schedule=[{"models": ["champion"]}])
        self.registry = CollectorRegistry()
        self.sink = MemorySink(self.log)
        self.roles: list[bool] = []
        self.rests: list[float] = []
        self.meanwhile: Callable[[], object] = lambda: None

    def scorer(
        self, name: str = "champion", version: str = "c1", sink: MemorySink | None = None, *told: ControlEvent
    ) -> Scorer:
        """A scorer that has joined, after what control was told."""
        self.registry = CollectorRegistry()
        self.sink = sink or MemorySink(self.log)
        loaded = LoadedModel(Doubles(), Card.model_construct(model=name, version=version))
        self.group = group_of(self.endpoint, name, version)
        versions = {"champion": "c1", "candidate": "n1"} | {name: version}
        control = control_of(*genesis(self.endpoint, versions), *told)
        metrics = ScorerMetrics(self.registry)
        return Scorer(self.endpoint, loaded, control, self._join, self.sink, self.clock, metrics, self._rest)

    def _rest(self, seconds: float) -> None:
        self.rests.append(seconds)
        self.clock.advance_ms(seconds * 1_000)
        self.meanwhile()

    def _join(self, live: bool) -> Joined:  # noqa: FBT001 - a member for a role
        self.roles.append(live)
        self.member = Joined(self.log, self.group)
        return self.member

    def state(self, state: State, model: str = "champion", version: str = "c1") -> Deployment:
        """A version is to rest, to go on, or to end."""
        return Deployment(model, version, f"{model}-{version}", state, by="tests", at_us=0)

    def tell(self, event: ControlEvent) -> None:
        """Append to control."""
        if not self.log.records["tests.control", 0]:
            for first in genesis(self.endpoint, {"champion": "c1", "candidate": "n1"}):
                self.log.append("tests.control", 0, encode(first))
        self.log.append("tests.control", 0, encode(event))

    def ask(self, x: float | None, partition: int = 0, deadline_ms: int | None = None) -> int:
        """Put a request; returns its offset."""
        headers = write_envelope(Envelope("r", "", deadline_ms, None))
        return self.log.append(REQUESTS, partition, CODEC.encode({"x": x, "who": "a"}), headers)

    def said(self, partition: int = 0) -> list[Scores]:
        """Every scores record of a partition."""
        return [decode(record.value, Scores) for record in self.log.records[SCORES, partition]]

    def rows(self, partition: int = 0) -> list[tuple[int, int, float]]:
        """(offset, status, score) of every row."""
        return [
            row
            for scores in self.said(partition)
            for row in zip(
                scores.offsets.tolist(), scores.statuses.tolist(), scores.outputs[:, 0].tolist(), strict=True
            )
        ]

    def committed(self, partition: int = 0, name: str = "champion", version: str = "c1") -> int | None:
        """The offset that a version's group has committed."""
        found = self.log.commits.get((group_of(self.endpoint, name, version), REQUESTS, partition))
        return None if found is None else found.offset

    def counted(self, name: str, **labels: str) -> float | None:
        """A figure of the last scorer."""
        return self.registry.get_sample_value(f"rendezvous_scorer_{name}", labels)


def test_scores_go_to_the_partition_of_their_requests() -> None:
    """The same number, one record for each partition of a batch, rows in the order of offsets."""
    room = Room()
    scorer = room.scorer()
    for number, partition in enumerate((0, 1, 0, 1)):
        room.ask(float(number), partition)
    scorer.turn()
    assert room.rows(0) == [(0, Status.OK, 0.0), (1, Status.OK, 4.0)]
    assert room.rows(1) == [(0, Status.OK, 2.0), (1, Status.OK, 6.0)]
    assert len(room.said(0)) == len(room.said(1)) == 1


def test_scores_name_model_version_and_times() -> None:
    """The card's version, and the clock's time."""
    room = Room()
    scorer = room.scorer()
    room.ask(1.0)
    room.clock.advance_ms(7)
    scorer.turn()
    (scores,) = room.said()
    assert (scores.model, scores.version) == ("champion", "c1")
    assert scores.taken_us == scores.scored_us == room.clock()


def test_a_batch_is_what_waits_up_to_its_most() -> None:
    """Offsets increase from row to row and from record to record, gaps included."""
    room = Room()
    scorer = room.scorer()
    for number in range(2):
        room.ask(float(number))
    room.log.skip(REQUESTS, 0, 50)
    for number in range(MAX_BATCH):
        room.ask(float(number))
    scorer.turn()
    scorer.turn()
    assert [scores.offsets.tolist() for scores in room.said()] == [[0, 1, 50, 51], [52, 53]]


def test_an_idle_turn_writes_nothing() -> None:
    """No record of no rows."""
    room = Room()
    scorer = room.scorer()
    scorer.turn()
    assert room.said() == []
    assert scorer.ready


def test_a_scorer_is_ready_once_it_has_partitions() -> None:
    """Not before it has joined."""
    scorer = Room().scorer()
    assert not scorer.ready
    scorer.turn()
    assert scorer.ready


def test_each_row_has_its_status() -> None:
    """Invalid and expired rows travel with the others, and are counted."""
    room = Room()
    scorer = room.scorer()
    room.ask(1.0)
    room.ask(None)
    room.ask(3.0, deadline_ms=0)
    scorer.turn()
    assert room.rows() == [(0, Status.OK, 2.0), (1, Status.INVALID, 0.0), (2, Status.EXPIRED, 0.0)]
    assert [room.counted("rows_total", status=status) for status in ("ok", "invalid", "expired")] == [1, 1, 1]
    assert room.counted("batch_rows_sum") == 3


def test_a_candidate_scores_what_has_expired() -> None:
    """It is compared, not waited for."""
    room = Room()
    scorer = room.scorer("candidate", "n1")
    room.ask(3.0, deadline_ms=0)
    scorer.turn()
    assert room.rows() == [(0, Status.OK, 6.0)]


def test_what_is_no_request_is_skipped_and_counted() -> None:
    """No row for it; a batch of nothing else writes nothing and stops nobody."""
    room = Room()
    scorer = room.scorer()
    room.log.append(REQUESTS, 0, b"value", [])
    scorer.turn()
    assert room.said() == []
    room.log.append(REQUESTS, 0, b"value", [("ce_id", b"")])
    room.ask(1.0)
    scorer.turn()
    assert room.rows() == [(2, Status.OK, 2.0)]
    assert room.counted("skipped_total") == 2


# -------------------------------------------------------------------------------------------------------- commits


def test_a_commit_waits_for_the_delivery() -> None:
    """Read and scored is not enough: only the report moves the commit."""
    room = Room()
    sink = HeldSink(room.log)
    scorer = room.scorer(sink=sink)
    room.ask(1.0)
    scorer.turn()
    room.clock.advance_ms(COMMIT_MS)
    scorer.turn()
    assert len(room.said()) == 1
    assert room.committed() is None
    sink.held = False
    room.clock.advance_ms(COMMIT_MS)
    scorer.turn()
    assert room.committed() == 1


def test_commits_are_not_made_every_turn() -> None:
    """A commit costs the broker a write: COMMIT_EVERY_US apart, and not at all when nothing was done."""
    room = Room()
    scorer = room.scorer()
    room.ask(1.0)
    scorer.turn()
    assert room.committed() == 1
    room.ask(1.0)
    room.clock.advance_ms(COMMIT_MS - 1)
    scorer.turn()
    assert room.committed() == 1
    room.clock.advance_ms(1)
    scorer.turn()
    assert room.committed() == 2
    room.log.commits.clear()
    room.clock.advance_ms(COMMIT_MS)
    scorer.turn()
    assert room.committed() is None


def test_what_was_skipped_at_the_end_of_a_batch_is_committed_with_it() -> None:
    """The position passed, not the last row's."""
    room = Room()
    scorer = room.scorer()
    room.ask(1.0)
    room.log.append(REQUESTS, 0, b"value", [])
    scorer.turn()
    assert room.committed() == 2


def test_a_stop_finishes_commits_and_leaves() -> None:
    """What is under way is waited for; nothing is scored again afterwards."""
    room = Room()
    scorer = room.scorer(sink=HeldSink(room.log))
    room.ask(1.0)
    scorer.turn()
    scorer.stop()
    assert room.committed() == 1
    assert room.log.members[group_of(room.endpoint, "champion", "c1")] == []


def test_a_restart_resumes_at_the_commit() -> None:
    """Nothing before it is scored again, and nothing after it is left out."""
    room = Room()
    first = room.scorer()
    room.ask(1.0)
    first.turn()
    first.stop()
    room.ask(2.0)
    room.clock.advance_ms(100 * LONGEST_MS)
    second = room.scorer()
    second.turn()
    assert [offset for offset, _, _ in room.rows()] == [0, 1]
    assert room.rows()[1][1] == Status.EXPIRED


def test_a_crash_scores_again_what_was_not_committed() -> None:
    """At least once: the server drops what it knows."""
    room = Room()
    scorer = room.scorer(sink=HeldSink(room.log))
    room.ask(1.0)
    scorer.turn()
    room.log.members.clear()
    room.scorer().turn()
    assert [offset for offset, _, _ in room.rows()] == [0, 0]


def test_a_new_version_starts_where_it_can_still_matter() -> None:
    """One longest deadline before now, not at the beginning of the log; another version's commit is not its own."""
    room = Room()
    old = room.scorer(version="c0")
    room.ask(0.0)
    old.turn()
    old.stop()
    room.clock.advance_ms(1)
    room.ask(1.0)
    room.clock.advance_ms(LONGEST_MS)
    room.ask(2.0)
    room.scorer(version="c1").turn()
    assert [s.offsets.tolist() for s in room.said() if s.version == "c1"] == [[1, 2]]
    assert room.committed(version="c0") == 1


def test_a_new_version_with_nothing_recent_starts_at_the_end() -> None:
    """Old requests are of no use to anybody."""
    room = Room()
    room.ask(0.0)
    room.clock.advance_ms(LONGEST_MS + 1)
    scorer = room.scorer()
    scorer.turn()
    assert room.said() == []
    room.ask(1.0)
    scorer.turn()
    assert room.rows() == [(1, Status.OK, 2.0)]


# ------------------------------------------------------------------------------------------------- several of one kind


def test_two_of_one_version_share_the_partitions() -> None:
    """Each request is scored once; what is given away is committed before."""
    room = Room()
    first = room.scorer()
    room.ask(1.0, 0)
    room.ask(1.0, 1)
    first.turn()
    second = room.scorer()
    room.ask(2.0, 0)
    room.ask(2.0, 1)
    first.turn()
    second.turn()
    assert [len(room.rows(number)) for number in (0, 1)] == [2, 2]
    assert room.committed(1) is not None


def test_two_versions_do_not_share() -> None:
    """Groups are by version: each scores everything."""
    room = Room()
    old, new = room.scorer(version="c1"), room.scorer(version="c2")
    room.ask(1.0)
    old.turn()
    new.turn()
    assert sorted(scores.version for scores in room.said()) == ["c1", "c2"]


# --------------------------------------------------------------------------------------------------------- failures


def test_scores_that_cannot_be_delivered_stop_the_service() -> None:
    """Nothing is committed; a restart scores them again."""
    room = Room()
    scorer = room.scorer()
    room.sink.broken.add(SCORES)
    room.ask(1.0)
    with pytest.raises(LogError, match=r"tests\.scores: broken: stopping; a restart scores again"):
        scorer.turn()
    assert room.committed() is None
    room.log.members.clear()
    room.scorer().turn()
    assert room.rows() == [(0, Status.OK, 2.0)]


@pytest.mark.parametrize("end", ["stop", "revoked"])
def test_nothing_behind_a_lost_record_is_committed(end: str) -> None:
    """A later record's delivery does not cover an earlier one's loss, whichever way the partition is left."""
    room = Room()
    sink = HeldSink(room.log)
    scorer = room.scorer(sink=sink)
    scorer.turn()
    sink.broken.add(SCORES)
    room.ask(1.0)
    scorer.turn()
    sink.broken.clear()
    room.ask(2.0)
    scorer.turn()
    if end == "stop":
        scorer.stop()
    else:
        room.member.owner.revoked([0, 1], lost=False)
    assert [offset for offset, _, _ in room.rows()] == [1]
    assert room.committed() in {None, 0}


def test_lost_partitions_are_not_committed() -> None:
    """They are someone else's already."""
    room = Room()
    sink = HeldSink(room.log)
    scorer = room.scorer(sink=sink)
    room.ask(1.0)
    scorer.turn()
    room.member.owner.revoked([0, 1], lost=True)
    sink.flush(1.0)  # the report comes too late
    room.log.members.clear()
    room.clock.advance_ms(COMMIT_MS)
    scorer.stop()
    assert room.committed() is None


def test_delay_is_the_age_of_the_oldest_request() -> None:
    """When it was scored, in seconds."""
    room = Room()
    scorer = room.scorer()
    room.ask(1.0)
    room.clock.advance_ms(40)
    room.ask(1.0)
    room.clock.advance_ms(10)
    scorer.turn()
    assert room.counted("delay_seconds") == pytest.approx(0.05)
    assert np.isclose(room.counted("batch_seconds_sum") or 0.0, 0.0)


# --------------------------------------------------------------------------------------------------- what control says


def test_a_paused_version_rests_and_a_resumed_one_goes_on_from_there() -> None:
    """Requests pass it by meanwhile: nobody wants their scores any more when it is back."""
    room = Room()
    scorer = room.scorer()
    scorer.turn()
    room.tell(room.state(State.PAUSED))
    scorer.turn()
    room.ask(1.0)
    scorer.turn()
    room.tell(room.state(State.ACTIVE))
    scorer.turn()
    room.ask(2.0)
    scorer.turn()
    scorer.stop()
    assert room.rows() == [(1, Status.OK, 4.0)]
    assert room.committed() == 2


def test_a_retired_version_has_nothing_more_to_do() -> None:
    """Its process ends."""
    room = Room()
    scorer = room.scorer("candidate", "n1")
    scorer.turn()
    assert not scorer.over
    room.tell(room.state(State.RETIRED, "candidate", "n1"))
    scorer.turn()
    assert scorer.over


def test_a_candidate_that_becomes_live_changes_its_seat_and_loses_nothing() -> None:
    """Another member joins with the live role's settings, a second later the first leaves; every request is scored."""
    room = Room()
    scorer = room.scorer("candidate", "n1")
    scorer.turn()
    step = {"models": ["candidate"]}
    room.tell(RulesChange(endpoint(schedule=[step]).rules.model_dump_json(), by="tests", at_us=0))
    for number in range(30):
        room.ask(float(number))
        room.clock.advance_ms(100)
        scorer.turn()
    assert room.roles == [False, True]
    assert len(room.log.members[room.group]) == 1
    assert sorted({offset for offset, _, _ in room.rows()}) == list(range(30))


def test_while_the_partitions_change_hands_every_request_is_scored_at_once() -> None:
    """The member that leaves reads on until the other has what it had, however long the group takes."""
    room = Room()
    scorer = room.scorer("candidate", "n1")
    scorer.turn()
    room.tell(RulesChange(endpoint(schedule=[{"models": ["candidate"]}]).rules.model_dump_json(), by="tests", at_us=0))
    scorer.turn()
    room.member.slow = True  # the group says nothing to the one that has joined
    for number in range(20):
        offset = room.ask(float(number))
        room.clock.advance_ms(100)
        scorer.turn()
        assert offset in {row[0] for row in room.rows()}
    room.member.slow = False
    for number in range(5):
        room.ask(float(number))
        room.clock.advance_ms(100)
        scorer.turn()
    room.clock.advance_ms(1_000)
    scorer.turn()
    assert len(room.log.members[room.group]) == 1
    assert sorted({offset for offset, _, _ in room.rows()}) == list(range(25))
    assert room.committed(0, "candidate", "n1") == 25


def test_a_version_that_leaves_out_all_of_a_partition_does_not_read_it() -> None:
    """What comes meanwhile stays unread; it goes on where the log ends, and the other partition all the while."""
    room = Room()
    scorer = room.scorer("candidate", "n1")
    scorer.turn()
    room.tell(Shedding(partition=0, candidates=1.0, challengers=0.0, by="server", at_us=0))
    room.ask(1.0)
    scorer.turn()
    assert room.rows() == [(0, Status.SHED, 0.0)], "what it has in hand"
    for _ in range(3):
        room.ask(1.0)
        room.ask(2.0, partition=1)
        scorer.turn()
    assert len(room.rows()) == 1
    assert room.rows(1) == [(offset, Status.OK, 4.0) for offset in range(3)]
    room.tell(Shedding(partition=1, candidates=1.0, challengers=0.0, by="server", at_us=0))
    scorer.turn()
    scorer.turn()
    assert room.counted("delay_seconds") == 0
    room.tell(Shedding(partition=0, candidates=0.0, challengers=0.0, by="server", at_us=1))
    scorer.turn()
    room.ask(3.0)
    scorer.turn()
    assert room.rows()[1:] == [(4, Status.OK, 6.0)]


def test_a_version_that_rests_reads_nothing_after_a_restart_either() -> None:
    """Whatever it had committed before."""
    room = Room()
    first = room.scorer("candidate", "n1")
    room.ask(1.0)
    first.turn()
    first.stop()
    rests = Shedding(partition=0, candidates=1.0, challengers=0.0, by="server", at_us=0)
    room.tell(rests)
    second = room.scorer("candidate", "n1", None, rests)
    room.ask(2.0)
    second.turn()
    assert second.ready
    assert [offset for offset, _, _ in room.rows()] == [0]
    room.tell(Shedding(partition=0, candidates=0.5, challengers=0.0, by="server", at_us=0))
    second.turn()
    room.ask(3.0)
    second.turn()
    assert [offset for offset, _, _ in room.rows()] == [0, 2]


def test_a_restart_goes_back_so_far_and_no_farther() -> None:
    """A version that rested for days must not score all of them."""
    room = Room()
    first = room.scorer()
    room.ask(1.0)
    first.turn()
    first.stop()
    room.ask(2.0)
    room.clock.advance_ms(BACKLOG_MS + 1)
    room.ask(3.0)
    room.scorer().turn()
    assert [offset for offset, _, _ in room.rows()] == [0, 2]


def test_a_member_that_leaves_does_not_wait_for_ever() -> None:
    """Partitions that another process got are scored twice for two seconds, and then by that one alone."""
    room = Room()
    scorer = room.scorer("candidate", "n1")
    scorer.turn()
    first = room.member
    room.tell(RulesChange(endpoint(schedule=[{"models": ["candidate"]}]).rules.model_dump_json(), by="tests", at_us=0))
    scorer.turn()
    room.member.slow = True
    for _ in range(40):
        room.clock.advance_ms(100)
        scorer.turn()
    assert first.closed


def test_candidates_leave_out_first_then_challengers_and_the_others_never() -> None:
    """The first model of the schedule and the last are champion and safety net."""
    of = endpoint()
    pressed = Shedding(partition=1, candidates=1.0, challengers=0.5, by="server", at_us=0)
    control = control_of(*genesis(of), pressed)
    shares = {model: duty_of(control, (model, version)).shed for model, version in VERSIONS.items()}
    assert shares == {"champion": {}, "challenger": {1: 0.5}, "baseline": {}, "candidate": {1: 1.0}}


def test_whoever_is_asked_later_lets_the_others_go_first() -> None:
    """A quarter of the time until its step, up to a bound; nobody who is asked at once, or only compared."""
    of = endpoint(schedule=[{"models": ["champion"], "until_ms": 40}, {"models": ["champion", "challenger"]}])
    control = control_of(*genesis(of))
    backs = {model: duty_of(control, (model, version)).back_us for model, version in VERSIONS.items()}
    assert backs == {"champion": 0, "challenger": 40_000 // BACK_SHARE, "baseline": 0, "candidate": 0}
    long = control_of(
        *genesis(endpoint(schedule=[{"models": ["champion"], "until_ms": 800}, {"models": ["baseline"]}]))
    )
    assert duty_of(long, ("baseline", "b1")).back_us == BACK_MOST_US


def test_nobody_stands_back_for_one_that_is_passed_by() -> None:
    """Where the champion is suspended, on one partition at least, the challenger is asked first."""
    of = endpoint(schedule=[{"models": ["champion"], "until_ms": 40}, {"models": ["champion", "challenger"]}])
    passed_by = Suspension(1, "champion", "c1", suspended=True, missed=1.0, failed=0.0, requests=50, by="s", at_us=0)
    assert duty_of(control_of(*genesis(of), passed_by), ("challenger", "c2")).back_us == 0


def test_who_stands_back_takes_what_comes_meanwhile_with_it() -> None:
    """It waits from the append of the oldest on: no longer when that has waited already, nor with a full batch."""
    room = Room()
    scorer = room.scorer("candidate", "n1")
    steps = [{"models": ["champion"], "until_ms": 40}, {"models": ["candidate"]}]
    room.tell(RulesChange(endpoint(schedule=steps).rules.model_dump_json(), by="tests", at_us=0))
    for _ in range(3):
        scorer.turn()
        room.clock.advance_ms(2_000)
    back_ms = 40 / BACK_SHARE
    room.meanwhile = lambda: room.ask(2.0)
    room.ask(1.0)
    room.clock.advance_ms(1)
    scorer.turn()
    assert room.rests == [pytest.approx((back_ms - 1) / 1_000)]
    assert [len(scores.offsets) for scores in room.said()] == [2]
    room.ask(3.0)
    room.clock.advance_ms(back_ms)
    scorer.turn()
    for _ in range(MAX_BATCH):
        room.ask(4.0)
    scorer.turn()
    assert len(room.rests) == 1
    assert len(room.rows()) == 3 + MAX_BATCH


def test_a_version_that_control_does_not_know_is_retired() -> None:
    """It was never deployed."""
    assert duty_of(control_of(), ("champion", "c1")).state is State.RETIRED
