"""What the archive's files hold: records of a topic to Arrow tables, and their columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from rendezvous.log.records import Record
from rendezvous.messages import Comparisons, Label, Reason, Status

MS_US = 1_000

REQUESTS = pa.schema(
    [
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        ("appended_us", pa.int64()),
        ("asked_us", pa.int64()),
        ("request_id", pa.string()),
        ("key", pa.binary()),
        ("headers", pa.list_(pa.struct([("name", pa.string()), ("value", pa.binary())]))),
        ("value", pa.binary()),
    ]
)
"""One row a record, byte for byte. request_id is null where the headers make none: then asked_us is the append."""
COMPARISONS = pa.schema(
    [
        ("partition", pa.int32()),
        ("position", pa.int64()),
        ("offset", pa.int64()),
        ("request_id", pa.string()),
        ("appended_us", pa.int64()),
        ("asked_us", pa.int64()),
        ("closed_us", pa.int64()),
        ("model", pa.string()),
        ("version", pa.string()),
        ("status", pa.string()),
        ("latency_us", pa.int32()),
        ("outputs", pa.list_(pa.float32())),
        ("won", pa.bool_()),
        ("reason", pa.string()),
    ]
)
"""One row for each request and model version. position: of the record on the comparisons' topic; offset: the request's.
A request that was compared twice, around a crash, stands here twice."""
LABELS = pa.schema(
    [
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        ("appended_us", pa.int64()),
        ("request_id", pa.string()),
        ("value", pa.float64()),
        ("observed_us", pa.int64()),
        ("source", pa.string()),
    ]
)
"""One row a label; value is null when it will never be known. partition and offset are of the labels' topic."""


class Asked(NamedTuple):
    """A record of the requests' topic."""

    record: Record
    request_id: str | None
    asked_us: int


class Compared(NamedTuple):
    """A record of the comparisons' topic."""

    record: Record
    said: Comparisons


class Labelled(NamedTuple):
    """A record of the labels' topic."""

    record: Record
    label: Label


def requests_table(lines: Sequence[Asked]) -> pa.Table:
    """See `REQUESTS`."""
    records = [line.record for line in lines]
    headers = [header for record in records for header in record.headers]
    ends = np.cumsum([0, *(len(record.headers) for record in records)], dtype=np.int32)
    named = pa.StructArray.from_arrays(
        [pa.array([name for name, _ in headers], pa.string()), pa.array([value for _, value in headers], pa.binary())],
        fields=list(REQUESTS.field("headers").type.value_type),
    )
    columns = [
        [record.partition for record in records],
        [record.offset for record in records],
        [record.timestamp_ms * MS_US for record in records],
        [line.asked_us for line in lines],
        [line.request_id for line in lines],
        [record.key for record in records],
        pa.ListArray.from_arrays(pa.array(ends), named),
        [record.value for record in records],
    ]
    return _table(columns, REQUESTS)


def comparisons_table(lines: Sequence[Compared]) -> pa.Table:
    """See `COMPARISONS`."""
    if not lines:
        return COMPARISONS.empty_table()
    # those of one axis together: NumPy's price is by the call, and a quiet server's records have a row each
    return pa.concat_tables([_of_one_axis(list(group)) for _, group in groupby(lines, _axis)])


def _axis(line: Compared) -> tuple[object, ...]:
    return line.said.models, line.said.versions, line.said.outputs.shape[-1]


_STATUSES = pa.array([status.name.lower() for status in Status])
_REASONS = pa.array([reason.name.lower() for reason in Reason])


def _of_one_axis(lines: Sequence[Compared]) -> pa.Table:
    first, counts = lines[0].said, [len(line.said.offsets) for line in lines]
    rows, models, width = sum(counts), len(first.models), first.outputs.shape[-1]

    def column(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(line.said, name) for line in lines])

    def each(values: Sequence[int]) -> NDArray[np.int64]:
        return np.repeat(np.array(values, np.int64), counts)[row]

    row, axis = np.repeat(np.arange(rows), models), np.tile(np.arange(models), rows)
    request_ids = [request_id for line in lines for request_id in line.said.request_ids]
    ends = np.arange(0, (rows * models + 1) * width, width, dtype=np.int32)
    columns = [
        np.full(rows * models, lines[0].record.partition, np.int32),
        each([line.record.offset for line in lines]),
        column("offsets")[row],
        pa.array(request_ids, pa.string()).take(row),
        column("appended_us")[row],
        column("asked_us")[row],
        each([line.said.closed_us for line in lines]),
        pa.array(first.models, pa.string()).take(axis),
        pa.array(first.versions, pa.string()).take(axis),
        _STATUSES.take(column("statuses").reshape(-1)),
        column("latencies_us").reshape(-1),
        pa.ListArray.from_arrays(pa.array(ends), pa.array(column("outputs").reshape(-1), pa.float32())),
        column("winners")[row] == axis,
        _REASONS.take(column("reasons")[row]),
    ]
    return _table(columns, COMPARISONS)


def labels_table(lines: Sequence[Labelled]) -> pa.Table:
    """See `LABELS`."""
    columns = [
        [record.partition for record, _ in lines],
        [record.offset for record, _ in lines],
        [record.timestamp_ms * MS_US for record, _ in lines],
        [label.request_id for _, label in lines],
        [label.value for _, label in lines],
        [label.observed_us for _, label in lines],
        [label.source for _, label in lines],
    ]
    return _table(columns, LABELS)


def _table(columns: Sequence[Any], schema: pa.Schema) -> pa.Table:
    arrays = [
        column if isinstance(column, pa.Array) else pa.array(column, field.type)
        for column, field in zip(columns, schema, strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


TABLES: Mapping[str, Callable[[Sequence[Any]], pa.Table]] = {
    "requests": requests_table,
    "comparisons": comparisons_table,
    "labels": labels_table,
}
"""By the topic's name within its endpoint: what is archived."""
