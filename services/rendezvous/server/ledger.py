"""What of a partition is not yet safe in the log, and therefore where a successor must resume.

Each request owes one or more deliveries. It is done when all are reported, and the committable position is the first
request not done. A successor needs two more positions: the first scores record and the first decision that speak of
a request at or after it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import IntFlag
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from rendezvous.messages import Int64s

T = TypeVar("T", np.uint8, np.int64)

NOWHERE = np.iinfo(np.int64).max
"""Positions larger than any: nothing has spoken of the request yet."""


class Owes(IntFlag):
    """The deliveries that a request waits for."""

    DECISION = 1
    COMPARISON = 2
    DEAD_LETTER = 4


@dataclass(frozen=True, slots=True)
class Resume:
    """Travels as the metadata of a committed offset: where to read scores and decisions from, of which topic."""

    scores: int
    decisions: int
    topic: str

    def text(self) -> str:
        """As it is committed: one line of JSON."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @staticmethod
    def parse(text: str) -> Resume | None:
        """None for metadata that is absent or not ours (a commit made by another tool)."""
        try:
            fields = json.loads(text)
            return Resume(int(fields["scores"]), int(fields["decisions"]), str(fields["topic"]))
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            return None


class Ledger:
    """Rings over the offsets from the first request not done to the newest; they grow with the span."""

    FIRST_SPAN = 1_024

    def __init__(self, position: int, scores: int, decisions: int) -> None:
        self._first = position
        self._position = position
        self._scores_position = scores
        self._decisions_position = decisions
        self._owed: NDArray[np.uint8] = np.zeros(self.FIRST_SPAN, np.uint8)
        self._scores: Int64s = np.full(self.FIRST_SPAN, NOWHERE, np.int64)
        self._decisions: Int64s = np.full(self.FIRST_SPAN, NOWHERE, np.int64)

    @property
    def committable(self) -> int:
        """Everything before this offset is done."""
        return self._first

    @property
    def position(self) -> int:
        """One past the newest request seen."""
        return self._position

    def opened(self, offset: int, owes: int) -> None:
        """A request was taken up that owes these (`Owes`); offsets come in increasing order, with gaps."""
        if self._first == self._position and offset > self._first:
            self._pass_gap(offset)
        self._grow(offset + 1)
        self._owed[offset & self._mask] = owes
        self._position = offset + 1

    def skip(self, position: int) -> None:
        """Offsets before this position are not taken up here."""
        if self._first == self._position:
            self._pass_gap(position)
        else:
            self._grow(position)
            self._position = position

    def owe(self, offsets: Int64s, what: Owes) -> None:
        """Requests that are still pending owe one more delivery."""
        self._owed[offsets & self._mask] |= np.uint8(what)

    def scored(self, offsets: Int64s, records: Int64s) -> None:
        """The scores record at position records[i] speaks of offsets[i], within the mailbox's window.

        Early ones may be beyond the newest request.
        """
        pending = offsets >= self._first
        offsets, records = offsets[pending], records[pending]
        if len(offsets):
            self._grow(int(offsets.max()) + 1)
            np.minimum.at(self._scores, offsets & self._mask, records)

    def scored_one(self, offset: int, record: int) -> None:
        """The same for one of them."""
        if offset >= self._first:
            self._grow(offset + 1)
            slot = offset & self._mask
            self._scores[slot] = min(int(self._scores[slot]), record)

    def read_scores(self, position: int) -> None:
        """The scores log has been read up to this position."""
        self._scores_position = position

    def decided(self, offsets: Int64s, record: int) -> None:
        """The decision about these offsets is in the log at position `record`."""
        self._decisions_position = max(self._decisions_position, record + 1)
        slots = self._settle(offsets, Owes.DECISION)
        self._decisions[slots] = np.minimum(self._decisions[slots], record)
        self._advance()

    def settled(self, offsets: Int64s, what: Owes) -> None:
        """A comparison or a dead letter about these offsets is in the log."""
        self._settle(offsets, what)
        self._advance()

    def resume(self, topic: str) -> Resume:
        """Where a successor must start to learn all that matters from `committable` on."""
        # the whole ring: slots of done requests are reset, and slots past the newest hold early scores
        return Resume(
            scores=min(int(self._scores.min()), self._scores_position),
            decisions=min(int(self._decisions.min()), self._decisions_position),
            topic=topic,
        )

    @property
    def _mask(self) -> int:
        return len(self._owed) - 1

    def _settle(self, offsets: Int64s, what: Owes) -> Int64s:
        offsets = offsets[(offsets >= self._first) & (offsets < self._position)]
        slots = offsets & self._mask
        self._owed[slots] &= 0xFF ^ int(what)
        return slots

    def _advance(self) -> None:
        if self._owed[self._first & self._mask] and self._first < self._position:
            return  # as it is of most reports: the oldest request still waits for its comparison
        span = np.arange(self._first, self._position) & self._mask
        open_at = np.flatnonzero(self._owed[span])
        done = span[: open_at[0]] if len(open_at) else span
        self._scores[done] = NOWHERE
        self._decisions[done] = NOWHERE
        self._first += len(done)

    def _pass_gap(self, offset: int) -> None:
        """Nothing is pending: what lies before `offset` needs no room, only its early scores forgotten."""
        passed = np.arange(self._first, min(offset, self._first + len(self._owed))) & self._mask
        self._scores[passed] = NOWHERE
        self._first = self._position = offset

    def _grow(self, end: int) -> None:
        size = old = len(self._owed)
        while size < end - self._first:
            size *= 2
        if size > old:
            span = np.arange(self._first, self._first + old)
            self._owed = _moved(self._owed, span, size, 0)
            self._scores = _moved(self._scores, span, size, NOWHERE)
            self._decisions = _moved(self._decisions, span, size, NOWHERE)


def _moved(ring: NDArray[T], span: Int64s, size: int, empty: int) -> NDArray[T]:
    """The ring's contents for the offsets `span`, at their places in a ring of `size`."""
    larger: NDArray[T] = np.full(size, empty, ring.dtype)
    larger[span & (size - 1)] = ring[span & (len(ring) - 1)]
    return larger
