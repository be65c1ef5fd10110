"""A reply topic that takes nothing, beside one that does, on a real broker."""

from __future__ import annotations

import time
import uuid

import numpy as np
import pytest
from confluent_kafka.admin import AdminClient

from endpoints import endpoint, plan_of
from homes import until
from rendezvous.local.stack import Addresses
from rendezvous.log import KafkaReader, KafkaSink, KafkaSource, Start, Topic, create_topics, read_to_end, roles
from rendezvous.log.records import TIMED_OUT
from rendezvous.messages import DeadLetter, ReplyAddress, Request, Response
from rendezvous.server.partition import Partition, Takeover
from rendezvous.server.publishing import Publisher
from rendezvous.wire import decode

pytestmark = pytest.mark.kafka

GIVEN_UP_MS = 3_000
"""`delivery.timeout.ms` in these tests; 30 s are long."""
EVERY_S = 0.01
QUIET_S = 2.0
"""Without the dead topic, for comparison."""
SECONDS = QUIET_S + 7.0
"""Twice GIVEN_UP_MS and more: dead records are given up, again and again, while the living are answered."""


def test_a_dead_reply_topic_stalls_no_other(stack: Addresses, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers to a topic that never acknowledges end as dead letters; those beside them are as fast as ever.

    On one node the leader of a single partition cannot die alone. What looks the same to a producer: the topic is
    deleted after it learnt of it. Each record is refused, tried again, and given up after the delivery timeout.
    """
    monkeypatch.setitem(roles.PRODUCER, "delivery.timeout.ms", GIVEN_UP_MS)
    tests = endpoint(f"t-{uuid.uuid4().hex[:10]}", topics={"reply_prefixes": ["replies."]})
    dead, good = (f"replies.{tests.name}.{name}" for name in ("dead", "good"))
    create_topics(stack.kafka, [Topic(dead, 1, {}), Topic(good, 1, {})])
    create_topics(stack.kafka, [Topic(tests.topic(name), 1, {}) for name in ("decisions", "dead-letters")])
    plan = plan_of(tests)
    partition = Partition(plan, 0, Takeover(0, 0, 0, 0, 0, {}))
    answers = KafkaSink(stack.kafka, room_s=0, known=dict.fromkeys((dead, good), 1))
    for topic in (dead, good):
        answers.send(topic, b"so that the producer knows it", partition=0)
    assert answers.flush(10.0) == 0
    admin = AdminClient({"bootstrap.servers": stack.kafka})
    admin.delete_topics([dead])[dead].result(10.0)
    publisher = Publisher(
        tests,
        KafkaSource(stack.kafka, f"{tests.name}.server"),
        answers,
        KafkaSink(stack.kafka, linger_ms=20),
        lambda _: None,
        "topic-id",
    )
    reader = KafkaReader(stack.kafka, [Start(good, 0, 1)])
    begun, asked, latencies_ms, offset = time.monotonic(), dict[int, float](), dict[int, float](), 0

    before, lost = list[int](), list[int]()

    def turn(now_us: int) -> None:
        for verdicts in partition.tick(now_us):
            publisher.answer(partition, verdicts)
        publisher.turn({}, now_us)
        for record in reader.poll(100, 0.001):
            answered = decode(record.value, Response).offset
            latencies_ms[answered] = (time.monotonic() - asked[answered]) * 1e3

    while time.monotonic() - begun < SECONDS:
        now_us = time.time_ns() // 1_000
        quiet = time.monotonic() - begun < QUIET_S
        for topic in (good, good) if quiet else (dead, good):
            reply = ReplyAddress(topic, 0, b"c")
            asked[offset] = time.monotonic()
            request = Request(offset, now_us, now_us + 900_000, f"r{offset}", reply, "too_large")
            partition.request(request, now_us)
            if topic == dead:
                lost.append(offset)
            elif quiet:
                before.append(offset)
            offset += 1
        turn(now_us)
        time.sleep(EVERY_S)

    def idle() -> bool:
        turn(time.time_ns() // 1_000)
        return publisher.undelivered == 0

    until(idle, "every answer has a fate")
    reader.close()
    alone = np.median([latencies_ms[answered] for answered in before])
    beside = np.median([latencies_ms[answered] for answered in latencies_ms if answered > before[-1]])
    letters = [decode(r.value, DeadLetter) for r in read_to_end(stack.kafka, tests.topic("dead-letters"), 0, 0)]
    assert len(latencies_ms) == offset - len(lost)
    assert sorted(letter.offset for letter in letters) == lost
    assert all(dead in letter.detail for letter in letters)
    waited = sum(TIMED_OUT in letter.detail for letter in letters)
    assert 0 < waited < len(letters), "some were sent before the topic was known to be gone, later ones were not"
    assert beside < 1.5 * alone + 5, f"{beside:.1f} ms beside a dead topic, {alone:.1f} ms before"
    assert max(latencies_ms.values()) < GIVEN_UP_MS / 3
