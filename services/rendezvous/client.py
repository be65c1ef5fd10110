"""For applications: ask an endpoint, and have an answer by the deadline whatever happens.

    with Client("flights") as client:
        answer = client.ask({"carrier": "UA", ...}, deadline_ms=200)
        answer.output[0], answer.model, answer.reason

One client serves a whole process: any number of threads, or an event loop (`await client.ask_async(...)`). It reads
one partition of the reply topic, from its end as it was before the first request was sent.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
import secrets
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from prometheus_client import CollectorRegistry

from rendezvous.envelope import MAX_ID_BYTES, write_envelope
from rendezvous.log import KafkaReader, KafkaSink, LogError, Record, starts_at_end
from rendezvous.messages import Envelope, Reason, ReplyAddress, Response
from rendezvous.settings import Endpoint, SettingsError, environment, load_endpoint
from rendezvous.telemetry import ClientMetrics
from rendezvous.wire import Codec, WireError, decode

POLL_S = 0.02
"""The longest wait for an answer in one turn: how late a deadline may be noticed when nothing arrives."""
REMEMBERED = 10_000
"""Correlation ids of finished requests that are kept, to tell a second answer from a late one."""
CORRELATION_BYTES = 16
CLOSE_S = 5.0

_logger = logging.getLogger(__name__)


class Ask:
    """One request under way: `future` ends with its one `Response`."""

    __slots__ = ("asked_s", "deadline_s", "future", "request_id")

    def __init__(self, request_id: str, asked_s: float, deadline_s: float) -> None:
        self.request_id = request_id
        self.asked_s = asked_s
        self.deadline_s = deadline_s
        self.future: Future[Response] = Future()


class Asked:
    """Requests under way, by correlation id and by deadline: pure, time is an argument."""

    def __init__(self, default: tuple[float, ...]) -> None:
        self._default = default
        self._open: dict[bytes, Ask] = {}
        self._deadlines: list[tuple[float, int, bytes]] = []
        self._sequence = itertools.count()
        self._finished: dict[bytes, Reason] = {}

    def __len__(self) -> int:
        return len(self._open)

    def add(self, correlation: bytes, ask: Ask) -> None:
        """A request is about to be sent."""
        self._open[correlation] = ask
        heapq.heappush(self._deadlines, (ask.deadline_s, next(self._sequence), correlation))

    def answer(self, correlation: bytes, response: Response) -> tuple[Ask | None, Reason | None]:
        """(the request it answers, None), or (None, how that request ended already), or (None, None): not ours."""
        ask = self._open.pop(correlation, None)
        if ask is None:
            return None, self._finished.get(correlation)
        self._finish(correlation, response.reason)
        return ask, None

    def overdue(self, now_s: float) -> list[tuple[Ask, Response]]:
        """Requests whose deadline has passed, each with the default that it gets instead of an answer."""
        given_up = []
        while self._deadlines and self._deadlines[0][0] <= now_s:
            _, _, correlation = heapq.heappop(self._deadlines)
            ask = self._open.pop(correlation, None)
            if ask is not None:
                self._finish(correlation, Reason.NO_ANSWER)
                given_up.append((ask, self._no_answer(ask)))
        return given_up

    def next_deadline_s(self) -> float | None:
        """When the next request may be overdue."""
        return self._deadlines[0][0] if self._deadlines else None

    def _finish(self, correlation: bytes, reason: Reason) -> None:
        self._finished[correlation] = reason
        if len(self._finished) > REMEMBERED:
            del self._finished[next(iter(self._finished))]

    def _no_answer(self, ask: Ask) -> Response:
        return Response(
            request_id=ask.request_id,
            partition=-1,
            offset=-1,
            model="",
            version="",
            reason=Reason.NO_ANSWER,
            output=self._default,
            missing=(),
            slack_ms=0.0,
            decided_us=-1,  # as partition and offset: nobody decided
        )


class Client:
    """Asks one endpoint. Close it, or use it as a context manager.

    Args:
        endpoint: its name (read from `home`/models) or its document.
        bootstrap: Kafka's address; KAFKA_BOOTSTRAP_SERVERS without it.
        home: the folder with models/ and schemas/; RENDEZVOUS_HOME without it.
        source: goes into each request's ce_source.
        reply_topic: where answers come; <endpoint>.responses without it. It must be allowed by topics.reply_prefixes.

    Raises:
        SettingsError: the endpoint is unknown, or no address is given.
        LogError: the reply topic does not exist or the cluster does not answer.
    """

    def __init__(
        self,
        endpoint: str | Endpoint,
        bootstrap: str = "",
        *,
        home: Path | None = None,
        source: str = "application",
        reply_topic: str = "",
        registry: CollectorRegistry | None = None,
    ) -> None:
        environs = environment()
        self.endpoint = endpoint if isinstance(endpoint, Endpoint) else load_endpoint(endpoint, home or environs.home)
        bootstrap = bootstrap or environs.kafka
        if not bootstrap:
            raise SettingsError("no Kafka address: pass bootstrap=... or set KAFKA_BOOTSTRAP_SERVERS")
        self._source = source
        self._codec = Codec(self.endpoint.features_schema)
        self._topic = self.endpoint.topic("requests")
        self._metrics = ClientMetrics(registry or CollectorRegistry())
        start = secrets.choice(starts_at_end(bootstrap, reply_topic or self.endpoint.topic("responses")))
        self._reply = (start.topic, start.partition)
        self._reader = KafkaReader(bootstrap, [start])
        self._sink = KafkaSink(bootstrap)
        self._asked = Asked(self.endpoint.output.default)
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._listening = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._listen, name=f"rendezvous-{self.endpoint.name}", daemon=True)
        self._thread.start()
        self._listening.wait()

    def ask(
        self, features: Mapping[str, Any], *, deadline_ms: int | None = None, request_id: str = "", key: str = ""
    ) -> Response:
        """The answer, by the deadline: the endpoint's default with reason NO_ANSWER when none has come.

        See `submit` for arguments and errors.
        """
        return self.submit(features, deadline_ms=deadline_ms, request_id=request_id, key=key).result()

    async def ask_async(
        self, features: Mapping[str, Any], *, deadline_ms: int | None = None, request_id: str = "", key: str = ""
    ) -> Response:
        """As `ask`, for an event loop."""
        return await asyncio.wrap_future(self.submit(features, deadline_ms=deadline_ms, request_id=request_id, key=key))

    def submit(
        self,
        features: Mapping[str, Any],
        *,
        deadline_ms: int | None = None,
        request_id: str = "",
        key: str = "",
        asked: datetime | None = None,
    ) -> Future[Response]:
        """Send a request and return at once; the future ends by the deadline.

        Args:
            features: one value for each field of the endpoint's features.avsc; nullable ones may be left out.
            deadline_ms: milliseconds from now; the endpoint's own without it, its longest at most.
            request_id: the ce_id by which labels will refer to it; a random one without it.
            key: requests of one key go to one partition; spread evenly without it.
            asked: goes into ce_time: when the application was asked, if that is not now. With a zone.

        Raises:
            ValueError: a feature is missing, unknown, or of the wrong type; deadline_ms is not positive; no zone.
            LogError: the client is closed or its cluster failed.
        """
        if self._stopping.is_set():
            raise LogError("the client is closed") from self._failure
        limits = self.endpoint.request
        budget_ms = limits.deadline_ms if deadline_ms is None else min(deadline_ms, limits.max_deadline_ms)
        if budget_ms <= 0:
            raise ValueError(f"deadline_ms must be positive, not {deadline_ms}")
        if len(request_id.encode()) > MAX_ID_BYTES:
            raise ValueError(f"request_id has more than {MAX_ID_BYTES} bytes: {request_id[:40]!r}...")
        value = self._encode(features)
        correlation = secrets.token_bytes(CORRELATION_BYTES)
        now_s = time.monotonic()
        ask = Ask(request_id or correlation.hex(), now_s, now_s + budget_ms / 1e3)
        envelope = Envelope(ask.request_id, self._source, budget_ms, ReplyAddress(*self._reply, correlation))
        headers = write_envelope(envelope, asked)
        with self._lock:
            if self._stopping.is_set():  # again: the listener gives up what it finds, and then looks no more
                raise LogError("the client is closed") from self._failure
            self._asked.add(correlation, ask)
        self._metrics.asked.inc()
        self._sink.send(self._topic, value, key=key.encode() or None, headers=headers)
        return ask.future

    def _encode(self, features: Mapping[str, Any]) -> bytes:
        known = {feature.name for feature in self.endpoint.features}
        if unknown := sorted(set(features) - known):
            raise ValueError(f"{self.endpoint.name} has no features {unknown}; it has {sorted(known)}")
        missing = {f.name: None for f in self.endpoint.features if f.name not in features and f.nullable}
        try:
            return self._codec.encode({**missing, **features})
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"features do not fit schemas/{self.endpoint.name}/features.avsc: {error}") from error

    def close(self) -> None:
        """Stop; requests under way end with NO_ANSWER."""
        self._stopping.set()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ---------------------------------------------------------------------------------------------- the thread

    def _listen(self) -> None:
        """Until the client is closed: take answers, give up what is overdue."""
        try:
            while not self._reader.ended:  # the end is known before the first request is sent
                self._reader.poll(1, 1.0)
            self._listening.set()
            while not self._stopping.is_set():
                self._turn()
        except Exception as error:  # noqa: BLE001 - raised again in whoever asks next
            _logger.error("client of %s: %s", self.endpoint.name, error)  # noqa: TRY400 - the trace travels with it
            self._failure = error
        finally:
            self._stopping.set()
            self._listening.set()
            self._sink.flush(CLOSE_S)
            self._reader.close()
            with self._lock:
                rest = self._asked.overdue(float("inf"))
            for ask, response in rest:
                self._end(ask, response)

    def _turn(self) -> None:
        with self._lock:
            next_s = self._asked.next_deadline_s()
        wait_s = POLL_S if next_s is None else min(POLL_S, max(0.0, next_s - time.monotonic()))
        for record in self._reader.poll(1_000, wait_s):
            self._take(record)
        self._sink.serve()
        with self._lock:
            overdue = self._asked.overdue(time.monotonic())
        for ask, response in overdue:
            self._end(ask, response)

    def _take(self, record: Record) -> None:
        correlation = dict(record.headers).get("kafka_correlationId")
        if correlation is None:
            self._metrics.unreadable.inc()
            return
        try:
            response = decode(record.value, Response)
        except WireError:
            self._metrics.unreadable.inc()
            return
        with self._lock:
            ask, ended = self._asked.answer(correlation, response)
        if ask is not None:
            self._end(ask, response)
        elif ended is Reason.NO_ANSWER:
            self._metrics.late.inc()
        elif ended is not None:
            self._metrics.duplicates.inc()

    def _end(self, ask: Ask, response: Response) -> None:
        self._metrics.answers.labels(response.reason.name.lower()).inc()
        self._metrics.latency.observe(time.monotonic() - ask.asked_s)
        if ask.future.set_running_or_notify_cancel():
            ask.future.set_result(response)
