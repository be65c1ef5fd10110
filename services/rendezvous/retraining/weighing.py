"""What the policies `best` and `hedge` go by, from closed blocks. Pure: the same blocks give the same weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from rendezvous.registry.changes import Author
from rendezvous.registry.events import Quality, State, Weights
from rendezvous.registry.state import Pair
from rendezvous.retraining.causes import figure
from rendezvous.retraining.ledger import Ledger
from rendezvous.retraining.limits import WeightLimits
from rendezvous.server.learning import hedged

LOSS = {"binary": "brier", "multiclass": "log_loss", "regression": "mae"}
"""The figure that is a model's loss over a block, by the kind of output; smaller is better."""
BOUNDED = ("brier",)
"""Losses in [0, 1]: only these can be hedged."""


def weights(ledger: Ledger, limits: WeightLimits, kind: str, settled_us: int, author: Author) -> tuple[Weights, ...]:
    """What control does not say yet of the active versions, by the blocks that had closed at `settled_us`."""
    control = ledger.control
    pairs = [pair for pair in control.deployed if control.versions[pair].state is State.ACTIVE]
    losses = {pair: _losses(ledger, limits, LOSS[kind], pair, settled_us) for pair in pairs}
    known: dict[Quality, Mapping[Pair, float]] = {Quality.BEST: _best(limits, losses)}
    if LOSS[kind] in BOUNDED:
        known[Quality.HEDGE] = _hedge(limits, losses)
    return tuple(
        _said(quality, values, author)
        for quality, values in known.items()
        if values and values != control.weights.get(quality)
    )


def _losses(ledger: Ledger, limits: WeightLimits, name: str, pair: Pair, settled_us: int) -> dict[int, float]:
    """By block."""
    blocks = ledger.blocks_of(pair, settled_us)
    found = ((block.number, figure(block, name)) for block in blocks if block.labelled >= limits.labels)
    return {number: value for number, value in found if value is not None}


def _best(limits: WeightLimits, losses: Mapping[Pair, Mapping[int, float]]) -> dict[Pair, float]:
    """Minus the mean loss of the last blocks that anybody has: who was not there has none of it to show."""
    last = _numbers(losses)[-limits.blocks :]
    recent = {pair: [said[number] for number in last if number in said] for pair, said in losses.items()}
    return {pair: -float(np.mean(values)) for pair, values in recent.items() if values}


def _hedge(limits: WeightLimits, losses: Mapping[Pair, Mapping[int, float]]) -> dict[Pair, float]:
    """Shares after every block in its turn."""
    pairs = [pair for pair, said in losses.items() if said]
    if not pairs:
        return {}
    numbers = _numbers(losses)
    rows: NDArray[np.float64] = np.array(
        [[losses[pair].get(number, np.nan) for pair in pairs] for number in numbers], np.float64
    )
    shares = hedged(np.full(len(pairs), 1 / len(pairs)), rows, limits.rate)
    return dict(zip(pairs, shares.tolist(), strict=True))


def _numbers(losses: Mapping[Pair, Mapping[int, float]]) -> Sequence[int]:
    return sorted(set().union(*losses.values()))


def _said(quality: Quality, values: Mapping[Pair, float], author: Author) -> Weights:
    models, versions = zip(*values, strict=True)
    return Weights(quality, models, versions, tuple(values.values()), author.by, author.at_us)
