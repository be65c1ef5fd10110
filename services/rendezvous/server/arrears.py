"""Requests of one partition that were skipped to answer newer ones in time, until the server comes back to them. Pure.

Requests are read in the order of the log. A server that is slower than they come reads, after a while, only such as
have run out of time: it works as hard as ever, and nothing of it is of use. So one that is behind goes to where the log
ends, and notes what it has passed. When it is behind no more it reads that again, and answers it with the default.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from rendezvous.messages import Int64s
from rendezvous.server.ledger import Ledger, Owes

MOST = 1 << 18
"""Offsets from the first that is skipped to the newest that is read: a successor has to read all of them again, and
what was decided about them, some 100 MB of its memory meanwhile."""
CALMS = 4
"""So many times as long as it takes to be behind a server must have kept up to be behind no more."""


class Backlog:
    """Looks at the newest request of each turn, and says whether to skip what waits behind it."""

    def __init__(self) -> None:
        self._old_since_us: int | None = None
        self._calm_from_us = 0

    def calm(self, now_us: int) -> bool:
        """Whether there is time for what was skipped."""
        return now_us >= self._calm_from_us

    def skips(self, age_us: int, most_us: int, behind_us: int, now_us: int, *, waits: bool) -> bool:
        """Whether to skip, with a newest request of this age, when others wait behind it.

        most_us: the age that one may have, half of it until it is calm again; behind_us: how long it may be older: what
        a take-over finds is read sooner. With clocks apart a request may be old though nothing waits behind it.
        """
        calm = self.calm(now_us)
        if age_us <= (most_us if calm else most_us // 2):
            self._old_since_us = None
            return False
        if not waits:
            return False
        if self._old_since_us is None:
            self._old_since_us = now_us
        if calm and now_us - self._old_since_us < behind_us:
            return False
        self._calm_from_us = now_us + CALMS * behind_us
        return True


class Span(NamedTuple):
    """Offsets that were skipped, `end` is none of them; decisions about them are not before `decisions`."""

    start: int
    end: int
    decisions: int


class Arrears:
    """What was skipped, and how far it has been read again and is done."""

    def __init__(self) -> None:
        self._unread: deque[Span] = deque()
        self._undone: deque[Span] = deque()
        self._read = 0
        self._ledger = Ledger(0, 0, 0)

    def add(self, span: Span) -> None:
        """Some more, beyond all the others."""
        if not self._undone:
            self._ledger = Ledger(span.start, 0, 0)
        self._read = min(self._read, span.start) if self._undone else span.start  # who reads them may have read on
        self._unread.append(span)
        self._undone.append(span)

    @property
    def count(self) -> int:
        """Offsets that are to be read again."""
        return sum(end - max(start, self._read) for start, end, _ in self._unread)

    @property
    def next(self) -> int | None:
        """Where to read on, if there is anything to be read."""
        return max(self._unread[0].start, self._read) if self._unread else None

    @property
    def oldest(self) -> Span | None:
        """The first that is not done, from its first offset that is not."""
        return self._undone[0]._replace(start=max(self._undone[0].start, self._done)) if self._undone else None

    def admits(self, offset: int) -> bool:
        """Whether the record that is read now was skipped, and is read again for the first time."""
        if offset < self._read:
            return False
        span = next((span for span in self._unread if offset < span.end), None)
        return span is not None and span.start <= offset

    def opened(self, offset: int, owes: int) -> None:
        """One that is admitted owes these (`Owes`)."""
        self._ledger.opened(offset, owes)
        self.read_to(offset + 1)

    def read_to(self, position: int) -> None:
        """All before this position has been read again; what is left of it, if anything, is no request."""
        self._read = max(self._read, position)
        while self._unread and self._unread[0].end <= self._read:
            self._unread.popleft()
        self._trim()

    def settled(self, offsets: Int64s, what: Owes) -> None:
        """These are delivered; others than those that were skipped do not count."""
        if self._undone:
            self._ledger.settled(offsets, what)
            self._trim()

    @property
    def _done(self) -> int:
        pending = self._ledger.committable < self._ledger.position
        return self._ledger.committable if pending else self._read

    def _trim(self) -> None:
        while self._undone and self._undone[0].end <= self._done:
            self._undone.popleft()
