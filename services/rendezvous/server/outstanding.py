"""Answers sent and not reported: no reply topic may take the room of all others."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple


class Address(NamedTuple):
    """Where an answer goes; any partition when it is None."""

    topic: str
    partition: int | None


class Outstanding:
    """Answers sent and not reported, by destination: one that takes none must not fill the producer's queue for all.

    An application that names no partition has its whole topic as one destination, and answers that are sent together
    count until the last of them is reported.
    """

    RECORDS = 10_000
    """For one destination. One that is well has a few dozen under way; a dead one keeps each for 30 s."""
    BYTES = 8 * 1024 * 1024
    """For one destination: 800 bytes for each of those, three times a usual answer."""
    ALL_RECORDS = 100_000
    """Half of the producer's queue (`queue.buffering.max.messages`), so that its own bound is never met."""
    ALL_BYTES = 128 * 1024 * 1024
    """Half of `queue.buffering.max.kbytes`."""

    def __init__(self) -> None:
        self._destinations: dict[Address, list[int]] = {}
        self.records = 0
        self.bytes = 0

    def room(self, address: Address, sizes: Sequence[int]) -> int:
        """How many of these answers, from the first on, may be sent there; sizes: bytes of each."""
        records, used = self._destinations.get(address, (0, 0))
        most = min(self.RECORDS - records, self.ALL_RECORDS - self.records)
        room = min(self.BYTES - used, self.ALL_BYTES - self.bytes)
        return max(0, min(most, bisect_right(list(accumulate(sizes)), room)))

    def full(self, address: Address) -> str:
        """Why no further answer is sent there."""
        records, used = self._destinations.get(address, (0, 0))
        return (
            f"{records} answers ({used} bytes) are sent and not taken there, "
            f"{self.records} ({self.bytes} bytes) to all reply topics"
        )

    def add(self, address: Address, count: int, size: int) -> None:
        """So many answers are sent, of `size` bytes together."""
        destination = self._destinations.setdefault(address, [0, 0])
        destination[0] += count
        destination[1] += size
        self.records += count
        self.bytes += size

    def reported(self, address: Address, count: int, size: int) -> None:
        """They have arrived, or never will."""
        destination = self._destinations[address]
        destination[0] -= count
        destination[1] -= size
        self.records -= count
        self.bytes -= size
        if not destination[0]:
            del self._destinations[address]
