"""The floor: the least that any system of this shape must do, on the same broker.

    driver -> floor.requests -> as many relays as scorers -> floor.scores -> one relay -> floor.responses -> driver

Records, headers, partitions and client settings are the endpoint's own; nothing is decoded, scored or decided.
"""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from loadtest import raw
from loadtest.bench import Bench
from loadtest.latency import Run
from loadtest.logged import floor_starts, of_floor
from loadtest.noise import busy_cores, other_cores, spent
from loadtest.relay import CORRELATION, READY, REPLY_PARTITION, Hop, number_of
from loadtest.shape import NAME, hops, request_headers
from loadtest.stages import Passed, middle
from rendezvous.client import POLL_S
from rendezvous.demo.traffic import STRAGGLERS_S
from rendezvous.local.failure import LocalStackError, tail
from rendezvous.local.process import GuardedProcess
from rendezvous.wire import Codec

ROOT = Path(__file__).parents[1]
"""Where `python -m loadtest.relay` is started."""
READY_S = 60.0
"""As for the services: from start to ready."""
LOOK_AGAIN_S = 0.02
MAX_RECORDS = 1_000
"""In one turn of the driver's listener, as in the Client."""


@contextmanager
def running_relays(bench: Bench, relays: Mapping[str, Hop]) -> Iterator[None]:
    """The relays, ready; they are stopped at the end.

    Raises:
        LocalStackError: one ended or did not become ready; the message ends with its log.
    """
    bench.logs.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        logs = {}
        for hop in relays.values():
            log = bench.logs / f"{hop.group}.log"
            command = [sys.executable, "-m", "loadtest.relay", hop.argument()]
            logs[log] = stack.enter_context(GuardedProcess.start(command, log=log, folder=ROOT))
        _await(logs)
        yield


def _await(logs: Mapping[Path, GuardedProcess]) -> None:
    give_up = time.monotonic() + READY_S
    for log, process in logs.items():
        while READY not in log.read_text().split():
            if process.poll() is not None or time.monotonic() > give_up:
                raise LocalStackError(f"a relay of the floor did not become ready. {tail(log)}")
            time.sleep(LOOK_AGAIN_S)


class Driver:
    """Sends on schedule from the caller's thread and takes answers in one of its own, as the Client does.

    Args:
        bench: what it asks with, and where.
        name: what the floor's topics begin with.
        duplicates_s: how long to wait, when all are answered, for second answers.
    """

    def __init__(self, bench: Bench, name: str = NAME, duplicates_s: float = STRAGGLERS_S) -> None:
        self._bench = bench
        self._name = name
        self._duplicates_s = duplicates_s
        self._producer = raw.producer(bench.kafka)
        self._consumer = raw.reader(bench.kafka, f"{name}.responses", REPLY_PARTITION)
        self._stopping = threading.Event()
        self._answered_s: dict[int, float] = {}
        self._duplicates = 0
        self._numbers = 0
        self._last = 0, 1.0, 0.0, 0.0
        self._starts = floor_starts(bench.kafka, name)
        raw.await_end(self._consumer, 1, READY_S)
        self._thread = threading.Thread(target=self._listen, name="floor", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join()
        self._producer.flush(STRAGGLERS_S)
        self._consumer.close()

    def _listen(self) -> None:
        while not self._stopping.is_set():
            for message in raw.take(self._consumer, MAX_RECORDS, POLL_S):
                number = number_of(raw.header(message, CORRELATION))
                if number in self._answered_s:
                    self._duplicates += 1
                else:
                    self._answered_s[number] = time.perf_counter()
            self._producer.poll(0)

    def drive(self, rate: float, seconds: float) -> Run:
        """Send request i at i / rate seconds; returns when all are answered, or a deadline and a while have passed."""
        rows, request_ids = self._bench.requests(rate, seconds)
        first, self._numbers = self._numbers, self._numbers + len(rows)
        duplicates = self._duplicates
        codec = Codec(self._bench.endpoint.features_schema)
        values = [codec.encode(row) for row in rows]
        headers = [
            request_headers(self._bench.endpoint, request_id, first + number, self._name)
            for number, request_id in enumerate(request_ids)
        ]
        start, started_ms = time.perf_counter(), time.time() * 1e3
        sent_late_s = self._send(values, headers, rate, start)
        self._await_answers(range(first, self._numbers))
        end = time.perf_counter()
        deadline_s = self._bench.endpoint.request.deadline_ms / 1e3
        answered_s = [self._answered_s.get(number, math.nan) for number in range(first, self._numbers)]
        self._last = first, rate, start, started_ms
        return summary(answered_s, start, end, rate, deadline_s, sent_late_s, self._duplicates - duplicates)

    def passed(self) -> list[Passed]:
        """The requests of the last `drive`, by what stands on the topics."""
        first, rate, start, started_ms = self._last
        numbers = range(first, self._numbers)
        due_ms = [started_ms + number * 1e3 / rate for number in range(len(numbers))]
        in_hand_ms = {
            number: started_ms + (self._answered_s[number] - start) * 1e3
            for number in numbers
            if number in self._answered_s
        }
        return of_floor(self._bench.kafka, self._starts, numbers, due_ms, in_hand_ms)

    def _send(
        self, values: Sequence[bytes], headers: Sequence[list[tuple[str, bytes]]], rate: float, start: float
    ) -> list[float]:
        late_s = []
        for number, (value, header) in enumerate(zip(values, headers, strict=True)):
            due = start + number / rate
            wait_s = due - time.perf_counter()
            if wait_s > 0:
                time.sleep(wait_s)
            raw.send(self._producer, f"{self._name}.requests", value, headers=header)
            late_s.append(time.perf_counter() - due)
        return late_s

    def _await_answers(self, numbers: range) -> None:
        """As long as `drive` of the demo waits, to the last deadline and for stragglers; and for second answers."""
        give_up = time.perf_counter() + self._bench.endpoint.request.deadline_ms / 1e3 + STRAGGLERS_S
        while time.perf_counter() < give_up and not all(number in self._answered_s for number in numbers):
            time.sleep(LOOK_AGAIN_S)
        time.sleep(self._duplicates_s)


def summary(
    answered_s: Sequence[float],
    start: float,
    end: float,
    rate: float,
    deadline_s: float,
    sent_late_s: Sequence[float],
    duplicates: int,
) -> Run:
    """The run of request i due at start + i / rate, answered at answered_s[i] (NaN: not until `end`)."""
    latencies_s = [
        (end if math.isnan(answered) else answered) - start - number / rate
        for number, answered in enumerate(answered_s)
    ]
    unanswered = sum(map(math.isnan, answered_s))
    return Run(
        latencies_ms=[latency * 1e3 for latency in latencies_s],
        sent_late_ms=[late * 1e3 for late in sent_late_s],
        unanswered=unanswered,
        late=sum(latency > deadline_s for latency in latencies_s) - unanswered,
        duplicates=duplicates,
    )


def measure(bench: Bench, rate: float, seconds: float) -> Run:
    """Start the relays, warm up at `rate`, measure for `seconds`, stop them."""
    with running_relays(bench, hops(bench)), Driver(bench) as driver:
        driver.drive(rate, bench.warm_up_s)
        before = spent()
        measured = driver.drive(rate, seconds)
        after = spent()
        return replace(
            measured,
            other_cores=other_cores(before, after),
            busy_cores=busy_cores(before, after),
            stages_ms=middle(driver.passed()),
        )
