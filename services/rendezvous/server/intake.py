"""Records of the requests and scores topics to messages, or to the fault that sends them to dead-letters."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

from rendezvous.envelope import EnvelopeError, draw_key, draw_of, read_envelope, told_at_us
from rendezvous.log.records import Record
from rendezvous.messages import DeadLetter, DeadLetterReason, Request, Scores
from rendezvous.registry.state import Pair
from rendezvous.server.plan import MS_US, Plan
from rendezvous.wire import Codec, WireError, decode

MAX_DEAD_BYTES = 262_144
"""Of a value that a dead letter carries; the rest stands where the letter says."""
MAX_DEAD_HEADERS = 32
MAX_DEAD_HEADER_BYTES = 4_096
"""Of a header's value: with MAX_DEAD_BYTES, any letter fits in Kafka's default message.max.bytes."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a record goes to dead-letters."""

    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Intake:
    """What the records of one endpoint are checked against; `width` is of its output.

    told: whether the application says when it asked.
    """

    features: Codec
    max_bytes: int
    width: int
    told: bool = False

    def request(self, record: Record, plan: Plan) -> tuple[Request | None, Fault | None]:
        """A request, a fault, or both: a request whose value cannot be scored is still owed an answer."""
        try:
            envelope = read_envelope(record.headers)
        except EnvelopeError as error:
            return None, Fault(error.reason, error.detail)
        fault = self.fault_of_value(record.value)
        budget_us = plan.deadline_us if envelope.deadline_ms is None else envelope.deadline_ms * MS_US
        appended_us = record.timestamp_ms * MS_US
        request = Request(  # by place: names would double the price
            record.offset,
            appended_us,
            appended_us + min(budget_us, plan.max_deadline_us),
            envelope.request_id,
            envelope.reply,
            None if fault is None else fault.reason,
            draw_of(draw_key(record.key, envelope.request_id)),
            told_at_us(record.headers) if self.told else None,
        )
        return request, fault

    def fault_of_value(self, value: bytes) -> Fault | None:
        """Why a request with this value cannot be scored, or None."""
        if len(value) > self.max_bytes:
            return Fault(DeadLetterReason.TOO_LARGE, f"{len(value)} bytes; request.max_bytes is {self.max_bytes}")
        if not self.features.knows(value):
            return Fault(
                DeadLetterReason.UNKNOWN_SCHEMA, f"no released features schema has the head {value[:10].hex()}"
            )
        return None

    def scores(self, record: Record, known: Container[Pair]) -> Scores | Fault:
        """What a version that was deployed once said, of the right width; anything else is a fault."""
        try:
            scores = decode(record.value, Scores)
        except WireError as error:
            return Fault(error.reason, error.detail)
        if (scores.model, scores.version) not in known:
            return Fault(
                DeadLetterReason.UNREGISTERED_MODEL,
                f"{scores.model[:80]}/{scores.version[:80]} was never deployed: see `rendezvous models list`",
            )
        if scores.outputs.shape[1] != self.width:
            return Fault(
                DeadLetterReason.WRONG_SHAPE,
                f"{scores.model} answers {scores.outputs.shape[1]} numbers, the endpoint has {self.width}",
            )
        return scores


def dead_letter(record: Record, fault: Fault, now_us: int) -> DeadLetter:
    """What is written about a record that could not be used."""
    return DeadLetter(
        reason=fault.reason,
        detail=fault.detail,
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        appended_us=record.timestamp_ms * MS_US if record.timestamp_ms >= 0 else -1,
        written_us=now_us,
        headers=tuple(
            (name[:MAX_DEAD_HEADER_BYTES], value[:MAX_DEAD_HEADER_BYTES])
            for name, value in record.headers[:MAX_DEAD_HEADERS]
        ),
        key=None if record.key is None else record.key[:MAX_DEAD_HEADER_BYTES],
        value=record.value[:MAX_DEAD_BYTES],
        size_bytes=len(record.value),
    )


def undecodable(topic: str, partition: int, offset: int, appended_us: int, now_us: int) -> DeadLetter:
    """What is written about a request whose value no model could read."""
    return DeadLetter(
        reason=DeadLetterReason.UNREADABLE,
        detail="no model could decode the value; it stands at its position and is not repeated here",
        topic=topic,
        partition=partition,
        offset=offset,
        appended_us=appended_us,
        written_us=now_us,
        headers=(),
        key=None,
        value=b"",
        size_bytes=0,
    )
