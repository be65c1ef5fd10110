"""An endpoint's topics: what they must be, made where they are missing, checked before a service starts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rendezvous.log import LogError, Topic, configure_topic, create_topics, describe_topics, grow_topic
from rendezvous.planning import Create, Grow, Plan, Set, Step, plan
from rendezvous.settings import Endpoint

HOUR_MS = 3_600_000
FINDINGS_RETENTION_MS = 400 * 24 * HOUR_MS
"""A little more than a year, so that one can be held against the one before."""
KEPT = "-1"
"""For ever, in retention.ms. Control is small, and what it says is the sum of all that it ever said: a deployment that
was deleted would undo itself. Compacted it would keep one event of a kind, and say something else to each reader."""
REPLY_RETENTION_MS = HOUR_MS
"""An answer is worth nothing after its deadline; an hour is for whoever looks what went out."""

JOINED = ("requests", "scores", "decisions", "comparisons", "features")
"""Whoever owns partition p of one joins partition p of the others: their counts agree."""
CHECKED = ("message.timestamp.type", "cleanup.policy", "retention.ms", "min.insync.replicas")
FINDINGS = ("accuracy", "drift", "retrain")
SINGLE = ("control", *FINDINGS)
"""One partition, whatever the endpoint has: the order of their records is their meaning."""


def topics_of(endpoint: Endpoint) -> list[Topic]:
    """Every topic of an endpoint as it should be."""
    limits = endpoint.topics
    common = {"cleanup.policy": "delete", "retention.ms": str(limits.retention // 1_000)}
    if limits.min_insync is not None:
        common["min.insync.replicas"] = str(limits.min_insync)

    def topic(name: str, partitions: int = limits.partitions, **config: str) -> Topic:
        settings = common | {key.replace("_", "."): value for key, value in config.items()}
        return Topic(endpoint.topic(name), partitions, settings, replication=limits.replication)

    return [
        topic("requests", message_timestamp_type="LogAppendTime"),
        # by the broker's clock too: a take-over without our metadata finds its place in them by time
        topic("scores", message_timestamp_type="LogAppendTime"),
        topic("decisions", message_timestamp_type="LogAppendTime"),
        # what the monitor reads, it reads in the order of the broker's clock: the same order each time
        topic("comparisons", message_timestamp_type="LogAppendTime"),
        topic("responses", retention_ms=str(REPLY_RETENTION_MS)),
        topic("features", message_timestamp_type="LogAppendTime"),
        topic("labels", message_timestamp_type="LogAppendTime"),
        topic("dead-letters"),
        *(topic(name, 1, retention_ms=str(FINDINGS_RETENTION_MS)) for name in FINDINGS),
        topic("control", 1, retention_ms=KEPT, message_timestamp_type="LogAppendTime"),
    ]


def create(bootstrap: str, endpoint: Endpoint) -> None:
    """Create the endpoint's topics that are missing."""
    create_topics(bootstrap, topics_of(endpoint))


def planned(bootstrap: str, endpoint: Endpoint) -> Plan:
    """What has to be done on a cluster so that the endpoint's topics are as they should be."""
    wanted = topics_of(endpoint)
    found = describe_topics(bootstrap, [topic.name for topic in wanted], CHECKED)
    joined, single = (frozenset(endpoint.topic(name) for name in names) for names in (JOINED, SINGLE))
    return plan(wanted, found, joined, single)


def apply(bootstrap: str, steps: Sequence[Step]) -> Iterator[Step]:
    """Do it, and give each step when it is done.

    Raises:
        LogError: the broker refuses one; those before it are done.
    """
    for step in steps:
        match step:
            case Create():
                create_topics(bootstrap, [step.topic])
            case Grow():
                grow_topic(bootstrap, step.name, step.wanted)
            case Set():
                configure_topic(bootstrap, step.name, step.key, step.wanted)
        yield step


def check(bootstrap: str, endpoint: Endpoint) -> dict[str, Topic]:
    """The endpoint's topics as they are, by full name.

    Raises:
        LogError: one is missing, partition counts of the joined topics differ, requests does not use LogAppendTime,
            a topic is compacted, or control has more than one partition or does not keep what is on it.
    """
    wanted = topics_of(endpoint)
    found = describe_topics(bootstrap, [topic.name for topic in wanted], CHECKED)
    if missing := [topic.name for topic in wanted if topic.name not in found]:
        raise LogError(
            f"topics {missing} do not exist: create them with `rendezvous topics apply --endpoint {endpoint.name}`"
        )
    counts = {name: found[endpoint.topic(name)].partitions for name in JOINED}
    if len(set(counts.values())) > 1:
        raise LogError(f"{endpoint.name}: partition counts must agree, they are {counts}: recreate the odd ones")
    requests = found[endpoint.topic("requests")]
    if requests.config["message.timestamp.type"] != "LogAppendTime":
        raise LogError(
            f"{requests.name}: message.timestamp.type is {requests.config['message.timestamp.type']}, must be "
            "LogAppendTime: a deadline's budget starts at the broker's clock. Set it with kafka-configs --alter"
        )
    for topic in found.values():
        if "compact" in topic.config["cleanup.policy"]:
            raise LogError(f"{topic.name} is compacted: a data topic must use cleanup.policy=delete")
    _check_control(found[endpoint.topic("control")])
    return found


def _check_control(control: Topic) -> None:
    if control.partitions != 1:
        raise LogError(
            f"{control.name} has {control.partitions} partitions: its events have one order, recreate it with one"
        )
    if control.config["retention.ms"] != KEPT:
        raise LogError(
            f"{control.name}: retention.ms is {control.config['retention.ms']}, must be {KEPT}: what it says is the "
            "sum of all its events. Set it with kafka-configs --alter"
        )
