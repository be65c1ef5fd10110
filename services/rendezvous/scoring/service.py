"""The scorer's shell: one model version, one consumer group, scores to the same partition number."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

import numpy as np

from rendezvous.log.records import LogError, Record, Sink, Source
from rendezvous.messages import Bytes, Scores
from rendezvous.registry.events import State
from rendezvous.registry.fold import folded
from rendezvous.registry.state import Control
from rendezvous.scoring.batch import Batch, score, take_up
from rendezvous.scoring.columns import Layout
from rendezvous.scoring.duty import duty_of
from rendezvous.scoring.models import LoadedModel
from rendezvous.scoring.pace import Pace
from rendezvous.scoring.seat import Seat
from rendezvous.settings import Endpoint
from rendezvous.telemetry import ScorerMetrics
from rendezvous.wire import Codec, encode

IDLE_US = 50_000
"""The longest wait for a record: how late a commit may be."""
COMMIT_EVERY_US = 500_000
"""A restart scores again at most this much; the server drops what it knows."""
FLUSH_S = 10.0
DUTIES = ("live", "shadow", "paused", "retired")
"""What control can ask of a version, as the metric has it."""
JOIN_US = 1_000_000
"""How long a member has to join its group before the other leaves: two heartbeats and a rebalance are half of it."""
HAND_OVER_US = 2_000_000
"""How long a member that left reads on at most: for partitions that another process of this version has got, and that
are scored twice meanwhile."""

_logger = logging.getLogger(__name__)


def group_of(endpoint: Endpoint, model: str, version: str) -> str:
    """The consumer group of one model version: two versions never split partitions between them."""
    return f"{endpoint.name}.scorer.{model}.{version}"


class Scorer:
    """Reads requests, scores whatever is waiting, up to `max_batch`; waits only for those that are asked before it.

    control: as it was read before; it is followed from there. sources: a member of the version's group for each role
    (live or not), since how long the broker gathers records is a setting of the member: when control changes the role,
    another member joins, and then the first one leaves. Until the partitions have come over the first one reads on,
    else nobody would score for the time of a rebalance: the server drops what is scored twice.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        loaded: LoadedModel,
        control: Control,
        sources: Callable[[bool], Source],
        sink: Sink,
        clock_us: Callable[[], int],
        metrics: ScorerMetrics,
        rest: Callable[[float], None] = time.sleep,
    ) -> None:
        self._endpoint = endpoint
        self._pair = loaded.card.model, loaded.card.version
        self._settings = endpoint.models[loaded.card.model]
        self._loaded = loaded
        self._layout, self._width = Layout(endpoint.features, self._settings.required), len(endpoint.output.names)
        self._control = control
        self._sources = sources
        self._sink = sink
        self._clock_us = clock_us
        self._metrics = metrics
        self._rest = rest
        self._codec = Codec(endpoint.features_schema, endpoint.older_features_schemas)
        self._requests_topic = endpoint.topic("requests")
        self._scores_topic = endpoint.topic("scores")
        self._control_topic = endpoint.topic("control")
        self._key = "/".join(self._pair).encode()
        self._pace = Pace()
        self._undelivered = 0
        self._failed: str | None = None
        self._commit_at_us = 0
        self._duty = duty_of(control, self._pair)
        self._role = self._duty.live
        self._seat = self._take_seat()
        self._next: tuple[Seat, int] | None = None
        self._awaited: frozenset[int] | None = None
        metrics.undelivered.set_function(lambda: self._undelivered)
        self._show_duty()
        _logger.info("%s/%s: %s", *self._pair, self._duty)

    @property
    def ready(self) -> bool:
        """It has joined its group."""
        return self._seat.joined

    @property
    def over(self) -> bool:
        """Its version is retired: there is nothing more to do."""
        return self._duty.state is State.RETIRED

    def turn(self, longest_us: int = IDLE_US) -> None:
        """Wait for requests, at most `longest_us`, and score them.

        Raises:
            LogError: scores could not be delivered; a restart scores them again.
        """
        self._take(self._gather(longest_us))
        if self._next is not None:  # for itself: both may read the same requests, and a batch has none twice
            self._take(self._next[0].poll(self._settings.max_batch, 0))
        self._sink.serve()
        if self._failed is not None:
            raise LogError(
                f"{self._scores_topic}: {self._failed}: stopping; a restart scores again what was not delivered"
            )
        now_us = self._clock_us()
        if self._next is not None:
            self._hand_over(*self._next, now_us)
        if now_us >= self._commit_at_us:
            self._commit_at_us = now_us + COMMIT_EVERY_US
            self._seat.commit(wait=False)

    def _gather(self, longest_us: int) -> list[Record]:
        """What waits; when others are asked first, what comes while this one stands back, too."""
        most = self._settings.max_batch
        records = self._seat.poll(most, longest_us / 1e6)
        if self._duty.back_us and records and len(records) < most:
            oldest_us = min(record.timestamp_ms for record in records) * 1_000
            if back_us := self._duty.stands_back_us(oldest_us, self._clock_us()):
                self._rest(back_us / 1e6)
                records += self._seat.poll(most - len(records), 0)
        return records

    def _take(self, records: Sequence[Record]) -> None:
        """Follow control, and score requests, in this order."""
        news = [record for record in records if record.topic == self._control_topic]
        requests = [record for record in records if record.topic == self._requests_topic]
        if news:
            self._follow(news)
        if requests and self._duty.state is State.ACTIVE:
            self._score(requests)
        else:
            for record in requests:  # it rests
                self._done(record.partition, record.offset + 1)
        if not requests and self._seat.reads_nothing:
            self._metrics.delay.set(0)  # whoever reads nothing is not behind

    def stop(self) -> None:
        """Finish what is under way, commit, and leave the group at once."""
        if self._next is not None:
            self._change_over()
        self._seat.leave()

    # ------------------------------------------------------------------------------------------- what control says

    def _follow(self, news: Sequence[Record]) -> None:
        self._control = folded(self._control, [r for r in news if r.offset >= self._control.position])
        duty = duty_of(self._control, self._pair)
        if duty == self._duty:
            return
        self._duty = duty
        self._seat.heed()
        if self._next is not None:
            self._next[0].heed()
        self._show_duty()
        _logger.info("%s/%s: %s", *self._pair, duty)
        if duty.live != self._role and self._next is None:
            self._role = duty.live
            self._next = self._take_seat(), self._clock_us() + JOIN_US

    def _show_duty(self) -> None:
        duty = self._duty
        said = ("live" if duty.live else "shadow") if duty.state is State.ACTIVE else str(duty.state)
        self._metrics.duty.show({(one,): float(one == said) for one in DUTIES})
        self._metrics.shed.set(max(duty.shed.values(), default=0.0))

    def _take_seat(self) -> Seat:
        return Seat(
            self._endpoint,
            self._sources(self._role),
            self._clock_us,
            lambda: self._control.position,
            self._rests,
            self._flush,
        )

    def _rests(self, number: int) -> bool:
        return self._duty.rests(number)

    def _hand_over(self, following: Seat, due_us: int, now_us: int) -> None:
        """The member of the other role has joined: the first one leaves, and reads on until that has its partitions."""
        if self._awaited is None and now_us >= due_us:
            self._awaited = frozenset(self._seat.owned)
            self._seat.hand_over()
        if self._awaited is not None and (self._awaited <= following.owned or now_us >= due_us + HAND_OVER_US):
            self._change_over()

    def _change_over(self) -> None:
        if self._next is not None:
            before, self._seat, self._next = self._seat, self._next[0], None
            self._awaited = None
            before.leave()
        if self._duty.live != self._role:  # it changed again meanwhile
            self._role = self._duty.live
            self._next = self._take_seat(), self._clock_us() + JOIN_US

    def _flush(self) -> None:
        self._sink.flush(FLUSH_S)

    def _done(self, number: int, position: int) -> None:
        """Whichever member owns the partition commits it."""
        self._seat.done(number, position)
        if self._next is not None:
            self._next[0].done(number, position)

    # ------------------------------------------------------------------------------------------- one micro-batch

    def _score(self, records: Sequence[Record]) -> None:
        taken_us = self._clock_us()
        batch = take_up(records, self._endpoint, self._codec, taken_us, self._duty, self._pace.row_us)
        statuses, outputs = score(batch, self._loaded.model, self._layout, self._width)
        scored_us = self._clock_us()
        self._pace.saw(len(batch.rows), scored_us - taken_us)
        passed = {record.partition: record.offset + 1 for record in records}
        rows: dict[int, list[int]] = {}
        for row, record in enumerate(batch.records):
            rows.setdefault(record.partition, []).append(row)
        for number, own in rows.items():
            of_all = len(rows) == 1
            scores = Scores(
                model=self._pair[0],
                version=self._pair[1],
                taken_us=taken_us,
                scored_us=scored_us,
                offsets=np.array([batch.records[row].offset for row in own], np.int64),
                statuses=statuses if of_all else statuses[own],
                outputs=outputs if of_all else outputs[own],
            )
            self._send(number, passed[number], scores)
        self._count(records, batch, statuses, taken_us, scored_us)

    def _send(self, number: int, position: int, scores: Scores) -> None:
        def delivered(error: str | None, _: int) -> None:
            self._undelivered -= 1
            if error is not None:
                self._failed = error
            elif self._failed is None:
                self._done(number, position)

        self._undelivered += 1
        self._sink.send(self._scores_topic, encode(scores), partition=number, key=self._key, delivered=delivered)

    def _count(self, records: Sequence[Record], batch: Batch, statuses: Bytes, taken_us: int, scored_us: int) -> None:
        if skipped := len(records) - len(batch.records):
            self._metrics.skipped.inc(skipped)
        self._metrics.scored(statuses)
        self._metrics.batch.observe(len(batch.records))
        self._metrics.seconds.observe((scored_us - taken_us) / 1e6)
        self._metrics.delay.set(scored_us / 1e6 - min(record.timestamp_ms for record in records) / 1e3)
