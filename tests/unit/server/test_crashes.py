"""Servers that stop, crash and share partitions at random, on the log in memory: what is promised all the same.

A run is a seed. Applications ask, models score (or not, or late), the log has gaps and rubbish, control says all kinds
of things, and one or two servers work, until chance stops or kills them. The producers are slow: a record waits in a
queue, then stands in the log without a report, then is reported; a crash loses the queue and the reports::

    send---queued---in the log---reported
              ^crash: lost  ^crash: there, and nobody knows

CRASH_SEEDS=5000 plays so many runs instead of SEEDS; CRASH_FROM=5000 begins there.
"""

from __future__ import annotations

import json
import os
import zlib
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from random import Random
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from elections import Output, vote_in
from endpoints import VERSIONS, endpoint, genesis
from memory_log import FakeClock, MemoryLog, MemorySource
from rendezvous.envelope import draw_of, write_envelope
from rendezvous.log.records import Delivered, Headers, Record
from rendezvous.messages import Comparisons, DeadLetter, Decisions, Envelope, Reason, Response, Scores, Status
from rendezvous.registry.events import (
    Cause,
    ControlEvent,
    Deployment,
    HandOff,
    Move,
    Quality,
    RulesChange,
    State,
    Suspension,
    Weights,
)
from rendezvous.registry.state import Control, Pair
from rendezvous.server import service as service_module
from rendezvous.server import steering
from rendezvous.server.columns import Columns
from rendezvous.server.following import followed
from rendezvous.server.ledger import Ledger
from rendezvous.server.partition import Partition
from rendezvous.server.plan import Plan, plan_for
from rendezvous.server.policies import POLICIES
from rendezvous.server.recovery import take_over
from rendezvous.server.service import Service
from rendezvous.settings import Endpoint
from rendezvous.telemetry import ServerMetrics
from rendezvous.topics import topics_of
from rendezvous.wire import Codec, decode, encode
from worlds import memory_server

SEEDS, FIRST = int(os.environ.get("CRASH_SEEDS", "300")), int(os.environ.get("CRASH_FROM", "0"))
MUTANT_SEEDS = 150
EVENTS = 45
PARTITIONS = 2
STEP_MS, DEADLINE_MS, LONGEST_MS, MARGIN_MS, CLOSE_MS, TURN_MS = 100, 300, 600, 60, 700, 40
GROUP = "server"
RING = 128
SMALL_RING = 16
LEAST_DEPLOYED = 2
AMPLE = 1_000
"""Records in one poll: more than a run ever has waiting."""

Place = tuple[int, int]
"""Partition and offset: what a request is known by."""


class Answer(NamedTuple):
    """As an application gets it, and when it left the server."""

    response: Response
    ce_id: bytes
    sent_us: int


