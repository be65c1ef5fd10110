"""What a busy endpoint writes, some seconds of it, in the order in which it would stand on the topics."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np

from loadtest.monitor.home import (
    CATEGORIES,
    LABEL_DELAY_S,
    MODELS,
    NUMERIC,
    PARTITIONS,
    SEED,
    START_US,
    TEXTUAL,
    draw,
)
from rendezvous.log import KafkaSink, LogError
from rendezvous.messages import Comparisons, FeatureColumns, Label, Message
from rendezvous.settings import Endpoint
from rendezvous.wire import encode

SLICES = 20
"""To a second: at 20,000 requests a second a record has 250 rows."""
LABELLED = 0.8
"""Of the label delay; the rest is for labels that come late."""
FLUSH_S = 60.0


class Filling:
    """Writes an endpoint's comparisons, features and labels."""

    def __init__(self, endpoint: Endpoint, bootstrap: str, versions: Sequence[str]) -> None:
        self._sink = KafkaSink(bootstrap, linger_ms=20)
        self._endpoint, self._versions = endpoint, tuple(versions)
        self._random = np.random.default_rng(SEED + 1)
        self._offset = 0
        self._owed: deque[tuple[int, Label]] = deque()

    def write(self, rate: int, labels_rate: int, seconds: float) -> tuple[int, int]:
        """Write some seconds of requests, and the labels that become known meanwhile; how many of each.

        Raises:
            LogError: not all could be written.
        """
        rows, written = rate // SLICES // PARTITIONS, 0
        share = labels_rate / rate
        delay = round(LABELLED * LABEL_DELAY_S * SLICES)
        for number in range(round(seconds * SLICES)):
            for partition in range(PARTITIONS):
                self._slice(number, partition, rows, share, number + delay)
            while self._owed and self._owed[0][0] <= number:
                self._send("labels", self._owed.popleft()[1], written % PARTITIONS)
                written += 1
            self._offset += rows
        if left := self._sink.flush(FLUSH_S):
            raise LogError(f"{left} records could not be written within {FLUSH_S:g} s")
        return round(seconds * SLICES) * rows * PARTITIONS, written

    def _slice(self, number: int, partition: int, rows: int, share: float, known: int) -> None:
        begin_us, end_us = (START_US + at * 1_000_000 // SLICES for at in (number, number + 1))
        asked_us = np.linspace(begin_us, end_us, rows, endpoint=False).astype(np.int64)
        offsets = np.arange(self._offset, self._offset + rows, dtype=np.int64)
        ids = tuple(f"f3b1c5d0-{partition:04x}-4000-8000-{offset:012x}" for offset in offsets.tolist())
        drawn = draw(self._random, rows)
        comparisons = Comparisons(
            closed_us=end_us,
            models=MODELS,
            versions=self._versions,
            offsets=offsets,
            request_ids=ids,
            appended_us=asked_us,
            winners=np.zeros(rows, np.int16),
            reasons=np.zeros(rows, np.uint8),
            statuses=np.ones((rows, len(MODELS)), np.uint8),
            latencies_us=self._random.integers(1_000, 90_000, (rows, len(MODELS)), np.int32),
            outputs=drawn.outputs,
            asked_us=asked_us,
        )
        columns = FeatureColumns(
            offsets,
            asked_us,
            NUMERIC,
            drawn.numbers,
            TEXTUAL,
            (CATEGORIES,) * len(TEXTUAL),
            drawn.codes,
        )
        self._send("features", columns, partition)
        self._send("comparisons", comparisons, partition)
        known_us = begin_us + (known - number) * 1_000_000 // SLICES
        for row in np.flatnonzero(self._random.random(rows) < share).tolist():
            self._owed.append((known, Label(ids[row], float(drawn.truth[row]), known_us, "loadtest")))

    def _send(self, topic: str, message: Message, partition: int) -> None:
        self._sink.send(self._endpoint.topic(topic), encode(message), partition=partition)
