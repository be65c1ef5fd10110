"""Which requests of a log were taken already: records may come twice, around a restart of who wrote them. Pure."""

from __future__ import annotations

import zlib
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from rendezvous.messages import Int64s

SPAN = 1 << 17
"""Offsets below a partition's largest that are remembered, 16 KiB a partition as a snapshot: four times the span of
the largest mailbox by default, and a repeat lies within one. What is older counts as a repeat."""


class Seen:
    """For each partition its largest offset, and a ring of bits for the SPAN offsets up to it."""

    def __init__(self) -> None:
        self._largest: dict[int, int] = {}
        self._rings: dict[int, NDArray[np.bool_]] = {}

    def fresh(self, partition: int, offsets: Int64s) -> NDArray[np.bool_]:
        """Which of rising offsets are seen for the first time; all are remembered."""
        ring = self._rings.setdefault(partition, np.zeros(SPAN, np.bool_))
        largest = self._largest.get(partition, -1)
        newest = int(offsets[-1])
        if newest > largest:
            passed = np.arange(max(largest, newest - SPAN) + 1, newest + 1)
            ring[passed % SPAN] = False
            self._largest[partition] = largest = newest
        known = offsets > largest - SPAN
        places = offsets % SPAN
        fresh: NDArray[np.bool_] = known & ~ring[places]
        ring[places[known]] = True
        return fresh

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return {
            str(partition): [
                self._largest[partition],
                b64encode(zlib.compress(np.packbits(ring).tobytes(), 1)).decode(),
            ]
            for partition, ring in self._rings.items()
        }

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Self:
        """What `to_json` gave."""
        made = cls()
        for partition, (largest, ring) in saved.items():
            made._largest[int(partition)] = largest
            bits = np.unpackbits(np.frombuffer(zlib.decompress(b64decode(ring)), np.uint8))
            made._rings[int(partition)] = bits.astype(np.bool_)
        return made
