"""The log's promises on Apache Kafka: what tests/memory_log.py also keeps, and what only a real broker can break."""

from __future__ import annotations

import contextlib
import itertools
import socket
import struct
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Sequence

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from homes import until
from rendezvous.local.stack import Addresses
from rendezvous.log import (
    END,
    Committed,
    KafkaReader,
    KafkaSink,
    KafkaSource,
    LogError,
    Record,
    Start,
    Topic,
    create_topics,
    last_records,
    read_to_end,
    roles,
    starts_at_end,
)

pytestmark = pytest.mark.kafka


def new_topic(stack: Addresses, partitions: int = 1, **config: str) -> str:
    """A topic of the test's own."""
    name = f"log-{uuid.uuid4().hex[:12]}"
    create_topics(stack.kafka, [Topic(name, partitions, {key.replace("_", "."): config[key] for key in config})])
    return name


def put(stack: Addresses, topic: str, values: Sequence[bytes], partition: int = 0) -> list[int]:
    """Write values to one partition; returns their offsets, once they are there."""
    sink, offsets = KafkaSink(stack.kafka), list[int]()
    for value in values:
        sink.send(topic, value, partition=partition, delivered=lambda _, offset: offsets.append(offset))
    assert sink.flush(10.0) == 0
    return offsets


class Reads:
    """An owner that reads requests[p], and what it is joined with, from the beginning; it notes what it is told."""

    def __init__(self, topic: str, joined: str = "") -> None:
        self._topics = [name for name in (topic, joined) if name]
        self.owned: set[int] = set()
        self.lost = False
        self.revoked_times = 0

    def assigned(self, partitions: Sequence[int]) -> list[Start]:
        """See `Owner.assigned`."""
        assert not self.owned & set(partitions)
        self.owned |= set(partitions)
        return [Start(topic, number, 0) for number in partitions for topic in self._topics]

    def revoked(self, partitions: Sequence[int], *, lost: bool) -> list[tuple[str, int]]:
        """See `Owner.revoked`."""
        assert self.owned >= set(partitions)
        self.owned -= set(partitions)
        self.lost |= lost
        self.revoked_times += 1
        return [(topic, number) for number in partitions for topic in self._topics]


@contextlib.contextmanager
def member(stack: Addresses, topic: str, owner: Reads, group: str = "", gather_ms: int = 0) -> Iterator[KafkaSource]:
    """A member of a group of the test's own, which leaves at the end."""
    source = KafkaSource(stack.kafka, group or f"{topic}.group", gather_ms=gather_ms)
    source.subscribe(topic, owner)
    try:
        yield source
    finally:
        source.close()


@pytest.fixture
def alone(stack: Addresses) -> Iterator[KafkaSource]:
    """A source that has joined nothing: positions can be asked for and committed all the same."""
    source = KafkaSource(stack.kafka, f"log-{uuid.uuid4().hex[:12]}")
    yield source
    source.close()


def take(source: KafkaSource, count: int) -> list[Record]:
    """Poll until so many records have come."""
    found: list[Record] = []

    def enough() -> bool:
        found.extend(source.poll(1_000, 0.1))
        return len(found) >= count

    until(enough, f"{count} records")
    return found


# ------------------------------------------------------------------------------------------------------ reading as one


def test_a_poll_takes_what_waits(stack: Addresses) -> None:
    """A poll returns when something is there, takes at most what was asked for, and does not wait to fill."""
    topic = new_topic(stack)
    put(stack, topic, [b"first"])
    with member(stack, topic, Reads(topic)) as source:
        take(source, 1)
        put(stack, topic, [b"%d" % number for number in range(10)])
        started, sizes = time.monotonic(), list[int]()
        while sum(sizes) < 10:
            sizes.append(len(source.poll(4, 20.0)))
        assert time.monotonic() - started < 10.0
        assert 0 < max(sizes) <= 4
        assert source.poll(4, 0.0) == []


