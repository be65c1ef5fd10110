"""Sends what the core returns, in the order that makes it safe: answers, then their decision; letters; comparisons."""

from __future__ import annotations

import logging
from collections.abc import Callable

from rendezvous.envelope import CONTENT_TYPE
from rendezvous.log.records import Headers, LogError, Sink
from rendezvous.messages import Comparisons, DeadLetter, DeadLetterReason, Message, Reason, Request, Response
from rendezvous.registry.events import ControlEvent
from rendezvous.server.outcomes import Verdicts
from rendezvous.server.partition import Partition
from rendezvous.server.plan import MS_US, set_bits
from rendezvous.settings import Endpoint
from rendezvous.wire import encode

_logger = logging.getLogger(__name__)


def responses(verdicts: Verdicts, partition: int) -> list[Response]:
    """The answers of one tick, in the order of its requests."""
    decisions = verdicts.decisions
    rows = zip(
        verdicts.requests,
        decisions.winners.tolist(),
        decisions.reasons.tolist(),
        decisions.arrived.tolist(),
        decisions.slacks_us.tolist(),
        decisions.outputs.tolist(),
        strict=True,
    )
    return [
        Response(
            request_id=request.request_id,
            partition=partition,
            offset=request.offset,
            model=decisions.models[winner] if winner >= 0 else "",
            version=decisions.versions[winner] if winner >= 0 else "",
            reason=Reason(reason),
            output=tuple(output),
            missing=tuple(decisions.models[column] for column in set_bits(verdicts.scheduled & ~arrived)),
            slack_ms=slack_us / MS_US,
            decided_us=decisions.decided_us,
        )
        for request, winner, reason, arrived, slack_us, output in rows
    ]


