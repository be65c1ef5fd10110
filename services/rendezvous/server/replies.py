"""Answers on their way to a reply topic: what they say, where they may go, and those whose topic is not known yet."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import Any, NamedTuple

import numpy as np

from rendezvous.envelope import CONTENT_TYPE
from rendezvous.log.records import Headers
from rendezvous.messages import DeadLetter, DeadLetterReason, Request
from rendezvous.server.outcomes import Verdicts
from rendezvous.server.outstanding import Address
from rendezvous.server.partition import Partition
from rendezvous.settings import Endpoint

PARK_US = 1_000_000
"""How long an answer waits to hear whether its topic is there: a cluster says so in milliseconds, and an application
with a usual deadline has given up by then."""
MAX_PARKED = 10_000
"""Answers that wait for that, all topics together: a second of 10,000 requests with a new topic each."""
PLACE_BYTES = 16
"""Of an answer's ce_id, about."""
NEVER_US, FOREVER_US = 0, 1 << 62
"""Times by which nothing, and everything, has waited too long."""


class Refusal(NamedTuple):
    """Why the server does not write to a reply topic."""

    detail: str


def some(verdicts: Verdicts, rows: Sequence[int]) -> Verdicts:
    """The verdicts on some of a tick's requests."""
    decisions, at = verdicts.decisions, np.array(rows, np.int64)
    columns = {field.name: getattr(decisions, field.name) for field in fields(decisions)}
    taken: dict[str, Any] = {name: column[at] for name, column in columns.items() if isinstance(column, np.ndarray)}
    requests = tuple(verdicts.requests[row] for row in rows)
    return Verdicts(replace(decisions, **taken), requests, verdicts.scheduled)


class Replies:
    """The reply topics of one endpoint: which are allowed, which are there, what goes into an answer's headers."""

    def __init__(self, endpoint: Endpoint, partitions: Callable[[str], int | None]) -> None:
        self._partitions = partitions
        self._requests_topic = endpoint.topic("requests")
        self._default = endpoint.topic("responses")
        self._allowed = (self._default, *endpoint.topics.reply_prefixes)
        names = ("requests", "scores", "labels", "decisions", "comparisons", "dead-letters", "control")
        self._internal = {endpoint.topic(name) for name in names}
        self._head = [
            ("ce_specversion", b"1.0"),
            ("ce_type", b"rendezvous.response"),
            ("ce_source", f"rendezvous/{endpoint.name}".encode()),
            ("content-type", CONTENT_TYPE),
        ]
        self._head_bytes = PLACE_BYTES + sum(len(value) for _, value in self._head)

    def topic(self, request: Request) -> str:
        """The topic that a request's answer is for."""
        return (request.reply.topic if request.reply else "") or self._default

    def address(self, request: Request) -> Address | Refusal | None:
        """Where an answer goes, or why it does not go there; None while the cluster has not said which."""
        topic, number = self.topic(request), request.reply.partition if request.reply else None
        if topic in self._internal or not topic.startswith(self._allowed):
            allowed = ", ".join(self._allowed)
            return Refusal(f"reply topic {topic!r} is not allowed; prefixes: {allowed} (topics.reply_prefixes)")
        partitions = self._partitions(topic)
        if partitions is None:
            return None
        if not partitions:
            return Refusal(f"reply topic {topic!r} does not exist")
        if number is not None and number >= partitions:
            return Refusal(f"reply topic {topic!r} has {partitions} partitions, the request asks for number {number}")
        return Address(topic, number)

    def headers(self, request: Request, partition: int) -> Headers:
        """An answer's headers: the application's correlation, then CloudEvents, named by the request's place."""
        return [
            ("kafka_correlationId", request.reply.correlation if request.reply else request.request_id.encode()),
            ("ce_id", b"%d-%d" % (partition, request.offset)),
            *self._head,
        ]

    def size(self, headers: Headers) -> int:
        """Bytes of an answer's headers, about: they count against what may be under way."""
        return len(headers[0][1]) + self._head_bytes

    def letter(self, request: Request, partition: int, now_us: int, refusal: Refusal) -> DeadLetter:
        """What is written about an answer of a partition that could not be given."""
        return DeadLetter(
            reason=DeadLetterReason.REPLY_REFUSED,
            detail=refusal.detail,
            topic=self._requests_topic,
            partition=partition,
            offset=request.offset,
            appended_us=request.appended_us,
            written_us=now_us,
            headers=(),
            key=None,
            value=b"",
            size_bytes=0,
        )


