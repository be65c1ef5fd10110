"""The server's shell: reads both logs, asks the core, publishes, commits. Decides nothing about requests itself."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Mapping, Sequence

from rendezvous.log.records import Record, Source
from rendezvous.log.roles import SESSION_MS
from rendezvous.messages import Comparisons, Request
from rendezvous.server.counting import count_answers, count_comparisons, count_scores, show_partitions
from rendezvous.server.hearing import Hearing
from rendezvous.server.intake import Intake, dead_letter, undecodable
from rendezvous.server.outbox import Outbox
from rendezvous.server.outcomes import Verdicts
from rendezvous.server.ownership import FLUSH_S, Ownership
from rendezvous.server.partition import Partition
from rendezvous.server.podium import Podium
from rendezvous.server.returning import Returning
from rendezvous.server.steering import Steering
from rendezvous.server.succession import Successions
from rendezvous.settings import Endpoint
from rendezvous.telemetry import ServerMetrics
from rendezvous.wire import Codec

MAX_RECORDS = 250
"""In one turn of the loop: bounds how long an answer that is due waits behind arrivals. Rubbish costs most, up to 0.25
ms a request with its dead letter; what NumPy costs a turn is by then spread over enough."""
IDLE_US = 50_000
"""The longest wait for a record: how late a close or a commit may be."""
TAKE_UP_US = 2_000
"""The longest wait while take-overs are under way."""
TELL_EVERY_US = 50_000
"""What the server says of itself, on control and in metrics, is in no hurry."""
COMMIT_EVERY_US = 500_000
"""A successor reads again at most this much; a commit costs the broker a write."""
MOST_UNDELIVERED = 1_000
"""On their way: nothing that was skipped is answered beside them, or a broker that takes its time would be swamped."""
FROZEN_US = SESSION_MS * 1_000 // 2
"""Whoever did not come round for this long may have lost its partitions without knowing it."""
DOUBT_US = 10_000
"""The wait for the group's word, while this process does not know whether it is still a member."""
BY = f"server@{socket.gethostname()}:{os.getpid()}"
"""Who says what a server says on control."""
TOLD_REFUSALS = 10
"""Of one turn: a flood of them on control must not become one of log lines."""

_logger = logging.getLogger(__name__)


