"""An endpoint's topics: what they must be, made where they are missing, checked before a service starts."""

from __future__ import annotations

from rendezvous.log import LogError, Topic, create_topics, describe_topics
from rendezvous.settings import Endpoint

HOUR_MS = 3_600_000
DATA_RETENTION_MS = 7 * 24 * HOUR_MS
"""Requests, scores and decisions are what `replay` reads: a week, as is Kafka's own default."""
FINDINGS_RETENTION_MS = 400 * 24 * HOUR_MS
"""A little more than a year, so that one can be held against the one before."""
KEPT = "-1"
"""For ever, in retention.ms. Control is small, and what it says is the sum of all that it ever said: a deployment that
was deleted would undo itself. Compacted it would keep one event of a kind, and say something else to each reader."""
REPLY_RETENTION_MS = HOUR_MS
"""An answer is worth nothing after its deadline; an hour is for whoever looks what went out."""

JOINED = ("requests", "scores", "decisions", "comparisons", "features")
"""Whoever owns partition p of one joins partition p of the others: their counts agree."""
CHECKED = ("message.timestamp.type", "cleanup.policy", "retention.ms")
SINGLE = 1
"""Partitions, whatever the endpoint has: the order of control's events is their meaning."""


def topics_of(endpoint: Endpoint) -> list[Topic]:
    """Every topic of an endpoint as it should be."""

    def topic(name: str, **config: str) -> Topic:
        settings = {"cleanup.policy": "delete", "retention.ms": str(DATA_RETENTION_MS)}
        settings |= {key.replace("_", "."): value for key, value in config.items()}
        return Topic(endpoint.topic(name), endpoint.topics.partitions, settings)

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
        *(_single(endpoint.topic(name), str(FINDINGS_RETENTION_MS)) for name in ("accuracy", "drift", "retrain")),
        _single(endpoint.topic("control"), KEPT, message_timestamp_type="LogAppendTime"),
    ]


def _single(name: str, retention_ms: str, **config: str) -> Topic:
    """A topic whose records have one order."""
    settings = {"cleanup.policy": "delete", "retention.ms": retention_ms}
    return Topic(name, SINGLE, settings | {key.replace("_", "."): value for key, value in config.items()})


def create(bootstrap: str, endpoint: Endpoint) -> None:
    """Create the endpoint's topics that are missing."""
    create_topics(bootstrap, topics_of(endpoint))


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
            f"topics {missing} do not exist: create them with `rendezvous topics --endpoint {endpoint.name}`"
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
    if control.partitions != SINGLE:
        raise LogError(
            f"{control.name} has {control.partitions} partitions: its events have one order, recreate it with one"
        )
    if control.config["retention.ms"] != KEPT:
        raise LogError(
            f"{control.name}: retention.ms is {control.config['retention.ms']}, must be {KEPT}: what it says is the "
            "sum of all its events. Set it with kafka-configs --alter"
        )
