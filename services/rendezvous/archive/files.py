"""The archive as files: written under a temporary name, then renamed. The only module that writes them (fsspec)."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import fsspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet
from fsspec.implementations.local import LocalFileSystem

from rendezvous.archive.names import ENDING, ArchiveError, Held, chains, held_by, name_of

WRITING = "writing"
"""The folder of what is not whole yet; nobody reads it."""
ABOUT = "about.json"
ROW_GROUP_ROWS = 16_384
"""Of each a reader learns the least and the greatest time before it reads it."""
COMPRESSION = "zstd"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Within(NamedTuple):
    """Rows whose `column` is at least `least` and less than `end`."""

    column: str
    least: int
    end: int


class Archive:
    """One endpoint's archive below `url`.

        <url>/<endpoint>/about.json                         of which topics it is
        <url>/<endpoint>/requests/day=2026-11-21/<endpoint>.requests-0-<first>-<last>.parquet
        <url>/<endpoint>/comparisons/..., labels/...

    The day is that on which the file's first record was appended: then each range of offsets is one file, which is
    there or is not, and the names alone say where to go on. By the day of the event a range would be several files,
    some of which a crash leaves behind. Within a file statistics tell the times of each row group, so readers need no
    folders to find a day.
    """

    def __init__(self, url: str, endpoint: str) -> None:
        self.url = url
        self._files, root = fsspec.core.url_to_fs(url)
        self._root = f"{root.rstrip('/')}/{endpoint}"
        self._endpoint = endpoint

    # ------------------------------------------------------------------------------------------------- what is there

    def files(self, name: str) -> dict[int, tuple[Held, ...]]:
        """The files of a topic ("requests"), by partition, in the order of offsets.

        Raises:
            ArchiveError: a gap, an overlap, or a file that is none of the archive's.
        """
        self._files.invalidate_cache()
        folder = f"{self._root}/{name}"
        if not self._files.exists(folder):
            return {}
        paths = [path for path in self._files.find(folder) if path.endswith(ENDING)]
        found = chains(held_by(path) for path in paths)
        topic = f"{self._endpoint}.{name}"
        if others := sorted({held for held, _ in found if held != topic}):
            raise ArchiveError(f"{folder} has files of {others}: they belong to another archive, move them there")
        return {partition: chain for (_, partition), chain in found.items()}

    def read(self, held: Held, columns: Sequence[str], within: Within | None = None) -> pa.Table:
        """The rows of one file; with `within` those alone, and no row group is read that has none of them.

        Not by pyarrow's data sets: over a file system of fsspec they hang, or abort the process at its end.
        """
        with self._files.open(held.path, "rb") as file:
            parquet = pyarrow.parquet.ParquetFile(file)
            if within is None:
                return parquet.read(columns=list(columns), use_threads=False)
            groups = [i for i in range(parquet.num_row_groups) if _may_have(parquet.metadata.row_group(i), within)]
            table = parquet.read_row_groups(groups, columns=[*columns, within.column], use_threads=False)
        times = table.column(within.column)
        inside = pc.and_(pc.greater_equal(times, within.least), pc.less(times, within.end))
        return table.filter(inside).select(list(columns))

    # ------------------------------------------------------------------------------------------------ what is written

    def identify(self, ids: Mapping[str, str]) -> None:
        """Make sure that this is the archive of these topics (name within the endpoint: id), or begin it.

        Raises:
            ArchiveError: it is of other topics: offsets would say something else than its files do.
        """
        path = f"{self._root}/{ABOUT}"
        about = {"endpoint": self._endpoint, "topics": dict(sorted(ids.items()))}
        self._files.invalidate_cache()
        if not self._files.exists(path):
            self._whole(path, json.dumps(about, indent=1).encode())
            return
        found = json.loads(self._files.cat_file(path))
        if found != about:
            raise ArchiveError(
                f"{path} is of topics {found.get('topics')}, they are now {about['topics']}: a topic was made anew. "
                "Begin another archive: set RENDEZVOUS_ARCHIVE, or move this one elsewhere"
            )

    def _whole(self, path: str, data: bytes) -> None:
        temporary = self._temporary(ABOUT)
        with self._files.open(temporary, "wb") as file:
            file.write(data)
        self._files.mv(temporary, path)

    def write(self, held: Held, day: int, table: pa.Table, confirm: Callable[[], bool]) -> bool:
        """Write one file whole: to a temporary name, then renamed if `confirm` says so; else there is nothing of it.

        held: its path is of no account. day: since 1970. Whoever takes a partition over clears its temporary files
        before it looks what is there: a rename by its predecessor either came before that, and is seen, or fails.

        Raises:
            ArchiveError: it could not be written.
        """
        name = held.topic.removeprefix(f"{self._endpoint}.")
        file_name = name_of(*held[:4], lost=held.lost)
        folder = f"{self._root}/{name}/day={(EPOCH + timedelta(days=day)).date()}"
        try:
            temporary = self._temporary(file_name)
            with self._files.open(temporary, "wb") as file:
                pyarrow.parquet.write_table(table, file, compression=COMPRESSION, row_group_size=ROW_GROUP_ROWS)
                if isinstance(self._files, LocalFileSystem):
                    file.flush()
                    os.fsync(file.fileno())
            if not confirm():
                self._files.rm(temporary)
                return False
            self._files.makedirs(folder, exist_ok=True)
            self._files.mv(temporary, f"{folder}/{file_name}")
        except OSError as error:
            raise ArchiveError(
                f"{folder}/{file_name} could not be written ({error}). A restart goes on from the files that are there"
            ) from error
        return True

    def clear(self, places: Sequence[tuple[str, int]]) -> None:
        """Remove what was being written of these topics' partitions when its writer died, or was taken for dead."""
        self._files.invalidate_cache()
        folder = f"{self._root}/{WRITING}"
        if not self._files.exists(folder):
            return
        starts = tuple(f"{topic}-{partition}-" for topic, partition in places)
        for path in self._files.find(folder):
            if path.rpartition("/")[2].startswith(starts):
                self._files.rm(path)

    def _temporary(self, name: str) -> str:
        """A name that no other process takes: two of one name could rename each other's half file."""
        folder = f"{self._root}/{WRITING}"
        self._files.makedirs(folder, exist_ok=True)
        return f"{folder}/{name}.{uuid.uuid4().hex}"


def _may_have(group: pyarrow.parquet.RowGroupMetaData, within: Within) -> bool:
    columns = [group.column(i) for i in range(group.num_columns)]
    found = next(column.statistics for column in columns if column.path_in_schema == within.column)
    if found is None or not found.has_min_max:
        return True
    return bool(found.min < within.end and found.max >= within.least)
