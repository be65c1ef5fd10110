"""What a version has shown on recent requests, and what it must show before an alias is moved to it.

The requests are the last ones that it was asked, of those that closed: by append time, each once. Left out is what no
model could have scored: requests past their deadline, rejected or overloaded, values that do not decode, and what this
version was told to shed. A request that closed before the version was deployed counts as one that it has not scored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from rendezvous.messages import Bytes, Comparisons, Int32s, Int64s, Reason, Status
from rendezvous.registry.state import Control, Pair
from rendezvous.rules import Rules
from rendezvous.settings import PromotionLimits

Bools: TypeAlias = NDArray[np.bool_]

UNASKED = (Reason.EXPIRED, Reason.OVERLOADED, Reason.REJECTED)
"""Answered without asking any model."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Counts over the requests looked at.

    deployed: those whose comparison knows the version at all; in_time: scored within `within_ms` of the append.
    newest_us: when its last score arrived, None without one.
    """

    requests: int
    deployed: int
    scored: int
    in_time: int
    within_ms: int
    newest_us: int | None

    @property
    def coverage(self) -> float:
        """Share that it has scored."""
        return self.scored / self.requests if self.requests else 0.0

    @property
    def in_time_share(self) -> float:
        """Share that it has scored in time."""
        return self.in_time / self.requests if self.requests else 0.0


@dataclass(frozen=True, slots=True)
class Check:
    """One limit, whether it is met, and the figures in a sentence."""

    name: str
    met: bool
    finding: str


def step_end_ms(rules: Rules, alias: str) -> int:
    """When the first step that names the alias ends, from the append; the last moment for an answer if none does."""
    last = rules.deadline_ms - rules.reply_margin_ms
    ends = (step.until_ms for step in rules.schedule if alias in step.models)
    return min(next(ends, None) or last, last)


@dataclass(frozen=True, slots=True)
class _Rows:
    """Requests in columns, and what one version said of each."""

    appended_us: Int64s
    known: Bools
    statuses: Bytes
    latencies_us: Int32s

    def newest(self, count: int) -> _Rows:
        """Those appended last."""
        rows = np.argsort(self.appended_us, kind="stable")[len(self.appended_us) - count :]
        return _Rows(self.appended_us[rows], self.known[rows], self.statuses[rows], self.latencies_us[rows])


def evidence(comparisons: Sequence[tuple[int, Comparisons]], pair: Pair, within_ms: int, requests: int) -> Evidence:
    """What a version has done about the last `requests` that it was asked.

    Args:
        comparisons: with their partition, in the order of the log.
        pair: the version.
        within_ms: what counts as in time, from the request's append.
        requests: how many to look at.
    """
    seen: set[tuple[int, int]] = set()
    rows = _joined([_rows(number, batch, pair, seen) for number, batch in comparisons])
    rows = rows.newest(min(requests, len(rows.appended_us)))
    scored = rows.statuses == Status.OK
    in_time = scored & (rows.latencies_us <= within_ms * 1_000)
    arrived_us = rows.appended_us[scored] + rows.latencies_us[scored]
    return Evidence(
        requests=len(rows.appended_us),
        deployed=int(rows.known.sum()),
        scored=int(scored.sum()),
        in_time=int(in_time.sum()),
        within_ms=within_ms,
        newest_us=int(arrived_us.max()) if len(arrived_us) else None,
    )


def _rows(number: int, batch: Comparisons, pair: Pair, seen: set[tuple[int, int]]) -> _Rows:
    """The rows of one record that count; `seen` grows by them, as a comparison may stand in the log twice."""
    axis = list(zip(batch.models, batch.versions, strict=True))
    count = len(batch.offsets)
    known = pair in axis
    statuses = batch.statuses[:, axis.index(pair)] if known else np.zeros(count, np.uint8)
    latencies_us = batch.latencies_us[:, axis.index(pair)] if known else np.zeros(count, np.int32)
    unreadable = (batch.statuses == Status.UNREADABLE).any(axis=1) & ~(batch.statuses == Status.OK).any(axis=1)
    counts = ~np.isin(batch.reasons, UNASKED) & (statuses != Status.SHED) & ~unreadable
    for row, offset in enumerate(batch.offsets.tolist()):
        if (number, offset) in seen:
            counts[row] = False
        seen.add((number, offset))
    return _Rows(batch.appended_us[counts], np.full(int(counts.sum()), known), statuses[counts], latencies_us[counts])


def _joined(parts: Sequence[_Rows]) -> _Rows:
    return _Rows(
        np.concatenate([np.zeros(0, np.int64), *(part.appended_us for part in parts)]),
        np.concatenate([np.zeros(0, np.bool_), *(part.known for part in parts)]),
        np.concatenate([np.zeros(0, np.uint8), *(part.statuses for part in parts)]),
        np.concatenate([np.zeros(0, np.int32), *(part.latencies_us for part in parts)]),
    )


def checks(control: Control, pair: Pair, found: Evidence, limits: PromotionLimits, now_us: int) -> list[Check]:
    """Each limit against what was found."""
    age_s = None if found.newest_us is None else (now_us - found.newest_us) / 1e6
    suspended = sorted(number for number, pairs in control.suspended.items() if pair in pairs)
    late = "" if found.deployed == found.requests else f"; it was deployed for {found.deployed} of them"
    return [
        Check(
            "requests",
            found.requests >= limits.requests,
            f"{found.requests} recent requests could be looked at, {limits.requests} are needed",
        ),
        Check(
            "coverage",
            found.coverage >= limits.coverage,
            f"it has scored {found.scored} of the last {found.requests} requests ({found.coverage:.1%}), "
            f"{limits.coverage:.1%} are needed{late}",
        ),
        Check(
            "in_time",
            found.in_time_share >= limits.in_time,
            f"it has scored {found.in_time} of the last {found.requests} requests within {found.within_ms} ms "
            f"({found.in_time_share:.1%}), {limits.in_time:.1%} are needed",
        ),
        Check(
            "fresh_s",
            age_s is not None and age_s <= limits.fresh_s,
            "it has no score yet"
            if age_s is None
            else f"its newest score is {age_s:.1f} s old, {limits.fresh_s:g} s is the limit",
        ),
        Check(
            "suspended",
            not suspended,
            f"it is passed by on partitions {suspended}" if suspended else "it is passed by on no partition",
        ),
    ]


def shortfalls(results: Sequence[Check]) -> list[str]:
    """What is not met, each limit's name with its figures."""
    return [f"{result.name}: {result.finding}" for result in results if not result.met]
