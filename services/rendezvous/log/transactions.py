"""`Transactor` on Apache Kafka: a thread of its own begins, produces, sends the position and commits."""

from __future__ import annotations

import logging
import math
import queue
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer, TopicPartition

from rendezvous.log.member import KafkaSource
from rendezvous.log.reading import on_client_error
from rendezvous.log.records import Bundle, LogError, Outcome, Outgoing
from rendezvous.log.roles import ADMIN_TIMEOUT_S, SESSION_MS, TRANSACTOR

STEP_S = 1.0
"""How long one step of a transaction may take before it is asked for again; a healthy broker needs milliseconds."""
SLEPT_S = SESSION_MS / 1e3 - STEP_S
"""A step that took so long was slept in, and the session may be over: there may be a successor."""
DESERTED = "all brokers were away"
"""Whoever has begun a bundle then sends nothing more: what became of it, and of the one before, is in the log alone,
and the partition is taken over again. A broker that was killed in the midst of a commit can have left it open on some
partitions; what the same producer begins there would decide about it, and a fence that comes then would abort both."""
AGAIN_S = 0.05
"""Before a bundle that was aborted is reported: a group that is changing hands has often done so by then."""
ROOM_S = 0.01
LISTEN_S = 0.5
"""Between two looks for what the client has to say, while there is no bundle: that its brokers are away, say."""
ASK_S = 0.05
"""How long one question for the id is waited for: an answer takes 5 to 20 ms. Where what was open is aborted first, the
client puts it again half a second later, but at once if it is called again (.11 s instead of .58, and nobody answers
meanwhile)."""
BEGIN_S = 30.0
"""How long a broker may be away when one begins, which is how long the other mode's records wait for it."""
STUCK_S = 10.0
"""How long a bundle may be under way: longer than records that nobody takes (`delivery.timeout.ms` of TRANSACTOR), and
than a broker's restart. Then its producer counts as lost: a coordinator that was missing from one answer about the
cluster, as while it restarts, is not looked for again, and a position sent there never comes back, whatever the timeout
(librdkafka 2.16, its issue 5511)."""
MOST_STUCK = 8
"""Threads that never came back, before the process is better started anew."""
ENDS_S = 3 * STEP_S
"""A thread that was given up, and is not stuck, has ended by then."""

