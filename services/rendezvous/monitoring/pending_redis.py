"""Requests that wait for their labels, in Redis: ten million of them in half a gigabyte.

A request is 7 bytes of a digest of its id, which name it in a hash of some hundred others (a *listpack*: one piece of
memory, without a pointer), and a packed value: when it was asked, each model's outputs, and its label once that came.
Hashes belong to a *shelf* of a million requests, and leave with it: nothing is looked through to forget what is old.

What came since the last checkpoint is in memory alone, and goes to Redis with the next one, in one step with all else.

| bytes | value                                                                     |
|-------|---------------------------------------------------------------------------|
| 8     | asked_us                                                                  |
| 2     | number of the model axis                                                  |
| 4     | for each model and output, float32                                        |
| 8     | once labelled: the value, double                                          |
| 8     | observed_us                                                               |
| 2     | number of the source; the highest bit says that there will never be a value |
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rendezvous.messages import Floats, Int64s
from rendezvous.monitoring.checkpoint import Keeper, Rows

DIGEST_BYTES = 8
"""Of ten million ids two are one with a probability of 3 in a million."""
BUCKETS = 8_192
SHELF_ROWS = 1 << 20
"""128 to a hash: up to 512 stay a listpack by Redis' own settings, and a look-up walks through half of them."""
PACKED_BYTES = 64
"""Longer values make Redis keep a hash with pointers, three times as large: `hash-max-listpack-value` moves that."""
SOURCES = 1 << 15
"""Names of sources that are kept; what comes from a later one is kept under the last."""

_HEAD = struct.Struct("<qH")
_MARK = struct.Struct("<dqH")
_NEVER = 1 << 15
_NOTHING = 0, b""

Axis = tuple[tuple[str, str], ...]
"""Models and their versions."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A label as it was taken: None when there will never be a value."""

    value: float | None
    observed_us: int
    source: str


@dataclass(frozen=True, slots=True, eq=False)
class Waiting:
    """A request that was closed: outputs are float32 [models, width], NaN where a model had none."""

    asked_us: int
    axis: Axis
    outputs: Floats
    mark: Mark | None


@dataclass(slots=True)
class _Shelf:
    number: int
    rows: int
    oldest_us: int
    newest_us: int


