"""Requests that wait for their labels: what the monitor needs of them, where they are kept, and until when. Pure.

The store does not look into a row: the monitor packs it (see `waiting`), 35 bytes and 4 for each output of each model.
A request is known by the first 8 bytes of the BLAKE2b hash of its id: of ten million, two share one with a chance of
3e-6, and then one's label counts for the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Protocol

import numpy as np

from rendezvous.messages import Bytes, Int64s

DIGEST_BYTES = 8


class Pending(Protocol):
    """A store of rows by digest. The shell's is in Redis; `PendingInMemory` is for the backtest and for tests."""

    def put(self, digests: Sequence[bytes], times_us: Int64s, rows: Bytes) -> None:
        """Keep rows, uint8 [rows, width], of requests asked at int64 [rows]; a row that was kept before is replaced.

        A digest is always put with the same time; widths differ from one call to the next. Of a digest that stands
        twice in one call the last row counts.
        """

    def find(self, digests: Sequence[bytes]) -> list[bytes]:
        """The row of each digest, as it was put last; empty where there is none."""

    def expire(self, before_us: int) -> None:
        """Rows of requests asked before then are not needed any more: a store may keep them for a while longer."""


def digests_of(request_ids: Sequence[str]) -> list[bytes]:
    """What requests are known by here."""
    return [blake2b(one.encode("utf-8", "surrogatepass"), digest_size=DIGEST_BYTES).digest() for one in request_ids]


class PendingInMemory:
    """In dictionaries, one for each stretch of request time, so that a whole stretch is forgotten at once.

    Over `capacity` rows the oldest stretch goes early: `lost` counts its rows.
    """

    def __init__(self, stretch_us: int, capacity: int = 10_000_000) -> None:
        self._stretch_us = stretch_us
        self._capacity = capacity
        self._stretches: dict[int, dict[bytes, bytes]] = {}
        self._size = 0
        self.lost = 0

    def __len__(self) -> int:
        return self._size

    def put(self, digests: Sequence[bytes], times_us: Int64s, rows: Bytes) -> None:
        """Keep rows."""
        numbers = times_us // self._stretch_us
        packed, width = np.ascontiguousarray(rows).tobytes(), rows.shape[1]
        values = [packed[start : start + width] for start in range(0, len(packed), width)]
        for number in np.unique(numbers).tolist():
            here = np.flatnonzero(numbers == number).tolist()
            stretch = self._stretches.setdefault(number, {})
            before = len(stretch)
            stretch.update((digests[i], values[i]) for i in here)
            self._size += len(stretch) - before
        while self._size > self._capacity and len(self._stretches) > 1:
            self.lost += self._forget(min(self._stretches))

    def find(self, digests: Sequence[bytes]) -> list[bytes]:
        """The row of each digest, empty where there is none."""
        newest_first = [self._stretches[number] for number in sorted(self._stretches, reverse=True)]
        return [next((rows[digest] for rows in newest_first if digest in rows), b"") for digest in digests]

    def expire(self, before_us: int) -> None:
        """Forget the stretches that end before then."""
        for number in [number for number in self._stretches if (number + 1) * self._stretch_us <= before_us]:
            self._forget(number)

    def _forget(self, number: int) -> int:
        gone = len(self._stretches.pop(number))
        self._size -= gone
        return gone