AWAY_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Goes on while the machine sleeps, where the system has such a clock."""

_logger = logging.getLogger(__name__)


class KafkaTransactor:
    """A transactional producer and its thread, which ends with `close` or when it is lost, and the client with it.

    Making one waits until whatever its predecessor of the same id left open is committed or aborted.

    Raises:
        LogError: the cluster does not let it begin, or not within BEGIN_S.
    """

    def __init__(
        self, bootstrap: str, transactional_id: str, source: KafkaSource, statistics: Mapping[str, Any] | None = None
    ) -> None:
        self.busy = False
        self._id = transactional_id
        self._source = source
        self._closed = False
        self._handed_s = 0.0
        self._awake_s = 0.0
        self._bundles_begun = False
        self._deserted = False
        self._bundles: queue.SimpleQueue[tuple[Bundle, object] | None] = queue.SimpleQueue()
        self._outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        own: dict[str, Any] = {
            "bootstrap.servers": bootstrap,
            "transactional.id": transactional_id,
            "error_cb": self._on_error,
        }
        self._producer = Producer(TRANSACTOR | own | dict(statistics or {}))
        try:
            # one that has not heard of the cluster's brokers does not know when all of them are away: see DESERTED
            self._producer.list_topics(timeout=ADMIN_TIMEOUT_S)
            self._patiently(lambda: self._producer.init_transactions(ASK_S), time.monotonic() + BEGIN_S)
        except KafkaException as error:
            del self._producer
            raise LogError(f"transactions of {transactional_id}: {error.args[0].str()}") from error
        self._thread = threading.Thread(target=self._work, name=transactional_id, daemon=True)
        self._thread.start()

    def hand_over(self, bundle: Bundle) -> None:
        """See `Transactor.hand_over`."""
        self.busy = True
        self._handed_s = time.monotonic()
        # asked here: the client answers this under Python's lock, and a thread that asked while another one polls the
        # same consumer would wait for ever
        self._bundles.put((bundle, self._source.group_metadata()))

    def outcome(self) -> Outcome | None:
        """See `Transactor.outcome`.

        Raises:
            LogError: a bundle has been under way for STUCK_S, and so had too many before.
        """
        if self._deserted:
            return _lost(DESERTED)
        try:
            outcome = self._outcomes.get_nowait()
        except queue.Empty:
            under_way_s = time.monotonic() - self._handed_s
            if not self.busy or under_way_s <= STUCK_S:
                return None
            outcome = self._given_up(f"nothing became of a bundle in {under_way_s:.0f} s")
        self.busy = False
        return outcome

    def _on_error(self, error: KafkaError) -> None:
        if error.code() == KafkaError._ALL_BROKERS_DOWN and self._bundles_begun:  # noqa: SLF001 - the client's own name
            self._deserted = True
        on_client_error(error)

    def _given_up(self, why: str) -> Outcome:
        self._closed = True
        now_s = time.monotonic()
        _given_up[:] = [(thread, when_s) for thread, when_s in _given_up if thread.is_alive()]
        stuck = sum(now_s - when_s > ENDS_S for _, when_s in _given_up)
        _given_up.append((self._thread, now_s))
        if stuck >= MOST_STUCK:
            raise LogError(
                f"transactions of {self._id}: {why}, and {stuck} before never came back: stopping; "
                "a restart resumes from the last commit and loses nothing"
            )
        return _lost(why)

    def close(self) -> None:
        """See `Transactor.close`."""
        self._closed = True
        self._bundles.put(None)

    # ---------------------------------------------------------------------------------------------- the thread

    def _work(self) -> None:
        try:
            self._serve()
        finally:
            del self._producer  # the client ends with it: nothing is asked again when its brokers are back

    def _serve(self) -> None:
        while (handed := self._next()) is not None and not self._closed:
            try:
                outcome = self._outcome_of(*handed)
            except (_SleptError, _DesertedError) as error:
                outcome = _lost(str(error))
            except Exception as error:  # of any kind, the client's SystemError too: silence would last for ever
                _logger.warning("transaction of %s", self._id, exc_info=True)
                outcome = _lost(f"{type(error).__name__}: {error.__cause__ or error}")
            self._outcomes.put(outcome)
            if outcome.lost:
                return

    def _next(self) -> tuple[Bundle, object] | None:
        """The next bundle; while there is none the client is listened to, or what it says of itself would pile up."""
        while True:
            try:
                return self._bundles.get(timeout=LISTEN_S)
            except queue.Empty:
                self._producer.poll(0)

    def _outcome_of(self, bundle: Bundle, member: object) -> Outcome:
        fates = _Fates()
        self._bundles_begun = True  # before that there is nothing that an abort could end
        self._awake_s = time.clock_gettime(AWAY_CLOCK)
        self._producer.poll(0)
        try:
            self._commit(bundle, member, fates)
        except _RefusedError:
            return self._abort(fates)
        except KafkaException as error:
            return self._failed(error.args[0], fates)
        return Outcome(done=True, ends=fates.ends, refused={})

    def _commit(self, bundle: Bundle, member: object, fates: _Fates) -> None:
        self._heed()
        self._producer.begin_transaction()
        for record in bundle.records:
            self._produce(record, fates)
        while self._producer.flush(STEP_S) and not fates.bad:  # what is refused is known before the position is sent
            self._stay_well()
        if fates.bad:
            raise _RefusedError
        self._heed()
        position = TopicPartition(*bundle.start, bundle.metadata)
        self._patiently(lambda: self._producer.send_offsets_to_transaction([position], member, STEP_S))
        self._heed()
        self._patiently(lambda: self._producer.commit_transaction(STEP_S))

    def _produce(self, record: Outgoing, fates: _Fates) -> None:
        report = fates.reporter(record.topic)
        options: dict[str, Any] = {} if record.partition is None else {"partition": record.partition}
        while True:
            try:
                self._producer.produce(
                    record.topic, record.value, headers=list(record.headers), on_delivery=report, **options
                )
            except BufferError:
                self._producer.poll(ROOM_S)
            except KafkaException as error:  # a partition that is not there, too large: said before it is sent
                fates.refused[record.topic] = error.args[0].str()
                return
            else:
                return

    def _patiently(self, step: Callable[[], object], give_up_s: float = math.inf) -> None:
        """A step of a transaction; while a broker is away, again and again."""
        while True:
            try:
                step()
            except KafkaException as error:
                if self._closed or not error.args[0].retriable() or time.monotonic() > give_up_s:
                    raise
                self._producer.poll(0)
                self._stay_well()
                time.sleep(AGAIN_S)
            else:
                return

    def _stay_well(self) -> None:
        """Raise if this process was stopped, or its machine asleep, for so long that there may be a successor."""
        self._heed()
        was_s, self._awake_s = self._awake_s, time.clock_gettime(AWAY_CLOCK)
        if self._bundles_begun and self._awake_s - was_s > SLEPT_S:
            raise _SleptError(f"stood still for {self._awake_s - was_s:.1f} s")

    def _heed(self) -> None:
        """Raise if the whole cluster was away: see DESERTED."""
        if self._deserted:
            raise _DesertedError(DESERTED)

    def _failed(self, error: KafkaError, fates: _Fates) -> Outcome:
        """Abort; what cannot be aborted, or must not be, is lost."""
        _logger.warning("transaction of %s: %s", self._id, error.str())
        if error.code() in SUCCEEDED or error.fatal() or not error.txn_requires_abort():
            return _lost(error.str())
        return self._abort(fates)

    def _abort(self, fates: _Fates) -> Outcome:
        if fates.succeeded:
            return _lost(fates.succeeded)
        if self._closed:
            return _lost("given up")
        self._stay_well()
        try:
            self._patiently(lambda: self._producer.abort_transaction(STEP_S))
        except KafkaException as worse:
            return _lost(worse.args[0].str())
        time.sleep(AGAIN_S)
        return Outcome(done=False, ends={}, refused=fates.refused)


_given_up: list[tuple[threading.Thread, float]] = []
"""Threads of this process, and when; one that is stuck holds a client that turns round a thousand times a second."""


def _lost(why: str) -> Outcome:
    return Outcome(done=False, ends={}, refused={}, lost=why)


class _RefusedError(Exception):
    """A record was refused before it was sent."""


class _DesertedError(Exception):
    """Nothing more may be sent: see DESERTED."""


class _SleptError(Exception):
    """Nothing may be aborted: see SUCCEEDED."""


class _Fates:
    """The delivery reports of one transaction."""

    def __init__(self) -> None:
        self.ends: dict[str, int] = {}
        self.refused: dict[str, str] = {}
        self.succeeded = ""
        """Why there is a successor, if one was heard of."""

    @property
    def bad(self) -> bool:
        """Whether nothing can come of it any more."""
        return bool(self.refused or self.succeeded)

    def reporter(self, topic: str) -> Callable[[KafkaError | None, Message], None]:
        def report(error: KafkaError | None, message: Message) -> None:
            if error is None:
                self.ends[topic] = max(self.ends.get(topic, 0), (message.offset() or 0) + 1)
            elif error.code() in SUCCEEDED:
                self.succeeded = error.str()
            elif error.code() not in COLLATERAL:
                self.refused[topic] = error.str()

        return report


COLLATERAL = {KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT}  # noqa: SLF001 - the client's own names for it
"""Said of records that another one's failure took along."""
SUCCEEDED = {
    KafkaError.INVALID_PRODUCER_EPOCH,
    KafkaError.PRODUCER_FENCED,
    KafkaError.UNKNOWN_MEMBER_ID,
    KafkaError._FENCED,  # noqa: SLF001 - the client's own names for it
    KafkaError._FATAL,  # noqa: SLF001
}
"""Said to one whose place another has taken, or will. Nothing is aborted then: to abort, the client asks for a new
epoch, and the broker, which does not look at the old one while a transaction is open, aborts the successor's. So it is
after a sleep in which records timed out, though nobody has said anything yet: hence `_stay_well`. (A generation that
is over is none of these: every rebalance ends one, and the epoch is our own still.)"""
