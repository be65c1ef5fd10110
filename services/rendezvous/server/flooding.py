"""A writer of scores that sends what is of no use faster than a server should read it is not read for a while.

Counted are records of which no row was kept: repeats, scores for requests that are not there, or long gone. Writers are
told apart by the record's key, which scorers set to their version; all others are one writer together.
"""

from __future__ import annotations

from collections.abc import Container

WINDOW_US = 1_000_000
USELESS_RECORDS = 500
"""In a window. A scorer that was restarted repeats what it had not committed: half a second of micro-batches, which are
at most some hundred. To read a record costs the server some 30 µs: these are under 2 % of its time."""
STRANGERS = b""


class Floods:
    """Counts useless records by writer, and says whose are not read at present."""

    def __init__(self) -> None:
        self._begun_us = 0
        self._useless: dict[bytes, int] = {}
        self._shut: set[bytes] = set()
        self._news: set[bytes] = set()

    def turn(self, now_us: int) -> frozenset[bytes]:
        """Who was shut out since the last turn; whoever is calm for a window may try again."""
        if now_us - self._begun_us >= WINDOW_US:
            self._begun_us = now_us
            self._shut = {writer for writer, count in self._useless.items() if count > USELESS_RECORDS}
            self._useless = {}
        news, self._news = frozenset(self._news), set()
        return news

    def shuts(self, key: bytes | None, known: Container[bytes]) -> bytes | None:
        """The writer, when it is shut out; a record of its that is not read goes on counting."""
        if not self._shut:
            return None
        writer = _writer(key, known)
        if writer not in self._shut:
            return None
        self._count(writer)
        return writer

    def useless(self, key: bytes | None, known: Container[bytes]) -> None:
        """A record of which no row was kept."""
        self._count(_writer(key, known))

    def _count(self, writer: bytes) -> None:
        count = self._useless[writer] = self._useless.get(writer, 0) + 1
        if count > USELESS_RECORDS and writer not in self._shut:  # at once: a window can bring a hundred times as many
            self._shut.add(writer)
            self._news.add(writer)


def _writer(key: bytes | None, known: Container[bytes]) -> bytes:
    return key if key is not None and key in known else STRANGERS
