"""An endpoint's topics on a real broker: made, checked, refused with a reason, and not mixed up when made anew."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Mapping

import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from endpoints import endpoint, genesis
from homes import until
from rendezvous.local.stack import Addresses
from rendezvous.log import Committed, KafkaSink, KafkaSource, LogError, Topic, bounds_of, create_topics
from rendezvous.messages import Decisions, Reason
from rendezvous.server.ledger import Resume
from rendezvous.settings import Endpoint
from rendezvous.topics import SINGLE, apply, check, create, planned, topics_of
from rendezvous.wire import encode
from worlds import KafkaWorld, answers, ask, kafka_server, say, seen

pytestmark = pytest.mark.kafka


@pytest.fixture
def fresh() -> Endpoint:
    """An endpoint of the test's own, of two partitions, without topics."""
    return endpoint(f"topics-{uuid.uuid4().hex[:10]}", topics={"partitions": 2})


def make(stack: Addresses, wanted: Endpoint, changed: str, partitions: int = 2, **config: str) -> None:
    """Create the endpoint's topics, one of them otherwise."""
    name = wanted.topic(changed)
    settings: Mapping[str, str] = {key.replace("_", "."): value for key, value in config.items()}
    create_topics(
        stack.kafka,
        [
            Topic(name, partitions, {**topic.config, **settings}) if topic.name == name else topic
            for topic in topics_of(wanted)
        ],
    )


def test_created_topics_pass_the_check(stack: Addresses, fresh: Endpoint) -> None:
    """What is created passes; it is there with its partitions and an id; creating again changes nothing."""
    create(stack.kafka, fresh)
    found = check(stack.kafka, fresh)
    assert found.keys() == {topic.name for topic in topics_of(fresh)}
    counts = {name.rpartition(".")[2]: topic.partitions for name, topic in found.items()}
    assert {counts.pop(name) for name in SINGLE} == {1}
    assert set(counts.values()) == {2}
    assert len({topic.id for topic in found.values()}) == len(found)
    assert found[fresh.topic("requests")].config["message.timestamp.type"] == "LogAppendTime"
    create(stack.kafka, fresh)
    assert check(stack.kafka, fresh) == found


def test_topics_become_as_the_document_says(stack: Addresses, fresh: Endpoint) -> None:
    """Made where they are missing, grown, their settings put right; then there is nothing left to do."""
    make(stack, fresh, "requests", message_timestamp_type="CreateTime")
    grown = endpoint(fresh.name, topics={"partitions": 3, "retention": "30d"})
    plan = planned(stack.kafka, grown)
    assert not plan.refusals
    assert list(apply(stack.kafka, plan.steps)) == list(plan.steps)
    until(lambda: planned(stack.kafka, grown).steps == (), "nothing left to do")
    found = check(stack.kafka, grown)
    assert found[grown.topic("requests")].partitions == 3
    assert found[grown.topic("requests")].config["message.timestamp.type"] == "LogAppendTime"


def test_a_missing_topic_is_made_and_the_others_stay(stack: Addresses, fresh: Endpoint) -> None:
    """Only what is missing is named, and created."""
    create_topics(stack.kafka, [topic for topic in topics_of(fresh) if not topic.name.endswith(".labels")])
    with pytest.raises(LogError) as caught:
        check(stack.kafka, fresh)
    assert str(caught.value) == (
        f"topics ['{fresh.topic('labels')}'] do not exist: create them with "
        f"`rendezvous topics apply --endpoint {fresh.name}`"
    )
    create(stack.kafka, fresh)
    check(stack.kafka, fresh)


@pytest.mark.parametrize("topic", ["requests", "scores", "decisions", "comparisons", "features"])
def test_partitions_must_agree(topic: str, stack: Addresses, fresh: Endpoint) -> None:
    """Each of the joined topics must have as many partitions as the others."""
    make(stack, fresh, topic, partitions=3)
    with pytest.raises(LogError, match=rf"{fresh.name}: partition counts must agree, .*'{topic}': 3.*: recreate"):
        check(stack.kafka, fresh)


@pytest.mark.parametrize("topic", ["responses", "labels", "dead-letters"])
def test_other_topics_may_have_more_partitions(topic: str, stack: Addresses, fresh: Endpoint) -> None:
    """What is not joined may be cut as its readers like."""
    make(stack, fresh, topic, partitions=3)
    assert check(stack.kafka, fresh)[fresh.topic(topic)].partitions == 3


def test_requests_must_bear_the_brokers_time(stack: Addresses, fresh: Endpoint) -> None:
    """A deadline's budget cannot start at the application's clock."""
    make(stack, fresh, "requests", message_timestamp_type="CreateTime")
    with pytest.raises(
        LogError,
        match=rf"{fresh.name}\.requests: message.timestamp.type is CreateTime, must be LogAppendTime: .*--alter",
    ):
        check(stack.kafka, fresh)


