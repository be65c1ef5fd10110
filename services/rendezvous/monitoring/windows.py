"""Several whole blocks together, when one has too few rows: windows of traffic, and windows of labelled rows. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from rendezvous.monitoring.delays import Durations
from rendezvous.monitoring.figures import Tally, tally_from_json
from rendezvous.monitoring.sheets import Judging, Sheet
from rendezvous.monitoring.traffic import Traffic
from rendezvous.monitoring.waiting import Pair


@dataclass(slots=True)
class TrafficWindow:
    """The blocks since the last window. number: of the window to come; first, last: its blocks."""

    number: int = 0
    first: int = 0
    last: int = 0
    traffic: Traffic | None = None

    def add(self, block: int, traffic: Traffic) -> None:
        """Take the next block. What was there goes when it was held against another reference."""
        if self.traffic is None or self.traffic.champion != traffic.champion or not self._fits(traffic):
            self.first = block
            self.traffic = Traffic(traffic.champion, traffic.canary)
        self.traffic.merge(traffic)
        self.last = block

    def _fits(self, traffic: Traffic) -> bool:
        """Whether all histograms have the same bins as before."""
        assert self.traffic is not None  # noqa: S101 - the caller looked
        mine = self.traffic
        return all(
            mine.inputs[name].bins == other.bins for name, other in traffic.inputs.items() if name in mine.inputs
        )

    def take(self, least: int) -> Traffic | None:
        """The window, when it has rows enough; the next one begins."""
        if self.traffic is None or self.traffic.rows < least:
            return None
        taken, self.traffic = self.traffic, None
        self.number += 1
        return taken

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        traffic = self.traffic and self.traffic.to_json()
        return {"number": self.number, "first": self.first, "last": self.last, "traffic": traffic}

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Self:
        """What `to_json` gave."""
        traffic = saved["traffic"] and Traffic.from_json(saved["traffic"])
        return cls(saved["number"], saved["first"], saved["last"], traffic)


@dataclass(slots=True)
class CountWindow:
    """One version's closed blocks since its last window of so many labelled requests."""

    tally: Tally
    delays: Durations
    number: int = 0
    first: int = 0
    last: int = 0
    requests: int = 0
    never: int = 0
    empty: bool = True

    @classmethod
    def of(cls, judging: Judging, number: int = 0) -> Self:
        """An empty one."""
        return cls(judging.tally(), Durations(), number)

    def add(self, block: int, pair: Pair, requests: int, sheet: Sheet) -> None:
        """Take the next closed block."""
        if self.empty:
            self.first, self.empty = block, False
        self.last = block
        self.requests += requests
        self.never += sheet.never.get(pair, 0)
        self.delays.merge(sheet.delays)
        if pair in sheet.tallies:
            self.tally.merge(sheet.tallies[pair])

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        plain = {name: getattr(self, name) for name in ("number", "first", "last", "requests", "never", "empty")}
        return {"tally": self.tally.to_json(), "delays": self.delays.to_json(), **plain}

    @classmethod
    def from_json(cls, judging: Judging, saved: Mapping[str, Any]) -> Self:
        """What `to_json` gave."""
        return cls(
            **{
                **saved,
                "tally": tally_from_json(judging.kind, saved["tally"]),
                "delays": Durations.from_json(saved["delays"]),
            }
        )
