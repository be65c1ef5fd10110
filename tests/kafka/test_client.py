"""The client on a real broker: answers, deadlines, and everything a reply topic may hold beside its own answers."""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from confluent_kafka import Producer
from prometheus_client import CollectorRegistry

from endpoints import DEADLINE_MS, endpoint
from homes import until
from rendezvous.client import Client
from rendezvous.envelope import read_envelope
from rendezvous.local.stack import Addresses
from rendezvous.log import KafkaReader, KafkaSink, LogError, Record, Topic, create_topics, starts_at_end
from rendezvous.messages import Envelope, Reason, Response
from rendezvous.settings import Endpoint
from rendezvous.topics import create
from rendezvous.wire import Codec, encode

pytestmark = pytest.mark.kafka

TOLERANCE_S = 0.5
"""After a deadline, on a machine that may be busy; a quiet one needs a few milliseconds."""
DEFAULT = (0.25,)


class Responder(threading.Thread):
    """Stands in for the whole service: `answer(request, row)` is called for each request, in the order of the log."""

    def __init__(self, kafka: str, of: Endpoint) -> None:
        super().__init__(daemon=True)
        self.answer: Callable[[Envelope, dict[str, object]], None] = self.reply
        self.requests: list[tuple[Envelope, Record]] = []
        self.sink = KafkaSink(kafka)
        self._codec = Codec(of.features_schema)
        self._reader = KafkaReader(kafka, starts_at_end(kafka, of.topic("requests")))
        self._stopping = False

    def run(self) -> None:
        """Answer until stopped."""
        while not self._stopping:
            for record in self._reader.poll(1_000, 0.02):
                envelope = read_envelope(record.headers)
                self.requests.append((envelope, record))
                self.answer(envelope, self._codec.decode(record.value))
            self.sink.serve()

    def reply(self, envelope: Envelope, row: dict[str, object]) -> None:
        """Send one answer; its output is the request's x."""
        assert envelope.reply is not None
        self.sink.send(
            envelope.reply.topic,
            encode(response(envelope, row)),
            partition=envelope.reply.partition,
            headers=[("kafka_correlationId", envelope.reply.correlation)],
        )

    def nothing(self, envelope: Envelope, row: dict[str, object]) -> None:
        """Answer nobody."""

    def stop(self) -> None:
        """End the thread."""
        self._stopping = True
        self.join()
        self._reader.close()


def response(envelope: Envelope, row: dict[str, object]) -> Response:
    """What a server would say."""
    x = row["x"]
    assert isinstance(x, float)
    return Response(envelope.request_id, 0, 0, "champion", "c1", Reason.PREFERRED, (x,), (), 1.0, 1)


class Asking:
    """A client, its endpoint, who answers it, and what it counts."""

    def __init__(self, kafka: str, of: Endpoint, responder: Responder) -> None:
        self.kafka, self.endpoint, self.responder = kafka, of, responder
        self.registry = CollectorRegistry()
        self.client = Client(of, kafka, registry=self.registry)

    def count(self, name: str, **labels: str) -> float:
        """One of the client's counters."""
        return self.registry.get_sample_value(f"rendezvous_client_{name}_total", labels) or 0.0

    def settle(self) -> None:
        """Until all that was put on the reply topic before has been read."""
        self.responder.answer = self.responder.reply
        assert self.client.ask(row(), deadline_ms=2_000).reason is Reason.PREFERRED


@pytest.fixture
def asking(stack: Addresses) -> Iterator[Asking]:
    """An endpoint of the test's own with one reply partition."""
    of = endpoint(f"client-{uuid.uuid4().hex[:10]}")
    create(stack.kafka, of)
    responder = Responder(stack.kafka, of)
    responder.start()
    asking = Asking(stack.kafka, of, responder)
    yield asking
    asking.client.close()
    responder.stop()


def row(x: float = 0.5) -> dict[str, object]:
    """A request's features."""
    return {"x": x, "who": "a"}


