"""Questions to a cluster, asked again while a partition or a group is changing hands."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from confluent_kafka import KafkaError, KafkaException

from rendezvous.log.records import LogError
from rendezvous.log.roles import ADMIN_TIMEOUT_S

T = TypeVar("T")

TRANSIENT = {
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.UNKNOWN_LEADER_EPOCH,
    KafkaError.OFFSET_NOT_AVAILABLE,
    KafkaError.REQUEST_TIMED_OUT,
    KafkaError._TRANSPORT,  # noqa: SLF001 - the client's own names for it
    KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001
}
"""Said of a topic that was made, a leader that was elected, or a broker that was started a moment ago."""
AGAIN_S = 0.05


def patiently(question: Callable[[], T], about: str) -> T:
    """The answer; transient refusals are asked again for `ADMIN_TIMEOUT_S`.

    Raises:
        LogError: naming what was asked about, and the last refusal.
    """
    deadline_s = time.monotonic() + ADMIN_TIMEOUT_S
    while True:
        try:
            return question()
        except KafkaException as error:
            if error.args[0].code() not in TRANSIENT or time.monotonic() > deadline_s:
                raise LogError(f"{about}: {error.args[0].str()}") from error
            time.sleep(AGAIN_S)
