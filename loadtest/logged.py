"""What stands on the topics after a run of either side, by the broker's clock: appends of requests, scores, answers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias, TypeVar

from loadtest.bench import Bench
from loadtest.relay import CORRELATION, number_of, unpack
from loadtest.shape import JOINED
from loadtest.stages import Passed
from rendezvous.demo.traffic import Asked
from rendezvous.log import Record, Start, read_to_end, starts_at_end
from rendezvous.messages import Response, Scores, Status
from rendezvous.wire import decode

Place: TypeAlias = tuple[int, int]
Key = TypeVar("Key")


def of_system(bench: Bench, log: Sequence[Asked], started_ms: float) -> list[Passed]:
    """The requests that have an answer, on an endpoint that nobody else has asked."""
    appended = {(record.partition, record.offset): record.timestamp_ms for record in _records(bench, "requests")}
    scored = _first(
        ((record.partition, offset), record.timestamp_ms)
        for record in _records(bench, "scores")
        for offset in _usable(decode(record.value, Scores), bench.champion)
    )
    answered = _first(
        ((said.partition, said.offset), record.timestamp_ms)
        for record in _records(bench, "responses")
        for said in (decode(record.value, Response),)
    )
    places = [(a.response.partition, a.response.offset) if a.answered and a.response else (-1, -1) for a in log]
    due_ms = [started_ms + asked.due_s * 1e3 for asked in log]
    in_hand_ms = [started_ms + asked.answered_s * 1e3 for asked in log]
    return _passed(places, due_ms, in_hand_ms, (appended, scored, answered))


def floor_starts(kafka: str, floor: str) -> dict[str, list[Start]]:
    """Where a floor's topics end now: numbers begin anew with each driver."""
    return {topic: starts_at_end(kafka, f"{floor}.{topic}") for topic in JOINED}


def of_floor(
    kafka: str,
    starts: Mapping[str, Sequence[Start]],
    numbers: Sequence[int],
    due_ms: Sequence[float],
    in_hand_ms: Mapping[int, float],
) -> list[Passed]:
    """Those of the floor: a request is told by its number, its first copy is what counts."""
    records = {topic: [record for start in starts[topic] for record in read_to_end(kafka, *start)] for topic in JOINED}
    appended, answered = (
        _first((number_of(dict(record.headers)[CORRELATION]), record.timestamp_ms) for record in records[topic])
        for topic in ("requests", "responses")
    )
    scored = _first((number, record.timestamp_ms) for record in records["scores"] for number in unpack(record.value))
    ends_ms = [in_hand_ms.get(number, float("nan")) for number in numbers]
    return _passed(numbers, due_ms, ends_ms, (appended, scored, answered))


def _usable(scores: Scores, pair: tuple[str, str]) -> Iterator[int]:
    if (scores.model, scores.version) == pair:
        yield from scores.offsets[scores.statuses == Status.OK].tolist()


def _records(bench: Bench, topic: str) -> Iterator[Record]:
    for number in range(bench.endpoint.topics.partitions):
        yield from read_to_end(bench.kafka, bench.endpoint.topic(topic), number, 0)


def _first(appends: Iterable[tuple[Key, float]]) -> dict[Key, float]:
    found: dict[Key, float] = {}
    for key, at_ms in appends:
        found.setdefault(key, at_ms)
    return found


def _passed(
    keys: Sequence[Key],
    due_ms: Sequence[float],
    in_hand_ms: Sequence[float],
    appends: Sequence[Mapping[Key, float]],
) -> list[Passed]:
    """Requests of which every moment is known."""
    appended, scored, answered = appends
    return [
        Passed(due, appended[key], scored[key], answered[key], end)
        for key, due, end in zip(keys, due_ms, in_hand_ms, strict=True)
        if key in appended and key in scored and key in answered and not math.isnan(end)
    ]
