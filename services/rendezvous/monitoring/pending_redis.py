"""Requests that wait for their labels, in Redis: ten million of them in half a gigabyte.

A row is kept under 7 bytes of its digest, in a hash of some hundred others that the 8th names (with 5 bits more): a
*listpack*, which is one piece of memory without a pointer. Hashes belong to a *shelf* of a million requests, and leave
with it: nothing is looked through to forget what is old. A row that is kept again stays on its shelf.

What came since the last checkpoint is in memory alone, and goes to Redis with the next one, in one step with all else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from rendezvous.messages import Bytes, Int64s
from rendezvous.monitoring.checkpoint import BUCKETS, Keeper, Rows
from rendezvous.monitoring.pending import DIGEST_BYTES

SHELF_ROWS = 1 << 20
"""128 to a hash: Redis keeps up to 512 pairs as a listpack by its own settings, and walks through half of them."""
LOOKED_INTO = 250
"""Shelves that a label's request is looked for in, the newest: an answer names one in a byte. That is 250 million."""


@dataclass(slots=True)
class _Shelf:
    number: int
    rows: int
    oldest_us: int
    newest_us: int


class RedisPending:
    """See `Pending`.

    Args:
        keeper: where rows are kept.
        generation: names the state that they belong to.
        span_us: a shelf has requests of at most so long a time; its requests are forgotten together.
        said: what `said` was in the checkpoint that is gone on from.
        abandoned: prefixes of an earlier generation, whose keys are to be removed.
    """

    def __init__(
        self,
        keeper: Keeper,
        generation: str,
        span_us: int,
        said: Mapping[str, Any] | None = None,
        abandoned: Sequence[str] = (),
    ) -> None:
        self._keeper = keeper
        self._prefix = f"{keeper.key}:{generation}:"
        self._span_us = span_us
        said = said or {}
        self._shelves = [_Shelf(**shelf) for shelf in said.get("shelves", ())]
        self._gone: list[str] = [*said.get("gone", ()), *abandoned]
        self._next = int(said.get("next", 0))
        self._new: list[tuple[int, int, bytes]] = []
        self._fresh: dict[bytes, tuple[int, bytes]] = {}
        self._again: dict[bytes, tuple[int, bytes]] = {}
        self._found: dict[bytes, tuple[int, bytes]] = {}

    def __len__(self) -> int:
        """Rows that are kept."""
        return sum(shelf.rows for shelf in self._shelves)

    @property
    def unkept(self) -> int:
        """Rows that the next checkpoint will write."""
        return len(self._fresh)

    def put(self, digests: Sequence[bytes], times_us: Int64s, rows: Bytes) -> None:
        """Keep rows."""
        packed = np.ascontiguousarray(rows).tobytes()
        width = rows.shape[1]
        values = [packed[at : at + width] for at in range(0, len(packed), width)]
        new: list[int] = []
        newest_us = {shelf.number: shelf.newest_us for shelf in self._shelves}
        for place, (digest, time_us) in enumerate(zip(digests, times_us.tolist(), strict=True)):
            known = self._fresh.get(digest) or self._found.get(digest)
            if known is None or time_us > newest_us[known[0]]:  # later: an id that was used before
                new.append(place)
            else:
                self._fresh[digest] = self._again[digest] = known[0], values[place]
        if new:
            shelf = self._shelf(times_us[new], len(new)).number
            self._new.append((shelf, DIGEST_BYTES + width, b"".join(digests[at] + values[at] for at in new)))
            self._fresh.update((digests[at], (shelf, values[at])) for at in new)

    def find(self, digests: Sequence[bytes]) -> list[bytes]:
        """The row of each digest, empty where there is none."""
        found = {digest: known for digest in digests if (known := self._fresh.get(digest)) is not None}
        asked = [digest for digest in digests if digest not in found]
        shelves = [shelf.number for shelf in reversed(self._shelves)][:LOOKED_INTO]
        if asked and shelves:
            answers = self._keeper.find(b"".join(asked), [self._key(shelf) for shelf in shelves])
            for digest, answer in zip(asked, answers, strict=True):
                if answer:
                    found[digest] = shelves[answer[0]], answer[1:]
        self._found = found
        return [found[digest][1] if digest in found else b"" for digest in digests]

    def expire(self, before_us: int) -> None:
        """Forget shelves with nothing that was asked later."""
        for shelf in [shelf for shelf in self._shelves if shelf.newest_us < before_us]:
            self._shelves.remove(shelf)
            self._gone.append(self._key(shelf.number))
            self._new = [rows for rows in self._new if rows[0] != shelf.number]
            for known in (self._fresh, self._again, self._found):
                for digest in [digest for digest, (number, _) in known.items() if number == shelf.number]:
                    del known[digest]

    def changes(self) -> tuple[list[Rows], list[str]]:
        """What a checkpoint has to write, in this order, and the keys that it has to remove: of one shelf at a time."""
        rows = [Rows(self._key(shelf), width, data) for shelf, width, data in self._new]
        again: dict[tuple[int, int], list[bytes]] = {}
        for digest, (shelf, value) in self._again.items():
            again.setdefault((shelf, DIGEST_BYTES + len(value)), []).append(digest + value)
        rows += [Rows(self._key(shelf), width, b"".join(data)) for (shelf, width), data in again.items()]
        removed = [f"{prefix}{bucket}" for prefix in self._gone[:1] for bucket in range(BUCKETS)]
        return rows, removed

    def said(self) -> dict[str, Any]:
        """What the checkpoint with `changes` in it must know of this."""
        return {
            "prefix": self._prefix,
            "shelves": [asdict(shelf) for shelf in self._shelves],
            "gone": self._gone[1:],
            "next": self._next,
        }

    def kept(self) -> None:
        """The changes are in Redis."""
        self._new.clear()
        self._fresh.clear()
        self._again.clear()
        self._found.clear()
        del self._gone[:1]

    def _shelf(self, times_us: Int64s, rows: int) -> _Shelf:
        oldest_us, newest_us = int(times_us.min()), int(times_us.max())
        last = self._shelves[-1] if self._shelves else None
        if (
            last is None
            or last.rows + rows > SHELF_ROWS
            or max(newest_us, last.newest_us) - min(oldest_us, last.oldest_us) > self._span_us
        ):
            last = _Shelf(self._next, 0, oldest_us, newest_us)
            self._next += 1
            self._shelves.append(last)
        last.rows += rows
        last.oldest_us, last.newest_us = min(oldest_us, last.oldest_us), max(newest_us, last.newest_us)
        return last

    def _key(self, shelf: int) -> str:
        return f"{self._prefix}{shelf:x}:"


def prefixes_of(said: Mapping[str, Any]) -> list[str]:
    """Where the keys are of which a checkpoint says this: what a new generation removes."""
    return [*said.get("gone", ()), *(f"{said['prefix']}{shelf['number']:x}:" for shelf in said.get("shelves", ()))]
