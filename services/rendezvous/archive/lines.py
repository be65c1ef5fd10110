"""Records to what is archived of them, and requests to what is sent on. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from rendezvous.archive.columns import Decoded
from rendezvous.archive.tables import MS_US, Asked, Compared, Labelled
from rendezvous.envelope import EnvelopeError, read_envelope, told_at_us
from rendezvous.log.records import Record
from rendezvous.messages import Comparisons, Label
from rendezvous.settings import Endpoint
from rendezvous.wire import Codec, Row, WireError, decode

M = TypeVar("M", Comparisons, Label)
Unreadable = Callable[[Record, WireError], None]


class Reading:
    """Reads the records of one endpoint's topics; `unreadable` is told of those that are no message."""

    def __init__(self, endpoint: Endpoint, unreadable: Unreadable) -> None:
        self._codec = Codec(endpoint.features_schema, endpoint.older_features_schemas)
        self._max_bytes = endpoint.request.max_bytes
        self._told = endpoint.monitoring.time == "ce_time"
        self._unreadable = unreadable

    def requests(self, records: Sequence[Record], known: int) -> tuple[list[Asked], list[Decoded]]:
        """A line for each record; and what models saw of those at `known` and after, where they saw something."""
        lines, seen = [], []
        for record in records:
            appended_us = record.timestamp_ms * MS_US
            try:
                request_id = read_envelope(record.headers).request_id
            except EnvelopeError:
                lines.append(Asked(record, None, appended_us))
                continue
            told_us = told_at_us(record.headers) if self._told else None
            asked_us = appended_us if told_us is None else told_us
            lines.append(Asked(record, request_id, asked_us))
            row = self._row(record) if record.offset >= known else None
            if row is not None:
                seen.append(Decoded(record.offset, asked_us, row))
        return lines, seen

    def _row(self, record: Record) -> Row | None:
        """What models saw; None when they saw nothing: too large, or unreadable."""
        if len(record.value) > self._max_bytes:
            return None
        try:
            return self._codec.decode(record.value)
        except WireError:
            return None

    def labels(self, records: Sequence[Record]) -> list[Labelled]:
        """A line for each that can be read."""
        return [Labelled(record, label) for record, label in self._messages(records, Label)]

    def comparisons(self, records: Sequence[Record]) -> list[Compared]:
        """A line for each that can be read."""
        return [Compared(record, said) for record, said in self._messages(records, Comparisons)]

    def _messages(self, records: Sequence[Record], kind: type[M]) -> list[tuple[Record, M]]:
        found = []
        for record in records:
            try:
                found.append((record, decode(record.value, kind)))
            except WireError as error:
                self._unreadable(record, error)
        return found