class Addressed(NamedTuple):
    """Verdicts that can leave: row i goes to addresses[i]."""

    partition: Partition
    verdicts: Verdicts
    addresses: Sequence[Address | Refusal]


class Parking:
    """Takes verdicts, gives them back once it is known where they go: most at once, in order for each topic.

    What waits for longer than PARK_US, or finds no room, comes back refused.
    """

    def __init__(self, replies: Replies) -> None:
        self._replies = replies
        self._waiting: dict[str, deque[tuple[Partition, Verdicts]]] = {}
        self.parked = 0

    def take(self, partition: Partition, verdicts: Verdicts) -> list[Addressed]:
        """What of a tick's verdicts can leave now."""
        addresses = self._addresses(verdicts.requests)
        if known := _all_known(addresses):
            return [Addressed(partition, verdicts, known)]
        unknown = [row for row, address in enumerate(addresses) if address is None]
        ready = {row: address for row, address in enumerate(addresses) if address is not None}
        room = MAX_PARKED - self.parked
        for row in unknown[:room]:
            topic = self._replies.topic(verdicts.requests[row])
            self._waiting.setdefault(topic, deque()).append((partition, some(verdicts, [row])))
        self.parked += len(unknown[:room])
        for row in unknown[room:]:
            ready[row] = Refusal(f"{self._unknown(verdicts.requests[row])}, and {MAX_PARKED} answers wait already")
        rows = sorted(ready)  # a decision's offsets increase
        return [Addressed(partition, some(verdicts, rows), [ready[row] for row in rows])] if rows else []

    def _addresses(self, requests: Sequence[Request]) -> list[Address | Refusal | None]:
        """Of each request; nearly all of a tick ask for the same."""
        found: dict[tuple[str, int | None] | None, Address | Refusal | None] = {}
        addresses = []
        for request in requests:
            reply = request.reply
            wanted = (reply.topic, reply.partition) if reply else None
            if wanted not in found:
                found[wanted] = self._address(request)
            addresses.append(found[wanted])
        return addresses

    def _address(self, request: Request) -> Address | Refusal | None:
        if self._waiting and self._replies.topic(request) in self._waiting:
            return None  # not before those that wait
        return self._replies.address(request)

    def _unknown(self, request: Request) -> str:
        return f"whether reply topic {self._replies.topic(request)!r} exists is not known"

    def due(self, now_us: int) -> list[Addressed]:
        """What need not wait any more."""
        return [found for topic in list(self._waiting) for found in self._due(topic, now_us)] if self._waiting else []

    def _due(self, topic: str, now_us: int) -> list[Addressed]:
        waiting, free = self._waiting[topic], []
        while waiting:
            partition, verdicts = waiting[0]
            (request,) = verdicts.requests
            address = self._replies.address(request)
            if address is None:
                if now_us - verdicts.decisions.decided_us < PARK_US:
                    break
                address = Refusal(f"{self._unknown(request)} after {PARK_US / 1e6:g} s")
            free.append(Addressed(partition, verdicts, [address]))
            waiting.popleft()
        self.parked -= len(free)
        if not waiting:
            del self._waiting[topic]
        return free

    def forget(self, partition: Partition) -> None:
        """A partition is gone: its successor answers."""
        for topic, waiting in list(self._waiting.items()):
            kept = deque(item for item in waiting if item[0] is not partition)
            self.parked -= len(waiting) - len(kept)
            self._waiting[topic] = kept
            if not kept:
                del self._waiting[topic]


def _all_known(addresses: Sequence[Address | Refusal | None]) -> list[Address | Refusal]:
    """The addresses, when there is none that is not known; empty otherwise."""
    known = [address for address in addresses if address is not None]
    return known if len(known) == len(addresses) else []
