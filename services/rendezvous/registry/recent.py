"""The comparisons of the last requests, from the log."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from rendezvous.log import KafkaReader, starts_at_end
from rendezvous.messages import Comparisons
from rendezvous.settings import Endpoint
from rendezvous.wire import WireError, decode

OFFSETS_A_REQUEST = 2
"""A record is about one request at least; a transaction's end takes an offset of its own."""

_logger = logging.getLogger(__name__)


def recent_comparisons(bootstrap: str, endpoint: Endpoint, requests: int) -> Sequence[tuple[int, Comparisons]]:
    """Comparisons with their partition: the last `requests` requests, as far as the log holds them, and some before.

    Raises:
        LogError: the topic is not there, or cannot be read.
    """
    starts = starts_at_end(bootstrap, endpoint.topic("comparisons"), before=OFFSETS_A_REQUEST * requests)
    reader = KafkaReader(bootstrap, starts)
    found: list[tuple[int, Comparisons]] = []
    unreadable = 0
    try:
        while len(reader.ended) < len(starts):
            for record in reader.poll(10_000, 1.0):
                try:
                    found.append((record.partition, decode(record.value, Comparisons)))
                except WireError:
                    unreadable += 1
    finally:
        reader.close()
    if unreadable:
        _logger.warning(
            "%s: %d records are no comparisons and were left out", endpoint.topic("comparisons"), unreadable
        )
    return found
