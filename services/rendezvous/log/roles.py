"""Settings of the Kafka clients, by role, with the reason beside each."""

from __future__ import annotations

from typing import Any

ADMIN_TIMEOUT_S = 15.0
"""How long a question to the cluster may take; a healthy broker answers in milliseconds."""

SESSION_MS = 6_000
"""How long a member that is not heard of keeps its partitions."""

COMMON: dict[str, Any] = {
    "socket.nagle.disable": True,  # small records would wait 40 ms for company
    # doubles up to here with each attempt, ten seconds by default: who answers nobody while its broker is away must not
    # be the last to hear that it is back
    "reconnect.backoff.max.ms": 500,
    "log_level": 2,  # errors reach error_cb; librdkafka would say each twenty times a second
}

CONSUMER: dict[str, Any] = COMMON | {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "enable.partition.eof": True,
    "auto.offset.reset": "error",  # every start is given on purpose
    "fetch.min.bytes": 1,
    "fetch.wait.max.ms": 100,  # bounds how long a newly assigned partition waits for the fetch under way
    "fetch.queue.backoff.ms": 2,  # defaults to a second in which a full queue is not looked at again
    "queued.min.messages": 10_000,
    "queued.max.messages.kbytes": 16_384,
}

MEMBER: dict[str, Any] = CONSUMER | {
    "partition.assignment.strategy": "cooperative-sticky",
    "session.timeout.ms": SESSION_MS,
    "heartbeat.interval.ms": 200,  # a member hears of a rebalance at its next heartbeat: until then nobody answers
    "max.poll.interval.ms": 60_000,
    # a fetch when the last one's records are taken, not beside them: who works in turns takes them all at once, and on
    # two full cores a fetch for each record cost a third of the median (400/s: 15 and 30 ms, 9 and 12 with this)
    "queued.min.messages": 1,
    "isolation.level": "read_uncommitted",  # an application's open transaction must not stall everybody
}

AT_ONCE: dict[str, Any] = {
    # a new client's first question waits for half of it: .06 s where .02 will do; a take-over makes up to four of them
    "reconnect.backoff.ms": 10,
}
"""Of clients that a take-over makes. Others have the default: an idempotent producer that meets its broker so soon may
wait half a second for its id, and its first record with it (once in a hundred)."""

READER: dict[str, Any] = CONSUMER | AT_ONCE | {"isolation.level": "read_committed"}
READER_OF_ALL: dict[str, Any] = CONSUMER | AT_ONCE | {"isolation.level": "read_uncommitted"}

TO_THE_END: dict[str, Any] = {
    # that nothing more is there a broker says when this is over: a take-over would wait for it once for each topic
    "fetch.wait.max.ms": 5,
}
"""Beside a reader's own, for who reads to an end and stops."""

PRODUCER: dict[str, Any] = COMMON | {
    "acks": "all",
    "enable.idempotence": True,
    "partitioner": "murmur2_random",  # as the Java client does, so that keys meet on the same partition
    "delivery.timeout.ms": 30_000,  # outlives a broker's restart
    "queue.buffering.max.messages": 200_000,
    "queue.buffering.max.kbytes": 262_144,
}

TRANSACTOR: dict[str, Any] = PRODUCER | {
    **AT_ONCE,
    "linger.ms": 0,  # a bundle is company enough
    # a transaction that follows another at once is refused until the markers of that one are written, some
    # milliseconds; waits for 100 ms otherwise, and doubles from here: a bundle took 107 ms, and takes 7
    "retry.backoff.ms": 1,
    "retry.backoff.max.ms": 10,
    # what a dead process leaves open hides every later answer from its readers until this is over, or until its
    # successor is there; that takes SESSION_MS
    "transaction.timeout.ms": 10_000,
    "delivery.timeout.ms": 8_000,  # a record that cannot be written aborts its transaction before the broker does
}
