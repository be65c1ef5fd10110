"""Partition counts of topics that applications name, for whoever must not wait for a cluster's answer."""

from __future__ import annotations

import logging
import queue
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from rendezvous.log.records import LogError
from rendezvous.log.roles import ADMIN_TIMEOUT_S, COMMON

TOPIC_NAME = re.compile(r"[a-zA-Z0-9._-]{1,249}")
"""Kafka's own rule; applications choose reply topics, and the client raises for some names that break it."""

AGE_S = 5.0
"""How long a count is believed. Then one that is there is served while it is asked for anew; a topic that was not
there is unknown again, because somebody may have made it."""
MAX_NAMES = 10_000
"""Topics whose counts are remembered; those asked about longest ago are forgotten first."""
MAX_QUESTIONS = 1_000
"""Names waiting to be asked about: a flood of invented names costs this much memory, and later ones ask again."""
BATCH = 200
"""Names in one question: a broker answers it in milliseconds."""
AGAIN_S = 0.1
"""Between two questions to a cluster that does not answer."""

Ask = Callable[[Sequence[str]], Mapping[str, int]]

_logger = logging.getLogger(__name__)


class KnownTopics:
    """Answers at once from what is known; what is not, a thread asks the cluster.

    Args:
        ask: counts of some topics, 0 for one that is not there; leaves out what it could not learn.
        known: counts that somebody has read already.
        clock: seconds, monotonic.
    """

    def __init__(self, ask: Ask, known: Mapping[str, int], clock: Callable[[], float] = time.monotonic) -> None:
        self._ask = ask
        self._clock = clock
        self._counts = {name: (count, clock()) for name, count in known.items()}  # the oldest question first
        self._open: set[str] = set()
        self._questions: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def partitions(self, topic: str) -> int | None:
        """How many a topic has; 0 when it is not or cannot be there; None while that is not known."""
        found = self._counts.get(topic)
        if found is None:
            if not TOPIC_NAME.fullmatch(topic):
                return 0
            self._question(topic)
            return None
        count, asked_s = found
        if self._clock() - asked_s <= AGE_S:
            return count
        self._question(topic)
        return count or None

    def _question(self, topic: str) -> None:
        if topic in self._open or len(self._open) >= MAX_QUESTIONS:
            return
        self._open.add(topic)
        self._questions.put(topic)
        if self._thread is None:
            self._thread = threading.Thread(target=self._answer, name="known-topics", daemon=True)
            self._thread.start()

    def _answer(self) -> None:
        while True:
            names = [self._questions.get()]
            while len(names) < BATCH and not self._questions.empty():
                names.append(self._questions.get())
            try:
                self._learn(self._ask(names))
            except LogError as error:  # whoever still wants to know asks again
                _logger.warning("%s", error)
                time.sleep(AGAIN_S)
            self._open.difference_update(names)

    def _learn(self, counts: Mapping[str, int]) -> None:
        now_s = self._clock()
        for name, count in counts.items():
            self._counts.pop(name, None)
            self._counts[name] = count, now_s
        while len(self._counts) > MAX_NAMES:
            del self._counts[next(iter(self._counts))]


def ask_cluster(bootstrap: str) -> Ask:
    """Asks a cluster, with a client of its own that it makes for the first question."""
    clients: list[AdminClient] = []

    def ask(names: Sequence[str]) -> dict[str, int]:
        if not clients:
            clients.append(AdminClient(COMMON | {"bootstrap.servers": bootstrap}))
        counts: dict[str, int] = {}
        described = clients[0].describe_topics(TopicCollection(list(names)), request_timeout=ADMIN_TIMEOUT_S)
        trouble: KafkaException | None = None
        for name, future in described.items():
            try:
                counts[name] = len(future.result().partitions)
            except KafkaException as error:
                if error.args[0].code() in ABSENT:
                    counts[name] = 0
                else:
                    trouble = error
        if trouble is not None:
            if not counts:
                raise LogError(f"describing topics {names[0]}, ...: {trouble.args[0].str()}") from trouble
            _logger.warning("describing topics: %s", trouble.args[0].str())
        return counts

    return ask


ABSENT = {
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.TOPIC_EXCEPTION,  # a name like "..", which follows the pattern and is none
    KafkaError.TOPIC_AUTHORIZATION_FAILED,  # what we may not see we do not write to
}