def test_a_member_that_is_detached_reads_on_while_another_takes_over(stack: Addresses) -> None:
    """It goes on from where it was, nothing left out; its partitions are given to whoever is in the group."""
    topic = new_topic(stack)
    put(stack, topic, [b"%d" % number for number in range(3)])
    left, joined = Reads(topic), Reads(topic)
    with contextlib.ExitStack() as members:
        leaving = members.enter_context(member(stack, topic, left))
        assert [record.offset for record in take(leaving, 3)] == [0, 1, 2]
        following = members.enter_context(member(stack, topic, joined))  # only now: whoever is first is assigned
        leaving.detach()
        until(lambda: leaving.poll(10, 0.1) == [] and not left.owned, "revoked")
        put(stack, topic, [b"more"])
        assert [record.offset for record in take(leaving, 1)] == [3]
        assert [record.offset for record in take(following, 4)] == [0, 1, 2, 3]
        assert joined.owned == {0}
        put(stack, topic, [b"for both"])
        assert [record.offset for record in take(leaving, 1)] == [4]


def test_a_detached_member_that_has_read_nothing_is_closed_in_order(stack: Addresses) -> None:
    """Also before it was told that its partitions are gone."""
    topic = new_topic(stack)
    owner = Reads(topic)
    with member(stack, topic, owner) as source:
        until(lambda: source.poll(10, 0.1) == [] and owner.owned == {0}, "assigned")
        source.detach()
    assert not owner.owned


def test_an_end_is_noted(stack: Addresses) -> None:
    """Once everything has been read the position of the end is known; it moves on with the log."""
    topic = new_topic(stack)
    put(stack, topic, [b"a", b"b"])
    with member(stack, topic, Reads(topic)) as source:
        assert [record.offset for record in take(source, 2)] == [0, 1]
        until(lambda: source.poll(10, 0.1) == [] and source.ends() == {(topic, 0): 2}, "the end at 2")
        put(stack, topic, [b"c"])
        take(source, 1)
        until(lambda: source.poll(10, 0.1) == [] and source.ends() == {(topic, 0): 3}, "the end at 3")


def test_a_record_arrives_as_it_was_sent(stack: Addresses) -> None:
    """Key, value, headers in their order, place and the broker's time come back as one plain tuple."""
    topic = new_topic(stack, 2, message_timestamp_type="LogAppendTime")
    before_ms = time.time() * 1e3 - 1_000
    sink = KafkaSink(stack.kafka)
    sink.send(topic, b"value", partition=1, key=b"key", headers=[("b", b"2"), ("a", b"1"), ("b", b"")])
    assert sink.flush(10.0) == 0
    (record,) = read_to_end(stack.kafka, topic, 1, 0)
    assert (record.topic, record.partition, record.offset, record.key, record.value) == (topic, 1, 0, b"key", b"value")
    assert list(record.headers) == [("b", b"2"), ("a", b"1"), ("b", b"")]
    assert before_ms < record.timestamp_ms < time.time() * 1e3 + 1_000


def test_gathering_takes_more_at_once(stack: Addresses) -> None:
    """A member that gathers is given a trickle of records in fewer, larger portions than one that does not."""
    topic = new_topic(stack)
    put(stack, topic, [b"first"])
    polls = {0: 0, 300: 0}

    def read(gather_ms: int) -> None:
        with member(stack, topic, Reads(topic), f"{topic}.{gather_ms}", gather_ms) as source:
            take(source, 1)
            joined.wait()
            left = 60
            while left:
                records = source.poll(1_000, 20.0)
                left -= len(records)
                polls[gather_ms] += bool(records)

    joined = threading.Barrier(3, timeout=20.0)
    readers = [threading.Thread(target=read, args=(gather_ms,)) for gather_ms in polls]
    for reader in readers:
        reader.start()
    joined.wait()
    sink = KafkaSink(stack.kafka)
    for number in range(60):
        sink.send(topic, b"%d" % number, partition=0)
        assert sink.flush(10.0) == 0
        time.sleep(0.02)  # a trickle
    for reader in readers:
        reader.join(30.0)
        assert not reader.is_alive()
    assert 0 < polls[300] < polls[0] / 2


# ---------------------------------------------------------------------------------------------------------- positions


@pytest.mark.parametrize("wait", [True, False])
def test_a_commit_comes_back_with_its_metadata(wait: bool, stack: Addresses, alone: KafkaSource) -> None:  # noqa: FBT001 - a parameter of the test
    """Offset and metadata come back as committed, to this group alone."""
    topic = new_topic(stack, 2)
    put(stack, topic, [b"a", b"b"], 1)
    assert alone.committed(topic, 1) is None
    committed = Committed(2, '{"scores":7,"topic":"ünïcode"}')
    alone.commit(topic, 1, committed, wait=wait)
    until(lambda: alone.committed(topic, 1) == committed, "the commit is known")
    assert alone.committed(topic, 0) is None
    other = KafkaSource(stack.kafka, f"{topic}.other")
    assert other.committed(topic, 1) is None
    other.close()


