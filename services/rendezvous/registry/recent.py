"""The comparisons of the last requests, from the log."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from rendezvous.log import last_records
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
    topic = endpoint.topic("comparisons")
    found: list[tuple[int, Comparisons]] = []
    unreadable = 0
    for record in last_records(bootstrap, topic, OFFSETS_A_REQUEST * requests):
        try:
            found.append((record.partition, decode(record.value, Comparisons)))
        except WireError:
            unreadable += 1
    if unreadable:
        _logger.warning("%s: %d records are no comparisons and were left out", topic, unreadable)
    return found
