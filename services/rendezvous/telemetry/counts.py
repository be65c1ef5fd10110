"""Counting by status and label, quickly: for what runs once for each batch of an idle system."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from prometheus_client import Counter

from rendezvous.messages import Bytes


def by_status(statuses: Bytes) -> list[tuple[int, int]]:
    """(status, rows) for each status that occurs."""
    return [(status, count) for status, count in enumerate(np.bincount(statuses).tolist()) if count]


def child(children: dict[tuple[object, ...], Counter], counter: Counter, *labels: str | IntEnum) -> Counter:
    """The counter of these labels: prometheus-client takes 1.5 us to find it, a dict 0.1."""
    key = (counter, *labels)
    child = children.get(key)
    if child is None:
        child = children[key] = counter.labels(*(x.name.lower() if isinstance(x, IntEnum) else x for x in labels))
    return child