def test_bounds(stack: Addresses, alone: KafkaSource) -> None:
    """The first offset that is still there, and the position after the last."""
    topic = new_topic(stack)
    assert alone.bounds(topic, 0) == (0, 0)
    put(stack, topic, [b"a", b"b", b"c"])
    assert alone.bounds(topic, 0) == (0, 3)
    admin = AdminClient({"bootstrap.servers": stack.kafka})  # its futures end with it
    for future in admin.delete_records([TopicPartition(topic, 0, 2)]).values():
        future.result(10.0)
    assert alone.bounds(topic, 0) == (2, 3)


def test_a_position_by_time(stack: Addresses, alone: KafkaSource) -> None:
    """The first record at or after a time; the end when all are older."""
    topic = new_topic(stack)
    producer, now_ms = Producer({"bootstrap.servers": stack.kafka}), int(time.time() * 1e3)
    for age_ms in (3_000, 2_000, 1_000):
        producer.produce(topic, b"x", partition=0, timestamp=now_ms - age_ms)
    assert producer.flush(10.0) == 0
    asked = (now_ms - 9_000, now_ms - 3_000, now_ms - 2_999, now_ms - 1_000, now_ms)
    assert [alone.position_at(topic, 0, when_ms) for when_ms in asked] == [0, 0, 1, 2, 3]


def test_a_member_ceases_to_read_and_begins_again(stack: Addresses) -> None:
    """What it has not polled by then is dropped; it begins at the end, or anywhere, and stays a member meanwhile."""
    topic = new_topic(stack, 2)
    put(stack, topic, [b"a"])
    owner = Reads(topic)
    with member(stack, topic, owner) as source:
        take(source, 1)
        source.cease([(topic, 0), (topic, 1), (topic, 7)])
        put(stack, topic, [b"b", b"c"])
        assert [source.poll(10, 0.1) for _ in range(5)] == [[]] * 5
        source.reread([Start(topic, 0, END)])
        until(lambda: source.poll(10, 0.1) == [] and (topic, 0) in source.ends(), "the end")
        assert source.ends()[topic, 0] == 3
        put(stack, topic, [b"d"])
        assert [record.value for record in take(source, 1)] == [b"d"]
        source.reread([Start(topic, 0, 1)])
        assert [record.value for record in take(source, 3)] == [b"b", b"c", b"d"]
        assert owner.owned == {0, 1}


def test_a_member_knows_the_end_without_asking(stack: Addresses) -> None:
    """As the last fetch told it, however little of that was polled."""
    topic = new_topic(stack)
    put(stack, topic, [b"%d" % number for number in range(50)])
    with member(stack, topic, Reads(topic)) as source:
        until(lambda: len(source.poll(1, 0.1)) == 1, "a record")
        assert source.end(topic, 0) == 50
        source.reread([Start(topic, 0, 48)])
        assert [record.offset for record in take(source, 2)] == [48, 49]


def test_another_position_is_read_beside(stack: Addresses) -> None:
    """Whatever the member reads meanwhile; what transactions aborted too, as members do."""
    topic = new_topic(stack)
    put(stack, topic, [b"a", b"b"])
    transactions(stack, topic, "aborted")
    with member(stack, topic, Reads(topic)) as source:
        take(source, 4)
        reader = source.beside(topic, 0, 1)
        found: list[bytes] = []

        def ended() -> bool:
            found.extend(record.value for record in reader.poll(1, 0.1))
            return (topic, 0) in reader.ends()

        until(ended, "the end")
        reader.close()
        assert found == [b"b", b"aborted-0", b"aborted-1"]
        put(stack, topic, [b"c"])
        assert [record.value for record in take(source, 1)] == [b"c"]


def test_starts(stack: Addresses) -> None:
    """Every partition of a topic at its end, and at its first record."""
    topic = new_topic(stack, 2)
    put(stack, topic, [b"a", b"b"], 1)
    assert starts_at_end(stack.kafka, topic) == [Start(topic, 0, 0), Start(topic, 1, 2)]
    reader = KafkaReader(stack.kafka, [Start(topic, 0, 0), Start(topic, 1, 0)])
    found: list[bytes] = []

    def both_ended() -> bool:
        found.extend(record.value for record in reader.poll(10, 0.1))
        return len(reader.ended) == 2

    until(both_ended, "both ends")
    reader.close()
    assert found == [b"a", b"b"]


