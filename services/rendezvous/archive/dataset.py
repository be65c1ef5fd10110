"""Training tables out of the archive: what models saw, and what was known of it at a time.

Columns: request_id (string), asked_us, observed_us (int64), label (float64), then each feature as models get it:
float32 with NaN for missing, or text with "" for missing. Rows are in the order in which they were asked (then of
partition and offset), so that the last are the latest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from rendezvous.archive.files import Archive, Within
from rendezvous.archive.manifest import Manifest
from rendezvous.archive.names import ArchiveError, Held
from rendezvous.messages import Int64s
from rendezvous.replay.labels import horizon_us
from rendezvous.scoring.columns import Column, to_columns
from rendezvous.settings import Endpoint
from rendezvous.wire import Codec, Row, WireError

KEPT = ("request_id", "asked_us", "observed_us", "label")
"""Columns beside the features."""
STANDS = ("observed_us", "value", "source")
"""Which of several labels stands, as in the monitor: what was observed last, then the larger value (none is the
smallest), then by source; never by the order of arrival."""
DECODE_ROWS = 16_384
"""Rows that are Python's objects at a time."""
EVER = -(1 << 62)
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """A table, and what it is made of."""

    table: pa.Table
    manifest: Manifest


def build(
    endpoint: Endpoint,
    archive: Archive,
    from_us: int,
    until_us: int,
    as_of_us: int,
    *,
    label_delay_us: int | None = None,
    positions: Mapping[str, Mapping[int, int]] | None = None,
) -> Dataset:
    """Requests asked in [from_us, until_us) with their labels as known at as_of_us.

    Requests that were younger than the label delay at as_of_us are left out whole: those whose labels had come by then
    are not like the others. Of several labels of a request the one that was observed last stands; one that says that
    there will never be a label drops the request, and so does none.

    Args:
        endpoint: whose requests.
        archive: where they are.
        from_us: asked from then on.
        until_us: and before then.
        as_of_us: nothing that was observed later is used.
        label_delay_us: the p99 of label delays; without it, the endpoint's `[monitoring] label_delay`.
        positions: a manifest's, to have its rows again; without them, all that is archived.

    Raises:
        ArchiveError: nothing is archived, files are missing, or a feature has the name of a column that is kept.
    """
    _check(endpoint)
    delay_us = endpoint.monitoring.label_delay if label_delay_us is None else label_delay_us
    sources = {name: _Source(archive, name, (positions or {}).get(name)) for name in ("requests", "labels")}
    if not sources["requests"].files:
        raise ArchiveError(
            f"{archive.url} has no requests of {endpoint.name}: start `rendezvous run archiver --endpoint "
            f"{endpoint.name}`, or set RENDEZVOUS_ARCHIVE to where they are"
        )
    asked = sources["requests"].read(
        ("partition", "offset", "asked_us", "request_id", "value"),
        Within("asked_us", from_us, min(until_us, as_of_us + 1)),
    )
    asked = asked.sort_by([("asked_us", "ascending"), ("partition", "ascending"), ("offset", "ascending")])
    records, asked = len(asked), asked.filter(pc.is_valid(asked.column("request_id")))
    labels = _Labels(sources["labels"], as_of_us, asked.column("request_id"))
    mature: Bools = _numbers(asked, "asked_us") + delay_us <= as_of_us
    usable = mature & labels.has_value
    rows, columns = _features(endpoint, asked.filter(pa.array(usable)).column("value"))
    kept = asked.filter(pa.array(usable)).filter(pa.array(rows))
    values, observed_us = (of[usable][rows] for of in (labels.value, labels.observed_us))
    table = pa.table(
        {
            "request_id": kept.column("request_id").combine_chunks(),
            "asked_us": kept.column("asked_us").combine_chunks(),
            "observed_us": pa.array(observed_us, pa.int64()),
            "label": pa.array(values, pa.float64()),
            **columns,
        }
    )
    return Dataset(
        table,
        Manifest(
            endpoint=endpoint.name,
            archive=archive.url,
            from_us=from_us,
            until_us=until_us,
            as_of_us=as_of_us,
            label_delay_us=delay_us,
            rows=len(table),
            sha256=content_sha256(table),
            columns=tuple(table.column_names),
            requests=len(asked),
            immature=int((~mature).sum()),
            immature_labelled=int((~mature & labels.has_value).sum()),
            labelled=int(usable.sum()),
            never=int((mature & labels.is_never).sum()),
            unlabelled=int((mature & ~labels.has_value & ~labels.is_never).sum()),
            unreadable=int((~rows).sum()),
            no_requests=records - len(asked),
            repeated_ids=len(table) - pc.count_distinct(table.column("request_id")).as_py(),
            superseded=labels.superseded,
            contradicted=labels.contradicted,
            delay_p99_us=_delay_p99_us(table, as_of_us),
            files=tuple(sorted({*sources["requests"].used, *sources["labels"].used})),
            positions={name: source.ends for name, source in sources.items()},
            lost=tuple(held.path.rpartition("/")[2] for source in sources.values() for held in source.lost),
        ),
    )


def content_sha256(table: pa.Table) -> str:
    """SHA-256 of a table of numbers and text without nulls: names and types, then each column's values.

    Numbers as little-endian bytes; text as int32 lengths, then UTF-8. No matter which version of what wrote it where.
    """
    digest = sha256(repr([(field.name, str(field.type)) for field in table.schema]).encode())
    for name in table.column_names:
        column = table.column(name).combine_chunks()
        if pa.types.is_string(column.type):
            texts = [text.encode() for text in column.to_pylist()]
            digest.update(np.array([len(text) for text in texts], "<i4").tobytes())
            digest.update(b"".join(texts))
        else:
            values = column.to_numpy(zero_copy_only=False)
            digest.update(values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes())
    return digest.hexdigest()


