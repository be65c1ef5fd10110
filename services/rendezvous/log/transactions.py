"""`Transactor` on Apache Kafka: a thread of its own begins, produces, sends the position and commits."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer, TopicPartition

from rendezvous.log.kafka import KafkaSource
from rendezvous.log.reading import on_client_error
from rendezvous.log.records import Bundle, LogError, Outcome, Outgoing
from rendezvous.log.roles import ADMIN_TIMEOUT_S, TRANSACTOR

STEP_S = 5.0
"""How long one step of a transaction may take before it is asked for again; a healthy broker needs milliseconds."""
AGAIN_S = 0.05
"""Before a bundle that was aborted is reported: a group that is changing hands has often done so by then."""
ROOM_S = 0.01

_logger = logging.getLogger(__name__)


class KafkaTransactor:
    """A transactional producer and its thread, which ends with `close` or when it is fenced.

    Making one waits until whatever its predecessor of the same id left open is committed or aborted.

    Raises:
        LogError: the cluster does not let it begin.
    """

    def __init__(self, bootstrap: str, transactional_id: str, source: KafkaSource) -> None:
        self.busy = False
        self._id = transactional_id
        self._source = source
        self._closed = False
        self._bundles: queue.SimpleQueue[tuple[Bundle, object] | None] = queue.SimpleQueue()
        self._outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        self._producer = Producer(
            TRANSACTOR
            | {"bootstrap.servers": bootstrap, "transactional.id": transactional_id, "error_cb": on_client_error}
        )
        try:
            self._patiently(lambda: self._producer.init_transactions(ADMIN_TIMEOUT_S))
            self._producer.list_topics(timeout=ADMIN_TIMEOUT_S)  # the first answers need not wait for it
        except KafkaException as error:
            raise LogError(f"transactions of {transactional_id}: {error.args[0].str()}") from error
        threading.Thread(target=self._work, name=transactional_id, daemon=True).start()

    def hand_over(self, bundle: Bundle) -> None:
        """See `Transactor.hand_over`."""
        self.busy = True
        # asked here: the client answers this under Python's lock, and a thread that asked while another one polls the
        # same consumer would wait for ever
        self._bundles.put((bundle, self._source.group_metadata()))

    def outcome(self) -> Outcome | None:
        """See `Transactor.outcome`."""
        try:
            outcome = self._outcomes.get_nowait()
        except queue.Empty:
            return None
        self.busy = False
        return outcome

    def close(self) -> None:
        """See `Transactor.close`."""
        self._closed = True
        self._bundles.put(None)

    # ---------------------------------------------------------------------------------------------- the thread

    def _work(self) -> None:
        while (handed := self._bundles.get()) is not None and not self._closed:
            fates = _Fates()
            try:
                self._commit(*handed, fates)
                outcome = Outcome(done=True, ends=fates.ends, refused={})
            except _RefusedError:
                outcome = self._abort(fates)
            except KafkaException as error:
                outcome = self._failed(error.args[0], fates)
            self._outcomes.put(outcome)
            if outcome.lost:
                return

    def _commit(self, bundle: Bundle, member: object, fates: _Fates) -> None:
        self._producer.begin_transaction()
        for record in bundle.records:
            self._produce(record, fates)
        self._producer.flush(STEP_S)  # what is refused is known before the position is sent
        if fates.refused:
            raise _RefusedError
        position = TopicPartition(*bundle.start, bundle.metadata)
        self._patiently(lambda: self._producer.send_offsets_to_transaction([position], member, STEP_S))
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

    def _patiently(self, step: Callable[[], None]) -> None:
        """A step of a transaction; while a broker is away, again and again."""
        while True:
            try:
                return step()
            except KafkaException as error:
                if self._closed or not error.args[0].retriable():
                    raise
                time.sleep(AGAIN_S)

    def _failed(self, error: KafkaError, fates: _Fates) -> Outcome:
        """Abort; what cannot even be aborted is lost."""
        _logger.warning("transaction of %s: %s", self._id, error.str())
        if not error.txn_requires_abort() or error.fatal():
            return Outcome(done=False, ends={}, refused={}, lost=error.str())
        return self._abort(fates)

    def _abort(self, fates: _Fates) -> Outcome:
        try:
            self._patiently(lambda: self._producer.abort_transaction(STEP_S))
        except KafkaException as worse:
            return Outcome(done=False, ends={}, refused={}, lost=worse.args[0].str())
        time.sleep(AGAIN_S)
        return Outcome(done=False, ends={}, refused=fates.refused)


class _RefusedError(Exception):
    """A record was refused before it was sent."""


class _Fates:
    """The delivery reports of one transaction."""

    def __init__(self) -> None:
        self.ends: dict[str, int] = {}
        self.refused: dict[str, str] = {}

    def reporter(self, topic: str) -> Callable[[KafkaError | None, Message], None]:
        def report(error: KafkaError | None, message: Message) -> None:
            if error is None:
                self.ends[topic] = max(self.ends.get(topic, 0), (message.offset() or 0) + 1)
            elif error.code() not in COLLATERAL:
                self.refused[topic] = error.str()

        return report


COLLATERAL = {KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT}  # noqa: SLF001 - the client's own names for it
"""Said of records that another one's failure took along."""
