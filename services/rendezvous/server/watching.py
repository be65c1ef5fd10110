"""Whether scheduled versions keep up on one partition: who is passed by, and who is trusted again.

::

    trusted --- over a limit, while another scheduled version is well ---> suspended
    suspended --- well for recover_s, twice as long after each relapse ---> trusted

Well is under half of each limit, so that nobody goes to and fro at a limit: a suspension lasts `recover_s` at least,
and two changes that go the same way are as far apart. A relapse is not waited for. Looked at are the last requests that
closed: those of `window_s`, and more if these are fewer than `requests`, but not beyond MAX_WINDOWS of them. Requests
that are older than the watch over a version (it was not scheduled yet, or paused; this server had not taken over) say
nothing of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from rendezvous.messages import Comparisons, Reason, Status
from rendezvous.registry.state import Pair
from rendezvous.settings import FallbackLimits

BUCKETS = 10
"""Parts of a window: how coarsely time is counted."""
MAX_WINDOWS = 12
MAX_DOUBLINGS = 10
BY_SCHEDULE = np.isin(np.arange(len(Reason)), (Reason.PREFERRED, Reason.FALLBACK, Reason.DEFAULT, Reason.COMBINED))
"""Requests that models had their chance with."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """A version to be passed by, or to be trusted again, and why: shares of the requests looked at."""

    pair: Pair
    suspended: bool
    missed: float
    failed: float
    requests: int


@dataclass(slots=True)
class _Bucket:
    begun_us: int
    requests: int = 0
    missed: int = 0
    failed: int = 0


@dataclass(slots=True)
class _Record:
    """What one version did of late, and how often it has relapsed.

    told_us: when control was told of a change that it does not show yet.
    """

    since_us: int
    buckets: deque[_Bucket] = field(default_factory=deque)
    well_since_us: int | None = None
    trusted_since_us: int | None = None
    told_us: int | None = None
    told: bool = False
    suspensions: int = 0


class Watch:
    """Counts what comparisons say; judges when asked."""

    def __init__(self, limits: FallbackLimits) -> None:
        self._limits = limits
        self._window_us = round(limits.window_s * 1e6)
        self._records: dict[Pair, _Record] = {}

    def saw(self, comparisons: Comparisons, ends_us: Mapping[Pair, int], now_us: int) -> None:
        """Take in what closed; ends_us: for each version to watch, its time from a request's append."""
        counted = BY_SCHEDULE[comparisons.reasons]
        for pair in [pair for pair in self._records if pair not in ends_us]:
            del self._records[pair]
        for pair in ends_us:
            self._records.setdefault(pair, _Record(now_us))
        for column, pair in enumerate(zip(comparisons.models, comparisons.versions, strict=True)):
            if pair in ends_us:
                statuses = comparisons.statuses[:, column]
                rows = counted & (statuses != Status.SHED) & (comparisons.appended_us >= self._records[pair].since_us)
                failed = rows & ((statuses == Status.ERROR) | (statuses == Status.NONFINITE))
                slow = comparisons.latencies_us[:, column] >= ends_us[pair]
                missed = rows & ~failed & ((statuses == Status.NONE) | (statuses == Status.EXPIRED) | slow)
                self._count(pair, now_us, tuple(int(np.count_nonzero(part)) for part in (rows, missed, failed)))

    def _count(self, pair: Pair, now_us: int, counts: tuple[int, ...]) -> None:
        buckets = self._records[pair].buckets
        if not counts[0]:
            return
        if not buckets or now_us >= buckets[-1].begun_us + self._window_us // BUCKETS:
            buckets.append(_Bucket(now_us))
        newest = buckets[-1]
        newest.requests += counts[0]
        newest.missed += counts[1]
        newest.failed += counts[2]
        while buckets[0].begun_us < now_us - MAX_WINDOWS * self._window_us:
            buckets.popleft()

    def judge(self, suspended: Callable[[Pair], bool], rests: Callable[[Pair], bool], now_us: int) -> list[Judgement]:
        """Who changes sides now; `suspended` says who is passed by at present, `rests` who scores nothing under load.

        Nobody is passed by for the sake of one that rests, however well that was before.
        """
        seen = {pair: self._of_late(pair, now_us) for pair in self._records}
        well = {pair for pair, (missed, failed, requests) in seen.items() if self._is_well(missed, failed, requests)}
        judgements = []
        for pair, (missed, failed, requests) in seen.items():
            record = self._records[pair]
            if pair not in well:
                record.well_since_us = None
            elif record.well_since_us is None:
                record.well_since_us = now_us
            if self._awaits_control(record, now_us, suspended=suspended(pair)):
                continue
            if suspended(pair):
                record.suspensions = max(record.suspensions, 1)
                change = self._has_recovered(record, now_us)
            else:
                self._forgive(record, now_us)
                others = any(other != pair and not suspended(other) and not rests(other) for other in well)
                change = others and requests >= self._limits.requests and self._is_over(missed, failed)
                record.suspensions += change
            if change:
                record.trusted_since_us = record.well_since_us = None
                record.told_us, record.told = now_us, not suspended(pair)
                judgements.append(Judgement(pair, not suspended(pair), missed, failed, requests))
        return judgements

    def _awaits_control(self, record: _Record, now_us: int, *, suspended: bool) -> bool:
        """Whether a change was told and has not been read back yet; what stays unheard for long is told again."""
        if record.told_us is None or record.told == suspended or now_us - record.told_us > self._recovery_us(1):
            record.told_us = None
        return record.told_us is not None

    def _of_late(self, pair: Pair, now_us: int) -> tuple[float, float, int]:
        """Shares missed and failed, and of how many requests."""
        requests = missed = failed = 0
        for bucket in reversed(self._records[pair].buckets):
            age_us = now_us - bucket.begun_us
            if age_us > MAX_WINDOWS * self._window_us or (
                age_us > self._window_us and requests >= self._limits.requests
            ):
                break
            requests, missed, failed = requests + bucket.requests, missed + bucket.missed, failed + bucket.failed
        return missed / max(requests, 1), failed / max(requests, 1), requests

    def _is_over(self, missed: float, failed: float) -> bool:
        return missed >= self._limits.missed or failed >= self._limits.failed

    def _is_well(self, missed: float, failed: float, requests: int) -> bool:
        return requests > 0 and missed < self._limits.missed / 2 and failed < self._limits.failed / 2

    def _has_recovered(self, record: _Record, now_us: int) -> bool:
        if record.well_since_us is None:
            return False
        return now_us - record.well_since_us >= self._recovery_us(record.suspensions)

    def _recovery_us(self, suspensions: int) -> float:
        return self._limits.recover_s * 1e6 * 2.0 ** (min(suspensions, MAX_DOUBLINGS) - 1)

    def _forgive(self, record: _Record, now_us: int) -> None:
        """A version that was trusted four times as long as its next recovery would take begins anew."""
        if record.trusted_since_us is None:
            record.trusted_since_us = now_us
        elif record.suspensions and now_us - record.trusted_since_us > 4 * self._recovery_us(record.suspensions + 1):
            record.suspensions = 0
