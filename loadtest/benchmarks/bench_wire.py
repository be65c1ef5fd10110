"""Bytes to messages and back, headers to envelopes, rows to columns."""

from __future__ import annotations

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from loadtest.benchmarks.setting import FEATURES, NOON_US, ROW, endpoint, headers, requests, scores
from rendezvous.envelope import read_envelope
from rendezvous.messages import Comparisons, Message, Reason, Response
from rendezvous.rows import row_of
from rendezvous.scoring.columns import to_columns
from rendezvous.wire import Codec, codec, decode, encode

ROWS, MODELS = 100, 5


def response() -> Response:
    """An answer as most are."""
    return Response(
        request_id=requests(0, 1)[0].request_id,
        partition=0,
        offset=1_000_000,
        model="model_00",
        version="0123456789ab",
        reason=Reason.PREFERRED,
        output=(0.5,),
        missing=("model_01", "model_02"),
        slack_ms=400.0,
        decided_us=NOON_US,
    )


def comparisons() -> Comparisons:
    """A hundred requests and five models."""
    return Comparisons(
        closed_us=NOON_US,
        models=tuple(f"model_{number:02d}" for number in range(MODELS)),
        versions=("0123456789ab",) * MODELS,
        offsets=np.arange(ROWS, dtype=np.int64),
        request_ids=tuple(request.request_id for request in requests(0, ROWS)),
        appended_us=np.full(ROWS, NOON_US, np.int64),
        winners=np.zeros(ROWS, np.int16),
        reasons=np.zeros(ROWS, np.uint8),
        statuses=np.ones((ROWS, MODELS), np.uint8),
        latencies_us=np.full((ROWS, MODELS), 5_000, np.int32),
        outputs=np.full((ROWS, MODELS, 1), 0.5, np.float32),
        asked_us=np.full(ROWS, NOON_US, np.int64),
    )


MESSAGES: dict[str, Message] = {
    "scores of 1": scores("model_00", 0, 1),
    "scores of 100": scores("model_00", 0, ROWS),
    "response": response(),
    "comparisons of 100": comparisons(),
}
each_message = pytest.mark.parametrize("name", MESSAGES)


@each_message
def bench_encode(benchmark: BenchmarkFixture, name: str) -> None:
    """A message to bytes."""
    benchmark(encode, MESSAGES[name])


@each_message
def bench_decode(benchmark: BenchmarkFixture, name: str) -> None:
    """Bytes to a message."""
    kind = type(MESSAGES[name])
    assert isinstance(benchmark(decode, encode(MESSAGES[name]), kind), kind)


def bench_row(benchmark: BenchmarkFixture) -> None:
    """The row of a message, before Avro: scores of a hundred requests."""
    assert isinstance(benchmark(row_of, scores("model_00", 0, ROWS)), dict)


def bench_avro(benchmark: BenchmarkFixture) -> None:
    """The bytes of scores to a row, by Avro alone: no columns."""
    assert isinstance(benchmark(codec("scores").decode, encode(scores("model_00", 0, ROWS))), dict)


def bench_decode_features(benchmark: BenchmarkFixture) -> None:
    """A request's value of twenty features."""
    features = Codec(FEATURES)
    assert benchmark(features.decode, features.encode(ROW)).keys() == ROW.keys()


def bench_envelope(benchmark: BenchmarkFixture) -> None:
    """A request's headers."""
    assert benchmark(read_envelope, headers(7)).reply is not None


@pytest.mark.parametrize("rows", [1, 100])
def bench_columns(benchmark: BenchmarkFixture, rows: int) -> None:
    """Decoded rows to the columns that models take."""
    assert len(benchmark(to_columns, [ROW] * rows, endpoint(1).features)) == len(ROW)
