"""Requests in open loop to all partitions, and a read_committed reader of the reply topic."""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Callable
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


class Traffic:
    """Sends request i at i / rate seconds until it is told to stop; notes every delivery and every answer.

    Request i goes to partition i % n and is answered on partition (i // n) % n of the reply topic, n the number of
    partitions: as if n clients, which read one reply partition each, asked about everything.
    """

    def __init__(self, endpoint: Endpoint, bootstrap: str, rate: float) -> None:
        self._endpoint = endpoint
        self._bootstrap = bootstrap
        self._rate = rate
        self._partitions = endpoint.topics.partitions
        self._codec = Codec(endpoint.features_schema)
        self._sink = KafkaSink(bootstrap)
        self._reader = KafkaReader(bootstrap, starts_at_end(bootstrap, endpoint.topic("responses")))
        self._stop_sending, self._stop_reading = threading.Event(), threading.Event()
        self._failure: Exception | None = None
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
        start_ms = now_ms()
        while not self._stop_sending.is_set():
            number = len(self._due_ms)
            due_ms = start_ms + number * 1e3 / self._rate
            while (left_ms := due_ms - now_ms()) > 0:
                time.sleep(left_ms / 1e3)
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
            self._codec.encode({"x": number % 100 / 100}),
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
        last = len(self._due_ms) - 1 - int(deadline_ms / 1e3 * self._rate)
        first = last - int(CALM_MS / 1e3 * self._rate)
        if first < 0:
            return False
        found = [(number, self._first.get(number)) for number in range(first, last)]
        if any(said is None or said.in_hand_ms - self._due_ms[number] > deadline_ms for number, said in found):
            return False
        if not first_choice:
            return True
        preferred = sum(said is not None and said.reason is Reason.PREFERRED for _, said in found)
        return preferred >= PREFERRED_SHARE * len(found)

    # --------------------------------------------------------------------------------------------------- afterwards

    def settle(self, patience_s: float) -> None:
        """Stop sending, and wait until each delivered request has an answer, or patience ends."""
        self._stop_sending.set()
        self._threads[0].join()
        give_up = time.monotonic() + patience_s
        while time.monotonic() < give_up and not self._delivered.keys() <= self._first.keys():
            self.check()
            time.sleep(POLL_S)
        time.sleep(CALM_MS / 1e3)  # second answers have come by then, or never will
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
            for number in range(self._partitions)
            for record in read_to_end(self._bootstrap, topic, number, 0)
        }

    @property
    def answers(self) -> list[Answer]:
        """Every answer, in the order in which they were met."""
        return self._answers

    @property
    def sent_late_ms(self) -> float:
        """The longest from due to handed to the Kafka client: the driver's own fault."""
        return max(self._sent_late_ms, default=0.0)

    def buried(self) -> dict[tuple[int, int], str]:
        """Requests with a dead letter, and its reason."""
        topic, requests = self._endpoint.topic("dead-letters"), self._endpoint.topic("requests")
        letters = [
            decode(record.value, DeadLetter)
            for number in range(self._partitions)
            for record in read_to_end(self._bootstrap, topic, number, 0)
        ]
        return {(letter.partition, letter.offset): letter.reason for letter in letters if letter.topic == requests}
