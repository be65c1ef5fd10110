"""The scorer's shell: one model version, one consumer group, scores to the same partition number."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import numpy as np

from rendezvous.log.records import Committed, LogError, Record, Sink, Source, Start
from rendezvous.messages import Bytes, Floats, Scores
from rendezvous.scoring.batch import Batch, score, take_up
from rendezvous.scoring.models import LoadedModel
from rendezvous.settings import Endpoint
from rendezvous.telemetry import ScorerMetrics
from rendezvous.wire import Codec, encode

IDLE_US = 50_000
"""The longest wait for a record: how late a commit may be."""
REPORT_US = 5_000
"""The longest wait while scores are under way: their reports release commits."""
COMMIT_EVERY_US = 500_000
"""A restart scores again at most this much; the server drops what it knows."""
FLUSH_S = 10.0

_logger = logging.getLogger(__name__)


def group_of(endpoint: Endpoint, model: str, version: str) -> str:
    """The consumer group of one model version: two versions never split partitions between them."""
    return f"{endpoint.name}.scorer.{model}.{version}"


class Scorer:
    """Reads requests, scores whatever is waiting, up to `max_batch`; never waits to fill a batch.

    live: it may answer users, and leaves alone what is past its deadline.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        name: str,
        loaded: LoadedModel,
        source: Source,
        sink: Sink,
        clock_us: Callable[[], int],
        metrics: ScorerMetrics,
        *,
        live: bool,
    ) -> None:
        self._endpoint = endpoint
        self._name = name
        self._settings = endpoint.models[name]
        self._loaded = loaded
        self._source = source
        self._sink = sink
        self._clock_us = clock_us
        self._metrics = metrics
        self._codec = Codec(endpoint.features_schema, endpoint.older_features_schemas)
        self._live = live
        self._requests_topic = endpoint.topic("requests")
        self._scores_topic = endpoint.topic("scores")
        self._owned: set[int] = set()
        self._done: dict[int, int] = {}
        self._committed: dict[int, int] = {}
        self._commit_at_us = 0
        self._undelivered = 0
        self._failed: str | None = None
        self.ready = False
        source.subscribe(self._requests_topic, self)

    def turn(self, longest_us: int = IDLE_US) -> None:
        """Wait for requests, at most `longest_us`, and score them.

        Raises:
            LogError: scores could not be delivered; a restart scores them again.
        """
        patience_us = min(longest_us, REPORT_US) if self._undelivered else longest_us
        records = self._source.poll(self._settings.max_batch, patience_us / 1e6)
        if records:
            self._score(records)
        self._sink.serve()
        if self._failed is not None:
            raise LogError(
                f"{self._scores_topic}: {self._failed}: stopping; a restart scores again what was not delivered"
            )
        now_us = self._clock_us()
        if now_us >= self._commit_at_us:
            self._commit_at_us = now_us + COMMIT_EVERY_US
            self._commit(wait=False)

    def stop(self) -> None:
        """Finish what is under way, commit, and leave the group at once."""
        self._sink.flush(FLUSH_S)
        self._commit(wait=True)
        self._source.close()

    def _score(self, records: Sequence[Record]) -> None:
        taken_us = self._clock_us()
        batch = take_up(records, self._endpoint, self._codec, taken_us, live=self._live)
        statuses, outputs = score(batch, self._loaded.model, self._endpoint, self._settings.required)
        scored_us = self._clock_us()
        numbers = np.array([record.partition for record in batch.records])
        passed = {record.partition: record.offset + 1 for record in records}
        for number, position in passed.items():
            rows = np.flatnonzero(numbers == number)
            if len(rows):
                self._send(number, position, self._scores(batch, rows, statuses, outputs, taken_us, scored_us))
        self._count(records, batch, statuses, taken_us, scored_us)

    def _scores(
        self, batch: Batch, rows: np.ndarray, statuses: Bytes, outputs: Floats, taken_us: int, scored_us: int
    ) -> Scores:
        return Scores(
            model=self._name,
            version=self._loaded.card.version,
            taken_us=taken_us,
            scored_us=scored_us,
            offsets=np.array([batch.records[row].offset for row in rows.tolist()], np.int64),
            statuses=statuses[rows],
            outputs=outputs[rows],
        )

    def _send(self, number: int, position: int, scores: Scores) -> None:
        def delivered(error: str | None, _: int) -> None:
            self._undelivered -= 1
            if error is not None:
                self._failed = error
            elif self._failed is None and number in self._owned:  # else its new owner commits
                self._done[number] = max(position, self._done.get(number, 0))

        self._undelivered += 1
        self._sink.send(self._scores_topic, encode(scores), partition=number, delivered=delivered)

    def _count(self, records: Sequence[Record], batch: Batch, statuses: Bytes, taken_us: int, scored_us: int) -> None:
        if skipped := len(records) - len(batch.records):
            self._metrics.skipped.inc(skipped)
        self._metrics.scored(statuses)
        self._metrics.batch.observe(len(batch.records))
        self._metrics.seconds.observe((scored_us - taken_us) / 1e6)
        self._metrics.delay.set(scored_us / 1e6 - min(record.timestamp_ms for record in records) / 1e3)

    def _commit(self, *, wait: bool) -> None:
        for number, position in self._done.items():
            if self._committed.get(number) != position:
                self._source.commit(self._requests_topic, number, Committed(position, ""), wait=wait)
                self._committed[number] = position

    # ------------------------------------------------------------------------------------------- who owns what

    def assigned(self, partitions: Sequence[int]) -> list[Start]:
        """Go on from the commit; a new version starts one longest deadline before now, where it can still matter."""
        starts = []
        for number in partitions:
            committed = self._source.committed(self._requests_topic, number)
            if committed is None:
                since_ms = self._clock_us() // 1_000 - self._endpoint.request.max_deadline_ms
                offset = self._source.position_at(self._requests_topic, number, since_ms)
            else:
                offset = max(committed.offset, self._source.bounds(self._requests_topic, number)[0])
            _logger.info("%s scores %s-%d from %d", self._name, self._requests_topic, number, offset)
            starts.append(Start(self._requests_topic, number, offset))
        self._owned.update(partitions)
        self.ready = True
        return starts

    def revoked(self, partitions: Sequence[int], *, lost: bool) -> list[tuple[str, int]]:
        """Commit what is delivered, unless the partitions are someone else's already."""
        if not lost:
            self._sink.flush(FLUSH_S)
            self._commit(wait=True)
        for number in partitions:
            self._owned.discard(number)
            self._done.pop(number, None)
            self._committed.pop(number, None)
        return [(self._requests_topic, number) for number in partitions]
