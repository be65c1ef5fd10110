"""What waits: when it is due, and how it becomes a table."""

from __future__ import annotations

import pyarrow as pa
import pytest

from endpoints import endpoint
from rendezvous.archive.limits import ArchiveLimits
from rendezvous.archive.waiting import CHUNK_ROWS, DAY_MS, Buffer, due, size_of
from rendezvous.log import Record
from rendezvous.settings import environment

LIMITS = ArchiveLimits.model_validate({"rows": 10, "bytes": 1_024, "age": "5s"})


def record(offset: int, day: int = 0, size: int = 1) -> Record:
    """One with a value of so many bytes."""
    return Record("t", 0, offset, day * DAY_MS, b"k", b"v" * size, [("h", b"1")])


def buffer() -> Buffer:
    """An empty one; its rows are offsets."""
    return Buffer("t", 0, 0, lambda lines: pa.table({"offset": pa.array(lines, pa.int64())}))


def add(to: Buffer, *records: Record, now_us: int = 0) -> None:
    """Each with a line."""
    to.add(records, [record.offset for record in records], len(records), now_us)


def test_many_rows_are_due() -> None:
    """Ten."""
    waiting = buffer()
    add(waiting, *map(record, range(9)))
    assert due([waiting], LIMITS, 0) == []
    add(waiting, record(9))
    assert due([waiting], LIMITS, 0) == [waiting]


def test_old_rows_are_due() -> None:
    """Counted from the first of them, and from anew once they are written."""
    waiting = buffer()
    assert due([waiting], LIMITS, 10**12) == []
    add(waiting, record(0), now_us=1_000_000)
    add(waiting, record(1), now_us=5_000_000)
    assert due([waiting], LIMITS, 5_999_999) == []
    assert due([waiting], LIMITS, 6_000_000) == [waiting]
    waiting.written()
    assert due([waiting], LIMITS, 10**12) == []
    assert (waiting.first, waiting.position, waiting.rows, waiting.bytes) == (2, 2, 0, 0)


def test_the_largest_is_due_when_all_are_too_much() -> None:
    """What counts is the sum."""
    small, large = buffer(), buffer()
    add(small, record(0, size=400))
    add(large, record(0, size=600))
    assert due([small, large], LIMITS, 0) == []
    add(small, record(1, size=50))
    assert due([small, large], LIMITS, 0) == [large]


def test_records_that_cannot_be_read_are_passed() -> None:
    """They have no rows, and the file covers them."""
    waiting = buffer()
    waiting.add([record(3)], [], 0, 0)
    assert due([waiting], LIMITS, 5_000_000) == [waiting]
    assert (waiting.position, len(waiting.table())) == (4, 0)


def test_chunks_are_one_table() -> None:
    """In order, however many were put together before."""
    waiting = buffer()
    for start in range(0, 3 * CHUNK_ROWS, 1_000):
        add(waiting, *map(record, range(start, start + 1_000)))
    assert waiting.table().column("offset").to_pylist() == list(range(waiting.position))
    assert waiting.rows == len(waiting.table())
    assert waiting.bytes == waiting.table().nbytes


def test_a_file_has_one_day() -> None:
    """What is of a later day does not fit; a clock that goes back is not followed."""
    waiting = buffer()
    assert waiting.fitting([record(0, 5), record(1, 5), record(2, 6)]) == 2
    add(waiting, record(0, 5))
    assert waiting.fitting([record(1, 5), record(2, 3), record(3, 6), record(4, 5)]) == 2
    assert waiting.fitting([record(1, 6)]) == 0


def test_sizes_are_of_all_that_is_kept() -> None:
    """Key, headers, value."""
    assert size_of(record(0, size=7)) == 1 + 2 + 7


@pytest.mark.parametrize(
    ("variables", "url", "expected"),
    [
        ({}, "", "/home/x/.local/archive"),
        ({"RENDEZVOUS_DATA": "/d"}, "", "/d/archive"),
        ({"RENDEZVOUS_DATA": "/d"}, "s3://bucket/a", "s3://bucket/a"),
        ({"RENDEZVOUS_ARCHIVE": "/a"}, "s3://bucket/a", "/a"),
    ],
)
def test_where_the_archive_is(variables: dict[str, str], url: str, expected: str) -> None:
    """The environment, then the document, then a folder among the data."""
    of = endpoint(archive={"url": url})
    assert environment({"RENDEZVOUS_HOME": "/home/x", **variables}).archive_of(of) == expected
