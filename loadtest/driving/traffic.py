"""Requests in open loop to all partitions, and a read_committed reader of the reply topic."""

from __future__ import annotations

import struct
import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count
from types import TracebackType
from typing import Self

from loadtest.driving.books import Answer, Asked
from rendezvous.envelope import write_envelope
from rendezvous.log import KafkaReader, KafkaSink, read_to_end, starts_at_end
from rendezvous.messages import DeadLetter, Envelope, Reason, ReplyAddress, Response
from rendezvous.settings import Endpoint
from rendezvous.wire import Codec, decode

SOURCE = "loadtest"
POLL_S = 0.05
MAX_RECORDS = 1_000
FLUSH_S = 40.0
"""Longer than the producer's own patience (`delivery.timeout.ms`): then every request's fate is known."""
CALM_MS = 3_000.0
"""Service is calm when all requests of so long were answered in time,"""
PREFERRED_SHARE = 0.9
"""and with its first choice again when so many of them were answered by that."""
CLOSE_S = 1.0

_NUMBER = struct.Struct(">q")


def now_ms() -> float:
    """The wall clock."""
    return time.time() * 1e3


def evenly(rate: float) -> Iterator[float]:
    """Request i is due at i / rate seconds, for ever."""
    return (number / rate for number in count())


def hundredths(endpoint: Endpoint) -> list[bytes]:
    """Requests of an endpoint with the one feature `x`."""
    codec = Codec(endpoint.features_schema)
    return [codec.encode({"x": number / 100}) for number in range(100)]


