"""Thousands of hostile records between good requests: every good one is answered, every bad one is accounted for."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from confluent_kafka import Message, Producer

from endpoints import DEADLINE_MS, VERSIONS
from homes import until
from loadtest.hostile.control import control_kinds
from rendezvous.envelope import write_envelope
from rendezvous.local.stack import Addresses
from rendezvous.messages import DeadLetter, Decisions, Envelope, Reason, ReplyAddress, Response, Scores, Status
from rendezvous.registry.control import ControlLog
from rendezvous.registry.events import Deployment, RulesChange, State
from rendezvous.server.intake import MAX_DEAD_BYTES, MAX_DEAD_HEADERS
from rendezvous.wire import encode
from worlds import KafkaWorld, answers, ask, features, say, seen

pytestmark = pytest.mark.kafka

SEED = 20130301
RECORDS = 2_000
GOOD_EVERY = 20
SCORES_EVERY = 4
LARGEST = 990_000
"""Kafka takes 1 MiB a record, a client by default 1,000,000 bytes with all that goes with them."""
LARGE_EVERY = 100
"""Of what is as large as the topic takes: 20 MB in all."""

CONTROL_RECORDS = 400
"""Of all kinds together, and as many rules again."""
LARGE_DECISION = 4_000
"""Bytes: names of versions go into each."""

Header = tuple[str, bytes | None]


@dataclass(frozen=True, slots=True)
class Hostile:
    """A record, and the dead letter that it deserves: its reason, or None for a request that is good all the same."""

    value: bytes | None
    headers: Sequence[Header]
    reason: str | None
    key: bytes | None = None


@dataclass
class Flood:
    """Produces records as they are, nulls and all, and keeps where each one stands."""

    world: KafkaWorld
    kafka: str
    places: dict[int, Hostile] = field(default_factory=dict)
    said: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Any size that the broker takes."""
        self._producer = Producer({"bootstrap.servers": self.kafka, "message.max.bytes": 1_040_000})

    def put(self, topic: str, hostile: Hostile) -> None:
        """Send one record; requests are noted with their offset once there."""

        def delivered(error: object, message: Message) -> None:
            assert error is None, error
            if topic == "requests":
                self.places[message.offset() or 0] = hostile

        self._producer.produce(
            self.world.endpoint.topic(topic),
            hostile.value,
            hostile.key,
            0,
            on_delivery=delivered,
            headers=list(hostile.headers),
        )
        self._producer.poll(0)

    def say_unreadable(self) -> None:
        """What models say of values that do not decode, of those that have come since the last time."""
        offsets = sorted(
            o for o, hostile in self.places.items() if hostile.reason == "unreadable" and o not in self.said
        )
        self.said.update(offsets)
        for model in ("champion", "challenger", "baseline"):
            if offsets:
                say(self.world, model, offsets, status=Status.UNREADABLE)

    def flush(self) -> None:
        """Until everything is there."""
        assert self._producer.flush(30.0) == 0


@pytest.fixture
def world(stack: Addresses) -> Iterator[KafkaWorld]:
    """A live server whose mailbox holds all of a flood, for requests as large as any."""
    world = KafkaWorld(stack.kafka, mailbox={"close_ms": 2_500, "silent_ms": 1_000, "capacity": 16_384})
    world.start()
    yield world
    world.stop()


def headers_of(name: str, *more: Header, deadline_ms: int | None = None) -> list[Header]:
    """A good envelope, and what comes after it; of a header given twice the last counts."""
    return [*write_envelope(Envelope(name, "tests", deadline_ms, None)), *more]


