"""Topics as code: what has to be done so that an endpoint's topics are as its document says. Pure.

Nothing is ever deleted, and nothing that would break the join is done: counts of the joined topics only grow, and those
of requests last, so that whatever is said about a request has its partition already.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rendezvous.log.records import Topic

REQUESTS = "requests"
RETENTION = "retention.ms"
KEPT = -1
"""For ever, in retention.ms."""


class Create(NamedTuple):
    """A topic that is missing."""

    topic: Topic


class Grow(NamedTuple):
    """A topic that has fewer partitions than wanted."""

    name: str
    now: int
    wanted: int


class Set(NamedTuple):
    """A configuration that is not as wanted."""

    name: str
    key: str
    now: str
    wanted: str


Step = Create | Grow | Set


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do, in this order; why nothing may be done; what a person should know."""

    steps: tuple[Step, ...]
    refusals: tuple[str, ...]
    notes: tuple[str, ...]


def plan(wanted: Sequence[Topic], found: Mapping[str, Topic], joined: frozenset[str], single: frozenset[str]) -> Plan:
    """What is to be done for the `wanted` topics, of which `found` are there.

    joined: names of the topics whose partitions are joined with those of requests; single: of those whose records have
    one order.
    """
    steps = [step for topic in wanted for step in _steps(topic, found.get(topic.name))]
    steps.sort(key=_last)
    refusals = []
    for topic in wanted:
        if there := found.get(topic.name):
            if topic.name in single and there.partitions > 1:
                refusals.append(
                    f"{topic.name} has {there.partitions} partitions: its records have one order, recreate it with one"
                )
            if topic.name in joined:
                refusals += _too_many(topic, there)
            refusals += _too_short(topic, there)
    notes = [
        f"{step.name}: from {step.now} to {step.wanted} partitions: from then on requests of a key may be on "
        "another one than before"
        for step in steps
        if isinstance(step, Grow) and step.name.endswith(f".{REQUESTS}")
    ]
    notes += [
        f"{topic.name} has {there.replication} replicas, {topic.replication} are wanted: move it with "
        "kafka-reassign-partitions"
        for topic in wanted
        if (there := found.get(topic.name)) and topic.replication > 0 and there.replication != topic.replication
    ]
    return Plan(tuple(steps), tuple(refusals), tuple(notes))


def _last(step: Step) -> bool:
    """Requests get their partitions when everything else is ready."""
    match step:
        case Create():
            return step.topic.name.endswith(f".{REQUESTS}")
        case Grow():
            return step.name.endswith(f".{REQUESTS}")
        case Set():
            return False


def _steps(topic: Topic, there: Topic | None) -> Iterator[Step]:
    if there is None:
        yield Create(topic)
        return
    for key, value in topic.config.items():
        if there.config.get(key) != value:
            yield Set(topic.name, key, there.config.get(key, "the broker's default"), value)
    if there.partitions < topic.partitions:
        yield Grow(topic.name, there.partitions, topic.partitions)


def _too_many(topic: Topic, there: Topic) -> Iterator[str]:
    if there.partitions > topic.partitions:
        yield (
            f"{topic.name} has {there.partitions} partitions, topics.partitions is {topic.partitions}: Kafka never "
            f"takes one away; set topics.partitions = {there.partitions}"
        )


def _too_short(topic: Topic, there: Topic) -> Iterator[str]:
    kept, wanted = (_retention(of.config.get(RETENTION)) for of in (there, topic))
    if wanted is not None and kept is not None and wanted < kept:
        yield (
            f"{topic.name}: {RETENTION} is {there.config[RETENTION]}, {topic.config[RETENTION]} would delete what is "
            "there: shorten it with kafka-configs if that is meant"
        )


def _retention(text: str | None) -> float | None:
    if text is None:
        return None
    return float("inf") if int(text) == KEPT else int(text)


def told(step: Step) -> str:
    """A step in a line."""
    match step:
        case Create():
            settings = ", ".join(f"{key}={value}" for key, value in step.topic.config.items())
            return f"create {step.topic.name}: {step.topic.partitions} partitions, {settings}"
        case Grow():
            return f"grow   {step.name}: {step.now} -> {step.wanted} partitions"
        case Set():
            return f"set    {step.name}: {step.key} {step.now} -> {step.wanted}"
