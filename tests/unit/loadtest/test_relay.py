"""The relays' records: numbers in, numbers out, as long as what they stand for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from loadtest import relay
from rendezvous.client import CORRELATION_BYTES
from worlds import MemoryWorld, ask, say

HOP = relay.Hop("scorer", "broker", "flights.floor.x", "in", "out", 1, 10, 0, 60, 13)


class Message:
    """As much of the client's message as a relay looks at."""

    def __init__(self, value: bytes = b"", correlation: bytes = b"", partition: int = 0) -> None:
        self._value, self._correlation, self._partition = value, correlation, partition

    def value(self) -> bytes:
        """Its bytes."""
        return self._value

    def headers(self) -> list[tuple[str, bytes]]:
        """Its one header that matters."""
        return [(relay.CORRELATION, self._correlation)]

    def partition(self) -> int:
        """Where it stands."""
        return self._partition


class Producer:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    def produce(self, topic: str, value: bytes, **options: Any) -> None:  # noqa: ANN401 - the client's own
        """One record."""
        self.sent.append({"topic": topic, "value": value, **options})


def turn(kind: str, hop: relay.Hop, producer: Producer, messages: Sequence[Message]) -> None:
    """One turn of a relay that begins anew."""
    relay.KINDS[kind](hop, producer)(messages)  # type: ignore[arg-type] # stand-ins


def test_a_number_comes_back_from_its_correlation_id() -> None:
    """And the id is as long as a Client's."""
    correlation = relay.correlation_of(123_456_789_012)
    assert len(correlation) == CORRELATION_BYTES
    assert relay.number_of(correlation) == 123_456_789_012


@pytest.mark.parametrize(("numbers", "size"), [([], 40), ([7], 40), (list(range(100)), 1_360), ([1, 2, 3], 1)])
def test_a_record_keeps_its_numbers_and_has_its_length(numbers: list[int], size: int) -> None:
    """Padded to the length asked for; longer only where the numbers need it."""
    record = relay.pack(numbers, size)
    assert list(relay.unpack(record)) == numbers
    assert len(record) == max(size, 4 + 8 * len(numbers))


def test_a_scorers_relay_makes_one_record_of_what_is_waiting_in_a_partition() -> None:
    """As a scorer makes of a micro-batch, to the same partition number."""
    producer = Producer()
    waiting = [Message(correlation=relay.correlation_of(n), partition=n % 2) for n in range(5)]
    turn("scorer", HOP, producer, waiting)
    assert [(sent["partition"], relay.unpack(sent["value"])) for sent in producer.sent] == [(0, (0, 2, 4)), (1, (1, 3))]
    assert [len(sent["value"]) for sent in producer.sent] == [60 + 3 * 13, 60 + 2 * 13]


def test_the_servers_relay_answers_the_first_copy_alone() -> None:
    """Each number once, however many relays hand it on."""
    producer = Producer()
    turn("server", HOP, producer, [Message(relay.pack(numbers, 90)) for numbers in ([1, 2], [2, 3], [1])])
    answered = [relay.number_of(dict(sent["headers"])[relay.CORRELATION]) for sent in producer.sent]
    assert answered == [1, 2, 3]


def test_an_answers_headers_are_those_of_a_real_answer() -> None:
    """The same names in the same order."""
    world = MemoryWorld()
    world.start()
    say(world, "champion", [ask(world, "r")])
    world.turn()
    (record,) = world.log.records[world.endpoint.topic("responses"), 0]
    source = dict(record.headers)["ce_source"]
    mine = relay.answer_headers(0, source)
    assert [name for name, _ in mine] == [name for name, _ in record.headers]
    changing = {relay.CORRELATION, "ce_id"}
    assert [header for header in mine if header[0] not in changing] == [
        header for header in record.headers if header[0] not in changing
    ]


def test_a_hop_survives_the_command_line() -> None:
    """JSON there and back."""
    assert relay.Hop(**json.loads(HOP.argument())) == HOP
