"""The floor has the endpoint's own shape."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from endpoints import VERSIONS, endpoint
from loadtest import shape
from loadtest.bench import Bench
from loadtest.relay import Hop, number_of
from registers import first_deployment
from rendezvous.envelope import read_envelope
from rendezvous.messages import Scores
from rendezvous.settings import load_endpoint
from rendezvous.starting import CANDIDATE_GATHER_MS
from rendezvous.topics import topics_of
from rendezvous.wire import encode

HOME = Path(__file__).parents[3]


@pytest.fixture
def hops() -> dict[str, Hop]:
    """The relays of flights, whether or not its models are trained."""
    flights = load_endpoint("flights", HOME)
    control = first_deployment(flights, "0123456789ab")
    ids = ["EWR-UA-1545-2013-01-01T0515"]
    return shape.hops(Bench(flights, control, HOME, "broker:1", Path("logs"), [{}], ids, 1.0, lambda *_: flights))


def test_topics_are_configured_as_the_endpoints() -> None:
    """Partitions and settings, append time among them."""
    own = {topic.name: topic for topic in topics_of(endpoint())}
    for topic in shape.topics(endpoint()):
        model = own[endpoint().topic(topic.name.removeprefix("floor."))]
        assert (topic.partitions, topic.config) == (model.partitions, model.config)


@pytest.mark.parametrize("rows", [1, 2, 50])
def test_a_scores_record_has_its_real_length(rows: int) -> None:
    """Head and rows, up to the digits in which Avro writes lengths."""
    model, version = next(iter(VERSIONS.items()))
    head, row = shape.scores_bytes(endpoint(), model, version)
    width = len(endpoint().output.names)
    now_us = shape.SOME_TIME_US
    scores = Scores(
        model=model,
        version=version,
        taken_us=now_us,
        scored_us=now_us,
        offsets=np.arange(rows, dtype=np.int64),
        statuses=np.ones(rows, np.uint8),
        outputs=np.ones((rows, width), np.float32),
    )
    assert abs(len(encode(scores)) - head - row * rows) <= 3


def test_there_is_a_relay_for_each_scorer_and_one_for_the_server(hops: dict[str, Hop]) -> None:
    """Each from and to the topics of the process that it stands for."""
    flights = load_endpoint("flights", HOME)
    assert set(hops) == {*flights.models, "server"}
    for name, hop in hops.items():
        way = ("floor.scores", "floor.responses") if name == "server" else ("floor.requests", "floor.scores")
        assert (hop.source, hop.target) == way
        assert hop.head_bytes > 0


def test_relays_gather_where_scorers_do(hops: dict[str, Hop]) -> None:
    """Candidates let records wait for company, live models do not."""
    live = load_endpoint("flights", HOME).live
    for name, hop in hops.items():
        assert hop.gather_ms == (0 if name == "server" or name in live else CANDIDATE_GATHER_MS)


def test_relays_have_groups_of_their_own(hops: dict[str, Hop]) -> None:
    """Every relay sees every request."""
    assert len({hop.group for hop in hops.values()}) == len(hops)


def test_a_requests_headers_are_a_clients() -> None:
    """They read as a request, with the number where the relays look for it."""
    envelope = read_envelope(shape.request_headers(endpoint(), "r-1", 42))
    assert envelope.request_id == "r-1"
    assert envelope.deadline_ms == endpoint().request.deadline_ms
    assert envelope.reply is not None
    assert number_of(envelope.reply.correlation) == 42


def test_one_module_imports_the_kafka_client() -> None:
    """The floor's clients are made in one place, from the services' settings."""
    files = (HOME / "loadtest").glob("*.py")
    assert [path.name for path in files if "from confluent_kafka" in path.read_text()] == ["raw.py"]