class RedisPending:
    """Pending requests of one endpoint; `generation` names the state that they belong to.

    Args:
        keeper: where they are kept.
        generation: see `Checkpoint`.
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
        self._axes: list[tuple[Axis, int]] = [
            (tuple((model, version) for model, version in axis), width) for axis, width in said.get("axes", ())
        ]
        self._sources: list[str] = list(said.get("sources", ()))
        self._shelves = [_Shelf(**shelf) for shelf in said.get("shelves", ())]
        self._horizon_us: int = said.get("horizon_us", -(1 << 62))
        self._gone: list[str] = [*said.get("gone", ()), *abandoned]
        self._next = int(said.get("next", 0))
        self._put: list[tuple[int, int, bytes]] = []
        self._fresh: dict[bytes, tuple[int, bytes]] = {}
        self._marked: dict[bytes, tuple[int, bytes]] = {}
        self._found: dict[bytes, tuple[int, bytes]] = {}

    def __len__(self) -> int:
        """Requests that are kept, those included that are too old to be found."""
        return sum(shelf.rows for shelf in self._shelves)

    @property
    def unkept(self) -> int:
        """Rows that the next checkpoint will write."""
        return len(self._fresh)

    def put(self, request_ids: Sequence[str], asked_us: Int64s, axis: Axis, outputs: Floats) -> None:
        """Requests that were closed; outputs: float32 [rows, models, width], NaN where there is none.

        One that is put twice is what was put last.
        """
        shelf = self._shelf(asked_us)
        number = self._axis(axis, outputs.shape[2])
        packed = np.empty(
            len(request_ids),
            [("digest", f"V{DIGEST_BYTES}"), ("asked", "<i8"), ("axis", "<u2"), ("outputs", "<f4", outputs.shape[1:])],
        )
        digests = [_digest(request_id) for request_id in request_ids]
        packed["digest"] = np.frombuffer(b"".join(digests), f"V{DIGEST_BYTES}")
        packed["asked"], packed["axis"], packed["outputs"] = asked_us, number, outputs
        data, width = packed.tobytes(), packed.itemsize
        self._put.append((shelf.number, width, data))
        values = [(shelf.number, data[at + DIGEST_BYTES : at + width]) for at in range(0, len(data), width)]
        self._fresh.update(zip(digests, values, strict=True))

    def find(self, request_ids: Sequence[str]) -> list[Waiting | None]:
        """The request of each id, or None: never closed, or asked before the horizon."""
        digests = [_digest(one) for one in request_ids]
        values = self._values(digests)
        self._found = dict(zip(digests, values, strict=True))
        return [self._waiting(value) for _, value in values]

    def mark(self, request_ids: Sequence[str], marks: Sequence[Mark]) -> None:
        """Note the labels of requests that the last `find` was asked for; of two for one request the last stands."""
        for request_id, mark in zip(request_ids, marks, strict=True):
            digest = _digest(request_id)
            shelf, value = self._fresh.get(digest) or self._found.get(digest, _NOTHING)
            if value:
                said = 0.0 if mark.value is None else mark.value
                source = self._source(mark.source) | (_NEVER if mark.value is None else 0)
                row = shelf, value[: self._plain(value)] + _MARK.pack(said, mark.observed_us, source)
                self._fresh[digest] = self._marked[digest] = row

    def expire(self, before_us: int) -> None:
        """Forget what was asked before."""
        self._horizon_us = max(self._horizon_us, before_us)
        for shelf in [shelf for shelf in self._shelves if shelf.newest_us < self._horizon_us]:
            self._shelves.remove(shelf)
            self._gone.append(self._key(shelf.number))
            self._put = [put for put in self._put if put[0] != shelf.number]
            for rows in (self._fresh, self._marked):
                for digest in [digest for digest, (number, _) in rows.items() if number == shelf.number]:
                    del rows[digest]

    def changes(self) -> tuple[list[Rows], list[str]]:
        """What a checkpoint has to write, and the keys that it has to remove: those of one shelf at a time."""
        rows = [Rows(self._key(shelf), width, data) for shelf, width, data in self._put]
        marked: dict[tuple[int, int], list[bytes]] = {}
        for digest, (shelf, value) in self._marked.items():
            marked.setdefault((shelf, DIGEST_BYTES + len(value)), []).append(digest + value)
        rows += [Rows(self._key(shelf), width, b"".join(data)) for (shelf, width), data in marked.items()]
        removed = [f"{prefix}{bucket}" for prefix in self._gone[:1] for bucket in range(BUCKETS)]
        return rows, removed

    def said(self) -> dict[str, Any]:
        """What the checkpoint with `changes` in it must know of this."""
        return {
            "prefix": self._prefix,
            "axes": self._axes,
            "sources": self._sources,
            "shelves": [asdict(shelf) for shelf in self._shelves],
            "horizon_us": self._horizon_us,
            "gone": self._gone[1:],
            "next": self._next,
        }

    def kept(self) -> None:
        """The changes are in Redis."""
        self._put.clear()
        self._fresh.clear()
        self._marked.clear()
        del self._gone[:1]

    def _values(self, digests: Sequence[bytes]) -> list[tuple[int, bytes]]:
        """(shelf, value) of each; an empty value where there is none."""
        found = [self._fresh.get(digest) for digest in digests]
        asked = [at for at, one in enumerate(found) if one is None]
        shelves = [shelf.number for shelf in reversed(self._shelves)]
        if asked and shelves:
            prefixes = [self._key(shelf) for shelf in shelves]
            answers = self._keeper.find(b"".join(digests[at] for at in asked), prefixes)
            for at, answer in zip(asked, answers, strict=True):
                if answer:
                    found[at] = shelves[answer[0]], answer[1:]
        return [one or _NOTHING for one in found]

    def _waiting(self, value: bytes) -> Waiting | None:
        if not value:
            return None
        asked_us, number = _HEAD.unpack_from(value)
        if asked_us < self._horizon_us:
            return None
        axis, width = self._axes[number]
        end = self._plain(value)
        outputs: NDArray[np.float32] = np.frombuffer(value[_HEAD.size : end], "<f4").reshape(len(axis), width)
        mark = None
        if len(value) > end:
            said, observed_us, source = _MARK.unpack_from(value, end)
            mark = Mark(None if source & _NEVER else said, observed_us, self._sources[source & ~_NEVER])
        return Waiting(asked_us, axis, outputs, mark)

    def _plain(self, value: bytes) -> int:
        """How long a value is without its label."""
        number: int = _HEAD.unpack_from(value)[1]
        axis, width = self._axes[number]
        return _HEAD.size + 4 * len(axis) * width

    def _shelf(self, asked_us: Int64s) -> _Shelf:
        oldest_us, newest_us = int(asked_us.min()), int(asked_us.max())
        last = self._shelves[-1] if self._shelves else None
        if (
            last is None
            or last.rows + len(asked_us) > SHELF_ROWS
            or max(newest_us, last.newest_us) - min(oldest_us, last.oldest_us) > self._span_us
        ):
            last = _Shelf(self._next, 0, oldest_us, newest_us)
            self._next += 1
            self._shelves.append(last)
        last.rows += len(asked_us)
        last.oldest_us, last.newest_us = min(oldest_us, last.oldest_us), max(newest_us, last.newest_us)
        return last

    def _axis(self, axis: Axis, width: int) -> int:
        if (axis, width) not in self._axes:
            self._axes.append((axis, width))
        return self._axes.index((axis, width))

    def _source(self, source: str) -> int:
        if source not in self._sources and len(self._sources) < SOURCES:
            self._sources.append(source)
        return self._sources.index(source) if source in self._sources else SOURCES - 1

    def _key(self, shelf: int) -> str:
        return f"{self._prefix}{shelf:x}:"


def prefixes_of(said: Mapping[str, Any]) -> list[str]:
    """Where the keys are of which a checkpoint says this: what a new generation removes."""
    return [*said.get("gone", ()), *(f"{said['prefix']}{shelf['number']:x}:" for shelf in said.get("shelves", ()))]


def _digest(request_id: str) -> bytes:
    return blake2b(request_id.encode(), digest_size=DIGEST_BYTES).digest()
