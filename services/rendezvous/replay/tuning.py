"""Which steps would have been best: found on the first part of the days, proven on the rest. Pure.

Candidates take the models that the rules name, in every order of preference, by the policy `prefer`: the first alone
until some moment, the first two until another, and so on, all of them by the deadline. The moments are those by which
shares of the models' scores have arrived, so that each candidate means something.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations_with_replacement, permutations

import numpy as np
from numpy.typing import NDArray

from rendezvous.messages import Floats, Int64s
from rendezvous.registry.state import Control, Pair
from rendezvous.replay.block import NEVER, Block
from rendezvous.replay.bootstrapping import Figure, Float64s, Interval, interval, resampled, time_blocks
from rendezvous.replay.contrast import arrivals
from rendezvous.replay.deciding import BY_SCHEDULE
from rendezvous.replay.evidence import NONE, Cells, deadlines
from rendezvous.replay.labels import Labels
from rendezvous.replay.quality import LARGER_IS_BETTER, difference, figures, usable
from rendezvous.replay.walking import walk
from rendezvous.rules import Rules, Step
from rendezvous.server.plan import Plan, plan_for
from rendezvous.server.policies import NOBODY
from rendezvous.settings import Endpoint

FIRST_PART = 0.6
"""Of the span: what candidates are chosen on."""
SHARES = (0.5, 0.9, 0.99, 0.999)
"""Of a model's scores: by when these have arrived are the moments that are tried."""
PERMUTED = 3
"""Models whose order is tried in every way; more stand behind them as the rules have them."""
MAX_ROWS = 20_000
"""Requests that candidates are tried on, evenly over their part: a few hundred candidates take seconds."""
DEFAULT_QUALITY = {"binary": "brier", "multiclass": "log_loss", "regression": "mae"}