def hostile_request(chance: random.Random, number: int, good: bytes) -> Hostile:
    """One of the many ways in which a request can be wrong."""
    name = f"bad-{number}"
    noise = chance.randbytes(chance.randrange(1, 300))
    large = LARGEST if number % LARGE_EVERY == 0 else 2_000
    ways = [
        Hostile(noise, [], "no_id"),
        Hostile(None, [], "no_id"),
        Hostile(good, [("ce_id", None)], "no_id"),
        Hostile(good, headers_of(name, ("ce_id", b"")), "no_id"),
        Hostile(good, headers_of(name, ("ce_id", b"\xff" + noise)), "no_id"),
        Hostile(good, headers_of(name, ("ce_id", bytes(10_000))), "no_id"),
        Hostile(good, [("", noise), ("x" * 5_000, noise)] * 100, "no_id"),
        Hostile(good, headers_of(name, ("deadline_ms", b"-1")), "bad_envelope"),
        Hostile(good, headers_of(name, ("deadline_ms", b"1" * 10)), "bad_envelope"),
        Hostile(good, headers_of(name, ("deadline_ms", "٣".encode())), "bad_envelope"),
        Hostile(good, headers_of(name, ("deadline_ms", None)), "bad_envelope"),
        Hostile(good, headers_of(name, ("ce_source", b"\xc3")), "bad_envelope"),
        Hostile(good, headers_of(name, ("kafka_replyTopic", b"\xff\xfe")), "bad_envelope"),
        Hostile(good, headers_of(name, ("kafka_replyTopic", b"t" * 250)), "bad_envelope"),
        Hostile(good, headers_of(name, ("kafka_replyPartition", b"\0\0\1")), "bad_envelope"),
        Hostile(good, headers_of(name, ("kafka_replyPartition", b"\xff" * 4)), "bad_envelope"),
        Hostile(good, headers_of(name, ("kafka_correlationId", bytes(257))), "bad_envelope"),
        Hostile(noise, headers_of(name), "unknown_schema"),
        Hostile(None, headers_of(name), "unknown_schema"),
        Hostile(b"", headers_of(name), "unknown_schema"),
        Hostile(good[: chance.randrange(10)], headers_of(name), "unknown_schema"),
        Hostile(good + bytes(large), headers_of(name), "too_large"),
        Hostile(chance.randbytes(large), headers_of(name), "too_large"),
        Hostile(good[: chance.randrange(10, len(good))], headers_of(name), "unreadable"),
        Hostile(good + noise, headers_of(name), "unreadable"),
        Hostile(good, headers_of("twice", *headers_of(name)), None),
        Hostile(good, headers_of(name, *[("traceparent", noise)] * 200, deadline_ms=0), None),
        Hostile(good, headers_of(name), None, key=bytes(100_000)),
    ]
    return ways[number % len(ways)]


def hostile_scores(chance: random.Random, number: int) -> bytes | None:
    """Scores that are none, or of no use."""
    good = Scores(
        "champion",
        VERSIONS["champion"],
        1,
        2,
        np.array([10**9 + number, 2**62 + number], np.int64),
        np.full(2, Status.OK, np.uint8),
        np.full((2, 1), 0.99, np.float32),
    )
    forged = Scores("champion", "forged", 1, 2, good.offsets, good.statuses, good.outputs)
    wide = Scores("champion", "c1", 1, 2, good.offsets, good.statuses, np.full((2, 3), 0.99, np.float32))
    ways = [None, chance.randbytes(50), encode(good)[:-5], encode(forged), encode(wide), encode(good)]
    return ways[number % len(ways)]