@cache
def endpoint_of(ring: int) -> Endpoint:
    """The endpoint of a run; versions are soon passed by, and soon trusted again."""
    return endpoint(
        topics={"partitions": PARTITIONS},
        aliases={"first": "champion"},
        mailbox={"close_ms": CLOSE_MS, "silent_ms": 200, "capacity": ring},
        fallback={"requests": 2, "window_s": 0.2, "recover_s": 0.1},
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


METRICS = ServerMetrics(CollectorRegistry())
FEATURES = Codec(endpoint_of(RING).features_schema).encode({"x": 1.0, "who": "a"})
known_codec = cache(Codec)
"""A service reads its schema when it starts; here there is one schema, and thousands of starts."""
read = lru_cache(maxsize=4_096)(decode)
NO_SCORE = frozenset({Reason.EXPIRED, Reason.REJECTED, Reason.OVERLOADED})


@pytest.fixture(autouse=True)
def quick_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Starting a server costs no parsing."""
    monkeypatch.setattr(service_module, "Codec", known_codec)


def output_of(pair: Pair, place: Place) -> float:
    """What a version says of a request, whenever it says it."""
    return zlib.crc32(repr((pair, place)).encode()) % 17 / 16


class Decision(NamedTuple):
    """One row of a decision."""

    place: Place
    winner: Pair | None
    reason: Reason
    arrived: frozenset[Pair]
    output: Output
    step: int
    draw: float
    propensity: float
    decided_us: int
    policy: str
    control: int
    axis: tuple[Pair, ...]


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

    def _some(self, of: Sequence[object]) -> int:
        if not of:
            return 0
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

    @property
    def is_behind(self) -> bool:
        """Whether something is there to read, or to take over."""
        share = self._log.share(GROUP, self._topic, self)
        return share != self._owned or any(
            record.value and record.offset >= position
            for place, position in self._positions.items()
            for record in self._log.records[place]
        )


@dataclass
class Server:
    """One server process."""

    service: Service
    source: ShufflingSource
    sinks: tuple[SlowSink, SlowSink]


class Run:
    """One seed's story, and what must be true of it afterwards."""

    def __init__(self, seed: int) -> None:
        self.chance = Random(seed)  # noqa: S311 - a story, no secret
        self.ring = self.chance.choice((SMALL_RING, RING, RING))
        self.limit = self.chance.choice((1, 3, AMPLE, AMPLE))
        self.clock = FakeClock()
        self.endpoint = endpoint_of(self.ring)
        self.log = MemoryLog(self.clock, {topic.name: PARTITIONS for topic in topics_of(self.endpoint)})
        self.controls: dict[int, Control] = {0: Control()}
        self.control = Control()
        self.deployments = 0
        for event in genesis(self.endpoint):
            self._tell(encode(event))
        self._tell(encode(HandOff((Move("first", "champion", "c1"),), Cause.DEPLOY, (), 99, "tests", 0)))
        self.servers: list[Server] = []
        self.asked: dict[Place, tuple[str, int, int]] = {}
        self.draws: dict[Place, float] = {}
        self.rubbish: set[Place] = set()
        self.interrupted_us: list[int] = []
        self.crashes = 0
        self.in_doubt: Counter[Place] = Counter()
        self.sent_us: dict[bytes, int] = {}
        self.plans: dict[tuple[int, int], Plan] = {}

    # --------------------------------------------------------------------------------------------- what happens

    def play(self) -> None:
        """Random events, then time until everything is over, then a clean stop."""
        likely: list[tuple[Callable[[], None], int]] = [
            (self.ask, 30),
            (self.say, 40),
            (self.wait, 14),
            (self.spoil, 4),
            (self.change, 8),
            (self.start, 6),
            (self.crash, 5),
            (self.stop, 2),
        ]
        events, weights = zip(*likely, strict=True)
        for event in self.chance.choices(events, weights, k=EVENTS):
            event()
            self.turn()
        if not self.servers:
            self.start()
        while any(server.source.is_behind for server in self.servers):
            self.turn()  # what comes in driblets comes
        self.wait(LONGEST_MS)
        self.wait(2 * CLOSE_MS, CLOSE_MS // 4)
        while self.servers:
            self.stop()

    def turn(self) -> None:
        """One turn of each server; who has been there longest gives partitions away before the other takes them."""
        for server in self.servers:
            server.service.turn()

    def wait(self, milliseconds: int = 0, turn_ms: int = TURN_MS) -> None:
        """Let time pass."""
        for _ in range((milliseconds or self.chance.choice((40, 40, 80, 120, 400))) // turn_ms):
            self.clock.advance_ms(turn_ms)
            self.turn()

    def ask(self) -> None:
        """Some requests on one partition: good ones, some whose value cannot be scored, some without an id."""
        number = self.chance.randrange(PARTITIONS)
        for _ in range(self.chance.choice((1, 1, 2, 5))):
            name = f"r{len(self.asked)}"
            deadline_ms = self.chance.choice((None, None, 80, LONGEST_MS))
            headers = write_envelope(Envelope(name, "tests", deadline_ms, None))
            kind = self.chance.choice(("good",) * 10 + ("rejected", "no id"))
            value = b"nonsense" if kind == "rejected" else FEATURES
            if kind == "no id":
                self.rubbish.add(self._put("requests", number, value, headers[2:]))
            else:
                key = self.chance.choice((None, b"a", b"b"))
                place = self._put("requests", number, value, headers, key)
                self.draws[place] = draw_of(key or name.encode())
                self.asked[place] = name, self.clock(), self.clock() + (deadline_ms or DEADLINE_MS) * 1_000

    def say(self) -> None:
        """A model's scores for some of the last requests, or the next ones: some twice, many never."""
        number = self.chance.randrange(PARTITIONS)
        end = self.log.end(self.endpoint.topic("requests"), number)
        recent = range(max(0, end - 12), end + 3)
        offsets = sorted(self.chance.sample(recent, self.chance.randint(1, len(recent))))
        pair = self.chance.choice(self.control.deployed if self.chance.random() < 0.9 else tuple(self.control.versions))
        status = self.chance.choice((Status.OK,) * 6 + (Status.ERROR, Status.UNREADABLE))
        rows = len(offsets)
        scores = Scores(
            model=pair[0],
            version=pair[1],
            taken_us=1,
            scored_us=2,
            offsets=np.array(offsets, np.int64),
            statuses=np.full(rows, status, np.uint8),
            outputs=np.array([[output_of(pair, (number, offset))] for offset in offsets], np.float32),
        )
        self._put("scores", number, encode(scores))

    # ------------------------------------------------------------------------------------------ what control says

    def change(self) -> None:
        """One event on control: a good one, one that is refused, or rubbish."""
        self._follow()
        kinds = (self._hand_off, self._deploy, self._retire, self._pause, self._suspend, self._weigh, self._rules)
        kind = self.chance.choice((*kinds, self._rules, None))
        self._tell(b"rubbish" if kind is None else encode(kind()))

    def _tell(self, value: bytes) -> None:
        self.log.append(self.endpoint.topic("control"), 0, value)
        self._follow()

    def _follow(self) -> None:
        """Control as it stood after each of its records, those that servers wrote as well."""
        for record in self.log.records[self.endpoint.topic("control"), 0][self.control.position :]:
            self.control, _ = followed(self.endpoint, self.control, [record])
            self.controls[self.control.position] = self.control

    def _one_version(self) -> Pair:
        return self.chance.choice(self.control.deployed)

    def _hand_off(self) -> ControlEvent:
        model, version = self._one_version()
        seen = self.control.position - self.chance.choice((0, 0, 0, 5))
        return HandOff((Move("first", model, version),), Cause.PROMOTE, (), seen, "tests", 0)

    def _deploy(self) -> ControlEvent:
        self.deployments += 1
        model, version = self.chance.choice(tuple(VERSIONS)), f"v{self.deployments}"
        return Deployment(model, version, f"{model}-{version}", State.ACTIVE, "tests", 0)

    def _retire(self) -> ControlEvent:
        few = len(self.control.deployed) <= LEAST_DEPLOYED
        return self._deployment(State.PAUSED if few else State.RETIRED, self._one_version())

    def _pause(self) -> ControlEvent:
        pair = self._one_version()
        paused = self.control.versions[pair].state is State.PAUSED
        return self._deployment(State.ACTIVE if paused else State.PAUSED, pair)

    def _deployment(self, state: State, pair: Pair) -> ControlEvent:
        return Deployment(*pair, self.control.versions[pair].sha256, state, "tests", 0)

    def _suspend(self) -> ControlEvent:
        pair, number = self._one_version(), self.chance.randrange(PARTITIONS)
        suspended = pair not in self.control.suspended.get(number, ())
        return Suspension(number, *pair, suspended, 0.5, 0.5, 50, "another server", 0)

    def _weigh(self) -> ControlEvent:
        pairs = self.control.deployed
        values = tuple(self.chance.choice((0.0, 0.25, 1.0)) for _ in pairs)
        models, versions = zip(*pairs, strict=True)
        return Weights(self.chance.choice(tuple(Quality)), models, versions, values, "tests", 0)

    def _rules(self) -> ControlEvent:
        schedule: list[dict[str, Any]] = []
        for until_ms in self.chance.choice(((None,), (STEP_MS, None), (STEP_MS, None), (40, 80, None))):
            names = self.chance.sample(("first", *VERSIONS), self.chance.randint(1, 3))
            policy = self.chance.choice((*POLICIES, "prefer", "guess" if self.chance.random() < 0.2 else "split"))
            weights = dict.fromkeys(names, 1.0) if policy == "split" else {}
            schedule.append({"models": names, "policy": policy, "until_ms": until_ms, "weights": weights})
        rules = self.endpoint.rules.model_dump(mode="json") | {
            "schedule": schedule,
            "default": [self.chance.choice((0.25, 0.125))],
            "expected": self.chance.choice(((), ("first",))),
        }
        return RulesChange(json.dumps(rules), "tests", 0)  # which may not hold

    # ---------------------------------------------------------------------------------------- what goes wrong

    def spoil(self) -> None:
        """A gap in a log, short or longer than a ring, or scores that are none."""
        number = self.chance.randrange(PARTITIONS)
        topic = self.chance.choice(("requests", "requests", "scores"))
        name = self.endpoint.topic(topic)
        if topic == "scores" and self.chance.random() < 0.5:
            self._put(topic, number, b"rubbish")
        else:
            self.log.skip(name, number, self.log.end(name, number) + self.chance.choice((1, 5, SMALL_RING, RING)))

    def _put(self, topic: str, number: int, value: bytes, headers: Headers = (), key: bytes | None = None) -> Place:
        return number, self.log.append(self.endpoint.topic(topic), number, value, headers, key)

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
            self.crashes += 1
            server = self._one()
            for sink in server.sinks:
                sink.crash()
            server.source.close()
            self.in_doubt.update(set(self.answers()) - self.decided())

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
            response = read(record.value, Response)
            answer = Answer(response, dict(record.headers)["ce_id"], self.sent_us[record.value])
            found.setdefault((response.partition, response.offset), []).append(answer)
        return found

    def decisions(self) -> Iterator[Decision]:
        """Every decision, row by row."""
        for record in self.records("decisions"):
            found = read(record.value, Decisions)
            axis = tuple(zip(found.models, found.versions, strict=True))
            columns = (
                found.offsets,
                found.winners,
                found.reasons,
                found.arrived,
                found.outputs,
                found.steps,
                found.draws,
                found.propensities,
            )
            for offset, winner, reason, arrived, output, step, draw, propensity in zip(
                *(c.tolist() for c in columns), strict=True
            ):
                yield Decision(
                    (record.partition, offset),
                    axis[winner] if winner >= 0 else None,
                    Reason(reason),
                    frozenset(pair for bit, pair in enumerate(axis) if arrived >> bit & 1),
                    tuple(output),
                    step,
                    draw,
                    propensity,
                    found.decided_us,
                    found.policy,
                    found.control,
                    axis,
                )

    def decided(self) -> set[Place]:
        """The requests that were decided."""
        offsets = ((r.partition, read(r.value, Decisions).offsets.tolist()) for r in self.records("decisions"))
        return {(number, offset) for number, some in offsets for offset in some}

    def compared(self) -> dict[Place, set[tuple[Pair | None, Reason]]]:
        """The requests that were compared: winners and reasons."""
        found: dict[Place, set[tuple[Pair | None, Reason]]] = {}
        for record in self.records("comparisons"):
            said = read(record.value, Comparisons)
            axis = tuple(zip(said.models, said.versions, strict=True))
            rows = zip(said.offsets.tolist(), said.winners.tolist(), said.reasons.tolist(), strict=True)
            for offset, winner, reason in rows:
                who = axis[winner] if winner >= 0 else None
                found.setdefault((record.partition, offset), set()).add((who, Reason(reason)))
        return found

    def buried(self) -> set[Place]:
        """Requests in dead-letters."""
        letters = (read(record.value, DeadLetter) for record in self.records("dead-letters"))
        return {(x.partition, x.offset) for x in letters if x.topic == self.endpoint.topic("requests")}

    # ------------------------------------------------------------------------------------------- what is promised

    def check(self) -> None:
        """Every promise, of every request."""
        answers, decisions = self.answers(), list(self.decisions())
        decided: dict[Place, set[tuple[Pair | None, Reason]]] = {}
        for decision in decisions:
            decided.setdefault(decision.place, set()).add((decision.winner, decision.reason))
        assert answers.keys() == self.asked.keys(), "every request is answered, and nothing else is"
        assert decided.keys() == self.asked.keys(), "every request is decided, and nothing else is"
        assert self.rubbish <= self.buried(), "what is no request is a dead letter"
        for place, (name, appended_us, deadline_us) in self.asked.items():
            self._check_answers(place, name, answers[place])
            self._check_time(appended_us, deadline_us, answers[place][0].sent_us)
        self._check_compared(decided)
        self._check_committed()
        self._follow()
        for decision in decisions:
            self._check_decision(decision)
            self._check_agreement(decision, answers[decision.place])

    def _check_answers(self, place: Place, name: str, answers: list[Answer]) -> None:
        number, offset = place
        assert len(answers) <= 1 + self.in_doubt[place], f"{place}: answered twice, and no crash is to blame"
        assert {answer.response.request_id for answer in answers} == {name}
        assert {answer.ce_id for answer in answers} == {f"{number}-{offset}".encode()}, "a repetition is recognisable"

    def _check_time(self, appended_us: int, deadline_us: int, sent_us: int) -> None:
        """An answer may be late only around an interruption, or when records come in driblets."""
        interrupted = any(appended_us <= when_us <= sent_us for when_us in self.interrupted_us)
        if self.limit == AMPLE and not interrupted:
            assert sent_us <= deadline_us, "an answer left too late"

    def _check_compared(self, decided: dict[Place, set[tuple[Pair | None, Reason]]]) -> None:
        compared = self.compared()
        assert compared.keys() <= self.asked.keys(), "what is no request is not compared"
        for place in self.asked.keys() - compared.keys():
            assert (None, Reason.OVERLOADED) in decided[place], f"{place}: never compared"
        for place, verdicts in compared.items():
            gone = {(None, reason) for pair, reason in decided[place] if pair and self._is_retired(pair)}
            # a server that died may have compared what it had decided, and nobody heard of
            known = verdicts & (decided[place] | gone) if self.crashes else verdicts
            assert known, f"{place}: compared under another winner than was decided"
            assert known <= decided[place] | gone, f"{place}: compared under another winner than was decided"

    def _is_retired(self, pair: Pair) -> bool:
        return self.control.versions[pair].state is State.RETIRED

    def _check_decision(self, found: Decision) -> None:
        """The plan at its own position of control, and what had arrived, give winner, reason and output again."""
        plan = self._plan(found.control, found.place[0])
        assert found.policy == plan.policy, "a decision names the policy in force where control stood"
        assert found.draw == self.draws[found.place]
        if found.reason in NO_SCORE:
            assert (found.winner, found.output, found.arrived) == (None, tuple(plan.default.tolist()), frozenset())
            return
        usable = {pair: (output_of(pair, found.place),) for pair in found.arrived}
        vote = vote_in(plan.steps[found.step], found.axis, usable, found.axis, found.draw, over=True)
        if vote.found:
            winner, output = vote.winner, vote.output
            reason = Reason.COMBINED if vote.combined else self._reason(plan, found)
            assert found.propensity == vote.propensity
        else:
            winner, output, reason = None, tuple(plan.default.tolist()), Reason.DEFAULT
            assert found.step == len(plan.steps) - 1, "only the last step gives up"
        assert (found.winner, found.output, found.reason) == (winner, output, reason), "a decision can be replayed"
        end_us = self.asked[found.place][2] // 1_000 * 1_000 - plan.margin_us
        for number, step in enumerate(plan.steps[: found.step]):
            if found.decided_us < min(self._appended_us(found.place) + (step.until_us or 0), end_us):
                early = vote_in(step, found.axis, usable, found.axis, found.draw, over=True)
                assert not early.found, f"step {number} was left though it had an answer"

    def _plan(self, control: int, number: int) -> Plan:
        if (control, number) not in self.plans:
            self.plans[control, number] = plan_for(self.endpoint, self.controls[control], number)
        return self.plans[control, number]

    def _appended_us(self, place: Place) -> int:
        return self.asked[place][1] // 1_000 * 1_000

    def _reason(self, plan: Plan, found: Decision) -> Reason:
        preferred = found.step == 0 if plan.first is None else found.winner == plan.first
        return Reason.PREFERRED if preferred else Reason.FALLBACK

    def _check_agreement(self, found: Decision, answers: list[Answer]) -> None:
        """Somebody was told what was decided."""
        model = found.winner[0] if found.winner else ""
        said = {(answer.response.model, answer.response.reason, answer.response.output) for answer in answers}
        assert (model, found.reason, found.output) in said, "what is decided was answered"

    def _check_committed(self) -> None:
        name = self.endpoint.topic("requests")
        for number in range(PARTITIONS):
            offsets = [offset for owner, offset in self.asked.keys() | self.rubbish if owner == number]
            committed = self.log.commits.get((GROUP, name, number))
            if offsets:
                assert committed is not None
                assert committed.offset == max(offsets) + 1, "all is done, and committed"


def play(seeds: range) -> list[Run]:
    """So many runs, each checked."""
    runs = []
    for seed in seeds:
        run = Run(seed)
        try:
            run.play()
            run.check()
        except Exception as error:
            error.add_note(f"seed {seed}")
            raise
        runs.append(run)
    return runs


def test_promises_hold() -> None:
    """Whatever stops, dies or changes when, every request is answered, decided and compared, as control says."""
    repeated = asked = 0
    reached: Counter[str] = Counter()
    for start in range(FIRST, FIRST + SEEDS, 50):
        for run in play(range(start, min(start + 50, FIRST + SEEDS))):
            repeated += sum(len(answers) - 1 for answers in run.answers().values())
            asked += len(run.asked)
            reached.update(decision.reason.name for decision in run.decisions())
            reached["plans"] += len(run.plans)
            reached["by the server"] += sum(
                b"another server" not in record.value and b"server" in record.value
                for record in run.log.records[run.endpoint.topic("control"), 0]
            )
    assert repeated > 0, "the runs never killed a server between an answer and its decision"
    assert repeated < 0.1 * asked
    scarce = [what for what in HARD if reached[what] < SEEDS / 20]
    assert not scarce, f"the runs hardly came by {scarce}: {reached}"


HARD = ["PREFERRED", "FALLBACK", "COMBINED", "DEFAULT", "EXPIRED", "REJECTED", "plans", "by the server"]

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


def ignore_suspensions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets versions answer that are passed by on the partition."""
    trusting = MappingProxyType[int, frozenset[Pair]]({})
    monkeypatch.setattr(
        steering,
        "plan_for",
        lambda of, control, number: plan_for(of, replace(control, suspended=trusting), number),
    )


def winners_stay_when_the_axis_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remembers who has won by the columns of before."""
    real = Columns.rearrange

    def rearrange(columns: Columns, places: Sequence[int]) -> None:
        winner = columns.winner
        real(columns, places)
        columns.winner = np.minimum(winner, np.int16(len(places) - 1))

    monkeypatch.setattr(Columns, "rearrange", rearrange)


MUTANTS = {
    commit_without_waiting: "every request is answered",
    forget_the_decisions: "answered twice",
    resume_after_the_decisions: "answered twice",
    decide_before_the_report: "every request is answered",
    look_too_late: "an answer left too late",
    ignore_suspensions: "names the policy in force",
    winners_stay_when_the_axis_turns: "compared under another winner",
}


@pytest.mark.parametrize(("mutant", "broken"), MUTANTS.items(), ids=[mutant.__name__ for mutant in MUTANTS])
def test_a_mutant_is_caught(
    mutant: Callable[[pytest.MonkeyPatch], None], broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server with this fault breaks that promise within a few seeds."""
    mutant(monkeypatch)
    with pytest.raises(AssertionError, match=broken):
        play(range(MUTANT_SEEDS))
