"""What a mailbox gives out, in records of a bounded size: verdicts (answers and their decision) and comparisons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rendezvous.envelope import MAX_ID_BYTES
from rendezvous.messages import Comparisons, Decisions, Int64s, Reason, Request
from rendezvous.server.choosing import Chosen
from rendezvous.server.columns import Columns
from rendezvous.server.plan import Plan
from rendezvous.server.policies import NOBODY

RECORD_BYTES = 500_000
"""A columnar record stays well under Kafka's default message.max.bytes of 1 MiB."""


@dataclass(frozen=True, slots=True, eq=False)
class Verdicts:
    """The answers that are due now: row i of `decisions` answers `requests[i]`.

    scheduled: bits of the models that might have answered.
    """

    decisions: Decisions
    requests: tuple[Request, ...]
    scheduled: int


def answers(
    plan: Plan, columns: Columns, requests: Sequence[Request], slots: Int64s, chosen: Chosen, now_us: int
) -> list[Verdicts]:
    """Verdicts on slots that were answered, all of one plan; row i of `chosen` and request i are slot i's."""
    return [
        Verdicts(
            Decisions(
                decided_us=now_us,
                policy=plan.policy,
                models=plan.models,
                versions=plan.versions,
                offsets=columns.offset[slots[part]],
                winners=columns.winner[slots[part]],
                reasons=columns.reason[slots[part]],
                arrived=chosen.arrived[part],
                slacks_us=columns.end_us[slots[part]] + plan.margin_us - now_us,
                outputs=chosen.outputs[part],
                control=plan.control,
                steps=chosen.steps[part],
                draws=columns.draw[slots[part]],
                propensities=chosen.propensities[part],
            ),
            tuple(requests[part]),
            plan.scheduled,
        )
        for part in _parts(plan, len(slots))
    ]


def defaults(plan: Plan, pending: Sequence[tuple[Request, Reason]], now_us: int) -> list[Verdicts]:
    """Verdicts on requests that need no score: expired, rejected, overloaded."""
    return [_default(plan, pending[part], now_us) for part in _parts(plan, len(pending))]


def _default(plan: Plan, pending: Sequence[tuple[Request, Reason]], now_us: int) -> Verdicts:
    rows = len(pending)
    requests = tuple(request for request, _ in pending)
    return Verdicts(
        Decisions(
            decided_us=now_us,
            policy=plan.policy,
            models=plan.models,
            versions=plan.versions,
            offsets=np.array([request.offset for request in requests], np.int64),
            winners=np.full(rows, NOBODY, np.int16),
            reasons=np.array([reason for _, reason in pending], np.uint8),
            arrived=np.zeros(rows, np.uint64),
            slacks_us=np.array([request.deadline_us for request in requests], np.int64) - now_us,
            outputs=np.repeat(plan.default[None, :], rows, axis=0),
            control=plan.control,
            steps=np.zeros(rows, np.uint8),
            draws=np.array([request.draw for request in requests], np.float32),
            propensities=np.ones(rows, np.float32),
        ),
        requests,
        plan.scheduled,
    )


def comparisons(
    plan: Plan, columns: Columns, requests: Sequence[Request], slots: Int64s, now_us: int
) -> list[Comparisons]:
    """All that was said about slots that close; request i holds slot i."""
    return [_comparison(plan, columns, requests[part], slots[part], now_us) for part in _parts(plan, len(slots))]


def _comparison(plan: Plan, columns: Columns, requests: Sequence[Request], slots: Int64s, now_us: int) -> Comparisons:
    appended = columns.appended_us[slots]
    arrivals = columns.arrival_us[slots]
    latencies = np.where(arrivals < 0, -1, np.clip(arrivals - appended[:, None], 0, np.iinfo(np.int32).max))
    return Comparisons(
        closed_us=now_us,
        models=plan.models,
        versions=plan.versions,
        offsets=columns.offset[slots],
        request_ids=tuple(request.request_id for request in requests),
        appended_us=appended,
        winners=columns.winner[slots],
        reasons=columns.reason[slots],
        statuses=columns.status[slots],
        latencies_us=latencies.astype(np.int32),
        outputs=columns.output[slots],
        asked_us=np.array([request.asked_us for request in requests], np.int64),
    )


def _parts(plan: Plan, rows: int) -> list[slice]:
    """Rows in parts whose records stay below RECORD_BYTES, with the longest ids that an envelope may have."""
    size = max(1, RECORD_BYTES // (len(plan.models) * (5 + 4 * plan.width) + 80 + MAX_ID_BYTES))
    return [slice(start, start + size) for start in range(0, rows, size)]