def _check(endpoint: Endpoint) -> None:
    if taken := [feature.name for feature in endpoint.features if feature.name in KEPT]:
        raise ArchiveError(f"{endpoint.name}: features {taken} have names of columns that a training table keeps")


class _Source:
    """The files of one topic up to some positions, and which of them gave rows."""

    def __init__(self, archive: Archive, name: str, until: Mapping[int, int] | None) -> None:
        chains = archive.files(name)
        self._archive = archive
        self._until = until
        self.files: list[Held] = []
        self.ends: dict[int, int] = {}
        self.used: list[str] = []
        for number, chain in sorted(chains.items()):
            end = chain[-1].end
            if until is not None:
                end = until.get(number, 0)
                if end > chain[-1].end:
                    raise ArchiveError(f"{name}-{number}: the archive ends at {chain[-1].end}, {end} is asked for")
            self.ends[number] = end
            self.files += [held for held in chain if held.first < end]
        if until is not None and (missing := sorted(set(until) - set(chains))):
            raise ArchiveError(f"{archive.url} has nothing of {name}'s partitions {missing}, which are asked for")

    @property
    def lost(self) -> list[Held]:
        """Files that stand for what nobody has."""
        return [held for held in self.files if held.lost]

    def read(self, columns: Sequence[str], within: Within) -> pa.Table:
        """Rows of all files; columns have partition and offset among them."""
        tables = []
        for held in self.files:
            if held.lost:
                continue
            table = self._archive.read(held, columns, within)
            if held.end > self.ends[held.partition]:
                table = table.filter(pc.less(table.column("offset"), self.ends[held.partition]))
            if len(table):
                self.used.append(held.path.rpartition("/")[2])
                tables.append(table)
            elif not tables:
                tables.append(table)  # its columns, at least
        return pa.concat_tables(tables)


class _Labels:
    """What was known of some requests: for each of them the label that was observed last.

    has_value, is_never: bool [requests]; value float64 [requests], observed_us int64 [requests], where has_value.
    """

    def __init__(self, source: _Source, as_of_us: int, request_ids: pa.ChunkedArray) -> None:
        requests = len(request_ids)
        self.value: NDArray[np.float64] = np.full(requests, np.nan)
        self.observed_us: Int64s = np.zeros(requests, np.int64)
        self.has_value: Bools = np.zeros(requests, np.bool_)
        self.is_never: Bools = np.zeros(requests, np.bool_)
        self.superseded = self.contradicted = 0
        if not source.files or not requests:
            return
        columns = ("partition", "offset", "request_id", "value", "observed_us", "source")
        labels = source.read(columns, Within("observed_us", EVER, as_of_us + 1))
        labels = labels.filter(pc.is_in(labels.column("request_id"), value_set=request_ids.combine_chunks()))
        labels = labels.sort_by([(name, "descending") for name in STANDS]).combine_chunks()
        ids = labels.column("request_id").combine_chunks()
        # the first of several, which is the last that was observed
        last = pc.index_in(request_ids, value_set=ids).combine_chunks()
        found = np.flatnonzero(last.is_valid().to_numpy(zero_copy_only=False))
        at = last.drop_null().to_numpy()
        value = labels.column("value").to_numpy().astype(np.float64)
        known = np.isfinite(value[at])
        self.has_value[found], self.is_never[found] = known, ~known
        self.value[found] = value[at]
        self.observed_us[found] = _numbers(labels, "observed_us")[at]
        stands = pc.index_in(ids, value_set=ids).to_numpy(zero_copy_only=False).astype(np.int64)
        again = stands != np.arange(len(stands))
        self.superseded = int(again.sum())
        same = (value == value[stands]) | (np.isnan(value) & np.isnan(value[stands]))
        self.contradicted = int((again & ~same).sum())


def _features(endpoint: Endpoint, values: pa.ChunkedArray) -> tuple[Bools, dict[str, pa.Array]]:
    """Which of the values models saw, bool [values], and of those one column for each feature."""
    codec = Codec(endpoint.features_schema, endpoint.older_features_schemas)
    seen: list[bool] = []
    parts: dict[str, list[Column]] = {feature.name: [] for feature in endpoint.features}
    for start in range(0, len(values), DECODE_ROWS):
        batch = values.slice(start, DECODE_ROWS).to_pylist()
        rows = [_row(codec, value, endpoint.request.max_bytes) for value in batch]
        seen += [row is not None for row in rows]
        for name, column in to_columns([row for row in rows if row is not None], endpoint.features).items():
            parts[name].append(column)
    return np.array(seen, np.bool_), {
        feature.name: _column(parts[feature.name], is_text=feature.is_text) for feature in endpoint.features
    }


def _row(codec: Codec, value: bytes, max_bytes: int) -> Row | None:
    if len(value) > max_bytes:
        return None
    try:
        return codec.decode(value)
    except WireError:
        return None


def _column(parts: Sequence[Column], *, is_text: bool) -> pa.Array:
    if is_text:
        return pa.array([text for part in parts for text in part.tolist()], pa.string())
    numbers = np.concatenate(parts) if parts else np.empty(0, np.float32)
    numbers[np.isnan(numbers)] = np.nan  # one NaN, whatever its bits were: the content's hash is of bytes
    return pa.array(numbers, pa.float32(), from_pandas=False)


def _numbers(table: pa.Table, name: str) -> NDArray[Any]:
    column: NDArray[Any] = table.column(name).to_numpy()
    return column


def _delay_p99_us(table: pa.Table, as_of_us: int) -> int:
    if not len(table):
        return -1
    asked_us = _numbers(table, "asked_us")
    return horizon_us(_numbers(table, "observed_us") - asked_us, as_of_us - asked_us)
