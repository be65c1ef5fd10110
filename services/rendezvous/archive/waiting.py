"""What waits to be written: one buffer for each topic's partition, and which of them is due. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import pyarrow as pa

from rendezvous.archive.limits import ArchiveLimits
from rendezvous.log.records import Record

DAY_MS = 86_400_000
MS_US = 1_000
CHUNK_ROWS = 4_096
"""Python's objects take several times what Arrow's columns do: so many wait at most."""

Build = Callable[[Sequence[Any]], pa.Table]


class Buffer:
    """Records of one topic's partition that are in no file yet, from `first` up to `position`.

    build: makes a table of lines. Some positions have no line: gaps of the log, and records that cannot be read. day:
    the UTC day, since 1970, on which the first was appended; a file should have one, so a buffer wants nothing of a
    later one. A clock that goes back is not followed: labels' times are their writers', and each step back and forth
    would be a file of its own.
    """

    def __init__(self, topic: str, partition: int, position: int, build: Build) -> None:
        self.topic, self.partition = topic, partition
        self.first = self.position = position
        self.since_us: int | None = None
        self.day = 0
        self.rows = self.bytes = 0
        self._build = build
        self._chunks: list[pa.Table] = []
        self._lines: list[Any] = []
        self._line_rows = self._line_bytes = 0

    @property
    def place(self) -> tuple[str, int]:
        """Topic and partition."""
        return self.topic, self.partition

    def fitting(self, records: Sequence[Record]) -> int:
        """How many of the first records are of no later day than what waits; or than the first, when nothing does."""
        day = self.day if self.since_us is not None else records[0].timestamp_ms // DAY_MS
        return next((i for i, record in enumerate(records) if record.timestamp_ms // DAY_MS > day), len(records))

    def add(self, records: Sequence[Record], lines: Sequence[object], rows: int, now_us: int) -> None:
        """More records, at `position` or after, the lines of those that can be read, and rows in a table of them."""
        if self.since_us is None:
            self.since_us, self.day = now_us, records[0].timestamp_ms // DAY_MS
        self.position = records[-1].offset + 1
        size = sum(size_of(record) for record in records)
        self._lines += lines
        self._line_rows, self._line_bytes = self._line_rows + rows, self._line_bytes + size
        self.rows, self.bytes = self.rows + rows, self.bytes + size
        if self._line_rows >= CHUNK_ROWS:
            self._compact()

    def reach(self, position: int, now_us: int) -> None:
        """Nothing more stands before `position`: so much of the log has no records, as a transaction's end."""
        if position > self.position:
            if self.since_us is None:
                self.since_us, self.day = now_us, now_us // (DAY_MS * MS_US)
            self.position = position

    def _compact(self) -> None:
        chunk = self._build(self._lines)
        self._chunks.append(chunk)
        self.bytes += chunk.nbytes - self._line_bytes
        self._lines, self._line_rows, self._line_bytes = [], 0, 0

    def table(self) -> pa.Table:
        """All that waits."""
        if self._lines or not self._chunks:
            self._compact()
        return pa.concat_tables(self._chunks)

    def written(self) -> None:
        """All of it is in a file."""
        self.first, self.since_us = self.position, None
        self.rows = self.bytes = 0
        self._chunks = []


def size_of(record: Record) -> int:
    """Bytes of a record's key, headers and value."""
    headers = sum([len(name) + len(value) for name, value in record.headers])
    return len(record.value) + len(record.key or b"") + headers


def due(buffers: Collection[Buffer], limits: ArchiveLimits, now_us: int) -> list[Buffer]:
    """Which are to be written: full ones, old ones, and else the largest when all together are too much."""
    found = [
        buffer
        for buffer in buffers
        if buffer.since_us is not None and (buffer.rows >= limits.rows or now_us - buffer.since_us >= limits.age)
    ]
    if not found and sum(buffer.bytes for buffer in buffers) > limits.bytes:
        found.append(max(buffers, key=lambda buffer: buffer.bytes))
    return found
