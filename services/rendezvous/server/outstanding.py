"""Answers sent and not reported: no reply topic may take the room of all others."""

from __future__ import annotations

from typing import NamedTuple


class Address(NamedTuple):
    """Where an answer goes; any partition when it is None."""

    topic: str
    partition: int | None


class Outstanding:
    """Answers sent and not reported, by destination: one that takes none must not fill the producer's queue for all.

    An application that names no partition has its whole topic as one destination.
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

    def full(self, address: Address, size: int) -> str | None:
        """Why no further answer of `size` bytes is sent there, or None."""
        records, used = self._destinations.get(address, (0, 0))
        if records >= self.RECORDS or used + size > self.BYTES:
            return f"{records} answers ({used} bytes) are sent and not taken there"
        if self.records >= self.ALL_RECORDS or self.bytes + size > self.ALL_BYTES:
            return f"{self.records} answers ({self.bytes} bytes) are sent and not taken, to all reply topics"
        return None

    def add(self, address: Address, size: int) -> None:
        """An answer is sent."""
        destination = self._destinations.setdefault(address, [0, 0])
        destination[0] += 1
        destination[1] += size
        self.records += 1
        self.bytes += size

    def reported(self, address: Address, size: int) -> None:
        """It has arrived, or never will."""
        destination = self._destinations[address]
        destination[0] -= 1
        destination[1] -= size
        self.records -= 1
        self.bytes -= size
        if not destination[0]:
            del self._destinations[address]
