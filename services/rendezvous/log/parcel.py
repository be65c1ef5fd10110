"""Records handed over together: what became of them is told once. Pure."""

from __future__ import annotations

from rendezvous.log.records import AllDelivered


class Parcel:
    """Counts the reports about `count` records down; `delivered` hears what went wrong when the last one is there."""

    __slots__ = ("_delivered", "_failed", "count", "left")

    def __init__(self, count: int, delivered: AllDelivered) -> None:
        self.count = self.left = count
        self._delivered = delivered
        self._failed: dict[int, str] = {}

    def arrived(self) -> None:
        """One of them is in the log."""
        self.left -= 1
        if not self.left:
            self._delivered(self._failed)

    def failed(self, place: int, error: str) -> None:
        """One of them will never be."""
        self._failed[place] = error
        self.arrived()

    def has_failed(self, place: int) -> bool:
        """Whether that is known already."""
        return place in self._failed
