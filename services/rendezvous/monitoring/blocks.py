"""Stretches of request time: which rows are in one, and when it is over. Pure.

A block's traffic is complete when the watermark reaches its end; its labels have had their time `label_delay` later:
then it closes, with exactly the labels that were observed by then, whenever they arrive.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from rendezvous.messages import Int64s
from rendezvous.monitoring.limits import MonitoringLimits
from rendezvous.monitoring.sheets import Judging, Rows, Sheet
from rendezvous.monitoring.traffic import Traffic
from rendezvous.monitoring.waiting import Mask, Pair

SOURCES = 64
"""Sources of labels are told apart by a hash into so many: two that share one are capped together."""


@dataclass(frozen=True, slots=True)
class Calendar:
    """Block k is [k * length, (k + 1) * length) of request time less the offset."""

    length_us: int
    offset_us: int
    label_delay_us: int

    @classmethod
    def of(cls, limits: MonitoringLimits) -> Self:
        """An endpoint's."""
        return cls(limits.block, limits.block_offset, limits.label_delay)

    def numbers(self, asked_us: Int64s) -> Int64s:
        """The block of each request."""
        numbers: Int64s = (asked_us - self.offset_us) // self.length_us
        return numbers

    def start_us(self, number: int) -> int:
        """When a block begins."""
        return number * self.length_us + self.offset_us

    def end_us(self, number: int) -> int:
        """When the next one begins."""
        return self.start_us(number + 1)

    def closing_us(self, number: int) -> int:
        """The last moment at which a label is observed in time."""
        return self.end_us(number) + self.label_delay_us

    def in_time(self, asked_us: Int64s, observed_us: Int64s) -> Mask:
        """Whether labels were observed in time for the closing of their requests' blocks."""
        in_time: Mask = observed_us <= self.closing_us(0) + self.numbers(asked_us) * self.length_us
        return in_time


@dataclass(slots=True)
class Block:
    """One block. sheets: labels in time, by source; deltas: what later labels add and take away, by source.

    closed: what was told at the closing, without the labels of quarantined sources. changed: whether a delta has
    something that was not told yet; corrections: how often one was told.
    """

    number: int
    judging: Judging
    traffic: Traffic
    sheets: dict[int, Sheet] = field(default_factory=dict)
    deltas: dict[int, Sheet] = field(default_factory=dict)
    closed: Sheet | None = None
    quarantined: set[int] = field(default_factory=set)
    ended: bool = False
    changed: bool = False
    corrections: int = 0

    @property
    def champion(self) -> Pair | None:
        """Who was champion when the block's first request was heard of."""
        return self.traffic.champion

    def count(self, source: int, rows: Rows, *, back: bool = False) -> None:
        """Labels that were observed in time: they stand, or (back) do not any more."""
        if self.closed is not None:
            self.amend(source, rows, back=back)
        else:
            self._count(self.sheets, source, rows, back=back)

    def amend(self, source: int, rows: Rows, *, back: bool = False) -> None:
        """What labels change that came after the closing."""
        self._count(self.deltas, source, rows, back=back)
        self.changed = True

    def _count(self, sheets: dict[int, Sheet], source: int, rows: Rows, *, back: bool) -> None:
        if source not in sheets:
            # nothing that comes after a closing enters a contest
            sheets[source] = self._sheet() if sheets is self.sheets else Sheet(self.judging, None)
        sheet = sheets[source]
        (sheet.remove if back else sheet.add)(rows)

    def close(self, share: float) -> int:
        """Settle what is told; returns how many labels are left out, of sources that sent more than this share."""
        total = sum(sheet.labelled for sheet in self.sheets.values())
        self.closed = self._sheet()
        left_out = 0
        for source, sheet in sorted(self.sheets.items()):
            if sheet.labelled > share * total:
                self.quarantined.add(source)
                left_out += sheet.labelled
            else:
                self.closed.merge(sheet)
        self.sheets.clear()
        return left_out

    def together(self) -> Sheet:
        """All labels that count by now."""
        sheet = self._sheet()
        if self.closed is not None:
            sheet.merge(self.closed)
        for source, part in (*self.sheets.items(), *self.deltas.items()):
            if source not in self.quarantined:
                sheet.merge(part)
        return sheet

    def _sheet(self) -> Sheet:
        return Sheet(self.judging, self.champion)

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return {
            "number": self.number,
            "traffic": self.traffic.to_json(),
            "sheets": [[source, sheet.to_json()] for source, sheet in self.sheets.items()],
            "deltas": [[source, sheet.to_json()] for source, sheet in self.deltas.items()],
            "closed": self.closed and self.closed.to_json(),
            "quarantined": sorted(self.quarantined),
            "ended": self.ended,
            "corrections": self.corrections,
            "changed": self.changed,
        }

    @classmethod
    def from_json(cls, judging: Judging, saved: Mapping[str, Any]) -> Self:
        """What `to_json` gave."""
        sheets, deltas = (
            {source: Sheet.from_json(judging, told) for source, told in saved[which]} for which in ("sheets", "deltas")
        )
        return cls(
            saved["number"],
            judging,
            Traffic.from_json(saved["traffic"]),
            sheets,
            deltas,
            saved["closed"] and Sheet.from_json(judging, saved["closed"]),
            set(saved["quarantined"]),
            saved["ended"],
            saved["changed"],
            saved["corrections"],
        )


def groups(numbers: Int64s) -> list[tuple[int, Int64s]]:
    """Rows by number: (number, rows), rising."""
    found, places = np.unique(numbers, return_inverse=True)
    if len(found) == 1:
        return [(int(found[0]), np.arange(len(numbers)))]
    return [(int(number), np.flatnonzero(places == place)) for place, number in enumerate(found)]
