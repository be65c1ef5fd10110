"""Names of the archive's files: they say which offsets are in it, and nothing else does. Pure.

`flights.requests-0-00000000000000000000-00000000000000004711.parquet` has what stands on offsets 0 to 4711 of
partition 0 of flights.requests, both included; not every offset has a record. The files of a partition are a chain:
each begins where the one before ends. With `.lost` before the ending: nobody has these records any more, an operator
has said that the archive goes on without them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

ENDING = ".parquet"
LOST = ".lost"
_NAME = re.compile(r"(?P<topic>.+)-(?P<partition>\d+)-(?P<first>\d{20})-(?P<last>\d{20})(?P<lost>\.lost)?\.parquet")


class ArchiveError(Exception):
    """The archive is not what it should be; the message says what, where, and what to do."""


class Held(NamedTuple):
    """What one file holds: the offsets `first` to `last` of a topic's partition; its path inside the archive."""

    topic: str
    partition: int
    first: int
    last: int
    path: str
    lost: bool = False

    @property
    def end(self) -> int:
        """The position after it: where the next file begins."""
        return self.last + 1


def name_of(topic: str, partition: int, first: int, last: int, *, lost: bool = False) -> str:
    """The file's name; names of one partition sort in the order of their offsets."""
    return f"{topic}-{partition}-{first:020d}-{last:020d}{LOST if lost else ''}{ENDING}"


def held_by(path: str) -> Held:
    """What a file holds, by its name.

    Raises:
        ArchiveError: it is none of the archive's.
    """
    found = _NAME.fullmatch(path.rpartition("/")[2])
    if found is None:
        raise ArchiveError(f"{path}: no file of an archive is called so: move it elsewhere")
    first, last = int(found["first"]), int(found["last"])
    if last < first:
        raise ArchiveError(f"{path}: ends before it begins: move it elsewhere")
    return Held(found["topic"], int(found["partition"]), first, last, path, found["lost"] is not None)


def chains(files: Iterable[Held]) -> dict[tuple[str, int], tuple[Held, ...]]:
    """Files by topic and partition, each in the order of offsets.

    Raises:
        ArchiveError: two files hold the same offset, or one between them is in none.
    """
    found: dict[tuple[str, int], list[Held]] = {}
    for held in files:
        found.setdefault(held[:2], []).append(held)
    for (topic, partition), chain in found.items():
        chain.sort(key=lambda held: (held.first, held.last))
        for before, after in pairwise(chain):
            if after.first < before.end:
                raise ArchiveError(
                    f"{topic}-{partition}: {before.path} and {after.path} both hold offset {after.first}: "
                    "two archivers wrote without a group between them, or a file was copied here. Move one elsewhere"
                )
            if after.first > before.end:
                raise ArchiveError(
                    f"{topic}-{partition}: offsets {before.end} to {after.first - 1} are in no file, between "
                    f"{before.path} and {after.path}: bring the file back. If it is gone for good, an empty file "
                    f"called {name_of(topic, partition, before.end, after.first - 1, lost=True)} says so"
                )
    return {place: tuple(chain) for place, chain in found.items()}