class Traffic:
    """Sends requests when they are due, until it is told to stop; notes every delivery and every answer.

    due_s: for each request when it is due, in seconds from the start. values: encoded before, and sent in turns: the
    driver shares its machine with what it measures. Request i goes to partition i % n and is answered on partition
    (i // n) % n of the reply topic, n the number of partitions: as if n clients, which read one reply partition each,
    asked about everything.
    """

    def __init__(self, endpoint: Endpoint, bootstrap: str, due_s: Iterable[float], values: Sequence[bytes]) -> None:
        self._endpoint = endpoint
        self._bootstrap = bootstrap
        self._due_s = due_s
        self._values = values
        self._partitions = endpoint.topics.partitions
        self._appending = starts_at_end(bootstrap, endpoint.topic("requests"))
        self._sink = KafkaSink(bootstrap)
        self._reader = KafkaReader(bootstrap, starts_at_end(bootstrap, endpoint.topic("responses")))
        self._stop_sending, self._stop_reading = threading.Event(), threading.Event()
        self._failure: Exception | None = None
        self.started_ms = now_ms()
        self._due_ms: list[float] = []
        self._sent_late_ms: list[float] = []
        self._delivered: dict[int, int] = {}
        self._answers: list[Answer] = []
        self._first: dict[int, Answer] = {}
        self._threads = [self._thread(self._send, "sender"), self._thread(self._listen, "listener")]

    def _thread(self, work: Callable[[], None], name: str) -> threading.Thread:
        def run() -> None:
            try:
                work()
            except Exception as error:  # noqa: BLE001 - raised again in whoever looks next
                self._failure = error

        return threading.Thread(target=run, name=name, daemon=True)

    def __enter__(self) -> Self:
        while len(self._reader.ended) < self._partitions:
            self._reader.poll(1, POLL_S)
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop_sending.set()
        self._stop_reading.set()
        for thread in self._threads:
            thread.join()
        self._sink.flush(CLOSE_S)
        self._reader.close()

    # ------------------------------------------------------------------------------------------------- the threads

    def _send(self) -> None:
        self.started_ms = now_ms()
        for number, due_s in enumerate(self._due_s):
            due_ms = self.started_ms + due_s * 1e3
            while (left_ms := due_ms - now_ms()) > 0 and not self._stop_sending.is_set():
                time.sleep(min(left_ms / 1e3, POLL_S))
            if self._stop_sending.is_set():
                break
            self._send_one(number)
            self._due_ms.append(due_ms)
            self._sent_late_ms.append(now_ms() - due_ms)
            self._sink.serve()
        self._sink.flush(FLUSH_S)

    def _send_one(self, number: int) -> None:
        reply = ReplyAddress("", number // self._partitions % self._partitions, _NUMBER.pack(number))
        envelope = Envelope(str(number), SOURCE, self._endpoint.request.deadline_ms, reply)

        def delivered(error: str | None, offset: int) -> None:
            if error is None:
                self._delivered[number] = offset

        self._sink.send(
            self._endpoint.topic("requests"),
            self._values[number % len(self._values)],
            partition=number % self._partitions,
            headers=write_envelope(envelope),
            delivered=delivered,
        )

    def _listen(self) -> None:
        while not self._stop_reading.is_set():
            for record in self._reader.poll(MAX_RECORDS, POLL_S):
                response = decode(record.value, Response)
                if not response.request_id.isdecimal():
                    continue  # somebody else's
                answer = Answer(
                    number=int(response.request_id),
                    place=(response.partition, response.offset),
                    reason=response.reason,
                    appended_ms=record.timestamp_ms,
                    in_hand_ms=now_ms(),
                    decided_ms=response.decided_us / 1e3,
                    pair=(response.model, response.version),
                )
                self._answers.append(answer)
                self._first.setdefault(answer.number, answer)

    # ------------------------------------------------------------------------------------------------ while it runs

    def check(self) -> None:
        """See that both threads do their work.

        Raises:
            Exception: what ended one of them.
        """
        if self._failure is not None:
            raise self._failure

    def calm(self, *, first_choice: bool) -> bool:
        """Whether all of the last seconds was answered in time, and mostly by the first choice if that counts."""
        self.check()
        deadline_ms = self._endpoint.request.deadline_ms
        ended_ms = now_ms() - deadline_ms
        if not self._due_ms or ended_ms - CALM_MS < self._due_ms[0]:
            return False
        first, last = (bisect_left(self._due_ms, at_ms) for at_ms in (ended_ms - CALM_MS, ended_ms))
        found = [(number, self._first.get(number)) for number in range(first, last)]
        if any(said is None or said.in_hand_ms - self._due_ms[number] > deadline_ms for number, said in found):
            return False
        if not first_choice:
            return True
        preferred = sum(said is not None and said.reason is Reason.PREFERRED for _, said in found)
        return preferred >= PREFERRED_SHARE * len(found)

    # --------------------------------------------------------------------------------------------------- afterwards

    def settle(self, patience_s: float, *, repeats_s: float = CALM_MS / 1e3) -> None:
        """Stop sending, and wait until each delivered request has an answer, or patience ends.

        repeats_s: so long second answers are waited for: they have come by then, or never will.
        """
        self._stop_sending.set()
        self._threads[0].join()
        give_up = time.monotonic() + patience_s
        while time.monotonic() < give_up and not self._delivered.keys() <= self._first.keys():
            self.check()
            time.sleep(POLL_S)
        time.sleep(repeats_s)
        self.check()

    def asked(self) -> list[Asked]:
        """Every request: its place by the delivery report, its append time by the log."""
        appended = self._appended()
        return [
            Asked(
                number=number,
                partition=number % self._partitions,
                due_ms=due_ms,
                acknowledged=number in self._delivered,
                offset=self._delivered.get(number),
                appended_ms=appended.get((number % self._partitions, self._delivered.get(number, -1))),
            )
            for number, due_ms in enumerate(self._due_ms)
        ]

    def _appended(self) -> dict[tuple[int, int], float]:
        topic = self._endpoint.topic("requests")
        return {
            (record.partition, record.offset): record.timestamp_ms
            for start in self._appending
            for record in read_to_end(self._bootstrap, topic, start.partition, start.offset)
        }

    @property
    def answers(self) -> list[Answer]:
        """Every answer, in the order in which they were met."""
        return self._answers

    @property
    def sent_late_ms(self) -> Sequence[float]:
        """Of each request, from due to handed to the Kafka client: the driver's own fault."""
        return self._sent_late_ms

    def buried(self) -> dict[tuple[int, int], str]:
        """Requests with a dead letter, and its reason."""
        topic, requests = self._endpoint.topic("dead-letters"), self._endpoint.topic("requests")
        letters = [
            decode(record.value, DeadLetter)
            for number in range(self._partitions)
            for record in read_to_end(self._bootstrap, topic, number, 0)
        ]
        return {(letter.partition, letter.offset): letter.reason for letter in letters if letter.topic == requests}