SCORES_WAYS = ("unknown_schema", "unknown_schema", "unreadable", "unregistered_model", "wrong_shape", None)
SCORES_REASONS = [SCORES_WAYS[number % len(SCORES_WAYS)] for number in range(RECORDS // SCORES_EVERY)]
"""The dead letters that `hostile_scores` deserve, in their order."""

ANSWERS: dict[str | None, set[Reason | None]] = {
    "no_id": {None},  # nobody to answer
    "bad_envelope": {None},
    "unknown_schema": {Reason.REJECTED},
    "too_large": {Reason.REJECTED},
    "unreadable": {Reason.DEFAULT},
    None: {Reason.DEFAULT, Reason.EXPIRED},
}
"""How a request that deserves a dead letter is answered."""


def letters_of(world: KafkaWorld, topic: str = "") -> list[DeadLetter]:
    """The dead letters about one of the endpoint's topics, or about all; raises when the server has ended."""
    world.wait(0)
    letters = seen(world, "dead-letters", DeadLetter)
    return [letter for letter in letters if not topic or letter.topic == world.endpoint.topic(topic)]


def pour(world: KafkaWorld, flood: Flood) -> dict[str, int]:
    """Hostile requests and scores, and good requests between them with their scores; returns those, id to offset."""
    chance, good, asked = random.Random(SEED), features(world), dict[str, int]()  # noqa: S311 - reproducible
    for number in range(RECORDS):
        flood.put("requests", hostile_request(chance, number, good))
        if number % SCORES_EVERY == 0:
            flood.put("scores", Hostile(hostile_scores(chance, number // SCORES_EVERY), [], None))
        if number % GOOD_EVERY == 0:
            name = f"good-{number}"
            asked[name] = ask(world, name)
            say(world, "champion", [asked[name]], 0.625)
            flood.say_unreadable()
    flood.flush()
    assert len(flood.places) == RECORDS
    flood.say_unreadable()
    return asked


def test_a_flood(world: KafkaWorld, stack: Addresses) -> None:
    """Good requests are answered in time by their model; each bad one is a dead letter with its reason and position."""
    flood = Flood(world, stack.kafka)
    asked = pour(world, flood)
    wanted = {offset: hostile.reason for offset, hostile in flood.places.items() if hostile.reason}
    until(lambda: len(letters_of(world, "requests")) >= len(wanted), "every bad request is a dead letter")
    letters = letters_of(world, "requests")
    assert {letter.offset: letter.reason for letter in letters} == wanted
    assert len(letters) == len(wanted)
    for letter in letters:
        assert letter.partition == 0
        if letter.reason != "unreadable":
            assert letter.size_bytes == len(flood.places[letter.offset].value or b"")
            assert len(letter.value) == min(letter.size_bytes, MAX_DEAD_BYTES)
    scores = Counter(letter.reason for letter in letters_of(world, "scores"))
    assert scores == Counter(reason for reason in SCORES_REASONS if reason is not None)

    owed = {offset for offset, hostile in flood.places.items() if None not in ANSWERS[hostile.reason]}
    owed |= set(asked.values())
    until(lambda: owed <= {answer.offset for answer in answers(world)}, "everything that is owed an answer has one")
    given = {answer.offset: answer for answer in answers(world)}
    assert len(given) == len(answers(world))
    for name, offset in asked.items():
        answer = given[offset]
        assert (answer.request_id, answer.reason, answer.output) == (name, Reason.PREFERRED, (0.625,))
        assert answer.slack_ms > 0
    for offset, hostile in flood.places.items():
        assert {given[offset].reason if offset in given else None} <= ANSWERS[hostile.reason]


def test_the_largest_letter(world: KafkaWorld, stack: Addresses) -> None:
    """A record with as much as a broker takes, in four-byte characters, is a dead letter that the broker takes too."""
    flood = Flood(world, stack.kafka)
    name = "\N{GRINNING FACE}" * 4_500
    flood.put("requests", Hostile(bytes(270_000), [(name, bytes(5_000))] * MAX_DEAD_HEADERS, "no_id", bytes(5_000)))
    flood.flush()
    until(lambda: seen(world, "dead-letters", DeadLetter), "the dead letter")
    (letter,) = seen(world, "dead-letters", DeadLetter)
    assert (letter.reason, letter.offset, letter.size_bytes) == ("no_id", 0, 270_000)
    assert len(letter.headers) == MAX_DEAD_HEADERS
    answered(world)


def test_names_that_no_topic_has(world: KafkaWorld) -> None:
    """Reply topics that begin as an allowed one, and cannot exist, are refused, and the server lives."""
    offsets = []
    for suffix in ("\0", "\0evil", " ", "/../requests", "x" * 200, "\N{GRINNING FACE}", "\n", '"'):
        topic = world.endpoint.topic("responses") + suffix
        offsets.append(ask(world, "r", reply=ReplyAddress(topic, 0, b"x")))
        say(world, "champion", offsets[-1:])
    until(lambda: len(letters_of(world)) >= len(offsets), "the answers are refused", 10.0)
    assert {letter.offset: letter.reason for letter in letters_of(world)} == dict.fromkeys(offsets, "reply_refused")
    answered(world)


def test_a_crowd_of_reply_topics(world: KafkaWorld) -> None:
    """Hundreds of reply topics that are not there do not make the answers of others late."""
    topics = [world.endpoint.topic(f"responses.{number}") for number in range(300)]
    offsets = [ask(world, "r", reply=ReplyAddress(topic, None, b"x")) for topic in topics]
    say(world, "champion", offsets)
    for _ in range(5):
        answered(world)
    until(lambda: len(seen(world, "dead-letters", DeadLetter)) == len(topics), "each is refused")


def test_control_that_nobody_should_write(world: KafkaWorld, stack: Addresses) -> None:
    """Every hostile event there is leaves the server answering, by the rules of before; a flood of rules does too."""
    chance = random.Random(SEED)  # noqa: S311 - reproducible
    flood = Flood(world, stack.kafka)
    kinds = [kind for kind in control_kinds(world.endpoint) if not kind.name.startswith("Rules change")]
    for number, kind in enumerate(kinds):
        for _ in range(CONTROL_RECORDS // len(kinds)):
            raw = kind.make(chance, number)
            flood.put("control", Hostile(raw.value, [], None))
    for margin_ms in range(CONTROL_RECORDS):
        rules = world.endpoint.rules.model_dump(mode="json") | {"reply_margin_ms": margin_ms % 50}
        flood.put("control", Hostile(encode(RulesChange(json.dumps(rules), "tests", 0)), [], None))
        if margin_ms % (CONTROL_RECORDS // 4) == 0:
            answered(world)
    flood.flush()
    answered(world)
    end = ControlLog(stack.kafka, world.endpoint).read().position

    def is_followed() -> bool:
        answered(world)
        return seen(world, "decisions", Decisions)[-1].control == end

    until(is_followed, "all of it is followed")
    assert max(map(len, world.read("decisions"))) < LARGE_DECISION
    world.stop()
    world.start()
    answered(world)


def test_control_in_a_transaction_that_is_aborted(world: KafkaWorld, stack: Addresses) -> None:
    """Everybody knows of it, whether it was read before the end or after: else servers would disagree."""
    producer = Producer({"bootstrap.servers": stack.kafka, "transactional.id": world.endpoint.name})
    producer.init_transactions(10.0)
    producer.begin_transaction()
    version = Deployment("aborted", "1", "1", State.ACTIVE, by="tests", at_us=0)
    producer.produce(world.endpoint.topic("control"), encode(version), partition=0)
    assert producer.flush(10.0) == 0
    producer.abort_transaction(10.0)
    assert ("aborted", "1") in ControlLog(stack.kafka, world.endpoint).read().versions
    for _ in range(2):
        answered(world)
        say(world, "aborted", [10**6], version="1")
        answered(world)
        assert letters_of(world) == []
        world.stop()
        world.start()


def answered(world: KafkaWorld) -> None:
    """A good request is answered in time, as ever."""
    name = f"good-{time.monotonic_ns()}"
    say(world, "champion", [ask(world, name)], 0.625)
    given: list[Response] = []

    def is_there() -> bool:
        world.wait(0)  # raises when the server has ended
        given[:] = [answer for answer in answers(world) if answer.request_id == name]
        return bool(given)

    until(is_there, "an answer", 10.0)
    (answer,) = given
    assert (answer.reason, answer.output) == (Reason.PREFERRED, (0.625,))
    assert 0 < answer.slack_ms <= DEADLINE_MS
