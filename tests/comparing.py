"""Comparisons for tests: requests in a row, and what each version said of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from rendezvous.messages import Comparisons, Reason, Status
from rendezvous.registry.state import Pair

SPACING_US = 1_000


def comparisons(
    said: Mapping[Pair, Sequence[tuple[Status, int]]],
    *,
    first: int = 0,
    start_us: int = 0,
    reason: int = Reason.PREFERRED,
) -> Comparisons:
    """One record: for each version, by request, a status and after how many milliseconds it came.

    Args:
        said: as many for each version.
        first: the offset of the first request; the others follow.
        start_us: when the first request was appended; the others follow a millisecond apart.
        reason: of every decision.
    """
    count = len(next(iter(said.values())))
    statuses = np.array([[status for status, _ in column] for column in said.values()], np.uint8).T
    latencies = np.array([[ms * 1_000 for _, ms in column] for column in said.values()], np.int32).T
    return Comparisons(
        closed_us=start_us,
        models=tuple(model for model, _ in said),
        versions=tuple(version for _, version in said),
        offsets=np.arange(first, first + count, dtype=np.int64),
        request_ids=tuple(f"r-{number}" for number in range(first, first + count)),
        appended_us=start_us + SPACING_US * np.arange(count, dtype=np.int64),
        winners=np.zeros(count, np.int16),
        reasons=np.full(count, reason, np.uint8),
        statuses=np.ascontiguousarray(statuses),
        latencies_us=np.ascontiguousarray(latencies),
        outputs=np.zeros((count, len(said), 1), np.float32),
        asked_us=start_us + SPACING_US * np.arange(count, dtype=np.int64),
    )