def test_an_answer_arrives(asking: Asking) -> None:
    """What the service says is returned; the request carried id, deadline, source, key and where to reply."""
    started = time.monotonic()
    answer = asking.client.ask(row(0.75), deadline_ms=1_500, request_id="mine", key="k")
    assert time.monotonic() - started < 1.0
    assert (answer.request_id, answer.output, answer.reason) == ("mine", (0.75,), Reason.PREFERRED)
    ((envelope, record),) = asking.responder.requests
    assert (envelope.request_id, envelope.source, envelope.deadline_ms) == ("mine", "application", 1_500)
    assert record.key == b"k"
    assert (asking.count("requests"), asking.count("answers", reason="preferred")) == (1, 1)


def test_an_answer_arrives_in_an_event_loop(asking: Asking) -> None:
    """ask_async gives the same answers, and other tasks run while it waits."""

    async def ask_many() -> list[Response]:
        return await asyncio.gather(*(asking.client.ask_async(row(number / 64)) for number in range(20)))

    assert [answer.output for answer in asyncio.run(ask_many())] == [(number / 64,) for number in range(20)]


@pytest.mark.parametrize("given_ms", [150, None])
def test_a_deadline_passes(given_ms: int | None, asking: Asking) -> None:
    """Without an answer the endpoint's default comes at the deadline, the endpoint's own when none was given."""
    asking.responder.answer = asking.responder.nothing
    deadline_s = (given_ms or DEADLINE_MS) / 1e3
    started = time.monotonic()
    answer = asking.client.ask(row(), deadline_ms=given_ms, request_id="mine")
    assert deadline_s <= time.monotonic() - started < deadline_s + TOLERANCE_S
    assert (answer.request_id, answer.reason, answer.output) == ("mine", Reason.NO_ANSWER, DEFAULT)
    assert (answer.model, answer.partition, answer.offset) == ("", -1, -1)
    assert asking.count("answers", reason="no_answer") == 1


def test_deadlines_end_in_their_own_order(asking: Asking) -> None:
    """A short deadline does not wait for a long one that was given before."""
    asking.responder.answer = asking.responder.nothing
    long = asking.client.submit(row(), deadline_ms=2_000)
    short = asking.client.submit(row(), deadline_ms=100)
    assert short.result(1.5).reason is Reason.NO_ANSWER
    assert not long.done()


def test_a_late_answer_is_dropped(asking: Asking) -> None:
    """An answer after the deadline changes nothing and is counted."""
    kept: list[tuple[Envelope, dict[str, object]]] = []
    asking.responder.answer = lambda envelope, features: kept.append((envelope, features))
    assert asking.client.ask(row(), deadline_ms=150).reason is Reason.NO_ANSWER
    until(lambda: kept, "the request arrives")
    asking.responder.reply(*kept[0])
    until(lambda: asking.count("late_answers") == 1, "the late answer is counted")
    asking.settle()
    assert (asking.count("late_answers"), asking.count("duplicate_answers")) == (1, 0)


def test_a_second_answer_is_dropped(asking: Asking) -> None:
    """Of two answers the first counts, the other is counted."""

    def twice(envelope: Envelope, _: dict[str, object]) -> None:
        asking.responder.reply(envelope, {"x": 0.5})
        asking.responder.reply(envelope, {"x": 0.125})

    asking.responder.answer = twice
    assert asking.client.ask(row(), deadline_ms=1_500).output == (0.5,)
    until(lambda: asking.count("duplicate_answers") == 1, "the second answer is counted")
    assert asking.count("late_answers") == 0


def test_what_is_no_answer_is_dropped(asking: Asking) -> None:
    """Records without a correlation id, or that do not decode, are counted and hold up nobody."""

    def after_rubbish(envelope: Envelope, features: dict[str, object]) -> None:
        assert envelope.reply is not None
        topic, correlation = envelope.reply.topic, envelope.reply.correlation
        asking.responder.sink.send(topic, encode(response(envelope, features)), partition=0)
        for value in (b"", b"rubbish", encode(response(envelope, features))[:-3]):
            headers = [("kafka_correlationId", correlation)]
            asking.responder.sink.send(topic, value, partition=0, headers=headers)
        asking.responder.reply(envelope, features)

    asking.responder.answer = after_rubbish
    assert asking.client.ask(row(0.75), deadline_ms=1_500).output == (0.75,)
    assert asking.count("unreadable_answers") == 4


def test_many_at_once(asking: Asking) -> None:
    """Threads share a client, and each has the answer to its own request."""
    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda n: asking.client.ask(row(n / 512), deadline_ms=2_000), range(400)))
    assert [answer.output for answer in answers] == [(number / 512,) for number in range(400)]
    assert len({answer.request_id for answer in answers}) == 400