@contextlib.contextmanager
def busy(stack: Addresses, topic: str) -> Iterator[None]:
    """Somebody who writes to partition 0 every few milliseconds, so that no fetch finds nothing."""
    sink, done = KafkaSink(stack.kafka), threading.Event()

    def write() -> None:
        while not done.wait(0.005):
            sink.send(topic, b"news", partition=0)
            sink.serve()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        sink.flush(10.0)


@pytest.mark.parametrize("last", [False, True])
def test_reading_ends_although_others_go_on_writing(last: bool, stack: Addresses) -> None:  # noqa: FBT001 - a parameter of the test
    """At the end as it was at the beginning: the broker never says that there is nothing more."""
    topic = new_topic(stack)
    with busy(stack, topic):
        until(lambda: starts_at_end(stack.kafka, topic)[0].offset > 50, "there is something to read")
        begun = time.monotonic()
        end = starts_at_end(stack.kafka, topic)[0].offset
        reading = last_records(stack.kafka, topic, 10) if last else read_to_end(stack.kafka, topic, 0, 0)
        records = list(itertools.islice(reading, 2_000))  # ten seconds' worth
        assert time.monotonic() - begun < 5.0
    offsets = [record.offset for record in records]
    assert offsets == list(range(offsets[0], offsets[-1] + 1))
    assert offsets[-1] >= end - 1
    assert offsets[0] >= end - 10 if last else offsets[0] == 0


def test_the_last_records(stack: Addresses) -> None:
    """Of each partition, as many as it has; none of an empty one, and none of an empty topic."""
    topic = new_topic(stack, partitions=3)
    assert list(last_records(stack.kafka, topic, 5)) == []
    put(stack, topic, [b"%d" % number for number in range(9)], partition=0)
    put(stack, topic, [b"a", b"b"], partition=2)
    found = sorted((record.partition, record.value) for record in last_records(stack.kafka, topic, 5))
    assert found == [(0, b"4"), (0, b"5"), (0, b"6"), (0, b"7"), (0, b"8"), (2, b"a"), (2, b"b")]


def test_a_topic_that_is_not_there(stack: Addresses) -> None:
    """Its end cannot be read from, and the message says what creates it."""
    name = f"log-{uuid.uuid4().hex[:12]}"
    with pytest.raises(LogError, match=rf"topic {name}: .*Create it: rendezvous topics apply"):
        starts_at_end(stack.kafka, name)


# -------------------------------------------------------------------------------------------------------- transactions


def transactions(stack: Addresses, topic: str, *fates: str) -> Producer:
    """Two records a transaction, which is then committed, aborted, or left open."""
    producer = Producer({"bootstrap.servers": stack.kafka, "transactional.id": f"{topic}-{uuid.uuid4().hex[:6]}"})
    producer.init_transactions(30.0)
    for fate in fates:
        producer.begin_transaction()
        for number in range(2):
            producer.produce(topic, f"{fate}-{number}".encode(), partition=0)
        producer.flush(10.0)
        if fate == "committed":
            producer.commit_transaction(30.0)
        elif fate == "aborted":
            producer.abort_transaction(30.0)
    return producer


def test_reading_leaves_out_what_was_aborted(stack: Addresses, alone: KafkaSource) -> None:
    """Reading to the end gives committed records only, over gaps in the offsets, and ends after an abort."""
    topic = new_topic(stack)
    transactions(stack, topic, "committed", "aborted", "committed", "aborted")
    assert alone.bounds(topic, 0) == (0, 12)  # each transaction ends with a marker
    found = [(record.offset, record.value) for record in alone.read(topic, 0, 0)]
    assert found == [(0, b"committed-0"), (1, b"committed-1"), (6, b"committed-0"), (7, b"committed-1")]
    assert list(alone.read(topic, 0, 8)) == []
    assert list(alone.read(topic, 0, 12)) == []