@dataclass(frozen=True, slots=True, eq=False)
class Past:
    """Requests that models had their chance with, with labels: the arrivals of `pairs`, in columns."""

    appended_us: Int64s
    deadline_us: Int64s
    draw: Floats
    cells: Cells
    labels: Float64s

    def of(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Past:
        """Some of them."""
        cells = Cells(self.cells.status[rows], self.cells.arrival_us[rows], self.cells.output[rows])
        return Past(self.appended_us[rows], self.deadline_us[rows], self.draw[rows], cells, self.labels[rows])


@dataclass(frozen=True, slots=True, eq=False)
class Tried:
    """A schedule on some part of the past: how well, how often nobody answered, how late in ms."""

    schedule: tuple[Step, ...]
    quality: Interval
    missed: float
    p50_ms: float
    p99_ms: float
    figure: Figure


@dataclass(frozen=True, slots=True)
class Proof:
    """The schedule in force and the proposed one on a part; gain: how much better the proposed one is (paired)."""

    name: str
    requests: int
    current: Tried
    proposed: Tried
    gain: Interval


@dataclass(frozen=True, slots=True)
class Tuned:
    """What came of it. tried: on the first part; within: how many kept the miss rate."""

    metric: str
    blocks: str
    tried: tuple[Tried, ...]
    within: int
    first: Proof
    later: Proof

    @property
    def proven(self) -> bool:
        """Better on the days that it was not chosen on, beyond the noise."""
        return self.later.gain.low > 0


class Tuner:
    """Takes blocks; then looks for steps."""

    def __init__(self, endpoint: Endpoint, control: Control, rules: Rules, labels: Labels) -> None:
        self.endpoint = endpoint
        self.rules = rules
        self.names = tuple(dict.fromkeys(name for step in rules.schedule for name in step.models))
        self._control = replace(control, suspended={})
        self._labels = labels
        named = [pair for name in self.names if (pair := control.resolve(name)) is not None]
        self._axis: tuple[Pair, ...] = tuple(dict.fromkeys(named))
        self._parts: list[Past] = []

    @property
    def rows(self) -> int:
        """Labelled requests so far."""
        return sum(len(part.labels) for part in self._parts)

    def plan(self, schedule: Sequence[Step]) -> Plan:
        """The plan of a schedule, nobody suspended."""
        rules = self.rules.model_copy(update={"schedule": tuple(schedule)})
        return plan_for(self.endpoint, replace(self._control, rules=rules), 0).on(self._axis)

    def take(self, block: Block) -> None:
        """A block's labelled requests; those that were rejected, expired or overloaded tell nothing about steps."""
        asked, said = block.asked, block.said
        chance = (said.decided_us != NEVER) & (asked.appended_us != NEVER) & np.isin(said.reasons, BY_SCHEDULE)
        rows = np.flatnonzero(chance & ~asked.no_request & (block.closed_us != NEVER))
        known = [self._labels.known.get(asked.request_id[row]) for row in rows.tolist()]
        labels = np.array([np.nan if label is None else label.value for label in known], np.float64)
        fit = usable(self.endpoint.output.kind, labels, block.width)
        rows = rows[fit]
        deadline_us = deadlines(block, self.plan(self.rules.schedule), rows)
        cells = arrivals(block, self._axis, rows)
        self._parts.append(Past(asked.appended_us[rows], deadline_us, asked.draw[rows], cells, labels[fit]))

    def past(self) -> Past:
        """All that was taken, in the order of time."""
        cells = Cells(*(np.concatenate([part.cells[field] for part in self._parts]) for field in range(3)))
        whole = Past(
            np.concatenate([part.appended_us for part in self._parts]),
            np.concatenate([part.deadline_us for part in self._parts]),
            np.concatenate([part.draw for part in self._parts]),
            cells,
            np.concatenate([part.labels for part in self._parts]),
        )
        return whole.of(np.argsort(whole.appended_us, kind="stable"))

    def candidates(self, past: Past) -> Iterator[tuple[Step, ...]]:
        """Every order of preference with every choice of moments."""
        moments = self._moments_ms(past)
        front, behind = self.names[:PERMUTED], self.names[PERMUTED:]
        for order in permutations(front):
            for ends in combinations_with_replacement((0, *moments), len(order) - 1):
                yield _steps((*order, *behind), ends)

    def _moments_ms(self, past: Past) -> list[int]:
        waits_us = past.cells.arrival_us - past.appended_us[:, None]
        last_ms = self.rules.deadline_ms - self.rules.reply_margin_ms
        found = set()
        for column in range(len(self._axis)):
            came = waits_us[past.cells.status[:, column] != NONE, column]
            if len(came):
                found |= {int(np.ceil(moment / 1e3)) for moment in np.quantile(np.maximum(came, 0), SHARES)}
        return sorted({min(max(moment, 1), last_ms) for moment in found})

    def tried(self, schedule: tuple[Step, ...], past: Past, metric: str, weights: Float64s) -> Tried:
        """A schedule on some requests."""
        walked = walk(self.plan(schedule), past.appended_us, past.deadline_us, past.draw, past.cells)
        blocks = time_blocks(past.appended_us)
        figure = figures(self.endpoint.output.kind, walked.outputs, past.labels, blocks)[metric]
        p50, p99 = np.percentile((walked.at_us - past.appended_us) / 1e3, [50, 99])
        missed = float(np.mean(walked.winners == NOBODY))
        return Tried(schedule, interval(figure, weights), missed, float(p50), float(p99), figure)


def _steps(order: Sequence[str], ends_ms: Sequence[int]) -> tuple[Step, ...]:
    """The first until its end, the first two until the next; a step that would end with the one before is left out."""
    steps, before = [], 0
    for number, end_ms in enumerate(ends_ms, start=1):
        if end_ms > before:
            steps.append(Step(models=tuple(order[:number]), until_ms=end_ms))
            before = end_ms
    return (*steps, Step(models=tuple(order)))


def tune(tuner: Tuner, miss_rate: float, metric: str, chance: np.random.Generator) -> Tuned | None:
    """The proposal, or None when no candidate keeps the miss rate.

    Of the candidates that keep it the best is found; of those that are not worse than it beyond the noise, the fastest
    is proposed: what cannot be told apart should not be waited for.
    """
    whole = tuner.past()
    first_us, last_us = int(whole.appended_us[0]), int(whole.appended_us[-1])
    early = whole.appended_us < first_us + FIRST_PART * (last_us - first_us)
    past, later = whole.of(early), whole.of(~early)
    some = past.of(np.unique(np.linspace(0, len(past.labels) - 1, MAX_ROWS).astype(np.int64)))
    weights = resampled(time_blocks(some.appended_us).count, chance)
    schedules = {repr(schedule): schedule for schedule in (*tuner.candidates(some), tuner.rules.schedule)}
    tried = tuple(tuner.tried(schedule, some, metric, weights) for schedule in schedules.values())
    within = [one for one in tried if one.missed <= miss_rate]
    if not within:
        return None
    sign = 1 if metric in LARGER_IS_BETTER else -1
    best = max(within, key=lambda one: sign * one.quality.value)
    as_good = [one for one in within if not _gain(best, one, sign, weights).low > 0]
    proposed = min(as_good, key=lambda one: (one.p99_ms, one.p50_ms))
    parts = (("chosen on", past), ("held out", later))
    first, second = (_proof(tuner, name, part, proposed.schedule, metric, chance) for name, part in parts)
    blocks = time_blocks(later.appended_us)
    return Tuned(metric, f"{blocks.count} {blocks.name}", tried, len(within), first, second)


def _proof(
    tuner: Tuner, name: str, past: Past, schedule: tuple[Step, ...], metric: str, chance: np.random.Generator
) -> Proof:
    weights = resampled(time_blocks(past.appended_us).count, chance)
    current = tuner.tried(tuner.rules.schedule, past, metric, weights)
    proposed = tuner.tried(schedule, past, metric, weights)
    sign = 1 if metric in LARGER_IS_BETTER else -1
    return Proof(name, len(past.labels), current, proposed, _gain(proposed, current, sign, weights))


def _gain(one: Tried, other: Tried, sign: int, weights: Float64s) -> Interval:
    """How much better one is than the other."""
    apart = difference(one.figure, other.figure)
    return interval(lambda drawn: sign * apart(drawn), weights)
