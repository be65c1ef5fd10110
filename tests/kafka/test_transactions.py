"""Transactions on Apache Kafka: a predecessor that wakes up, whatever fails in the thread, what never comes back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator

import pytest
from confluent_kafka import Producer

from homes import until
from rendezvous.local.stack import Addresses
from rendezvous.log import (
    Bundle,
    KafkaSource,
    KafkaTransactor,
    LogError,
    Outcome,
    Outgoing,
    Start,
    Topic,
    create_topics,
    read_to_end,
    transactions,
)

pytestmark = pytest.mark.kafka

SLEEPER = """
import sys, time
from rendezvous.log import Bundle, KafkaSource, KafkaTransactor, Outgoing, Start
kafka, topic = sys.argv[1:]
transactor = KafkaTransactor(kafka, topic, KafkaSource(kafka, topic))
while True:
    transactor.hand_over(Bundle([Outgoing(topic, 0, bytes(5_000))] * 2_000, Start(topic, 0, 0), ""))
    while (outcome := transactor.outcome()) is None:
        time.sleep(0.0005)
    print(outcome.lost or "done", flush=True)
    if outcome.lost:
        time.sleep(60)
"""
"""A process that commits bundle after bundle, until it is told that it is lost; then it stays, as a server does. The
bundles are large, so that it is stopped while records are on their way."""


def new_topic(stack: Addresses) -> str:
    """A topic of the test's own, with one partition."""
    name = f"transactions-{uuid.uuid4().hex[:12]}"
    create_topics(stack.kafka, [Topic(name, 1, {})])
    return name


@pytest.fixture
def topic(stack: Addresses) -> str:
    """One for a test that needs no more."""
    return new_topic(stack)


@pytest.fixture
def source(stack: Addresses, topic: str) -> Iterator[KafkaSource]:
    """Whose positions are committed."""
    source = KafkaSource(stack.kafka, topic)
    yield source
    source.close()


def bundle(topic: str, value: bytes) -> Bundle:
    """One record."""
    return Bundle([Outgoing(topic, 0, value)], Start(topic, 0, 0), "")


def outcome_of(transactor: KafkaTransactor) -> Outcome:
    """Wait for it."""
    found: list[Outcome] = []

    def told() -> bool:
        found.extend(outcome for outcome in [transactor.outcome()] if outcome is not None)
        return bool(found)

    until(told, "the outcome")
    return found[0]


@pytest.fixture
def sleeper(stack: Addresses) -> Iterator[Callable[[str], tuple[str, subprocess.Popen[str]]]]:
    """Starts the process, whose transactional id is its topic's name."""
    begun: list[subprocess.Popen[str]] = []

    def begin(topic: str) -> tuple[str, subprocess.Popen[str]]:
        command = [sys.executable, "-c", SLEEPER, stack.kafka, topic]
        begun.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))  # noqa: S603 - ours
        return topic, begun[-1]

    yield begin
    for process in begun:
        process.kill()
        process.communicate()


def said(process: subprocess.Popen[str]) -> str:
    """Its next line."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.parametrize("asleep_s", [0.0, 9.0])
def test_a_sleeper_that_wakes_up_disturbs_nobody(
    asleep_s: float, stack: Addresses, sleeper: Callable[[str], tuple[str, subprocess.Popen[str]]]
) -> None:
    """Wherever in a bundle it was stopped: what its successor has open is committed, and it says that it is lost.

    After 8 seconds its records have timed out, and nobody has told it of a successor yet.
    """
    processes = [sleeper(new_topic(stack)) for _ in range(4)]
    for number, (_, process) in enumerate(processes):
        assert said(process) == "done"
        time.sleep(0.02 * number)
        os.kill(process.pid, signal.SIGSTOP)
    time.sleep(asleep_s)
    for topic, process in processes:
        successor = Producer({"bootstrap.servers": stack.kafka, "transactional.id": topic})
        successor.init_transactions(30.0)
        successor.begin_transaction()
        successor.produce(topic, b"successor", partition=0)
        assert successor.flush(10.0) == 0
        os.kill(process.pid, signal.SIGCONT)
        while (word := said(process)) == "done":  # bundles that were done before it was stopped
            pass
        assert word
        time.sleep(0.5)  # for what its threads might still say
        successor.produce(topic, b"successor", partition=0)
        successor.commit_transaction(30.0)
        values = [record.value for record in read_to_end(stack.kafka, topic, 0, 0)]
        assert values[-2:] == [b"successor"] * 2


def test_a_predecessor_is_lost_at_its_next_bundle(stack: Addresses, topic: str, source: KafkaSource) -> None:
    """And its successor's are committed."""
    old = KafkaTransactor(stack.kafka, topic, source)
    old.hand_over(bundle(topic, b"old"))
    assert outcome_of(old).done
    new = KafkaTransactor(stack.kafka, topic, source)
    old.hand_over(bundle(topic, b"never"))
    assert outcome_of(old).lost
    new.hand_over(bundle(topic, b"new"))
    assert outcome_of(new).done
    assert [record.value for record in read_to_end(stack.kafka, topic, 0, 0)] == [b"old", b"new"]


def test_whatever_fails_is_told(stack: Addresses, topic: str, source: KafkaSource) -> None:
    """An error that nobody thought of, here a value of a wrong type, does not end the thread in silence."""
    transactor = KafkaTransactor(stack.kafka, topic, source)
    transactor.hand_over(bundle(topic, 5))  # type: ignore[arg-type]
    assert "TypeError" in outcome_of(transactor).lost


def test_a_bundle_that_never_comes_back_is_lost(
    stack: Addresses, topic: str, source: KafkaSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its partition is taken over again; too many of them stop the process, with a word that says what to do."""
    monkeypatch.setattr(transactions, "STUCK_S", 0.0)
    monkeypatch.setattr(transactions, "MOST_STUCK", 1)
    never = threading.Event()
    stuck = threading.Thread(target=never.wait, daemon=True)
    stuck.start()
    given_up: list[tuple[threading.Thread, float]] = []
    monkeypatch.setattr(transactions, "_given_up", given_up)
    transactors = [KafkaTransactor(stack.kafka, f"{topic}-{number}", source) for number in range(2)]
    assert all(transactor.outcome() is None for transactor in transactors)
    for transactor in transactors:
        transactor.hand_over(bundle(topic, b"x"))
    outcome = transactors[0].outcome()
    assert outcome is not None
    assert "nothing became of a bundle" in outcome.lost
    given_up.append((stuck, time.monotonic() - 2 * transactions.ENDS_S))
    with pytest.raises(LogError, match=f"transactions of {topic}-1: nothing became of a bundle in .*1 before never"):
        transactors[1].outcome()
    never.set()


def test_what_is_open_is_read_apart(topic: str, stack: Addresses) -> None:
    """`read` leaves it out, `read_open` has it alone; once it is over it is the other way about."""
    source = KafkaSource(stack.kafka, topic)
    producer = Producer({"bootstrap.servers": stack.kafka, "transactional.id": topic})
    producer.init_transactions(10)
    for value, is_over in ((b"one", True), (b"two", False)):
        producer.begin_transaction()
        producer.produce(topic, value, partition=0)
        producer.flush(10)
        if is_over:
            producer.commit_transaction(10)
    assert [record.value for record in source.read(topic, 0, 0)] == [b"one"]
    assert [record.value for record in source.read_open(topic, 0, 0)] == [b"two"]
    producer.abort_transaction(10)
    assert [record.value for record in source.read(topic, 0, 0)] == [b"one"]
    assert list(source.read_open(topic, 0, 0)) == []
    source.close()
