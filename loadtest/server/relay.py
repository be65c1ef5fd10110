"""The raw relay beside the server: `python -m loadtest.server.relay WAY`, WAY as JSON.

It consumes the requests with their headers and produces, where they say, responses with headers: as long as the
server's, by clients with the same settings. Nothing is decoded, joined, decided, recorded or committed.
"""

from __future__ import annotations

import gc
import json
import signal
import struct
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from types import FrameType

from loadtest import raw
from rendezvous.envelope import CONTENT_TYPE
from rendezvous.server.service import IDLE_US, MAX_RECORDS

FLUSH_S = 30.0

_PARTITION = struct.Struct(">i")


@dataclass(frozen=True, slots=True)
class Way:
    """What the relay reads and writes; value_bytes: of each of its records."""

    bootstrap: str
    group: str
    source: str
    target: str
    value_bytes: int

    def argument(self) -> str:
        """For the command line; `Way(**json.loads(...))` is the way back."""
        return json.dumps(asdict(self))


def answer(way: Way, value: bytes, producer: raw.Producer, messages: Sequence[raw.Message]) -> None:
    """An answer to each request, to the partition that it names, with headers as the server's."""
    head = [
        ("ce_specversion", b"1.0"),
        ("ce_type", b"rendezvous.response"),
        ("ce_source", b"rendezvous/" + way.source.encode()),
        ("content-type", CONTENT_TYPE),
    ]
    for message in messages:
        found = raw.headers(message)
        (partition,) = _PARTITION.unpack(found["kafka_replyPartition"])
        place = f"{message.partition()}-{message.offset()}".encode()
        headers = [("kafka_correlationId", found["kafka_correlationId"]), ("ce_id", place), *head]
        raw.send(producer, way.target, value, partition=partition, headers=headers)


def run(way: Way) -> None:
    """Relay from the beginning of the source until SIGTERM or SIGINT."""
    stopping: list[int] = []

    def on_signal(number: int, _: FrameType | None) -> None:
        stopping.append(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    producer = raw.producer(way.bootstrap)
    consumer = raw.member(way.bootstrap, way.group, way.source, start=0)
    value = bytes(way.value_bytes)
    gc.collect()
    gc.freeze()  # as the services do
    while not stopping:
        answer(way, value, producer, raw.take(consumer, MAX_RECORDS, IDLE_US / 1e6))
        producer.poll(0)
    producer.flush(FLUSH_S)
    consumer.close()


if __name__ == "__main__":
    run(Way(**json.loads(sys.argv[1])))