def test_a_member_sees_what_was_aborted(stack: Addresses) -> None:
    """A member reads uncommitted records too, and its end lies after the markers."""
    topic = new_topic(stack)
    transactions(stack, topic, "committed", "aborted")
    with member(stack, topic, Reads(topic)) as source:
        assert [record.offset for record in take(source, 4)] == [0, 1, 3, 4]
        until(lambda: source.poll(10, 0.1) == [] and source.ends() == {(topic, 0): 6}, "the end at 6")


def test_an_open_transaction_holds_up_members_not_at_all(stack: Addresses, alone: KafkaSource) -> None:
    """Before an open transaction a reader ends, and does not wait for it; a member reads on."""
    topic = new_topic(stack)
    producer = transactions(stack, topic, "committed", "open")
    put(stack, topic, [b"after"])
    assert [record.offset for record in alone.read(topic, 0, 0)] == [0, 1]
    with member(stack, topic, Reads(topic)) as source:
        assert [record.offset for record in take(source, 5)] == [0, 1, 3, 4, 5]
    producer.abort_transaction(30.0)


# ---------------------------------------------------------------------------------------------------------- rebalances


def test_members_share_and_hand_over(stack: Addresses) -> None:
    """Two members split the partitions; what is joined follows; who leaves is replaced at once, and nothing is lost."""
    requests, scores = new_topic(stack, 2), new_topic(stack, 2)
    first, second = Reads(requests, scores), Reads(requests, scores)
    with member(stack, requests, first, requests) as one:
        until(lambda: one.poll(10, 0.05) == [] and first.owned == {0, 1}, "the first has both")
        two = KafkaSource(stack.kafka, requests)
        two.subscribe(requests, second)

        def shared() -> bool:
            one.poll(10, 0.05)
            two.poll(10, 0.05)
            return {len(first.owned), len(second.owned)} == {1}

        until(shared, "one each")
        assert first.owned | second.owned == {0, 1}
        for topic in (requests, scores):
            for number in (0, 1):
                put(stack, topic, [f"{topic}-{number}".encode()], number)
        for source, owner in ((one, first), (two, second)):
            (number,) = owner.owned
            assert {(r.topic, r.partition) for r in take(source, 2)} == {(requests, number), (scores, number)}
        two.close()
        assert second.owned == set()
        started = time.monotonic()
        until(lambda: one.poll(10, 0.05) is not None and first.owned == {0, 1}, "the first has both again")
        assert time.monotonic() - started < 5.0  # the session, six seconds, is for the dead
    assert (first.owned, first.lost, second.lost) == (set(), False, False)


def test_a_member_without_partitions_leaves_at_once(stack: Addresses) -> None:
    """One that stops between the two rounds of a join leaves nothing unowned for the length of its session."""
    topic = new_topic(stack, 2)
    first, second = Reads(topic), Reads(topic)
    with member(stack, topic, first, topic) as one:
        until(lambda: one.poll(10, 0.05) == [] and first.owned == {0, 1}, "the first has both")
        two = KafkaSource(stack.kafka, topic)
        two.subscribe(topic, second)

        def half_way() -> bool:
            one.poll(10, 0.01)
            two.poll(10, 0.01)
            return len(first.owned) == 1

        until(half_way, "the first has given one away")
        assert second.owned == set()
        two.close()
        started = time.monotonic()
        until(lambda: one.poll(10, 0.05) is not None and first.owned == {0, 1}, "the first has both again")
        assert time.monotonic() - started < 4.0  # a session is six
    assert (first.owned, first.lost, first.revoked_times, second.revoked_times) == (set(), False, 2, 0)


# ----------------------------------------------------------------------------------------------------------- producing


def test_a_failed_delivery_is_reported(stack: Addresses) -> None:
    """What the broker refuses is reported with its reason, and what follows it is delivered."""
    topic = new_topic(stack, max_message_bytes="1000")
    sink, reports = KafkaSink(stack.kafka), list[tuple[str | None, int]]()
    sink.send(topic, bytes(5_000), partition=0, delivered=lambda error, offset: reports.append((error, offset)))
    assert sink.flush(10.0) == 0
    sink.send(topic, b"small", partition=0, delivered=lambda error, offset: reports.append((error, offset)))
    assert sink.flush(10.0) == 0
    ((error, offset), good) = reports
    assert error is not None
    assert "size" in error.lower()
    assert (offset, good) == (-1, (None, 0))


