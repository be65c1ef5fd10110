"""What the log shows of a run: answers, decisions, comparisons and dead letters, each by the request's place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from elections import Output
from memory_log import MemoryLog
from rendezvous.log.records import Record
from rendezvous.messages import Comparisons, DeadLetter, Decisions, Reason, Response
from rendezvous.registry.state import Pair
from rendezvous.settings import Endpoint
from rendezvous.wire import decode

read = lru_cache(maxsize=4_096)(decode)
"""A log is looked at again and again."""

Place = tuple[int, int]
"""Partition and offset: what a request is known by."""


class Answer(NamedTuple):
    """As an application gets it, and when it left the server."""

    response: Response
    ce_id: bytes
    sent_us: int


class Decision(NamedTuple):
    """One row of a decision."""

    place: Place
    winner: Pair | None
    reason: Reason
    arrived: frozenset[Pair]
    output: Output
    step: int
    draw: float
    propensity: float
    decided_us: int
    policy: str
    control: int
    axis: tuple[Pair, ...]


class Witness:
    """Reads a log as an application would that is read_committed.

    sent_us: when a value left its server, where the producer noted it; else when it reached the log.
    """

    def __init__(self, endpoint: Endpoint, log: MemoryLog, sent_us: Mapping[bytes, int]) -> None:
        self.endpoint = endpoint
        self.log = log
        self.sent_us = sent_us

    def records(self, topic: str) -> list[Record]:
        """All records of a topic, partition by partition."""
        name = self.endpoint.topic(topic)
        return [
            record
            for number in range(self.endpoint.topics.partitions)
            for record in self.log.records[name, number]
            if record.value
        ]

    def answers(self) -> dict[Place, list[Answer]]:
        """The answers of each request."""
        found: dict[Place, list[Answer]] = {}
        for record in self.records("responses"):
            response = read(record.value, Response)
            answer = Answer(
                response,
                dict(record.headers)["ce_id"],
                self.sent_us.get(record.value, record.timestamp_ms * 1_000),
            )
            found.setdefault((response.partition, response.offset), []).append(answer)
        return found

    def decisions(self) -> Iterator[Decision]:
        """Every decision, row by row."""
        for record in self.records("decisions"):
            found = read(record.value, Decisions)
            axis = tuple(zip(found.models, found.versions, strict=True))
            columns = (
                found.offsets,
                found.winners,
                found.reasons,
                found.arrived,
                found.outputs,
                found.steps,
                found.draws,
                found.propensities,
            )
            for offset, winner, reason, arrived, output, step, draw, propensity in zip(
                *(c.tolist() for c in columns), strict=True
            ):
                yield Decision(
                    (record.partition, offset),
                    axis[winner] if winner >= 0 else None,
                    Reason(reason),
                    frozenset(pair for bit, pair in enumerate(axis) if arrived >> bit & 1),
                    tuple(output),
                    step,
                    draw,
                    propensity,
                    found.decided_us,
                    found.policy,
                    found.control,
                    axis,
                )

    def decided(self) -> set[Place]:
        """The requests that were decided."""
        offsets = ((r.partition, read(r.value, Decisions).offsets.tolist()) for r in self.records("decisions"))
        return {(number, offset) for number, some in offsets for offset in some}

    def compared(self) -> dict[Place, set[tuple[Pair | None, Reason]]]:
        """The requests that were compared: winners and reasons."""
        found: dict[Place, set[tuple[Pair | None, Reason]]] = {}
        for record in self.records("comparisons"):
            said = read(record.value, Comparisons)
            axis = tuple(zip(said.models, said.versions, strict=True))
            rows = zip(said.offsets.tolist(), said.winners.tolist(), said.reasons.tolist(), strict=True)
            for offset, winner, reason in rows:
                who = axis[winner] if winner >= 0 else None
                found.setdefault((record.partition, offset), set()).add((who, Reason(reason)))
        return found

    def buried(self) -> set[Place]:
        """Requests in dead-letters."""
        letters = (read(record.value, DeadLetter) for record in self.records("dead-letters"))
        return {(x.partition, x.offset) for x in letters if x.topic == self.endpoint.topic("requests")}
