"""One relay of the floor, a process of its own: `python -m loadtest.relay HOP`, HOP as JSON.

A `scorer` hands on, as one record, the numbers of all requests that are waiting, as a scorer does with its scores. The
`server` answers each number when it sees it first. A record is as long as the one that it stands for; nothing in it
but the numbers means anything, and nothing is decoded.
"""

from __future__ import annotations

import gc
import json
import signal
import struct
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from types import FrameType
from typing import Any

from loadtest import raw
from rendezvous.client import CORRELATION_BYTES
from rendezvous.envelope import CONTENT_TYPE

NUMBER = struct.Struct(">q")
"""A request's number: the first bytes of its correlation id."""
CORRELATION = "kafka_correlationId"
READY = "ready"
"""What a relay prints when it has met the ends of its partitions."""
REPLY_PARTITION = 0
"""The driver reads one partition, as a Client does."""
IDLE_S = 0.05
"""The longest wait for a record, as in the services."""
READY_S = 30.0
"""From joining the group to the ends of the partitions: a second on a machine with nothing else to do."""

_COUNT = struct.Struct(">i")
_REST = bytes(CORRELATION_BYTES - NUMBER.size)


@dataclass(frozen=True, slots=True)
class Hop:
    """What a relay reads and writes.

    Its records are head_bytes + row_bytes * rows long, rows being the requests that one is about. consumer, producer:
    settings of its clients that differ from the services'. gc_frozen: whether its collector leaves alone what was there
    at the start, as in the services.
    """

    kind: str
    bootstrap: str
    group: str
    source: str
    target: str
    partitions: int
    max_records: int
    gather_ms: int
    head_bytes: int
    row_bytes: int
    consumer: dict[str, Any] = field(default_factory=dict)
    producer: dict[str, Any] = field(default_factory=dict)
    gc_frozen: bool = True

    @property
    def reading(self) -> dict[str, Any]:
        """What its consumer has other than a member that does not gather; `consumer` has the last word."""
        return raw.gathering(self.gather_ms) | self.consumer

    def argument(self) -> str:
        """For the command line; `Hop(**json.loads(...))` is the way back."""
        return json.dumps(asdict(self))


def correlation_of(number: int) -> bytes:
    """A correlation id as long as a Client's, with the number in front."""
    return NUMBER.pack(number) + _REST


def number_of(correlation: bytes) -> int:
    """The number in front of a correlation id."""
    (number,) = NUMBER.unpack_from(correlation)
    return int(number)


def pack(numbers: Sequence[int], size_bytes: int) -> bytes:
    """A record of `size_bytes`, or more if the numbers need it."""
    record = _COUNT.pack(len(numbers)) + struct.pack(f">{len(numbers)}q", *numbers)
    return record.ljust(size_bytes, b"\0")


def unpack(record: bytes) -> tuple[int, ...]:
    """The numbers of a record."""
    (count,) = _COUNT.unpack_from(record)
    return struct.unpack_from(f">{count}q", record, _COUNT.size)


def answer_headers(number: int, source: bytes) -> list[tuple[str, bytes]]:
    """The headers of an answer: names and lengths as in rendezvous.server.publishing."""
    return [
        (CORRELATION, correlation_of(number)),
        ("ce_id", f"0-{number}".encode()),
        ("ce_specversion", b"1.0"),
        ("ce_type", b"rendezvous.response"),
        ("ce_source", source),
        ("content-type", CONTENT_TYPE),
    ]


def scorer(hop: Hop, producer: raw.Producer) -> Callable[[Sequence[raw.Message]], None]:
    """Hands on what is waiting: one record a partition, to the same partition number."""

    def turn(messages: Sequence[raw.Message]) -> None:
        waiting: dict[int, list[int]] = {}
        for message in messages:
            waiting.setdefault(message.partition() or 0, []).append(number_of(raw.header(message, CORRELATION)))
        for partition, numbers in waiting.items():
            size_bytes = hop.head_bytes + hop.row_bytes * len(numbers)
            raw.send(producer, hop.target, pack(numbers, size_bytes), partition=partition)

    return turn


def server(hop: Hop, producer: raw.Producer) -> Callable[[Sequence[raw.Message]], None]:
    """Answers a number when its first copy comes; what it has answered it keeps as long as it lives, a run."""
    answered: set[int] = set()
    source = f"rendezvous/{hop.group.partition('.')[0]}".encode()
    value = bytes(hop.head_bytes + hop.row_bytes)

    def turn(messages: Sequence[raw.Message]) -> None:
        for message in messages:
            for number in unpack(raw.value(message)):
                if number not in answered:
                    answered.add(number)
                    headers = answer_headers(number, source)
                    raw.send(producer, hop.target, value, partition=REPLY_PARTITION, headers=headers)

    return turn


KINDS = {"scorer": scorer, "server": server}


def run(hop: Hop) -> None:
    """Relay until SIGTERM or SIGINT; then leave the group at once."""
    stopping: list[int] = []

    def on_signal(number: int, _: FrameType | None) -> None:
        stopping.append(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    producer = raw.producer(hop.bootstrap, hop.producer)
    consumer = raw.member(hop.bootstrap, hop.group, hop.source, hop.reading)
    turn = KINDS[hop.kind](hop, producer)
    raw.await_end(consumer, hop.partitions, READY_S)
    if hop.gc_frozen:
        gc.collect()
        gc.freeze()  # as the services do
    print(READY, flush=True)  # noqa: T201 - who started it reads its log
    while not stopping:
        turn(raw.take(consumer, hop.max_records, IDLE_S))
        producer.poll(0)
    producer.flush(READY_S)
    consumer.close()


if __name__ == "__main__":
    run(Hop(**json.loads(sys.argv[1])))
