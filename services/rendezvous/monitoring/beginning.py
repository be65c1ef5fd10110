"""Where a monitor goes on: at the last checkpoint, or at the log's start when that cannot be gone on from."""

from __future__ import annotations

import contextlib
import logging
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from rendezvous.log import KafkaSource, LogError, Topic, bounds_of, describe_topics
from rendezvous.monitoring.checkpoint import Checkpoint
from rendezvous.monitoring.merging import Part, Place
from rendezvous.settings import Endpoint

INPUTS = ("control", "features", "comparisons", "labels")
"""In the order in which records of one millisecond are taken: who is champion, what was seen, said, and true."""

Committed = Callable[[str, Part], int]
"""How far a generation's group says that a partition was done."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Inputs:
    """The topics that a monitor reads, as they are."""

    ids: Mapping[str, str]
    parts: tuple[Part, ...]


def inputs_of(bootstrap: str, endpoint: Endpoint) -> Inputs:
    """Describe the topics that the monitor reads.

    Raises:
        LogError: one is missing, or does not go by the broker's clock.
    """
    names = [endpoint.topic(name) for name in INPUTS]
    found = describe_topics(bootstrap, names, ("message.timestamp.type",))
    if missing := [name for name in names if name not in found]:
        raise LogError(f"topics {missing} do not exist: create them: `rendezvous topics --endpoint {endpoint.name}`")
    for topic in found.values():
        _check_time(topic, endpoint)
    parts = tuple((name, number) for name in names for number in range(found[name].partitions))
    return Inputs({name: found[name].id for name in names}, parts)


def _check_time(topic: Topic, endpoint: Endpoint) -> None:
    kind = topic.config["message.timestamp.type"]
    if kind != "LogAppendTime":
        raise LogError(
            f"{topic.name}: message.timestamp.type is {kind}, must be LogAppendTime: the monitor reads its topics in "
            f"the order of the broker's clock. Set it with `rendezvous topics apply --endpoint {endpoint.name}`"
        )


def group_of(endpoint: Endpoint, generation: str) -> str:
    """The consumer group of a generation: another one begins to read at the start."""
    return f"{endpoint.name}.monitor.{generation}"


def usable(checkpoint: Checkpoint | None, inputs: Inputs, settings: str, committed: Committed) -> Checkpoint | None:
    """The checkpoint, if it can be gone on from; says why not.

    What the group of its generation has committed is never further than a checkpoint, unless that checkpoint was lost,
    and Redis has an older one.
    """
    if checkpoint is None:
        _logger.info("no checkpoint: the log is read from its start")
        return None
    fault = _fault_of(checkpoint, inputs, settings, committed)
    if fault:
        _logger.warning("the checkpoint cannot be gone on from, the log is read from its start: %s", fault)
        return None
    return checkpoint


def _fault_of(checkpoint: Checkpoint, inputs: Inputs, settings: str, committed: Committed) -> str:
    if checkpoint.topics != inputs.ids:
        changed = sorted(name for name, topic_id in inputs.ids.items() if checkpoint.topics.get(name) != topic_id)
        return f"{', '.join(changed)}: made anew since"
    if checkpoint.settings != settings:
        return "[monitoring] of endpoint.toml, or the endpoint's output, has changed since"
    for part in inputs.parts:
        done = committed(checkpoint.generation, part)
        place = checkpoint.places.get(part, Place(0, 0))
        if done > place.offset:
            return f"it is older than what was done: {part[0]}-{part[1]} stands at {place.offset}, was done to {done}"
    return ""


@contextlib.contextmanager
def committed_in(bootstrap: str, endpoint: Endpoint) -> Iterator[Committed]:
    """Asks for what a generation's group has committed, within the block."""
    sources: dict[str, KafkaSource] = {}

    def committed(generation: str, part: Part) -> int:
        if generation not in sources:
            sources[generation] = KafkaSource(bootstrap, group_of(endpoint, generation))
        found = sources[generation].committed(*part)
        return 0 if found is None else found.offset

    try:
        yield committed
    finally:
        for source in sources.values():
            source.close()


def say_what_is_missing(bootstrap: str, inputs: Inputs, places: Mapping[Part, Place]) -> None:
    """Records that the broker has removed before they were read are missing for good."""
    for topic in inputs.ids:
        for number, (low, _) in bounds_of(bootstrap, topic).items():
            place = places.get((topic, number))
            if place is not None and low > place.offset:
                _logger.warning(
                    "%s-%d: the broker has removed %d..%d, which this monitor has not read: raise the retention",
                    *(topic, number, place.offset, low - 1),
                )


def new_generation() -> str:
    """A name that no other generation has."""
    return uuid.uuid4().hex[:12]
