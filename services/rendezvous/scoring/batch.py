"""One micro-batch through one model: every row gets a status, and a failing row costs no other its score. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rendezvous.envelope import EnvelopeError, draw_key, read_envelope
from rendezvous.log.records import Record
from rendezvous.messages import Bytes, Envelope, Floats, Status
from rendezvous.scoring.columns import Columns, Layout, Model, take
from rendezvous.scoring.duty import Duty
from rendezvous.scoring.pace import least_deadline_us
from rendezvous.settings import Endpoint
from rendezvous.wire import Codec, Row, WireError

NONE, OK = int(Status.NONE), int(Status.OK)
SHED, EXPIRED, UNREADABLE = int(Status.SHED), int(Status.EXPIRED), int(Status.UNREADABLE)


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Rows taken up: statuses uint8 [rows], NONE where there is still something to score; rows holds those, decoded."""

    records: tuple[Record, ...]
    statuses: Bytes
    rows: tuple[Row, ...]


def take_up(
    records: Sequence[Record], endpoint: Endpoint, codec: Codec, now_us: int, duty: Duty, row_us: float = 0.0
) -> Batch:
    """Decode what is worth scoring. Records that are no requests are left out: the server sends them to dead-letters.

    A live model does not score what is past its deadline, nor what would be by the time its batch is done (row_us: what
    a row takes, see `pace`); a candidate does, for the sake of the comparison. What is to be left out under load is not
    even decoded.
    """
    known = _requests(records, endpoint)
    from_us = _worth_us([due_us for _, _, due_us in known], endpoint, now_us, row_us) if duty.live else 0
    max_bytes, shed = endpoint.request.max_bytes, duty.shed
    kept, statuses, rows = [], [], []
    for record, envelope, due_us in known:
        kept.append(record)
        if shed and duty.leaves_out(record.partition, draw_key(record.key, envelope.request_id)):
            statuses.append(SHED)
            continue
        if due_us < from_us:
            statuses.append(EXPIRED)
            continue
        try:
            row = codec.decode(record.value) if len(record.value) <= max_bytes else {}
        except WireError:
            row = {}
        if row:
            rows.append(row)
        statuses.append(NONE if row else UNREADABLE)
    return Batch(tuple(kept), np.array(statuses, np.uint8), tuple(rows))


def _requests(records: Sequence[Record], endpoint: Endpoint) -> list[tuple[Record, Envelope, int]]:
    """Those that are requests, and when they are due, microseconds."""
    usual_ms, longest_ms = endpoint.request.deadline_ms, endpoint.request.max_deadline_ms
    found = []
    for record in records:
        try:
            envelope = read_envelope(record.headers)
        except EnvelopeError:
            continue
        budget_ms = usual_ms if envelope.deadline_ms is None else min(envelope.deadline_ms, longest_ms)
        found.append((record, envelope, (record.timestamp_ms + budget_ms) * 1_000))
    return found


def _worth_us(due_us: Sequence[int], endpoint: Endpoint, now_us: int, row_us: float) -> int:
    """The least deadline with which a row is worth scoring, if its answer is to leave in time."""
    margin_us = endpoint.request.reply_margin_ms * 1_000
    alive = [deadline_us - margin_us for deadline_us in due_us if deadline_us > now_us] if row_us else []
    return max(now_us + 1, least_deadline_us(alive, now_us, row_us) + margin_us) if alive else now_us + 1


def score(batch: Batch, model: Model, layout: Layout, width: int) -> tuple[Bytes, Floats]:
    """(statuses uint8 [rows], outputs float32 [rows, width]); outputs are 0 where the status is not OK."""
    statuses = batch.statuses.copy()
    outputs: Floats = np.zeros((len(statuses), width), np.float32)
    todo = (statuses == NONE).nonzero()[0]
    if len(todo):
        columns = layout.columns(batch.rows)
        invalid = layout.invalid(columns)
        if not np.count_nonzero(invalid):
            statuses[todo], outputs[todo] = _score_rows(model, columns, width)
        else:
            statuses[todo[invalid]] = Status.INVALID
            good = todo[~invalid]
            if len(good):
                statuses[good], outputs[good] = _score_rows(model, take(columns, ~invalid), width)
    return statuses, outputs


def _score_rows(model: Model, columns: Columns, width: int) -> tuple[Bytes, Floats]:
    """Score all rows together; when that fails, halves of them, so that only the rows at fault get ERROR."""
    rows = len(next(iter(columns.values())))
    try:
        answers = model.score(columns).reshape(rows, width)
    except Exception:  # noqa: BLE001 - a model is somebody else's code: whatever it raises becomes the rows' status
        if rows == 1:
            return np.full(1, Status.ERROR, np.uint8), np.zeros((1, width), np.float32)
        first = np.arange(rows) < rows // 2
        parts = [_score_rows(model, take(columns, half), width) for half in (first, ~first)]
        return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])
    finite = np.isfinite(answers)
    if np.count_nonzero(finite) == finite.size:
        return np.full(rows, OK, np.uint8), answers.astype(np.float32, copy=False)
    whole: NDArray[np.bool_] = np.logical_and.reduce(finite, axis=1)
    return (
        np.where(whole, np.uint8(OK), np.uint8(Status.NONFINITE)),
        np.where(whole[:, None], answers, np.float32(0)).astype(np.float32, copy=False),
    )
