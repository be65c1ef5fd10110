"""The seven policies for one request, in plain Python: what each says in words, with exact fractions for numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from fractions import Fraction
from itertools import accumulate, pairwise
from typing import NamedTuple, TypeAlias

import numpy as np

from rendezvous.registry.state import Pair
from rendezvous.server.plan import PlannedStep
from rendezvous.server.policies import POLICIES

DRAWS = 1 << 24
"""Draws are whole numbers of this part of one."""
Output: TypeAlias = tuple[float, ...]
Usable: TypeAlias = Mapping[Pair, Output]


class Vote(NamedTuple):
    """What a step says about a request: winner None and not `combined` is nobody (yet, unless it is hopeless)."""

    winner: Pair | None
    output: Output = ()
    combined: bool = False
    propensity: float = 1.0
    hopeless: bool = False
    arrived: frozenset[Pair] = frozenset()

    @property
    def found(self) -> bool:
        """Whether there is an answer."""
        return self.combined or self.winner is not None


class Booth(NamedTuple):
    """What a policy sees: who may answer in order, with weights; who has a usable score, who reported at all."""

    pairs: Sequence[Pair]
    weights: Mapping[Pair, float]
    usable: Usable
    reported: Collection[Pair]
    draw: float
    over: bool

    @property
    def all_reported(self) -> bool:
        """Whether nobody can still come."""
        return set(self.pairs) <= set(self.reported)


def vote_in(
    step: PlannedStep, axis: Collection[Pair], usable: Usable, reported: Collection[Pair], draw: float, *, over: bool
) -> Vote:
    """What the step says, by those of it who are on the axis; a step without anybody is hopeless."""
    weights = {pair: float(w) for pair, w in zip(step.pairs, step.weights, strict=True) if pair in axis}
    if not weights:
        return Vote(None, hopeless=True)
    mine = {pair: output for pair, output in usable.items() if pair in weights}
    return _POLICIES[name_of(step)](Booth(list(weights), weights, mine, reported, draw, over))


def name_of(step: PlannedStep) -> str:
    """The policy's name in the rules."""
    (name,) = (name for name, policy in POLICIES.items() if policy is step.policy)
    return name


def _by_quality(pairs: Sequence[Pair], weights: Mapping[Pair, float]) -> list[Pair]:
    return sorted(pairs, key=lambda pair: math.inf if math.isnan(weights[pair]) else -weights[pair])


def _prefer(booth: Booth) -> Vote:
    for pair in booth.pairs:
        if pair in booth.usable:
            return Vote(pair, booth.usable[pair])
    return Vote(None, hopeless=booth.all_reported)


def _best(booth: Booth) -> Vote:
    return _prefer(booth._replace(pairs=_by_quality(booth.pairs, booth.weights)))


def _split(booth: Booth) -> Vote:
    shares = {pair: Fraction(0 if math.isnan(w) else w) for pair, w in booth.weights.items()}
    total = sum(shares.values())
    if not total:
        return Vote(None, hopeless=True)
    ends = [math.ceil(end / total * DRAWS) for end in accumulate(shares.values())]
    for pair, (low, high) in zip(booth.pairs, pairwise([0, *ends]), strict=True):
        if low <= booth.draw * DRAWS < high:
            if pair in booth.usable:
                return Vote(pair, booth.usable[pair], propensity=float(np.float32((high - low) / DRAWS)))
            return Vote(None, hopeless=pair in booth.reported)
    raise AssertionError(f"the draw {booth.draw} is not below 1")


def _patient(
    booth: Booth, voices: Mapping[Pair, Output], eligible: Collection[Pair], answer: Callable[[], list[Fraction]]
) -> Vote:
    """Nobody before the step is over or all have reported; then all who are there, together, or one as it said it."""
    closing = booth.over or booth.all_reported
    if not voices:
        return Vote(None, hopeless=closing or set(eligible) <= set(booth.reported))
    if not closing:
        return Vote(None)
    if len(voices) == 1:
        ((pair, output),) = voices.items()
        return Vote(pair, output)
    return Vote(None, tuple(float(np.float32(float(number))) for number in answer()), combined=True)


def _mean(booth: Booth) -> Vote:
    known = any(not math.isnan(weight) for weight in booth.weights.values())
    weights = {
        pair: Fraction(0 if known and math.isnan(w) else 1 if math.isnan(w) else w) for pair, w in booth.weights.items()
    }
    voices = {pair: output for pair, output in booth.usable.items() if weights[pair] > 0}

    def answer() -> list[Fraction]:
        total = sum(weights[pair] for pair in voices)
        columns = zip(*([Fraction(x) * weights[pair] for x in output] for pair, output in voices.items()), strict=True)
        return [sum(column, Fraction(0)) / total for column in columns]

    return _patient(booth, voices, [pair for pair, weight in weights.items() if weight > 0], answer)


def _median(booth: Booth) -> Vote:
    def answer() -> list[Fraction]:
        count = len(booth.usable)
        columns = (sorted(map(Fraction, column)) for column in zip(*booth.usable.values(), strict=True))
        return [(column[(count - 1) // 2] + column[count // 2]) / 2 for column in columns]

    return _patient(booth, booth.usable, booth.pairs, answer)


def _vote(booth: Booth) -> Vote:
    def answer() -> list[Fraction]:
        outputs = list(booth.usable.values())
        width = len(outputs[0])
        if width == 1:
            return [Fraction(sum(output[0] >= 0.5 for output in outputs), len(outputs))]
        named = [max(range(width), key=lambda place: (output[place], -place)) for output in outputs]
        return [Fraction(named.count(place), len(named)) for place in range(width)]

    return _patient(booth, booth.usable, booth.pairs, answer)


_POLICIES: dict[str, Callable[[Booth], Vote]] = {
    "prefer": _prefer,
    "best": _best,
    "split": _split,
    "mean": _mean,
    "median": _median,
    "vote": _vote,
    "hedge": _mean,
}
