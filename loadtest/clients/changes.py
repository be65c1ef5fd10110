"""What is changed, one at a time: settings of rendezvous.log.roles, whose reasons stand there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from loadtest import raw
from loadtest.relay import Hop
from rendezvous.starting import CANDIDATE_GATHER_MS

NOTHING = "nothing"
"""The change that is none: how far its ratios are from one is what any other's mean nothing up to."""


def every(_: Hop) -> bool:
    """All relays."""
    return True


def gathers(hop: Hop) -> bool:
    """Those in the candidates' place."""
    return hop.gather_ms > 0


def fetches_at_once(hop: Hop) -> bool:
    """Those in the place of models that may answer, and of the server; what candidates wait for is a setting too."""
    return not gathers(hop)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One setting, or those that can only be changed together.

    role: whose, for the reader. consumer, producer: of the client's settings. hop: of the relay's own fields. to: which
    relays are changed.
    """

    name: str
    role: str
    consumer: Mapping[str, Any] = field(default_factory=dict)
    producer: Mapping[str, Any] = field(default_factory=dict)
    hop: Mapping[str, Any] = field(default_factory=dict)
    to: Callable[[Hop], bool] = every

    @property
    def changed(self) -> dict[str, Any]:
        """All that differs, by name."""
        return {**self.consumer, **self.producer, **self.hop}

    @property
    def as_is(self) -> dict[str, Any]:
        """The same as the services have it."""
        own = UNNAMED | raw.producer_settings("") | raw.member_settings("", "")
        return {name: own[name] for name in self.changed}

    def of(self, hop: Hop) -> Hop:
        """A relay with it."""
        if not self.to(hop):
            return hop
        return replace(hop, consumer=dict(self.consumer), producer=dict(self.producer), **self.hop)


UNNAMED: dict[str, Any] = {
    "check.crcs": False,
    "socket.send.buffer.bytes": 0,
    "socket.receive.buffer.bytes": 0,
    "max.in.flight.requests.per.connection": 5,  # what librdkafka makes of it with idempotence
    "gather_ms": CANDIDATE_GATHER_MS,
    "gc_frozen": True,
}
"""What roles.py leaves at librdkafka's default, and what is no setting of the client."""

NAGLE = {"socket.nagle.disable": False}
BUFFERS = {"socket.send.buffer.bytes": 1 << 20, "socket.receive.buffer.bytes": 1 << 20}

CHANGES = (
    Change(name=NOTHING, role="all"),
    Change(name="socket.nagle.disable", role="all", consumer=NAGLE, producer=NAGLE),
    Change(name="socket buffers", role="all", consumer=BUFFERS, producer=BUFFERS),
    Change(
        name="fetch.wait.max.ms",
        role="consumers that do not gather",
        consumer={"fetch.wait.max.ms": 500},
        to=fetches_at_once,
    ),
    Change(
        name="fetch.min.bytes",
        role="consumers that do not gather",
        consumer={"fetch.min.bytes": 1_000},
        to=fetches_at_once,
    ),
    Change(name="fetch.queue.backoff.ms", role="consumers", consumer={"fetch.queue.backoff.ms": 1_000}),
    Change(name="queued.min.messages", role="consumers", consumer={"queued.min.messages": 10_000}),
    Change(name="check.crcs", role="consumers", consumer={"check.crcs": True}),
    Change(name="isolation.level", role="consumers", consumer={"isolation.level": "read_committed"}),
    Change(name="gather", role="candidates' consumers", hop={"gather_ms": 0}, to=gathers),
    Change(name="linger.ms", role="producers", producer={"linger.ms": 5}),
    Change(name="enable.idempotence", role="producers", producer={"enable.idempotence": False}),
    # librdkafka refuses idempotence without all acknowledgements
    Change(name="acks", role="producers", producer={"acks": "1", "enable.idempotence": False}),
    Change(name="max.in.flight", role="producers", producer={"max.in.flight.requests.per.connection": 1}),
    Change(name="gc.freeze", role="processes", hop={"gc_frozen": False}),
)

SAFETY = "is about what is lost or done twice"
FAILOVER = "is about members that come and go: `failover`"
BACKLOG = "shows where much waits: `overload`, `server`"
BROKER_AWAY = "shows while a broker is away: `failover`"
EXACTLY_ONCE = "is of transactions, which the floor has none of: `server` and `failover` with `exactly_once`"

NOT_MEASURED: dict[str, str] = {
    "log_level": "decides what is said",
    "enable.auto.commit": SAFETY,
    "enable.auto.offset.store": SAFETY,
    "auto.offset.reset": SAFETY,
    "enable.partition.eof": "tells a relay, as a service, when it has caught up: without it nothing starts",
    "queued.max.messages.kbytes": BACKLOG,
    "queue.buffering.max.messages": BACKLOG,
    "queue.buffering.max.kbytes": BACKLOG,
    "reconnect.backoff.ms": "is of a client's first question: `failover`, how long a take-over takes",
    "reconnect.backoff.max.ms": BROKER_AWAY,
    "partition.assignment.strategy": FAILOVER,
    "session.timeout.ms": FAILOVER,
    "heartbeat.interval.ms": FAILOVER,
    "max.poll.interval.ms": FAILOVER,
    "partitioner": "decides where keys meet; relays name the partition",
    "delivery.timeout.ms": BROKER_AWAY,
    "retry.backoff.ms": EXACTLY_ONCE,
    "retry.backoff.max.ms": EXACTLY_ONCE,
    "transaction.timeout.ms": EXACTLY_ONCE,
}
"""Settings of roles.py whose effect cannot show on the floor, and what shows it instead."""