class Publisher:
    """The server's producer side for one endpoint: `answers` have a deadline, our `records` have not.

    A record of ours that cannot be delivered (decision, comparison, dead letter) is kept in `failed`, and the service
    stops: its successor resumes from the last commit, so nothing is lost. An answer that cannot be delivered is a
    dead letter: its reply topic is the application's.
    """

    def __init__(self, endpoint: Endpoint, answers: Sink, records: Sink, on_letter: Callable[[str], None]) -> None:
        self._answers = answers
        self._records = records
        self._on_letter = on_letter
        self._topics = {
            name: endpoint.topic(name) for name in ("responses", "decisions", "comparisons", "dead-letters", "control")
        }
        self._requests_topic = endpoint.topic("requests")
        self._allowed = (self._topics["responses"], *endpoint.topics.reply_prefixes)
        self._internal = {endpoint.topic(name) for name in ("requests", "scores", "labels")} | {
            self._topics[name] for name in ("decisions", "comparisons", "dead-letters", "control")
        }
        self._head = [
            ("ce_specversion", b"1.0"),
            ("ce_type", b"rendezvous.response"),
            ("ce_source", f"rendezvous/{endpoint.name}".encode()),
            ("content-type", CONTENT_TYPE),
        ]
        self.undelivered = 0
        self.failed: str | None = None

    def answer(self, partition: Partition, verdicts: Verdicts) -> None:
        """Send a tick's answers, and its decision when the last of them is delivered."""
        batch = _Batch(len(verdicts.requests), lambda: self._decide(partition, verdicts))
        for request, response in zip(verdicts.requests, responses(verdicts, partition.number), strict=True):
            self._answer_one(request, response, batch)

    def _answer_one(self, request: Request, response: Response, batch: _Batch) -> None:
        reply = request.reply
        topic = (reply.topic if reply else "") or self._topics["responses"]
        number = reply.partition if reply else None
        if fault := self._refusal(topic, number):
            self._refuse(request, response, fault)
            batch.one_less()
            return
        correlation = reply.correlation if reply else request.request_id.encode()
        headers: Headers = [
            ("kafka_correlationId", correlation),
            ("ce_id", f"{response.partition}-{response.offset}".encode()),
            *self._head,
        ]

        def delivered(error: str | None, _: int) -> None:
            self.undelivered -= 1
            if error is not None:
                self._refuse(request, response, f"{topic}: {error}")
            batch.one_less()

        self.undelivered += 1
        self._answers.send(topic, encode(response), partition=number, headers=headers, delivered=delivered)

    def _refusal(self, topic: str, number: int | None) -> str | None:
        """Why the server does not write to this reply topic: it is not allowed, or not there."""
        if topic in self._internal or not topic.startswith(self._allowed):
            return f"reply topic {topic!r} is not allowed; prefixes: {', '.join(self._allowed)} (topics.reply_prefixes)"
        partitions = self._answers.partitions(topic)
        if not partitions:
            return f"reply topic {topic!r} does not exist"
        if number is not None and number >= partitions:
            return f"reply topic {topic!r} has {partitions} partitions, the request asks for number {number}"
        return None

    def _refuse(self, request: Request, response: Response, detail: str) -> None:
        self._letter_out(
            DeadLetter(
                reason=DeadLetterReason.REPLY_REFUSED,
                detail=detail,
                topic=self._requests_topic,
                partition=response.partition,
                offset=request.offset,
                appended_us=request.appended_us,
                written_us=response.decided_us,
                headers=(),
                key=None,
                value=b"",
                size_bytes=0,
            ),
            lambda _: None,
        )

    def _decide(self, partition: Partition, verdicts: Verdicts) -> None:
        self._own(
            "decisions",
            partition.number,
            verdicts.decisions,
            lambda position: partition.decided(verdicts.decisions.offsets, position),
        )

    def compare(self, partition: Partition, comparisons: Comparisons) -> None:
        """Send the comparisons of closed mailboxes."""
        self._own("comparisons", partition.number, comparisons, lambda _: partition.compared(comparisons.offsets))

    def tell(self, event: ControlEvent) -> None:
        """Append to control; it is in force once it is read back."""
        self._own("control", 0, event, lambda _: None)

    def letter(self, letter: DeadLetter, partition: Partition | None) -> None:
        """Send a dead letter; `partition` owes it for the letter's offset."""
        if partition is None:
            self._letter_out(letter, lambda _: None)
        else:
            self._letter_out(letter, lambda _: partition.buried(letter.offset))

    def _letter_out(self, letter: DeadLetter, done: Callable[[int], None]) -> None:
        self._on_letter(letter.reason)
        _logger.info(
            "dead letter: %s %s-%d@%d: %s", letter.reason, letter.topic, letter.partition, letter.offset, letter.detail
        )
        self._own("dead-letters", None, letter, done)

    def _own(self, topic: str, number: int | None, message: Message, done: Callable[[int], None]) -> None:
        """Send to one of our topics; `done` gets the record's position."""

        def delivered(error: str | None, position: int) -> None:
            self.undelivered -= 1
            if error is None:
                done(position)
            elif self.failed is None:
                self.failed = f"{self._topics[topic]}: {error}"

        self.undelivered += 1
        self._records.send(self._topics[topic], encode(message), partition=number, delivered=delivered)

    def check(self) -> None:
        """Run the callbacks that are due.

        Raises:
            LogError: a record of ours could not be delivered.
        """
        self._answers.serve()
        self._records.serve()
        if self.failed is not None:
            raise LogError(f"{self.failed}: stopping; a restart resumes from the last commit and loses nothing")

    def flush(self, timeout_s: float) -> None:
        """Wait for what is under way, decisions that follow answers included."""
        self._answers.flush(timeout_s)  # their reports send decisions and dead letters
        self._records.flush(timeout_s)


class _Batch:
    """Counts the answers of one tick down, and then acts once."""

    __slots__ = ("_done", "_left")

    def __init__(self, left: int, done: Callable[[], None]) -> None:
        self._left = left
        self._done = done

    def one_less(self) -> None:
        self._left -= 1
        if self._left == 0:
            self._done()
