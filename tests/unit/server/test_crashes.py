"""Servers that stop, crash and share partitions at random, on the log in memory: what is promised all the same.

A run is a seed. Applications ask, models score (or not, or late), the log has gaps and rubbish, and one or two
servers work, until chance stops or kills them. The producers are slow: a record waits in a queue, then stands in the
log without a report, then is reported; a crash loses the queue and the reports::

    send---queued---in the log---reported
              ^crash: lost  ^crash: there, and nobody knows
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any, NamedTuple

import numpy as np
import pytest

from endpoints import VERSIONS, endpoint, genesis, plan_of
from memory_log import FakeClock, MemoryLog, MemorySource
from rendezvous.envelope import write_envelope
from rendezvous.log.records import Delivered, Headers, Record
from rendezvous.log.roles import SESSION_MS
from rendezvous.messages import Comparisons, DeadLetter, Decisions, Envelope, Reason, Response, Scores, Status
from rendezvous.server.ledger import Ledger
from rendezvous.server.partition import Partition
from rendezvous.server.recovery import take_over
from rendezvous.server.service import Service
from rendezvous.server.transactional import TransactionalOutbox
from rendezvous.topics import topics_of
from rendezvous.wire import Codec, decode, encode
from worlds import memory_server

SEEDS = 300
EVENTS = 45
PARTITIONS = 2
STEP_MS, DEADLINE_MS, LONGEST_MS, MARGIN_MS, CLOSE_MS, TURN_MS = 100, 300, 600, 60, 700, 20
ABORTS = 0.03
"""Share of transactions."""
GROUP = "server"
RING = 1_024
SMALL_RING = 16
AMPLE = 1_000
"""Records in one poll: more than a run ever has waiting."""

Place = tuple[int, int]
"""Partition and offset: what a request is known by."""


class Answer(NamedTuple):
    """As an application gets it, and when it left the server."""

    response: Response
    ce_id: bytes
    sent_us: int


class SlowSink:
    """A producer whose records take their time, in the order they were sent; `sent_us` notes when that was."""

    def __init__(self, log: MemoryLog, chance: Random, sent_us: dict[bytes, int]) -> None:
        self._log = log
        self._chance = chance
        self._sent_us = sent_us
        self._queued: deque[tuple[str, int, bytes, Headers, bytes | None, Delivered | None]] = deque()
        self._unreported: deque[tuple[Delivered | None, int]] = deque()

    def send(
        self,
        topic: str,
        value: bytes,
        *,
        partition: int | None = None,
        key: bytes | None = None,
        headers: Headers = (),
        delivered: Delivered | None = None,
    ) -> None:
        """Queue a record."""
        self._sent_us.setdefault(value, self._log.clock())
        self._queued.append((topic, partition or 0, value, headers, key, delivered))

    def partitions(self, topic: str) -> int:
        """How many there are."""
        return self._log.partitions.get(topic, 0)

    def serve(self) -> None:
        """Some of what is queued reaches the log, and some of what did is reported."""
        self._deliver(self._some(self._queued))
        self._report(self._some(self._unreported))

    def flush(self, timeout_s: float) -> int:
        """All of it."""
        del timeout_s
        while self._queued or self._unreported:
            self._deliver(len(self._queued))
            self._report(len(self._unreported))
        return 0

    def crash(self) -> None:
        """Some of what is queued had left the process; nobody is told anything any more."""
        self._deliver(self._some(self._queued))
        self._queued.clear()
        self._unreported.clear()

    def places(self) -> set[Place]:
        """The requests whose answers are queued."""
        answers = [decode(value, Response) for topic, _, value, *_ in self._queued if topic.endswith(".responses")]
        return {(answer.partition, answer.offset) for answer in answers}

    def _some(self, of: Sequence[object]) -> int:
        return self._chance.choice((0, self._chance.randint(0, len(of)), len(of), len(of)))

    def _deliver(self, number: int) -> None:
        for _ in range(number):
            topic, partition, value, headers, key, delivered = self._queued.popleft()
            self._unreported.append((delivered, self._log.append(topic, partition, value, headers, key)))

    def _report(self, number: int) -> None:
        for _ in range(number):
            delivered, offset = self._unreported.popleft()
            if delivered is not None:
                delivered(None, offset)


class ShufflingSource(MemorySource):
    """A group member that gets a few records at a time, its topics in any order."""

    def __init__(self, log: MemoryLog, chance: Random, limit: int) -> None:
        super().__init__(log, GROUP)
        self._chance = chance
        self._limit = limit

    def poll(self, max_records: int, timeout_s: float) -> list[Record]:
        """See `Source.poll`."""
        positions = list(self._positions.items())
        self._chance.shuffle(positions)
        self._positions = dict(positions)
        return super().poll(min(max_records, self._limit), timeout_s)


@dataclass
class Server:
    """One server process."""

    service: Service
    source: ShufflingSource
    sinks: tuple[SlowSink, SlowSink]


class Run:
    """One seed's story, and what must be true of it afterwards."""

    def __init__(self, seed: int, *, exactly_once: bool = False) -> None:
        self.chance = Random(seed)  # noqa: S311 - a story, no secret
        self.ring = self.chance.choice((SMALL_RING, RING, RING))
        self.limit = self.chance.choice((1, 3, AMPLE, AMPLE))
        self.clock = FakeClock()
        self.endpoint = endpoint(
            exactly_once=exactly_once,
            topics={"partitions": PARTITIONS},
            mailbox={"close_ms": CLOSE_MS, "silent_ms": 200, "capacity": self.ring},
            request={
                "deadline_ms": DEADLINE_MS,
                "max_deadline_ms": LONGEST_MS,
                "reply_margin_ms": MARGIN_MS,
                "max_bytes": 1_000,
            },
            schedule=[
                {"until_ms": STEP_MS, "models": ["champion"]},
                {"models": ["champion", "challenger", "baseline"]},
            ],
        )
        self.plan = plan_of(self.endpoint, VERSIONS)
        self.features = Codec(self.endpoint.features_schema).encode({"x": 1.0, "who": "a"})
        self.log = MemoryLog(self.clock, {topic.name: PARTITIONS for topic in topics_of(self.endpoint)})
        for event in genesis(self.endpoint):
            self.log.append(self.endpoint.topic("control"), 0, encode(event))
        self.log.aborts = self.aborts
        self.servers: list[Server] = []
        self.asked: dict[Place, tuple[str, int, int]] = {}
        self.rubbish: set[Place] = set()
        self.interrupted_us: list[int] = []
        self.in_doubt: Counter[Place] = Counter()
        self.sent_us: dict[bytes, int] = {}

    # --------------------------------------------------------------------------------------------- what happens

    def play(self) -> None:
        """Random events, then time until everything is over, then a clean stop."""
        likely: list[tuple[Callable[[], None], int]] = [
            (self.ask, 30),
            (self.say, 40),
            (self.wait, 14),
            (self.spoil, 4),
            (self.start, 6),
            (self.crash, 5),
            (self.stop, 2),
            (self.freeze, 1),
        ]
        events, weights = zip(*likely, strict=True)
        for event in self.chance.choices(events, weights, k=EVENTS):
            event()
            self.turn()
        if not self.servers:
            self.start()
        self.wait(LONGEST_MS + 2 * CLOSE_MS)
        while self.servers:
            self.stop()

    def turn(self) -> None:
        """One turn of each server; who has been there longest gives partitions away before the other takes them."""
        for server in self.servers:
            server.service.turn()

    def wait(self, milliseconds: int = 0) -> None:
        """Let time pass."""
        for _ in range((milliseconds or self.chance.choice((20, 60, 120, 400))) // TURN_MS):
            self.clock.advance_ms(TURN_MS)
            self.turn()

    def ask(self) -> None:
        """Some requests on one partition: good ones, some whose value cannot be scored, some without an id."""
        number = self.chance.randrange(PARTITIONS)
        for _ in range(self.chance.choice((1, 1, 2, 5))):
            name = f"r{len(self.asked)}"
            deadline_ms = self.chance.choice((None, None, 80, LONGEST_MS))
            headers = write_envelope(Envelope(name, "tests", deadline_ms, None))
            kind = self.chance.choice(("good",) * 10 + ("rejected", "no id"))
            value = b"nonsense" if kind == "rejected" else self.features
            if kind == "no id":
                self.rubbish.add(self._put("requests", number, value, headers[2:]))
            else:
                place = self._put("requests", number, value, headers)
                self.asked[place] = name, self.clock(), self.clock() + (deadline_ms or DEADLINE_MS) * 1_000

    def say(self) -> None:
        """A model's scores for some of the last requests, or the next ones: some twice, many never."""
        number = self.chance.randrange(PARTITIONS)
        end = self.log.end(self.endpoint.topic("requests"), number)
        recent = range(max(0, end - 12), end + 3)
        offsets = sorted(self.chance.sample(recent, self.chance.randint(1, len(recent))))
        model = self.chance.choice(tuple(VERSIONS))
        status = self.chance.choice((Status.OK, Status.OK, Status.OK, Status.ERROR, Status.UNREADABLE))
        rows = len(offsets)
        scores = Scores(
            model=model,
            version=VERSIONS[model],
            taken_us=1,
            scored_us=2,
            offsets=np.array(offsets, np.int64),
            statuses=np.full(rows, status, np.uint8),
            outputs=np.full((rows, 1), 0.5, np.float32),
        )
        self._put("scores", number, encode(scores))

    def spoil(self) -> None:
        """A gap in a log, short or longer than a ring, or scores that are none."""
        number = self.chance.randrange(PARTITIONS)
        topic = self.chance.choice(("requests", "requests", "scores"))
        name = self.endpoint.topic(topic)
        if topic == "scores" and self.chance.random() < 0.5:
            self._put(topic, number, b"rubbish")
        else:
            self.log.skip(name, number, self.log.end(name, number) + self.chance.choice((1, 5, SMALL_RING, RING)))

    def _put(self, topic: str, number: int, value: bytes, headers: Headers = ()) -> Place:
        return number, self.log.append(self.endpoint.topic(topic), number, value, headers)

    def start(self) -> None:
        """A server joins; there is room for as many as there are partitions."""
        if len(self.servers) == PARTITIONS:
            return
        self.interrupted_us.append(self.clock())
        source = ShufflingSource(self.log, self.chance, self.limit)
        answers, records = (SlowSink(self.log, self.chance, self.sent_us) for _ in range(2))
        service = memory_server(self.endpoint, self.log, source, (answers, records))
        self.servers.append(Server(service, source, (answers, records)))

    def stop(self) -> None:
        """One server is stopped as an operator would."""
        if self.servers:
            self.interrupted_us.append(self.clock())
            self._one().service.stop()

    def crash(self) -> None:
        """One server dies; what stands answered without a decision is in doubt."""
        if self.servers:
            self.interrupted_us.append(self.clock())
            server = self._one()
            for sink in server.sinks:
                sink.crash()
            for transactor in self.log.transactors.values():
                transactor.crash(server.source, committed=self.chance.random() < 0.5)
            server.source.close()
            self.in_doubt.update(set(self.answers()) - set(self.decided()))

    def freeze(self) -> None:
        """One server stands still, for less than its session or for longer; the other one works on.

        What stands in its producers' queues goes out when it thaws: that is in doubt too.
        """
        if not self.servers:
            return
        self.interrupted_us.append(self.clock())
        server = self.chance.choice(self.servers)
        self.in_doubt.update((set(self.answers()) | server.sinks[0].places()) - set(self.decided()))
        self.servers.remove(server)
        self.wait(self.chance.choice((SESSION_MS // 3, 2 * SESSION_MS // 3)))
        if self.chance.random() < 0.5:
            self.wait(SESSION_MS // 3)
            self.log.expel(GROUP, server.source)
            self.wait(100)
        self.servers.append(server)
        self.interrupted_us.append(self.clock())

    def aborts(self) -> bool:
        """Now and then the broker aborts a transaction; the answers in it come later."""
        aborted = self.chance.random() < ABORTS
        if aborted:
            self.interrupted_us.append(self.clock())
        return aborted

    def _one(self) -> Server:
        return self.servers.pop(self.chance.randrange(len(self.servers)))

    # ------------------------------------------------------------------------------------------ what can be seen

    def records(self, topic: str) -> list[Record]:
        """All records of a topic, partition by partition."""
        name = self.endpoint.topic(topic)
        return [record for number in range(PARTITIONS) for record in self.log.records[name, number] if record.value]

    def answers(self) -> dict[Place, list[Answer]]:
        """The answers of each request."""
        found: dict[Place, list[Answer]] = {}
        for record in self.records("responses"):
            response = decode(record.value, Response)
            sent_us = self.sent_us.get(record.value, record.timestamp_ms * 1_000)
            answer = Answer(response, dict(record.headers)["ce_id"], sent_us)
            found.setdefault((response.partition, response.offset), []).append(answer)
        return found

    def decided(self) -> dict[Place, list[int]]:
        """The reasons decided of each request, in the log's order."""
        found: dict[Place, list[int]] = {}
        for record in self.records("decisions"):
            decisions = decode(record.value, Decisions)
            for offset, reason in zip(decisions.offsets.tolist(), decisions.reasons.tolist(), strict=True):
                found.setdefault((record.partition, offset), []).append(reason)
        return found

    def compared(self) -> set[Place]:
        """The requests that were compared."""
        return {
            (record.partition, offset)
            for record in self.records("comparisons")
            for offset in decode(record.value, Comparisons).offsets.tolist()
        }

    def buried(self) -> set[Place]:
        """Requests in dead-letters."""
        letters = (decode(record.value, DeadLetter) for record in self.records("dead-letters"))
        return {(x.partition, x.offset) for x in letters if x.topic == self.endpoint.topic("requests")}

    # ------------------------------------------------------------------------------------------- what is promised

    def check(self) -> None:
        """Every promise, of every request."""
        answers, decided = self.answers(), self.decided()
        assert answers.keys() == self.asked.keys(), "every request is answered, and nothing else is"
        assert decided.keys() == self.asked.keys(), "every request is decided, and nothing else is"
        assert self.rubbish <= self.buried(), "what is no request is a dead letter"
        for place, (name, appended_us, deadline_us) in self.asked.items():
            self._check_answers(place, name, answers[place])
            if self.endpoint.exactly_once:
                assert len(decided[place]) == 1, f"{place}: decided twice"
            self._check_time(appended_us, deadline_us, answers[place][0].sent_us)
        self._check_compared(decided)
        self._check_committed()

    def _check_answers(self, place: Place, name: str, answers: list[Answer]) -> None:
        number, offset = place
        doubts = 0 if self.endpoint.exactly_once else self.in_doubt[place]
        assert len(answers) <= 1 + doubts, f"{place}: answered twice, and no crash is to blame"
        assert {answer.response.request_id for answer in answers} == {name}
        assert {answer.ce_id for answer in answers} == {f"{number}-{offset}".encode()}, "a repetition is recognisable"

    def _check_time(self, appended_us: int, deadline_us: int, sent_us: int) -> None:
        """An answer may be late only around an interruption, or when records come in driblets."""
        interrupted = any(appended_us <= when_us <= sent_us for when_us in self.interrupted_us)
        if self.limit == AMPLE and not interrupted:
            assert sent_us <= deadline_us, "an answer left too late"

    def _check_compared(self, decided: dict[Place, list[int]]) -> None:
        compared = self.compared()
        assert compared <= self.asked.keys(), "what is no request is not compared"
        for place in self.asked.keys() - compared:
            assert Reason.OVERLOADED in decided[place], f"{place}: never compared"

    def _check_committed(self) -> None:
        name = self.endpoint.topic("requests")
        for number in range(PARTITIONS):
            offsets = [offset for owner, offset in self.asked.keys() | self.rubbish if owner == number]
            committed = self.log.commits.get((GROUP, name, number))
            if offsets:
                assert committed is not None
                assert committed.offset == max(offsets) + 1, "all is done, and committed"


def play(seeds: int, *, exactly_once: bool = False) -> list[Run]:
    """So many runs, each checked."""
    runs = [Run(seed, exactly_once=exactly_once) for seed in range(seeds)]
    for run in runs:
        run.play()
        run.check()
    return runs


def test_promises_hold() -> None:
    """Whatever stops or dies when, every request is answered, decided and compared, and repeated only in doubt."""
    runs = play(SEEDS)
    repeated = sum(len(answers) - 1 for run in runs for answers in run.answers().values())
    assert repeated > 0, "the runs never killed a server between an answer and its decision"
    assert repeated < 0.1 * sum(len(run.asked) for run in runs)


def test_exactly_once_holds() -> None:
    """With transactions nothing is answered or decided twice, whatever dies or freezes when."""
    play(SEEDS, exactly_once=True)


# --------------------------------------------------------------------------------------------------- the mutants


def commit_without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commits what has been read, whatever is still to be delivered."""
    monkeypatch.setattr(Ledger, "committable", property(lambda ledger: ledger.position))


def forget_the_decisions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes over without what the predecessor decided."""
    monkeypatch.setattr("rendezvous.server.service.take_over", lambda *where: replace(take_over(*where), decided={}))


def resume_after_the_decisions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tells its successor to read decisions from the end."""
    real = Partition.resume
    monkeypatch.setattr(Partition, "resume", lambda partition, topic: replace(real(partition, topic), decisions=10**9))


def decide_before_the_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Writes the decision when its answers are sent, not when they are in the log."""
    real = SlowSink.send

    def send(sink: SlowSink, topic: str, value: bytes, **rest: Any) -> None:  # noqa: ANN401 - handed on
        if topic.endswith(".responses"):
            delivered = rest.pop("delivered")
            real(sink, topic, value, **rest)
            delivered(None, -1)
        else:
            real(sink, topic, value, **rest)

    monkeypatch.setattr(SlowSink, "send", send)


def look_too_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ticks by a clock that is behind by more than the margin."""
    real = Partition.tick
    behind_us = (MARGIN_MS + TURN_MS) * 1_000
    monkeypatch.setattr(Partition, "tick", lambda partition, now_us: real(partition, now_us - behind_us))


def trust_the_past(monkeypatch: pytest.MonkeyPatch) -> None:
    """Goes on after a freeze as if nothing had happened."""
    monkeypatch.setattr(Service, "_entitled", lambda _: True)


def settle_for_good(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forgets a bundle that was aborted, as if it had been committed."""
    real = TransactionalOutbox._settle  # noqa: SLF001 - the place of the fault
    monkeypatch.setattr(
        TransactionalOutbox,
        "_settle",
        lambda outbox, desk, outcome, now_us: real(outbox, desk, outcome._replace(done=True), now_us),
    )


TRANSACTIONAL_MUTANTS = {forget_the_decisions: "answered twice", settle_for_good: "every request is answered"}


@pytest.mark.parametrize(("mutant", "broken"), TRANSACTIONAL_MUTANTS.items(), ids=lambda mutant: str(mutant)[:30])
def test_a_transactional_mutant_is_caught(
    mutant: Callable[[pytest.MonkeyPatch], None], broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same, with transactions."""
    mutant(monkeypatch)
    with pytest.raises(AssertionError, match=broken):
        play(SEEDS // 3, exactly_once=True)


MUTANTS = {
    commit_without_waiting: "every request is answered",
    forget_the_decisions: "answered twice",
    resume_after_the_decisions: "answered twice",
    decide_before_the_report: "every request is answered",
    trust_the_past: "answered twice",
    look_too_late: "an answer left too late",
}


@pytest.mark.parametrize(("mutant", "broken"), MUTANTS.items(), ids=[mutant.__name__ for mutant in MUTANTS])
def test_a_mutant_is_caught(
    mutant: Callable[[pytest.MonkeyPatch], None], broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server with this fault breaks that promise within a third of the seeds."""
    mutant(monkeypatch)
    with pytest.raises(AssertionError, match=broken):
        play(SEEDS // 3)