def test_what_cannot_be_sent_is_said_at_once(stack: Addresses) -> None:
    """A record larger than any topic takes, or for a partition that is known not to be there, raises."""
    topic = new_topic(stack)
    sink = KafkaSink(stack.kafka)
    sink.send(topic, b"x", partition=0)
    assert sink.flush(10.0) == 0
    with pytest.raises(LogError, match=f"producing to {topic}: .*partition"):
        sink.send(topic, b"x", partition=1)
    with pytest.raises(LogError, match=f"producing to {topic}: .*size"):
        sink.send(topic, bytes(2_000_000), partition=0)


def test_the_fate_of_a_parcel_is_told_once(stack: Addresses) -> None:
    """When all is known: nothing, or what went wrong with which record, even among those that are equal."""
    small, whole = new_topic(stack, max_message_bytes="1000"), new_topic(stack)
    sink, told = KafkaSink(stack.kafka), list[dict[int, str]]()

    def fate(topic: str, values: Sequence[bytes], partition: int = 0) -> dict[int, str]:
        parcel = [(value, [("number", b"%d" % place)]) for place, value in enumerate(values)]
        sink.send_all(topic, parcel, partition=partition, delivered=lambda failed: told.append(dict(failed)))
        assert sink.flush(10.0) == 0
        (found,) = told
        told.clear()
        return found

    assert fate(whole, [b"x", b"x", b"y"]) == {}
    here = fate(whole, [b"x", bytes(2_000_000), b"x"])
    there = fate(small, [bytes(5_000), bytes(5_000)])
    nowhere = fate(whole, [b"x", b"x"], 1)
    assert [set(failed) for failed in (here, there, nowhere)] == [{1}, {0, 1}, {0, 1}]
    assert all("size" in error.lower() for failed in (here, there) for error in failed.values())
    assert all("partition" in error for error in nowhere.values())
    written = [(record.value, list(record.headers)) for record in read_to_end(stack.kafka, whole, 0, 0)]
    numbers = [(b"x", b"0"), (b"x", b"1"), (b"y", b"2"), (b"x", b"0"), (b"x", b"2")]
    assert written == [(value, [("number", number)]) for value, number in numbers]


def test_partitions(stack: Addresses) -> None:
    """How many a topic has, 0 for one that is not there or cannot be; nobody waits to hear it."""
    topic = new_topic(stack, 3)
    sink = KafkaSink(stack.kafka, known={f"{topic}.told": 7})
    assert sink.partitions(f"{topic}.told") == 7
    assert sink.partitions(f"{topic} / no") == 0
    names = (topic, f"{topic}.no", "..")
    started_s = time.monotonic()
    assert [sink.partitions(name) for name in names] == [None, None, None]
    assert time.monotonic() - started_s < 0.05
    until(lambda: [sink.partitions(name) for name in names] == [3, 0, 0], "the cluster has said")


