"""The server's shell: reads both logs, asks the core, publishes, commits. Decides nothing about requests itself."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence

from rendezvous.log.records import Committed, Record, Sink, Source, Start
from rendezvous.messages import Comparisons, DeadLetter, DeadLetterReason, Reason, Scores
from rendezvous.registry.events import Suspension
from rendezvous.registry.state import Control
from rendezvous.server.following import followed
from rendezvous.server.intake import Fault, Intake, dead_letter
from rendezvous.server.outcomes import Verdicts
from rendezvous.server.partition import Partition
from rendezvous.server.plan import plan_for
from rendezvous.server.publishing import Publisher
from rendezvous.server.recovery import take_over
from rendezvous.server.watching import Judgement
from rendezvous.settings import Endpoint
from rendezvous.telemetry import ServerMetrics
from rendezvous.wire import Codec

MAX_RECORDS = 1_000
"""In one turn of the loop: bounds how long an answer that is due waits behind arrivals."""
IDLE_US = 50_000
"""The longest wait for a record: how late a close or a commit may be."""
REPORT_US = 2_000
"""The longest wait while deliveries are under way: their reports release decisions and commits."""
CLOSE_EVERY_US = 50_000
"""Comparisons are for the monitor, which is in no hurry: larger records cost less."""
COMMIT_EVERY_US = 500_000
"""A successor reads again at most this much; a commit costs the broker a write."""
FLUSH_S = 10.0
"""How long a stop, or giving a partition away, waits for deliveries."""

_logger = logging.getLogger(__name__)


class Service:
    """One server process of one endpoint: owns some partitions, answers for them."""

    def __init__(
        self,
        endpoint: Endpoint,
        source: Source,
        answers: Sink,
        records: Sink,
        clock_us: Callable[[], int],
        metrics: ServerMetrics,
        topic_id: str,
    ) -> None:
        self._endpoint = endpoint
        self._source = source
        self._clock_us = clock_us
        self._metrics = metrics
        self._topic_id = topic_id
        self._requests_topic = endpoint.topic("requests")
        self._scores_topic = endpoint.topic("scores")
        self._control_topic = endpoint.topic("control")
        features = Codec(endpoint.features_schema, endpoint.older_features_schemas)
        self._intake = Intake(features, endpoint.request.max_bytes, len(endpoint.output.default))
        self._publisher = Publisher(
            endpoint, answers, records, lambda reason: metrics.dead_letters.labels(reason).inc()
        )
        self._partitions: dict[int, Partition] = {}
        self._positions: dict[tuple[str, int], int] = {}
        self._committed: dict[int, Committed] = {}
        self._close_at_us = 0
        self._commit_at_us = 0
        self._held = False
        self._control, _ = followed(endpoint, Control(), source.read(self._control_topic, 0, 0))
        self._follows = False
        plan_for(endpoint, self._control, 0)  # what it says can be followed, or we do not start
        self.joined = False
        source.subscribe(self._requests_topic, self)

    # ------------------------------------------------------------------------------------------------- the loop

    @property
    def ready(self) -> bool:
        """Joined, and every owned partition is live."""
        return self.joined and all(partition.live for partition in self._partitions.values())

    def turn(self, longest_us: int = IDLE_US) -> None:
        """Wait for what comes next, at most `longest_us`; then do all that is due.

        Raises:
            LogError: the log failed beyond repair; a restart resumes where this one stopped.
        """
        records = self._source.poll(MAX_RECORDS, self._patience_us(longest_us) / 1e6)
        now_us = self._clock_us()
        self._take_all(records, now_us)
        if self._held:
            self._note_progress()
        for partition in list(self._partitions.values()):
            for verdicts in partition.tick(now_us):
                self._publisher.answer(partition, verdicts)
                self._count_answers(verdicts)
        if now_us >= self._close_at_us:
            self._close_at_us = now_us + CLOSE_EVERY_US
            self._close(now_us)
        self._publisher.check()
        if now_us >= self._commit_at_us:
            self._commit_at_us = now_us + COMMIT_EVERY_US
            self._commit(wait=False)

    def _patience_us(self, longest_us: int) -> int:
        if self._publisher.undelivered:
            longest_us = min(longest_us, REPORT_US)
        due_us = min((p.next_due_us for p in self._partitions.values() if p.live), default=None)
        if due_us is not None:
            longest_us = min(longest_us, due_us - self._clock_us())
        return max(longest_us, 0)

    def stop(self) -> None:
        """Finish what is under way, commit, and leave the group at once."""
        self._publisher.flush(FLUSH_S)
        self._commit(wait=True)
        self._source.close()

    # ---------------------------------------------------------------------------------------------- what arrives

    def _take_all(self, records: Sequence[Record], now_us: int) -> None:
        """Requests one by one; scores together, since NumPy's price is by the call and not by the row."""
        scores: dict[int, list[tuple[Scores, int]]] = {}
        news = [record for record in records if record.topic == self._control_topic]
        if news:
            self._follow(news)
        for record in records:
            partition = None if record.topic == self._control_topic else self._partitions.get(record.partition)
            if partition is None:
                continue  # taken away between the poll and now: its new owner reads it
            self._positions[record.topic, record.partition] = record.offset + 1
            if record.topic == self._scores_topic:
                said = self._intake.scores(record, self._control.versions)
                if isinstance(said, Fault):
                    self._publisher.letter(dead_letter(record, said, now_us), None)
                else:
                    scores.setdefault(record.partition, []).append((said, record.offset))
            else:
                self._take_request(partition, record, now_us)
        for number, batch in scores.items():
            partition = self._partitions[number]
            tally = partition.scores(batch, now_us)
            self._metrics.tally(partition.plan.models, tally.by_fate(), [said for said, _ in batch])

    def _take_request(self, partition: Partition, record: Record, now_us: int) -> None:
        request, fault = self._intake.request(record, partition.plan)
        if request is None:
            partition.dead_letter(record.offset)
        else:
            partition.request(request, now_us, dead_letter=fault is not None)
            self._metrics.requests.inc()
            self._metrics.append_age.set((now_us - request.appended_us) / 1e6)
        if fault is not None:
            self._publisher.letter(dead_letter(record, fault, now_us), partition)

    def _note_progress(self) -> None:
        ends = self._source.ends()
        self._held = False
        for number, partition in self._partitions.items():
            if not partition.live:
                reached = [
                    max(self._positions.get((topic, number), 0), ends.get((topic, number), 0))
                    for topic in (self._requests_topic, self._scores_topic)
                ]
                partition.read_to(*reached)
                if partition.live:
                    _logger.info("%s-%d: live", self._requests_topic, number)
                self._held |= not partition.live

    # ---------------------------------------------------------------------------------------------- what leaves

    def _count_answers(self, verdicts: Verdicts) -> None:
        decisions = verdicts.decisions
        counts = Counter(zip(decisions.winners.tolist(), decisions.reasons.tolist(), strict=True))
        for (winner, reason), count in counts.items():
            nobody = "several" if reason == Reason.COMBINED else "default"
            self._metrics.answered(decisions.models[winner] if winner >= 0 else nobody, reason, count)
        for request, slack_us in zip(verdicts.requests, decisions.slacks_us.tolist(), strict=True):
            self._metrics.slack.observe(slack_us / 1e6)
            self._metrics.latency.observe((decisions.decided_us - request.appended_us) / 1e6)
            if slack_us < 0:
                self._metrics.late.inc()

    def _close(self, now_us: int) -> None:
        for partition in self._partitions.values():
            for comparisons in partition.close(now_us):
                self._bury_unreadable(partition, comparisons, now_us)
                self._publisher.compare(partition, comparisons)
            for judgement in partition.judge(now_us):
                self._tell(partition.number, judgement, now_us)
        owned = self._partitions.values()
        self._metrics.in_flight.set(sum(partition.in_flight for partition in owned))
        self._metrics.partitions.labels("live").set(sum(partition.live for partition in owned))
        self._metrics.partitions.labels("held").set(sum(not partition.live for partition in owned))

    def _tell(self, number: int, judgement: Judgement, now_us: int) -> None:
        """A version is passed by, or trusted again, once this is read back from control."""
        model, version = judgement.pair
        event = Suspension(
            partition=number,
            model=model,
            version=version,
            suspended=judgement.suspended,
            missed=judgement.missed,
            failed=judgement.failed,
            requests=judgement.requests,
            by="server",
            at_us=now_us,
        )
        _logger.warning("%s-%d: %s", self._requests_topic, number, event)
        self._publisher.tell(event)

    def _bury_unreadable(self, partition: Partition, comparisons: Comparisons, now_us: int) -> None:
        appended = dict(zip(comparisons.offsets.tolist(), comparisons.appended_us.tolist(), strict=True))
        for offset in partition.unreadable(comparisons).tolist():
            letter = DeadLetter(
                reason=DeadLetterReason.UNREADABLE,
                detail="no model could decode the value; it stands at its position and is not repeated here",
                topic=self._requests_topic,
                partition=partition.number,
                offset=offset,
                appended_us=appended[offset],
                written_us=now_us,
                headers=(),
                key=None,
                value=b"",
                size_bytes=0,
            )
            self._publisher.letter(letter, partition)

    def _commit(self, *, wait: bool) -> None:
        for number, partition in self._partitions.items():
            committed = Committed(partition.committable, partition.resume(self._topic_id).text())
            if committed.offset > 0 and self._committed.get(number) != committed:
                self._source.commit(self._requests_topic, number, committed, wait=wait)
                self._committed[number] = committed

    # ------------------------------------------------------------------------------------- what control says now

    def _follow(self, news: Sequence[Record]) -> None:
        """Versions came or went, aliases moved, rules changed: in force for requests that are read from now on."""
        self._control, refusals = followed(self._endpoint, self._control, news)
        for refusal in refusals:
            _logger.warning("%s", refusal)
        for number, partition in self._partitions.items():
            plan = plan_for(self._endpoint, self._control, number)
            if plan.changes(partition.plan):
                partition.adopt(plan)
                _logger.info(
                    "%s-%d: policy %s from control %d", self._requests_topic, number, plan.policy, plan.control
                )

    # ------------------------------------------------------------------------------------------- who owns what

    def assigned(self, partitions: Sequence[int]) -> list[Start]:
        """Partitions were gained: learn what their predecessor left, and read on from there."""
        starts = [] if self._follows else [Start(self._control_topic, 0, self._control.position)]
        self._follows = True
        if starts:
            self._source.bounds(self._control_topic, 0)  # asks for its leader: librdkafka would look once a second
        for number in partitions:
            plan = plan_for(self._endpoint, self._control, number)
            takeover = take_over(self._source, self._endpoint, plan, number, self._topic_id)
            _logger.info(
                "%s-%d: taken over at %d of %d", self._requests_topic, number, takeover.requests, takeover.requests_end
            )
            self._partitions[number] = Partition(plan, number, takeover, self._endpoint.fallback)
            starts.append(Start(self._requests_topic, number, takeover.requests))
            starts.append(Start(self._scores_topic, number, takeover.scores))
        self._held = True
        self.joined = True
        return starts

    def revoked(self, partitions: Sequence[int], *, lost: bool) -> list[tuple[str, int]]:
        """Partitions go away: what is under way is finished and committed, unless they are lost already."""
        stops = []
        if not lost:
            self._publisher.flush(FLUSH_S)
            self._commit(wait=True)
        for number in partitions:
            _logger.info("%s-%d: %s", self._requests_topic, number, "lost" if lost else "given away")
            self._partitions.pop(number, None)
            self._committed.pop(number, None)
            for topic in (self._requests_topic, self._scores_topic):
                self._positions.pop((topic, number), None)
                stops.append((topic, number))
        return stops
