"""Sends what the core returns, in the order that makes it safe: answers, then their decision; letters; comparisons."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from rendezvous.log.records import TIMED_OUT, Committed, LogError, Sink, Source, Transactor
from rendezvous.messages import Comparisons, DeadLetter, Request
from rendezvous.server.answering import answers
from rendezvous.server.outbox import position
from rendezvous.server.outcomes import Verdicts
from rendezvous.server.outstanding import Address, Outstanding
from rendezvous.server.partition import Partition
from rendezvous.server.replies import FOREVER_US, NEVER_US, PARK_US, Addressed, Parking, Refusal, Replies
from rendezvous.settings import Endpoint
from rendezvous.wire import encode

LETTERS_BYTES = 64 * 1024 * 1024
"""Of dead letters under way, a quarter of the producer's queue: later ones go without the record that they are about,
since a full queue makes the server stand still, and no answer leaves."""
PARKED_US = 2_000
"""The longest wait for what comes, while answers wait to hear whether their topic is there."""
CLOSE_EVERY_US = 50_000
"""Comparisons are for the monitor, which is in no hurry: larger records cost less."""
REPORT_US = 10_000
"""The longest wait for what comes, while reports are under way. Each look between requests is a turn for nothing: with
2 ms, eight processes on two cores had a median of 36 ms at 400 requests/s, and of 21 ms with 10."""
PARKED_LOOK_S = 0.01
"""Between two looks, while a flush waits for a cluster to say which topics are there."""


class Publisher:
    """The outbox of the default mode (see `Outbox`): `answers` have a deadline, our `records` have not.

    A record of ours that cannot be delivered (decision, comparison, dead letter) is kept in `failed`, and the service
    stops: its successor resumes from the last commit, so nothing is lost. So it does when nobody takes the answers on
    our own reply topic. Any other answer that cannot be delivered is a dead letter: its topic is the application's.
    The decision waits for the letter as it would for the answer, so that a successor writes the letter if we die before
    it is there.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        source: Source,
        answers: Sink,
        records: Sink,
        on_letter: Callable[[DeadLetter], None],
        topic_id: str,
    ) -> None:
        self._source = source
        self._topic_id = topic_id
        self._requests_topic = endpoint.topic("requests")
        self._committed: dict[int, Committed] = {}
        self._answers = answers
        self._records = records
        self._on_letter = on_letter
        self._topics = {name: endpoint.topic(name) for name in ("decisions", "comparisons", "dead-letters")}
        self._responses = endpoint.topic("responses")
        self._replies = Replies(endpoint, answers.partitions)
        self._parking = Parking(self._replies)
        self._outstanding = Outstanding()
        self._reports = 0
        self._letters_bytes = 0
        self.failed: str | None = None

    def fence(self, number: int) -> None:
        """See `Outbox.fence`: here a predecessor that lives is only asked, by the group, to stop."""

    def gained(self, number: int, by: Transactor | None, *, unended: bool) -> None:
        """See `Outbox.gained`: all partitions share these producers."""

    def entitled(self, partitions: Iterable[Partition]) -> bool:
        """See `Outbox.entitled`: the group takes positions only from a member of its present generation."""
        held = {partition.number: position(partition, self._topic_id) for partition in partitions}
        return self._source.still_member(self._requests_topic, held)

    @property
    def undelivered(self) -> int:
        """See `Outbox.undelivered`."""
        return self._reports + self._parking.parked

    @property
    def patience_us(self) -> int:
        """See `Outbox.patience_us`: answers that wait for their topic are late soon, reports release only decisions."""
        if self._parking.parked:
            return PARKED_US
        return REPORT_US if self._reports else FOREVER_US

    @property
    def close_every_us(self) -> int:
        """See `Outbox.close_every_us`."""
        return CLOSE_EVERY_US

    def answer(self, partition: Partition, verdicts: Verdicts) -> None:
        """See `Outbox.answer`; the decision is sent when the last of the answers is delivered.

        Answers whose topic is not known yet follow later, with a decision of their own.
        """
        for ready in self._parking.take(partition, verdicts):
            self._send(ready)

    def _send(self, ready: Addressed) -> None:
        partition, verdicts, addresses = ready
        number, decided_us = partition.number, verdicts.decisions.decided_us
        batch = _Batch(number, decided_us, len(addresses), lambda: self._decide(partition, verdicts))
        together: dict[Address | Refusal, list[tuple[Request, bytes]]] = {}  # nearly always one address
        for request, value, address in zip(verdicts.requests, answers(verdicts, number), addresses, strict=True):
            together.setdefault(address, []).append((request, value))
        for address, due in together.items():
            if isinstance(address, Refusal):
                self._refuse([request for request, _ in due], address, batch)
            else:
                self._answer(due, address, batch)

    def _answer(self, due: Sequence[tuple[Request, bytes]], address: Address, batch: _Batch) -> None:
        records = [(value, self._replies.headers(request, batch.number)) for request, value in due]
        sizes = [len(value) + self._replies.size(headers) for value, headers in records]
        room = self._outstanding.room(address, sizes)
        size = sum(sizes[:room])

        def delivered(failed: Mapping[int, str]) -> None:
            self._reports -= room
            self._outstanding.reported(address, room, size)
            for place, error in failed.items():
                if error == TIMED_OUT and address.topic == self._responses:
                    # ours: the cluster is away, and a letter would not arrive either
                    self._fail(f"{address.topic}: {error}")
                else:  # the application's: gone, shrunk, or it takes no record of this size
                    self._refuse([due[place][0]], Refusal(f"{address.topic}: {error}"), batch)
            batch.less(room - len(failed))

        if room:
            self._reports += room
            self._outstanding.add(address, room, size)
        if room < len(due):
            refusal = Refusal(f"{address.topic}: {self._outstanding.full(address)}")
            self._refuse([request for request, _ in due[room:]], refusal, batch)
        if room:
            self._answers.send_all(address.topic, records[:room], partition=address.partition, delivered=delivered)

    def _refuse(self, requests: Iterable[Request], refusal: Refusal, batch: _Batch) -> None:
        for request in requests:
            letter = self._replies.letter(request, batch.number, batch.decided_us, refusal)
            self._letter_out(letter, lambda _: batch.less(1))

    def _decide(self, partition: Partition, verdicts: Verdicts) -> None:
        # of a partition that is gone too: the answers are there, and a successor that has not read decisions to their
        # end yet leaves them alone. Nor are answers that wait in the queue then taken back: after an outage they are
        # the first to arrive, and the client could only purge all partitions' at once
        offsets = verdicts.decisions.offsets
        value = encode(verdicts.decisions)
        self._hand_over("decisions", partition.number, value, lambda place: partition.decided(offsets, place))

    def compare(self, partition: Partition, comparisons: Comparisons) -> None:
        """See `Outbox.compare`."""
        value = encode(comparisons)
        self._hand_over("comparisons", partition.number, value, lambda _: partition.compared(comparisons.offsets))

    def letter(self, letter: DeadLetter, partition: Partition | None) -> None:
        """See `Outbox.letter`."""
        if partition is None:
            self._letter_out(letter, lambda _: None)
        else:
            self._letter_out(letter, lambda _: partition.buried(letter.offset))

    def _letter_out(self, letter: DeadLetter, done: Callable[[int], None]) -> None:
        self._on_letter(letter)
        if self._letters_bytes > LETTERS_BYTES:
            letter = replace(letter, headers=(), key=None, value=b"")
        value = encode(letter)
        self._letters_bytes += len(value)

        def buried(position: int) -> None:
            self._letters_bytes -= len(value)
            done(position)

        self._hand_over("dead-letters", None, value, buried)

    def _hand_over(self, topic: str, number: int | None, value: bytes, done: Callable[[int], None]) -> None:
        """Send to one of our topics; `done` gets the record's position."""

        def delivered(error: str | None, position: int) -> None:
            self._reports -= 1
            if error is None:
                done(position)
            else:
                self._fail(f"{self._topics[topic]}: {error}")

        self._reports += 1
        self._records.send(self._topics[topic], value, partition=number, delivered=delivered)

    def _fail(self, what: str) -> None:
        """The first failure is the one that is told."""
        self.failed = self.failed or what

    def turn(self, partitions: Mapping[int, Partition], now_us: int) -> list[int]:
        """See `Outbox.turn`: run the callbacks that are due, send the answers whose topic has become known."""
        del partitions
        for ready in self._parking.due(now_us):
            self._send(ready)
        self._answers.serve()
        self._records.serve()
        if self.failed is not None:
            raise LogError(f"{self.failed}: stopping; a restart resumes from the last commit and loses nothing")
        return []

    def commit(self, partitions: Iterable[Partition]) -> None:
        """See `Outbox.commit`."""
        self._commit(partitions, wait=False)

    def _commit(self, partitions: Iterable[Partition], *, wait: bool) -> None:
        for partition in partitions:
            committed = position(partition, self._topic_id)
            if committed.offset > 0 and self._committed.get(partition.number) != committed:
                self._source.commit(self._requests_topic, partition.number, committed, wait=wait)
                self._committed[partition.number] = committed

    def finish(self, partitions: Mapping[int, Partition], timeout_s: float) -> None:
        """See `Outbox.finish`; decisions that follow answers and letters are waited for too."""
        give_up_s = time.monotonic() + min(timeout_s, PARK_US / 1e6)
        while self._parking.parked:
            for ready in self._parking.due(NEVER_US if time.monotonic() < give_up_s else FOREVER_US):
                self._send(ready)
            if self._parking.parked:
                time.sleep(PARKED_LOOK_S)
        self._answers.flush(timeout_s)  # their reports send decisions and letters
        self._records.flush(timeout_s)  # letters' reports send decisions
        self._records.flush(timeout_s)
        self._commit(partitions.values(), wait=True)

    def gone(self, partition: Partition) -> None:
        """See `Outbox.gone`."""
        self._parking.forget(partition)
        self._committed.pop(partition.number, None)


class _Batch:
    """Counts the answers of one tick of a partition down, and then acts once."""

    __slots__ = ("_done", "_left", "decided_us", "number")

    def __init__(self, number: int, decided_us: int, left: int, done: Callable[[], None]) -> None:
        self.number = number
        self.decided_us = decided_us
        self._left = left
        self._done = done

    def less(self, answered: int) -> None:
        self._left -= answered
        if answered and self._left == 0:
            self._done()
