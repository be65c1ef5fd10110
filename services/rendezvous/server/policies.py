"""How a schedule's step chooses among what has arrived: one function and one entry in POLICIES each.

A policy sees a `Ballot` and returns a `Choice`; both hold one row for each request. It is a function of the ballot
alone, so that a decision can be replayed, and a row's choice does not depend on its neighbours.

`prefer`, `best` and `split` answer as soon as they can. `mean`, `median`, `vote` and `hedge` are *patient*: they wait
until the step ends or all of its models have reported, and then answer by what is there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rendezvous.messages import Floats, Int64s

Bools: TypeAlias = NDArray[np.bool_]
Float64s: TypeAlias = NDArray[np.float64]

NOBODY = -1
COMBINED = -2
"""Winners that are no place in the step's order."""
DRAWS = 1 << 24
"""How many there are, k / 2^24: as many as a float32 holds, so that a draw is the same everywhere it is written."""


class Ballot(NamedTuple):
    """What one step sees of some requests: at least one model, any number of rows.

    usable, reported: bool [rows, models] in the step's order; outputs: float32 [rows, models, width], undefined where
    not usable; draws: float32 [rows] in [0, 1), stable for a request's key; weights: float64 [models], NaN where
    nothing is known, not negative but for `best`; closing: bool [rows], the step has ended or all of its models have
    reported.
    """

    usable: Bools
    reported: Bools
    outputs: Floats
    draws: Floats
    weights: Float64s
    closing: Bools


class Choice(NamedTuple):
    """Who answers, and what.

    winners: int64 [rows], the place in the step's order, COMBINED, or NOBODY (yet); outputs: float32 [rows, width],
    undefined for NOBODY, and a single winner's own; propensities: float32 [rows], the probability over draws of this
    choice; hopeless: bool [rows], nobody whom this policy would take can still come.
    """

    winners: Int64s
    outputs: Floats
    propensities: Floats
    hopeless: Bools


def prefer(ballot: Ballot) -> Choice:
    """The first model in the step's order that has a usable score."""
    first = np.argmax(ballot.usable, axis=1)
    rows = np.arange(len(first))
    winners = np.where(ballot.usable[rows, first], first, NOBODY)
    return Choice(winners, ballot.outputs[rows, first], _certain(rows), np.logical_and.reduce(ballot.reported, axis=1))


def best(ballot: Ballot) -> Choice:
    """The model of the highest quality that has a usable score; of equals, and of unknown ones, the first."""
    order = np.argsort(-np.nan_to_num(ballot.weights, nan=-np.inf), kind="stable")
    choice = prefer(ballot._replace(usable=ballot.usable[:, order], outputs=ballot.outputs[:, order]))
    return choice._replace(winners=np.where(choice.winners >= 0, order[choice.winners], NOBODY))


def split(ballot: Ballot) -> Choice:
    """The one model that the request's draw falls to, by weight; nobody else answers in this step.

    Models share [0, 1) in the step's order. With two of them, a ramp of the second's weight from 0 to 1 moves each
    key once, and never back.
    """
    ends = np.cumsum(np.nan_to_num(ballot.weights))
    ends = np.ceil(ends / (ends[-1] or 1.0) * DRAWS)  # each model's first draw that is no longer its own
    shares = (np.diff(ends, prepend=0) / DRAWS).astype(np.float32)
    chosen = np.searchsorted(ends, ballot.draws * np.float32(DRAWS), side="right")
    chosen = np.minimum(chosen, len(ends) - 1)  # past the last one only when all weights are 0
    rows = np.arange(len(chosen))
    usable = ballot.usable[rows, chosen] & (shares[chosen] > 0)
    winners = np.where(usable, chosen, NOBODY)
    hopeless = (ballot.reported[rows, chosen] & ~usable) | (shares[chosen] == 0)
    return Choice(winners, ballot.outputs[rows, chosen], shares[chosen], hopeless)


def mean(ballot: Ballot) -> Choice:
    """The weighted mean of what is there; weights of models that are not there go to the others in proportion."""
    unknown = np.isnan(ballot.weights)
    weights: Float64s = np.where(unknown, 1.0 if unknown.all() else 0.0, ballot.weights)
    voices: Float64s = ballot.usable * weights
    most = voices.max(axis=1)
    shares = voices / np.where(most > 0, most, 1.0)[:, None]  # before they meet outputs: tiny ones would vanish
    total = _sum(shares)
    outputs = np.where(ballot.usable[:, :, None], ballot.outputs, np.float32(0)).astype(np.float64)
    sums = _sum(outputs * shares[:, :, None])
    return _together(ballot, weights > 0, sums / np.where(total > 0, total, 1.0)[:, None])


