"""Topics: create, describe, and prove that a cluster works."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
)

from rendezvous.log.reading import read_to_end
from rendezvous.log.records import LogError, Topic
from rendezvous.log.roles import ADMIN_TIMEOUT_S
from rendezvous.log.sink import KafkaSink

LOOK_EVERY_S = 0.01
"""Between two looks for a topic that was created a moment ago."""


def _admin(bootstrap: str) -> AdminClient:
    """An admin client of a cluster that answers.

    Raises:
        LogError: it does not.
    """
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    try:
        admin.list_topics(timeout=ADMIN_TIMEOUT_S)
    except KafkaException as error:
        raise LogError(
            f"Kafka at {bootstrap} does not answer ({error.args[0].str()}): is it the right address? "
            "`rendezvous up` starts one on this machine"
        ) from error
    return admin


def create_topics(bootstrap: str, topics: Sequence[Topic]) -> None:
    """Create what is not there; what is there is left as it is.

    Raises:
        LogError: naming the topic and the broker's reason.
    """
    admin = _admin(bootstrap)
    wanted = [
        NewTopic(
            topic.name,
            num_partitions=topic.partitions,
            replication_factor=topic.replication,
            config=dict(topic.config),
        )
        for topic in topics
    ]
    for name, future in admin.create_topics(wanted, request_timeout=ADMIN_TIMEOUT_S).items():
        try:
            future.result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise LogError(f"creating topic {name}: {error.args[0].str()}") from error
    _await_topics(bootstrap, [topic.name for topic in topics])


def _await_topics(bootstrap: str, names: Sequence[str]) -> None:
    """A broker hears of what the controller has made some milliseconds later, and denies it until then."""
    deadline = time.monotonic() + ADMIN_TIMEOUT_S
    while missing := set(names) - describe_topics(bootstrap, names, []).keys():
        if time.monotonic() > deadline:
            raise LogError(f"topics {sorted(missing)} were created, and are not there after {ADMIN_TIMEOUT_S:.0f} s")
        time.sleep(LOOK_EVERY_S)


def describe_topics(bootstrap: str, names: Sequence[str], configs: Sequence[str]) -> dict[str, Topic]:
    """The topics among `names` that exist, each with its id and the named configs."""
    admin = _admin(bootstrap)
    found: dict[str, Topic] = {}
    described = admin.describe_topics(TopicCollection(list(names)), request_timeout=ADMIN_TIMEOUT_S)
    for name, future in described.items():
        try:
            topic = future.result()
        except KafkaException as error:
            if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                continue
            raise LogError(f"describing topic {name}: {error.args[0].str()}") from error
        replicas = len(topic.partitions[0].replicas)
        found[name] = Topic(name, len(topic.partitions), {}, str(topic.topic_id), replicas)
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in found]
    if resources and configs:
        answers = admin.describe_configs(resources, request_timeout=ADMIN_TIMEOUT_S)
        for resource, future in answers.items():
            entries = future.result()
            topic = found[resource.name]
            values = {key: str(entries[key].value) for key in configs if key in entries}
            found[resource.name] = Topic(topic.name, topic.partitions, values, topic.id, topic.replication)
    return found


def grow_topic(bootstrap: str, name: str, partitions: int) -> None:
    """Give a topic more partitions.

    Raises:
        LogError: naming the topic and the broker's reason.
    """
    wanted = [NewPartitions(name, partitions)]
    admin = _admin(bootstrap)  # kept while it is asked: without its client a question has no answer
    (future,) = admin.create_partitions(wanted, request_timeout=ADMIN_TIMEOUT_S).values()
    try:
        future.result()
    except KafkaException as error:
        raise LogError(f"growing topic {name} to {partitions} partitions: {error.args[0].str()}") from error


def configure_topic(bootstrap: str, name: str, key: str, value: str) -> None:
    """Set one of a topic's configs; the others stay as they are.

    Raises:
        LogError: naming the topic, the config and the broker's reason.
    """
    entry = ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, name, incremental_configs=[entry])
    admin = _admin(bootstrap)
    (future,) = admin.incremental_alter_configs([resource], request_timeout=ADMIN_TIMEOUT_S).values()
    try:
        future.result()
    except KafkaException as error:
        raise LogError(f"topic {name}: {key}={value}: {error.args[0].str()}") from error


def probe(bootstrap: str, timeout_s: float) -> None:
    """Prove that a cluster works: a record goes in and comes out of a throw-away topic.

    Raises:
        LogError: what did not work, within about `timeout_s` seconds.
    """
    deadline = time.monotonic() + timeout_s
    name = f"rendezvous.probe.{uuid.uuid4().hex[:12]}"
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0, "socket.timeout.ms": 5_000})
    try:
        admin.list_topics(timeout=timeout_s)
        for future in admin.create_topics([NewTopic(name, num_partitions=1)], request_timeout=timeout_s).values():
            future.result()
        sink = KafkaSink(bootstrap)
        sink.send(name, b"in and out", partition=0)
        if sink.flush(max(0.1, deadline - time.monotonic())):
            raise LogError(f"{bootstrap}: a record could not be delivered within {timeout_s:.0f} s")
        if [record.value for record in read_to_end(bootstrap, name, 0, 0)] != [b"in and out"]:
            raise LogError(f"{bootstrap}: the record that went in did not come out")
        for future in admin.delete_topics([name], request_timeout=ADMIN_TIMEOUT_S).values():
            future.result()
    except KafkaException as error:
        raise LogError(f"{bootstrap}: {error.args[0].str()}") from error