class Service:
    """One server process of one endpoint: owns some partitions, answers for them."""

    def __init__(
        self,
        endpoint: Endpoint,
        source: Source,
        outbox: Outbox,
        podium: Podium,
        clock_us: Callable[[], int],
        steady_us: Callable[[], int],
        metrics: ServerMetrics,
        successions: Successions,
    ) -> None:
        self._endpoint = endpoint
        self._source = source
        self._clock_us = clock_us
        self._steady_us = steady_us
        self._metrics = metrics
        self._requests_topic = endpoint.topic("requests")
        self._scores_topic = endpoint.topic("scores")
        self._control_topic = endpoint.topic("control")
        features = Codec(endpoint.features_schema, endpoint.older_features_schemas)
        told = endpoint.monitoring.time == "ce_time"
        self._intake = Intake(features, endpoint.request.max_bytes, len(endpoint.output.default), told)
        self._hearing = Hearing(self._intake)
        self._outbox = outbox
        self._podium = podium
        self._close_at_us = 0
        self._tell_at_us = 0
        self._commit_at_us = 0
        self._steering = Steering(endpoint, source.read(self._control_topic, 0, 0, uncommitted=True), BY)
        podium.show(self._steering.control)
        metrics.retain(self._steering.control.deployed)
        self._successions = successions
        self._returning = Returning(source, self._requests_topic, successions.aside)
        self._turned_us = steady_us()
        self._sure = True
        self._untaken: list[Record] = []
        self._ownership = Ownership(endpoint, source, outbox, self._steering, successions, self._returning, metrics)
        self._partitions: Mapping[int, Partition] = self._ownership.partitions

    # ------------------------------------------------------------------------------------------------- the loop

    @property
    def ready(self) -> bool:
        """See `Ownership.ready`; and sure that it is so."""
        return self._sure and self._ownership.ready

    @property
    def over(self) -> bool:
        """A server has always more to do."""
        return False

    def turn(self, longest_us: int = IDLE_US) -> None:
        """Wait for what comes next, at most `longest_us`; then do all that is due.

        Raises:
            LogError: the log failed beyond repair; a restart resumes where this one stopped.
        """
        if self._sure and self._successions.under_way:
            self._ownership.take_up()
        # in doubt only one: the callbacks run all the same, and what is not taken yet stays little
        self._untaken += self._source.poll(MAX_RECORDS if self._sure else 1, self._patience_us(longest_us) / 1e6)
        if not self._entitled():
            return
        now_us = self._clock_us()
        records, self._untaken = self._untaken, []
        self._take_all(records, now_us)
        self._ownership.note_progress()
        for partition in list(self._partitions.values()):
            for verdicts in partition.tick(now_us):
                self._answer(partition, verdicts)
                self._steering.answered(partition, verdicts.decisions)
        if len(records) < MAX_RECORDS and self._outbox.undelivered < MOST_UNDELIVERED:
            self._return(now_us)
        if now_us >= self._close_at_us:
            self._close_at_us = now_us + self._outbox.close_every_us
            self._close(now_us)
        if now_us >= self._tell_at_us:
            self._tell_at_us = now_us + TELL_EVERY_US
            self._tell(now_us)
        self._ownership.doubt(self._outbox.turn(self._partitions, now_us))
        if now_us >= self._commit_at_us:
            self._commit_at_us = now_us + COMMIT_EVERY_US
            self._outbox.commit(self._partitions.values())
            self._ownership.take_over_again()
        self._turned_us = self._steady_us()

    def _entitled(self) -> bool:
        """Whether it may answer: a process that was frozen must first prove that its partitions are still its own.

        Looked at after the wait for records, where a process spends most of its time. What cannot be taken back: the
        rest of a turn that was frozen in its middle, and what stood in the producer's queue, which its threads send
        when they thaw. Such an answer is a repetition, by its `ce_id`, of what the new owner says.
        """
        away_us = self._steady_us() - self._turned_us
        if self._sure and away_us > FROZEN_US:
            _logger.warning(
                "%s: away for %.1f s: asking the group for its partitions", self._requests_topic, away_us / 1e6
            )
            self._sure = False
            self._successions.doubt()
        if not self._sure:
            self._sure = self._outbox.entitled(self._partitions.values())
            if self._sure:
                _logger.warning("%s: going on with partitions %s", self._requests_topic, sorted(self._partitions))
        return self._sure

    def _patience_us(self, longest_us: int) -> int:
        if not self._sure:
            return DOUBT_US
        if self._steering.behind:
            return 0
        longest_us = min(longest_us, self._outbox.patience_us)
        if self._successions.under_way or self._returning.under_way:
            longest_us = min(longest_us, TAKE_UP_US)
        due_us = min((p.next_due_us for p in self._partitions.values() if p.live), default=None)
        if due_us is not None:
            longest_us = min(longest_us, due_us - self._clock_us())
        return max(longest_us, 0)

    def stop(self) -> None:
        """Finish what is under way, commit, and leave the group at once."""
        self._outbox.finish(self._partitions, FLUSH_S)
        self._source.close()

    # ---------------------------------------------------------------------------------------------- what arrives

    def _take_all(self, records: Sequence[Record], now_us: int) -> None:
        """Control first, then requests one by one, and scores together."""
        news: list[Record] = []
        requests: list[Record] = []
        scores: list[Record] = []
        for record in records:
            if record.topic == self._control_topic:
                news.append(record)
            elif record.partition in self._partitions:  # else taken away meanwhile: its new owner reads it
                (scores if record.topic == self._scores_topic else requests).append(record)
        self._ownership.read(requests)
        self._ownership.read(scores)
        if news or self._steering.behind:
            self._follow(news)
        if requests:
            taken = [self._take_request(self._partitions[record.partition], record, now_us) for record in requests]
            newest = {record.partition: request for record, request in zip(requests, taken, strict=True) if request}
            self._metrics.requests.inc(sum(request is not None for request in taken))
            self._metrics.append_age.set(now_us / 1e6 - requests[-1].timestamp_ms / 1e3)
            self._catch_up(newest, now_us)
        if scores:
            self._hear(scores, now_us)

    def _catch_up(self, newest: Mapping[int, Request], now_us: int) -> None:
        """Where even the newest requests of a turn are old, and others wait, go on with those that come now."""
        for number, request in newest.items():
            partition, end = self._partitions[number], self._source.end(self._requests_topic, number)
            if partition.is_behind(request, end, now_us):
                skipped = partition.skip(end)
                self._ownership.reread(number, end)
                self._steering.skipped(number, skipped, now_us)
                self._metrics.skipped.inc(skipped)

    def _return(self, now_us: int) -> None:
        """Answer a little of what was skipped."""
        records = self._returning.turn(self._partitions, now_us)
        if not records:
            self._returning.taken(self._partitions)
            return
        partition = self._partitions[records[0].partition]  # they are all of one
        for record in records:
            request, fault = self._intake.request(record, partition.plan)
            partition.late(record.offset, request, dead_letter=fault is not None)
            self._metrics.requests.inc(request is not None)
            if fault is not None:
                self._outbox.letter(dead_letter(record, fault, now_us), partition)
        self._returning.taken(self._partitions)
        for verdicts in partition.returned(now_us):
            self._answer(partition, verdicts)

    def _hear(self, records: Sequence[Record], now_us: int) -> None:
        heard = self._hearing.hear(records, self._partitions, self._steering.control, now_us)
        for record, fault in heard.faults:
            self._outbox.letter(dead_letter(record, fault, now_us), None)
        count_scores(self._metrics, heard)

    def _take_request(self, partition: Partition, record: Record, now_us: int) -> Request | None:
        request, fault = self._intake.request(record, partition.plan)
        if request is None:
            partition.dead_letter(record.offset)
        else:
            partition.request(request, now_us, dead_letter=fault is not None)
        if fault is not None:
            self._outbox.letter(dead_letter(record, fault, now_us), partition)
        return request

    # ---------------------------------------------------------------------------------------------- what leaves

    def _answer(self, partition: Partition, verdicts: Verdicts) -> None:
        self._outbox.answer(partition, verdicts)
        count_answers(self._metrics, verdicts)

    def _close(self, now_us: int) -> None:
        for partition in self._partitions.values():
            for comparisons in partition.close(now_us):
                self._bury_unreadable(partition, comparisons, now_us)
                count_comparisons(self._metrics, partition, comparisons)
                self._outbox.compare(partition, comparisons)

    def _tell(self, now_us: int) -> None:
        self._podium.turn()
        owned = self._partitions.values()
        for event in self._steering.say(owned, now_us):
            self._podium.tell(event)
        self._metrics.undelivered.set(self._outbox.undelivered)
        show_partitions(self._metrics, owned, self._successions.under_way, self._steering.control)

    def _bury_unreadable(self, partition: Partition, comparisons: Comparisons, now_us: int) -> None:
        appended = dict(zip(comparisons.offsets.tolist(), comparisons.appended_us.tolist(), strict=True))
        for offset in partition.unreadable(comparisons).tolist():
            letter = undecodable(self._requests_topic, partition.number, offset, appended[offset], now_us)
            self._outbox.letter(letter, partition)

    # ------------------------------------------------------------------------------------- what control says now

    def _follow(self, news: Sequence[Record]) -> None:
        """Versions came or went, aliases moved, rules changed: in force for requests that are read from now on."""
        refusals = self._steering.follow(news)
        for refusal in refusals[:TOLD_REFUSALS]:
            _logger.warning("%s", refusal)
        if len(refusals) > TOLD_REFUSALS:
            _logger.warning("%s: %d more refused", self._control_topic, len(refusals) - TOLD_REFUSALS)
        self._metrics.refused.inc(len(refusals))
        self._metrics.retain(self._steering.control.deployed)
        self._podium.show(self._steering.control)
        self._ownership.adopt()
