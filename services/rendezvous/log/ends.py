"""Where partitions end, asked again and again."""

from __future__ import annotations

from collections.abc import Iterable

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from rendezvous.log.reading import on_client_error
from rendezvous.log.records import LogError
from rendezvous.log.roles import ADMIN_TIMEOUT_S, COMMON


class Ends:
    """Asks a cluster for the ends of many partitions at once, over connections of its own.

    A consumer's own connection answers in the order of its questions, and so after a fetch that waits for records.
    """

    def __init__(self, bootstrap: str) -> None:
        self._settings = COMMON | {"bootstrap.servers": bootstrap, "error_cb": on_client_error}
        self._admin: AdminClient | None = None

    def ask(self, parts: Iterable[tuple[str, int]]) -> dict[tuple[str, int], int]:
        """The position after the last record of each, what transactions may yet abort included.

        Raises:
            LogError: the cluster did not say; another time it may.
        """
        if self._admin is None:
            self._admin = AdminClient(self._settings)
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call] # as published
        try:
            asked = self._admin.list_offsets(
                {TopicPartition(*part): latest for part in parts}, request_timeout=ADMIN_TIMEOUT_S
            )
            return {(part.topic, part.partition): future.result().offset for part, future in asked.items()}
        except KafkaException as error:
            self._admin = None  # it would go on with leaders as they were before, and be refused for ever
            raise LogError(f"ends of partitions: {error.args[0].str()}") from error
