"""What the floor is made of: topics, relays, and records as long as those that they stand for."""

from __future__ import annotations

import numpy as np

from loadtest.bench import SOURCE, Bench
from loadtest.relay import REPLY_PARTITION, Hop, correlation_of
from rendezvous.envelope import write_envelope
from rendezvous.log import Topic
from rendezvous.messages import Envelope, Reason, ReplyAddress, Response, Scores
from rendezvous.registry.naming import active_names, is_live
from rendezvous.registry.state import Pair
from rendezvous.server.service import MAX_RECORDS
from rendezvous.settings import Endpoint
from rendezvous.starting import CANDIDATE_GATHER_MS
from rendezvous.topics import topics_of
from rendezvous.wire import encode

NAME = "floor"
JOINED = ("requests", "scores", "responses")
"""The endpoint's topics that the floor has too."""
SOME_TIME_US = 1_900_000_000_000_000
"""Any moment of our time: Avro writes small numbers shorter."""


def topics(endpoint: Endpoint, floor: str = NAME) -> list[Topic]:
    """The floor's topics, configured as the endpoint's of the same name."""
    own = {topic.name: topic for topic in topics_of(endpoint)}
    found = {name: own[endpoint.topic(name)] for name in JOINED}
    return [Topic(f"{floor}.{name}", topic.partitions, topic.config) for name, topic in found.items()]


def scores_bytes(endpoint: Endpoint, model: str, version: str) -> tuple[int, int]:
    """Length of a scores record without rows, and of each row."""

    def length(rows: int) -> int:
        width = len(endpoint.output.names)
        scores = Scores(
            model=model,
            version=version,
            taken_us=SOME_TIME_US,
            scored_us=SOME_TIME_US,
            offsets=np.zeros(rows, np.int64),
            statuses=np.zeros(rows, np.uint8),
            outputs=np.zeros((rows, width), np.float32),
        )
        return len(encode(scores))

    row_bytes = length(2) - length(1)
    return length(1) - row_bytes, row_bytes


def response_bytes(bench: Bench) -> int:
    """Length of an answer by the version that is waited for first, before the others have scored."""
    endpoint, (first, version) = bench.endpoint, bench.champion
    response = Response(
        request_id=bench.request_ids[0],
        partition=0,
        offset=MAX_RECORDS,
        model=first,
        version=version,
        reason=Reason.PREFERRED,
        output=endpoint.output.default,
        missing=tuple(sorted({model for model, _ in live(bench)} - {first})),
        slack_ms=float(endpoint.request.deadline_ms),
        decided_us=SOME_TIME_US,
    )
    return len(encode(response))


def live(bench: Bench) -> set[Pair]:
    """The versions that may answer users."""
    return {pair for pair in active_names(bench.control) if is_live(bench.control, pair)}


def hops(bench: Bench, floor: str = NAME) -> dict[str, Hop]:
    """The relays: one for each scorer, and one in the server's place; `floor` is what their topics begin with."""
    endpoint, answering = bench.endpoint, live(bench)

    def hop(kind: str, name: str, way: tuple[str, str], size: tuple[int, int], reads: tuple[int, int]) -> Hop:
        source, target = (f"{floor}.{topic}" for topic in way)
        group = f"{endpoint.name}.{floor}.{name}"
        return Hop(kind, bench.kafka, group, source, target, endpoint.topics.partitions, *reads, *size)

    found = {
        name: hop(
            "scorer",
            "scorer." + ".".join(pair),
            ("requests", "scores"),
            scores_bytes(endpoint, *pair),
            (endpoint.models[pair[0]].max_batch, 0 if pair in answering else CANDIDATE_GATHER_MS),
        )
        for pair, name in active_names(bench.control).items()
    }
    answer = response_bytes(bench)
    return found | {"server": hop("server", "server", ("scores", "responses"), (answer, 0), (MAX_RECORDS, 0))}


def request_headers(endpoint: Endpoint, request_id: str, number: int, floor: str = NAME) -> list[tuple[str, bytes]]:
    """The headers of a request as the Client writes them."""
    reply = ReplyAddress(f"{floor}.responses", REPLY_PARTITION, correlation_of(number))
    return write_envelope(Envelope(request_id, SOURCE, endpoint.request.deadline_ms, reply))