def test_a_full_queue_is_said(stack: Addresses, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever must not stand still is told at once that there is no room; others wait for it, and find it."""
    monkeypatch.setitem(roles.PRODUCER, "queue.buffering.max.messages", 10)
    topic = new_topic(stack)
    hasty = KafkaSink(stack.kafka, linger_ms=200, room_s=0)
    for _ in range(10):
        hasty.send(topic, b"x", partition=0)
    with pytest.raises(LogError, match=f"producing to {topic}: 10 records fill"):
        hasty.send(topic, b"x", partition=0)
    told: list[dict[int, str]] = []
    hasty.send_all(topic, [(b"x", [])], partition=0, delivered=lambda failed: told.append(dict(failed)))
    assert told == [{0: "10 records fill the producer's queue"}]
    patient = KafkaSink(stack.kafka, linger_ms=200)
    for _ in range(25):
        patient.send(topic, b"x", partition=0)
    assert (hasty.flush(10.0), patient.flush(10.0)) == (0, 0)
    assert len(list(read_to_end(stack.kafka, topic, 0, 0))) == 35


# ----------------------------------------------------------------------------------------------- what others have put


def test_hostile_headers_stop_no_reader(stack: Addresses) -> None:
    """Empty names, values that are null or binary, a hundred of one name, a null value and key: all are read."""
    topic = new_topic(stack)
    producer = Producer({"bootstrap.servers": stack.kafka})
    producer.produce(topic, None, partition=0, headers=[("", b""), ("", None), ("null", None), ("binary", b"\xff\x00")])
    producer.produce(topic, b"", key=b"", partition=0, headers=[("same", b"%d" % number) for number in range(100)])
    producer.produce(topic, b"good", partition=0)
    assert producer.flush(10.0) == 0
    with member(stack, topic, Reads(topic)) as source:
        null, many, good = take(source, 3)
    assert (null.key, null.value) == (None, b"")
    assert list(null.headers) == [("", b""), ("", b""), ("null", b""), ("binary", b"\xff\x00")]
    assert (many.key, many.value, list(many.headers)[-1]) == (b"", b"", ("same", b"99"))
    assert (good.value, list(good.headers)) == (b"good", [])


READ = """
import sys
from rendezvous.log import read_to_end
print([[r.offset, len(list(r.headers))] for r in read_to_end(sys.argv[1], sys.argv[2], 0, 0) if r.value != b"warm"])
"""


def test_names_that_are_no_text_stop_no_reader(stack: Addresses) -> None:
    """A header's name that is no UTF-8, which only a client of one's own can write, costs a record its headers alone.

    Read in a process of its own, and after many others: what CPython learns of a call once decided between an
    exception and a segmentation fault.
    """
    topic = new_topic(stack)
    put(stack, topic, [b"warm"] * 200)
    for _ in range(3):
        assert produce_raw(stack.kafka, topic, [(b"ce_id", b"1"), (b"\xff\xfe", b"x")]) == 0
    assert produce_raw(stack.kafka, topic, [(b"ce_id", b"1")]) == 0
    read = subprocess.run(  # noqa: S603 - ours
        [sys.executable, "-c", READ, stack.kafka, topic], capture_output=True, text=True, timeout=30, check=False
    )
    assert (read.returncode, read.stdout.strip()) == (0, "[[200, 0], [201, 0], [202, 0], [203, 1]]"), read.stderr


@pytest.mark.parametrize(("suffix", "partition", "start"), [("", 0, 50), ("", 7, 0), (".no", 0, 0)])
def test_reading_what_is_not_there_raises(suffix: str, partition: int, start: int, stack: Addresses) -> None:
    """A reader of a position, partition or topic that is not there fails with a word instead of waiting for ever."""
    topic = new_topic(stack)
    put(stack, topic, [b"a"])
    said: list[str] = []

    def read() -> None:
        try:
            list(read_to_end(stack.kafka, topic + suffix, partition, start))
        except LogError as error:
            said.append(str(error))

    reading = threading.Thread(target=read, daemon=True)
    reading.start()
    reading.join(5.0)
    (message,) = said
    assert f" {topic}{suffix}-{partition}: " in message


def _varint(number: int) -> bytes:
    """Zigzag, base 128, as in a record."""
    number = (number << 1) ^ (number >> 63)
    said = bytearray()
    while number > 127:
        said.append(number & 127 | 128)
        number >>= 7
    said.append(number)
    return bytes(said)


def _crc32c(data: bytes) -> int:
    """Castagnoli's, bit by bit."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def produce_raw(bootstrap: str, topic: str, headers: Sequence[tuple[bytes, bytes]]) -> int:
    """Produce one record (value `raw`) to partition 0 with a Produce request, version 3, made by hand.

    librdkafka takes header names as text only. Returns the broker's error code.
    """
    record = b"\0" + _varint(0) + _varint(0) + _varint(-1) + _varint(3) + b"raw" + _varint(len(headers))
    for name, value in headers:
        record += _varint(len(name)) + name + _varint(len(value)) + value
    now_ms = int(time.time() * 1e3)
    body = struct.pack(">hiqqqhii", 0, 0, now_ms, now_ms, -1, -1, -1, 1) + _varint(len(record)) + record
    batch = struct.pack(">iBI", -1, 2, _crc32c(body)) + body
    batch = struct.pack(">qi", 0, len(batch)) + batch
    name = topic.encode()
    request = struct.pack(">hhihhhi", 0, 3, 1, -1, -1, -1, 10_000)
    request += struct.pack(">ih", 1, len(name)) + name + struct.pack(">iii", 1, 0, len(batch)) + batch
    host, _, port = bootstrap.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=10.0) as connection:
        connection.sendall(struct.pack(">i", len(request)) + request)
        with connection.makefile("rb") as answer:
            said = answer.read(struct.unpack(">i", answer.read(4))[0])
    (code,) = struct.unpack_from(">h", said, 4 + 4 + 2 + len(name) + 4 + 4)
    return int(code)