def test_closing_ends_what_is_under_way(asking: Asking) -> None:
    """Requests under way end at once with the default, later ones raise, and closing twice does nothing."""
    asking.responder.answer = asking.responder.nothing
    under_way = [asking.client.submit(row(), deadline_ms=2_000) for _ in range(3)]
    started = time.monotonic()
    asking.client.close()
    assert [future.result(0.0).reason for future in under_way] == [Reason.NO_ANSWER] * 3
    assert time.monotonic() - started < 1.5
    with pytest.raises(LogError, match="the client is closed"):
        asking.client.ask(row())
    asking.client.close()


def test_an_uncommitted_answer_is_not_seen(asking: Asking) -> None:
    """An answer in a transaction that is aborted never was; the one that is committed after it counts."""
    producer = Producer({"bootstrap.servers": asking.kafka, "transactional.id": f"{asking.endpoint.name}-0"})
    producer.init_transactions(30.0)

    def take_back(envelope: Envelope, _: dict[str, object]) -> None:
        assert envelope.reply is not None
        for x, end in ((0.125, producer.abort_transaction), (0.5, producer.commit_transaction)):
            producer.begin_transaction()
            producer.produce(
                envelope.reply.topic,
                encode(response(envelope, {"x": x})),
                partition=0,
                headers=[("kafka_correlationId", envelope.reply.correlation)],
            )
            producer.flush(10.0)
            end(30.0)

    asking.responder.answer = take_back
    assert asking.client.ask(row(), deadline_ms=2_000).output == (0.5,)
    asking.settle()
    assert asking.count("duplicate_answers") == 0


def test_clients_share_a_reply_topic(asking: Asking) -> None:
    """Each of two clients on one partition has its own answers, and takes the other's for nothing."""
    registry = CollectorRegistry()
    with Client(asking.endpoint, asking.kafka, registry=registry) as other:
        for number in range(20):
            first, second = asking.client.submit(row(number / 64)), other.submit(row(1 + number / 64))
            assert (first.result(5.0).output, second.result(5.0).output) == ((number / 64,), (1 + number / 64,))
    for found in (asking.registry, registry):
        for name in ("duplicate_answers", "late_answers", "unreadable_answers"):
            assert found.get_sample_value(f"rendezvous_client_{name}_total") == 0


def test_a_reply_topic_of_ones_own(asking: Asking) -> None:
    """Answers come to the topic and partition that the client names in its requests."""
    topic = asking.endpoint.topic("responses.mine")
    create_topics(asking.kafka, [Topic(topic, 3, {})])
    with Client(asking.endpoint, asking.kafka, reply_topic=topic) as client:
        assert client.ask(row(0.25), deadline_ms=2_000).output == (0.25,)
    (envelope, _) = asking.responder.requests[-1]
    assert envelope.reply is not None
    assert envelope.reply.topic == topic
    assert envelope.reply.partition in range(3)


def test_a_reply_topic_that_is_not_there(asking: Asking) -> None:
    """A client without a place for its answers does not come to be."""
    topic = asking.endpoint.topic("responses.no")
    with pytest.raises(LogError, match=rf"topic {topic}: "):
        Client(asking.endpoint, asking.kafka, reply_topic=topic)


def test_answers_of_the_past_are_not_read(asking: Asking) -> None:
    """A new client begins at the end: what others were answered before costs it nothing."""
    for _ in range(5):
        asking.client.ask(row())
    registry = CollectorRegistry()
    with Client(asking.endpoint, asking.kafka, registry=registry) as client:
        assert client.ask(row(0.75), deadline_ms=2_000).output == (0.75,)
    assert registry.get_sample_value("rendezvous_client_unreadable_answers_total") == 0


def test_features_that_do_not_fit(asking: Asking) -> None:
    """Nothing is sent for a request that no model could read."""
    for wrong, said in (
        ({"x": 1.0}, "who"),
        ({**row(), "y": 1}, r"no features \['y'\]"),
        ({"x": "a", "who": "a"}, "x"),
    ):
        with pytest.raises(ValueError, match=said):
            asking.client.ask(wrong)
    asking.settle()
    assert len(asking.responder.requests) == 1
