"""The log, read side by side by time, to blocks of requests with all that was said of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import takewhile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rendezvous.envelope import EnvelopeError, draw_key, draw_of, read_envelope
from rendezvous.log.records import Record
from rendezvous.messages import Comparisons, Decisions, Int64s, Scores
from rendezvous.replay.block import FACTS, ROWS, Block, Terms
from rendezvous.replay.history import History
from rendezvous.replay.joining import Joined, fits, joined
from rendezvous.replay.tape import FOREVER, Found, Records, Span, Tape
from rendezvous.rows import OFFSET_BYTES, Row, WireError
from rendezvous.server.intake import Intake
from rendezvous.server.plan import MS_US, Axis
from rendezvous.wire import Codec, codec, name_of

LEAD_MS = 60_000
"""How much earlier than the first request the others are read: clocks of servers differ."""
PATIENCE_MS = 900_000
"""How long after its last request a block waits for what is said of it: bounds memory when something never comes.
A server that was away longer has decided too late for replay to see it."""
SETTLED_MS = 60_000
"""How long a block that lacks nothing waits for second decisions: a session timeout and a restart."""


class Gathering:
    """Blocks of one partition.

    tell: called with the number of decisions read, now and then.
    """

    def __init__(
        self,
        records: Records,
        history: History,
        partition: int,
        span: Span,
        tell: Callable[[int], None] = lambda _: None,
    ) -> None:
        endpoint = history.endpoint
        self.found = Found()
        self._records, self._partition, self._tell = records, partition, tell
        self._endpoint, self._known = endpoint, history.versions
        self._width = len(endpoint.output.default)
        features = Codec(endpoint.features_schema, endpoint.older_features_schemas)
        self._intake = Intake(features, endpoint.request.max_bytes, self._width)
        self._blocks: dict[int, Block] = {}
        self._passed: dict[int, bool] = {}
        topic = endpoint.topic("requests")
        self._low, self._last = records.bounds(topic, partition)
        self._first = self._low
        if span.first_us is not None:
            self._first = records.position_at(topic, partition, -(-span.first_us // MS_US))
        if span.last_us is not None:
            self._last = min(self._last, records.position_at(topic, partition, -(-span.last_us // MS_US)))
        self._position = self._first
        # what was decided about requests that retention has taken is to be counted, not passed over
        self._least = 0 if self._first == self._low else self._first

    def blocks(self) -> Iterator[Block]:
        """Each once no more is to be said of it, or the log ends; not quite in the order of offsets."""
        requests = Tape(self._requests_to_last(), self._requests)
        others = [
            Tape(self._since(name), take)
            for name, take in (
                ("decisions", self._decisions),
                ("scores", self._scores),
                ("comparisons", self._comparisons),
            )
        ]
        while requests.until_ms < FOREVER or self._blocks:
            behind = min(others, key=lambda tape: tape.until_ms)
            # requests before what is said of them, so that a score's offset is known to be near the present
            (requests if requests.until_ms < FOREVER and requests.done_ms <= behind.until_ms else behind).advance()
            if requests.until_ms == FOREVER:
                self._position = self._last
            done_ms = min(FOREVER if tape.until_ms == FOREVER else tape.done_ms for tape in others)
            yield from self._done(done_ms)
            if requests.until_ms == done_ms == FOREVER:
                break

    # -------------------------------------------------------------------------------------------------- what is read

    def _requests_to_last(self) -> Iterator[Record]:
        if self._first >= self._last:
            return iter(())
        topic = self._endpoint.topic("requests")
        records = self._records.read(topic, self._partition, self._first)
        return takewhile(lambda record: record.offset < self._last, records)

    def _since(self, name: str) -> Iterator[Record]:
        """A topic from a while before the first request on."""
        topic = self._endpoint.topic(name)
        low, _ = self._records.bounds(topic, self._partition)
        start = low
        if self._least and self._first < self._last:
            first = next(self._records.read(self._endpoint.topic("requests"), self._partition, self._first), None)
            if first is not None:
                start = max(low, self._records.position_at(topic, self._partition, first.timestamp_ms - LEAD_MS))
        if name == "scores" and low:
            oldest = next(self._records.read(topic, self._partition, low), None)
            self.found.scores_from_ms = 0 if oldest is None else oldest.timestamp_ms
        return self._records.read(topic, self._partition, start)

    def _requests(self, chunk: Sequence[Record]) -> None:
        for record in chunk:
            block = self._block(record.offset)
            row, asked = record.offset - block.first, block.asked
            asked.appended_us[row] = record.timestamp_ms * MS_US
            try:
                envelope = read_envelope(record.headers)
            except EnvelopeError:
                asked.no_request[row] = True
                continue
            if envelope.deadline_ms is not None:
                asked.budget_us[row] = envelope.deadline_ms * MS_US
            asked.draw[row] = draw_of(draw_key(record.key, envelope.request_id))
            asked.request_id[row] = envelope.request_id
            fault = self._intake.fault_of_value(record.value)
            if fault is not None:
                asked.fault[row] = fault.reason
        self._position = chunk[-1].offset + 1
        self.found.end_ms = max(self.found.end_ms, chunk[-1].timestamp_ms)

    def _block(self, offset: int) -> Block:
        number = offset // ROWS
        if number not in self._blocks:
            self._blocks[number] = Block(number * ROWS, self._width)
        return self._blocks[number]

    def _parts(self, offsets: Int64s, until: int) -> Iterator[tuple[Block, Int64s]]:
        """Blocks that some offsets lie in, and which of them; not those out of range, nor of blocks handed on."""
        inside = np.flatnonzero((offsets >= self._least) & (offsets < until))
        numbers = offsets[inside] // ROWS
        for number in np.unique(numbers).tolist():
            if number not in self._passed:
                yield self._block(number * ROWS), inside[numbers == number]

    def _decisions(self, chunk: Sequence[Record]) -> None:
        for records, rows, columns in self._together(chunk, Decisions):
            sizes = [len(row["offsets"]) // OFFSET_BYTES for row in rows]
            terms = [Terms(row["control"], row["policy"], _axis(row)) for row in rows]
            facts: dict[str, NDArray[Any]] = {
                "decided_us": np.repeat(np.array([row["decided_us"] for row in rows], np.int64), sizes),
                "record": np.repeat(np.array([record.offset for record in records], np.int64), sizes),
                "terms": np.repeat(np.array([self.found.place(some) for some in terms], np.int64), sizes),
            }
            facts |= {name: columns[name] for name in FACTS}
            offsets = columns["offsets"]
            self._count_late(offsets)
            for block, at in self._parts(offsets, self._last):
                again, other = block.take_decisions(offsets[at], {name: values[at] for name, values in facts.items()})
                self.found.repeated += len(again)
                self.found.contradicted += other.tolist()
            self.found.read += len(offsets)
        self._tell(self.found.read)

    def _count_late(self, offsets: Int64s) -> None:
        inside = offsets[(offsets >= self._least) & (offsets < self._last)] // ROWS
        for number, count in zip(*(part.tolist() for part in np.unique(inside, return_counts=True)), strict=True):
            if number in self._passed:
                if self._passed[number]:
                    self.found.repeated += count
                else:
                    self.found.too_late += count

    def _scores(self, chunk: Sequence[Record]) -> None:
        """What the server has sent to dead-letters is passed over."""
        window = min(self._last, self._position + self._endpoint.mailbox.capacity)
        for records, rows, columns in self._together(chunk, Scores):
            known = [(row["model"], row["version"]) for row in rows]
            pairs = [pair for pair in dict.fromkeys(known) if pair in self._known]
            numbers = {pair: number for number, pair in enumerate(pairs)}
            sizes = [len(row["offsets"]) // OFFSET_BYTES for row in rows]
            speaker = np.repeat(np.array([numbers.get(pair, -1) for pair in known], np.int64), sizes)
            appended_us = np.repeat(np.array([record.timestamp_ms for record in records], np.int64) * MS_US, sizes)
            for block, inside in self._parts(columns["offsets"], window):
                at = inside[speaker[inside] >= 0]
                if len(at):
                    block.take_scores(
                        columns["offsets"][at],
                        block.places(pairs)[speaker[at]],
                        columns["statuses"][at],
                        columns["outputs"][at],
                        appended_us[at],
                    )

    def _comparisons(self, chunk: Sequence[Record]) -> None:
        for _, rows, columns in self._together(chunk, Comparisons):
            sizes = [len(row["offsets"]) // OFFSET_BYTES for row in rows]
            closed_us = np.repeat(np.array([row["closed_us"] for row in rows], np.int64), sizes)
            for block, at in self._parts(columns["offsets"], self._last):
                block.take_comparisons(
                    _axis(rows[0]),
                    columns["offsets"][at],
                    closed_us[at],
                    columns["statuses"][at],
                    columns["latencies_us"][at],
                    columns["outputs"][at],
                )

    def _together(
        self, chunk: Sequence[Record], kind: type[Decisions | Comparisons | Scores]
    ) -> Iterator[tuple[list[Record], list[Row], Joined]]:
        """Records with their rows and columns; comparisons by their axis. What cannot be used is counted."""
        read = codec(name_of(kind))
        groups: dict[Axis, list[tuple[Record, Row]]] = {}
        for record in chunk:
            try:
                row = read.decode(record.value)
            except WireError:
                self.found.spoilt(record)
                continue
            if row["width"] != self._width:
                self.found.spoilt(record)
                continue
            groups.setdefault(_axis(row) if kind is Comparisons else (), []).append((record, row))
        for group in groups.values():
            yield from self._joined(group, kind)

    def _joined(
        self, group: list[tuple[Record, Row]], kind: type[Decisions | Comparisons | Scores]
    ) -> Iterator[tuple[list[Record], list[Row], Joined]]:
        columns = joined(kind, [row for _, row in group], [_models(row) for _, row in group])
        if columns is None:
            for record, row in group:
                if not fits(kind, row):
                    self.found.spoilt(record)
            group = [(record, row) for record, row in group if fits(kind, row)]
            columns = joined(kind, [row for _, row in group], [_models(row) for _, row in group]) if group else None
        if columns is not None:
            yield [record for record, _ in group], [row for _, row in group], columns

    # ---------------------------------------------------------------------------------------------------- what is done

    def _done(self, time_ms: int) -> Iterator[Block]:
        """Blocks of which no more is to be said when all but requests have been read up to `time_ms`."""
        for number in sorted(self._blocks):
            block = self._blocks[number]
            if self._position < min(block.first + ROWS, self._last) and time_ms < FOREVER:
                continue
            known_ms = (
                int(max(block.closed_us.max(), block.said.decided_us.max(), block.asked.appended_us.max())) // MS_US
            )
            complete = not block.waiting
            if time_ms < FOREVER and time_ms < known_ms + (SETTLED_MS if complete else PATIENCE_MS):
                continue
            del self._blocks[number]
            self._passed[number] = complete
            yield block


def _axis(row: Row) -> Axis:
    """The model axis of a record."""
    return tuple(zip(row["models"], row["versions"], strict=False))


def _models(row: Row) -> int:
    return len(row.get("models", ()))