@pytest.mark.parametrize("policy", ["compact", "compact,delete"])
@pytest.mark.parametrize("topic", ["requests", "decisions", "control"])
def test_data_is_never_compacted(topic: str, policy: str, stack: Addresses, fresh: Endpoint) -> None:
    """A compacted topic would lose records by their key."""
    make(stack, fresh, topic, partitions=1 if topic == "control" else 2, cleanup_policy=policy)
    with pytest.raises(LogError, match=rf"{fresh.name}\.{topic} is compacted: .* must use cleanup.policy=delete"):
        check(stack.kafka, fresh)


def test_control_has_one_order(stack: Addresses, fresh: Endpoint) -> None:
    """Two partitions would have two."""
    make(stack, fresh, "control")
    with pytest.raises(LogError, match=rf"{fresh.name}\.control has 2 partitions: .* recreate it with one"):
        check(stack.kafka, fresh)


def test_control_is_kept(stack: Addresses, fresh: Endpoint) -> None:
    """A deployment that the broker deletes after a week would undo itself."""
    make(stack, fresh, "control", partitions=1, retention_ms="604800000")
    with pytest.raises(LogError, match=rf"{fresh.name}\.control: retention.ms is 604800000, must be -1: .*--alter"):
        check(stack.kafka, fresh)


def test_a_topic_that_cannot_be(stack: Addresses) -> None:
    """The broker's reason is in the message."""
    with pytest.raises(LogError, match="creating topic a b: "):
        create_topics(stack.kafka, [Topic("a b", 1, {})])


# ----------------------------------------------------------------------------------------------------------- made anew


def make_anew(stack: Addresses, topic: Topic) -> None:
    """Delete a topic and create it again, as a person would who wants to start over."""
    admin = AdminClient({"bootstrap.servers": stack.kafka})
    for future in admin.delete_topics([topic.name]).values():
        future.result(10.0)

    def made() -> bool:
        """Whether the deletion is through, and the new topic there."""
        new = NewTopic(topic.name, num_partitions=topic.partitions, config=dict(topic.config))
        (future,) = admin.create_topics([new]).values()
        try:
            future.result(10.0)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise
            return False
        return True

    def empty() -> bool:
        """Whether the broker means the new topic too: until then it may take records for the old one."""
        with contextlib.suppress(LogError):
            return set(bounds_of(stack.kafka, topic.name).values()) == {(0, 0)}
        return False

    until(made, f"{topic.name} is made anew")
    until(empty, f"{topic.name} is empty")


def test_a_commit_for_another_topic_stops_the_server(stack: Addresses, fresh: Endpoint) -> None:
    """A server whose group committed for the topic that once had this name stops with a word."""
    create(stack.kafka, fresh)
    requests = fresh.topic("requests")
    sink = KafkaSink(stack.kafka)
    for event in genesis(fresh):
        sink.send(fresh.topic("control"), encode(event), partition=0)
    sink.flush(10)
    source = KafkaSource(stack.kafka, f"{fresh.name}.server")
    for number in range(2):
        source.commit(requests, number, Committed(0, Resume(0, 0, "the id before").text()), wait=True)
    service = kafka_server(stack.kafka, fresh, source)

    def turns() -> None:
        for _ in range(1_000):  # until it has joined
            service.turn()

    try:
        with pytest.raises(LogError) as caught:
            turns()
    finally:
        source.close()
    assert str(caught.value).startswith(f"{requests} is another topic (id ")
    assert "(id the id before): offsets no longer name the same requests. Delete the group" in str(caught.value)


def test_requests_made_anew_are_answered(stack: Addresses) -> None:
    """Old decisions about the same offsets do not pass for decisions about the requests of a topic made anew.

    The broker forgets a group's positions with the topic, so that no id is left to compare.
    """
    world = KafkaWorld(stack.kafka)
    world.start()
    say(world, "champion", [ask(world, "before")], 0.7)
    until(lambda: seen(world, "decisions", Decisions), "it is decided")
    world.stop()
    assert [answer.request_id for answer in answers(world)] == ["before"]
    (requests,) = (topic for topic in topics_of(world.endpoint) if topic.name == world.endpoint.topic("requests"))
    make_anew(stack, requests)
    assert ask(world, "after", deadline_ms=2_000) == 0
    source = KafkaSource(stack.kafka, f"{world.endpoint.name}.server")
    service = kafka_server(stack.kafka, world.endpoint, source)
    try:
        end = time.monotonic() + 4.0  # twice the deadline: whatever is to be answered has been
        while time.monotonic() < end and len(answers(world)) == 1:
            service.turn()
    finally:
        service.stop()
    assert [(answer.request_id, answer.reason) for answer in answers(world)[1:]] == [("after", Reason.DEFAULT)]