def median(ballot: Ballot) -> Choice:
    """The median of what is there, for each output alone; of an even number, the mean of the middle two."""
    count = ballot.usable.sum(axis=1)
    outputs = np.where(ballot.usable[:, :, None], ballot.outputs, np.float32(np.inf)).astype(np.float64)
    outputs = np.sort(outputs, axis=1)
    rows = np.arange(len(count))
    low, high = np.maximum(count - 1, 0) // 2, np.where(count > 0, count // 2, 0)
    return _together(ballot, EVERYBODY, (outputs[rows, low] + outputs[rows, high]) / 2)


def vote(ballot: Ballot) -> Choice:
    """The share of votes: of models that say yes (binary: at least a half), or for each class (the largest output).

    A model that finds several classes equally likely votes for the first of them.
    """
    width = ballot.outputs.shape[2]
    outputs = np.where(ballot.usable[:, :, None], ballot.outputs, np.float32(0))
    if width == 1:
        votes = (outputs >= HALF).astype(np.float64)
    else:
        votes = (np.argmax(outputs, axis=2)[:, :, None] == np.arange(width)).astype(np.float64)
    count = ballot.usable.sum(axis=1)
    tally = (votes * ballot.usable[:, :, None]).sum(axis=1)
    return _together(ballot, EVERYBODY, tally / np.maximum(count, 1)[:, None])


HALF = np.float32(0.5)
EVERYBODY = np.True_


def _together(ballot: Ballot, eligible: Bools | np.bool_, answers: Float64s) -> Choice:
    """A patient policy's choice: the answer of all who have a voice, once the step closes; of one alone, its own.

    eligible: bool [models], who has a voice when usable.
    """
    voices = ballot.usable & eligible
    count, first = voices.sum(axis=1), np.argmax(voices, axis=1)
    rows = np.arange(len(count))
    winners = np.where(ballot.closing & (count > 0), np.where(count > 1, COMBINED, first), NOBODY)
    with np.errstate(invalid="ignore", over="ignore"):  # rows without a voice are undefined
        outputs = np.where((count == 1)[:, None], ballot.outputs[rows, first], answers.astype(np.float32))
    hopeless = (count == 0) & (ballot.closing | ~(eligible & ~ballot.reported).any(axis=1))
    return Choice(winners, outputs, _certain(rows), hopeless)


def _sum(terms: Float64s) -> Float64s:
    """Over models, from the first to the last: `sum` goes another way for another layout in memory."""
    total: Float64s = np.add.accumulate(terms, axis=1)[:, -1]
    return total


def _certain(rows: Int64s) -> Floats:
    """Propensities of what does not depend on the draw."""
    return np.ones(len(rows), np.float32)


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy and what it needs: whether it waits, whose weights it takes, for which kinds of output it is.

    weights: "document" are the step's own (None: equal ones will do), "best" and "hedge" travel on control.
    """

    choose: Callable[[Ballot], Choice]
    patient: bool = False
    weights: Literal["none", "document", "required", "best", "hedge"] = "none"
    kinds: tuple[str, ...] = ("binary", "multiclass", "regression")


POLICIES: dict[str, Policy] = {
    "prefer": Policy(prefer),
    "best": Policy(best, weights="best"),
    "split": Policy(split, weights="required"),
    "mean": Policy(mean, patient=True, weights="document"),
    # the medians of several classes need not sum to one
    "median": Policy(median, patient=True, kinds=("binary", "regression")),
    "vote": Policy(vote, patient=True, kinds=("binary", "multiclass")),
    # the exponentially weighted average forecaster: Cesa-Bianchi and Lugosi, Prediction, Learning, and Games, 2.1
    "hedge": Policy(mean, patient=True, weights="hedge"),
}


def fault_of(policy: str, kind: str | None, *, weighted: bool) -> str | None:
    """Why a step cannot use a policy for this kind of output (None: for any kind), or None."""
    found = POLICIES.get(policy)
    if found is None:
        return f"policy {policy!r} is unknown; there are {sorted(POLICIES)}"
    if kind is not None and kind not in found.kinds:
        return f"policy {policy!r} is for outputs of kind {' or '.join(found.kinds)}, not {kind}"
    if found.weights == "required" and not weighted:
        return f"policy {policy!r} needs weights, for example weights = {{champion = 0.9, challenger = 0.1}}"
    if weighted and found.weights not in {"document", "required"}:
        return f"policy {policy!r} takes no weights from the document: remove them"
    return None
