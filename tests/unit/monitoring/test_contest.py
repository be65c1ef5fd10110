"""Champion against challenger: what is decided is so, and without a difference hardly ever is anything decided."""

from __future__ import annotations

import json
from math import isfinite
from typing import TypeAlias

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import brier_score_loss, roc_auc_score

from rendezvous.messages import Floats
from rendezvous.monitoring.betting import Wager
from rendezvous.monitoring.contest import Contest, PairedTally
from rendezvous.monitoring.figures import Kind
from rendezvous.monitoring.pairing import LOSSES
from rendezvous.monitoring.telling import compared
from rendezvous.replay.bootstrapping import Float64s

BLOCKS, PER_BLOCK = 40, 200
Day: TypeAlias = tuple[Floats, Floats, Float64s]
KINDS: tuple[Kind, ...] = ("binary", "multiclass", "regression")

DECISIVE = 20.0
"""An e-value that chance reaches in 1 of 20 cases, ever."""


def sigmoid(odds: Float64s) -> Floats:
    """Probabilities, float32 [rows, 1]."""
    return (1 / (1 + np.exp(-odds)))[:, None].astype(np.float32)


def days(seed: int, better: float = 0.0, count: int = BLOCKS) -> list[Day]:
    """Days that are hard for both sides; the challenger sees through `better` of what the champion's view lacks."""
    chance, made = np.random.default_rng(seed), []
    for _ in range(count):
        truth = chance.normal(-1.5, 1) + chance.normal(0, 1.5, PER_BLOCK)
        errors = chance.normal(0, 1.5, PER_BLOCK) + chance.normal(0, 0.7), chance.normal(0, 1.5, PER_BLOCK)
        labels = (chance.random(PER_BLOCK) < sigmoid(truth)[:, 0]).astype(np.float64)
        made.append((sigmoid(truth + errors[0]), sigmoid(truth + (1 - better) * errors[0] + 0.1 * errors[1]), labels))
    return made


def paired(day: Day, kind: Kind = "binary") -> PairedTally:
    """A block of both sides."""
    made = PairedTally.of(kind)
    made.add(*day)
    return made


def contest(made: list[Day]) -> Contest:
    """After all these days."""
    found = Contest("binary")
    for day in made:
        found.add(paired(day))
    return found


# --------------------------------------------------------------------------------------------------------- e-processes


def hard_days(chance: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Daily differences as they are: calm and wild weeks, long tails, the wild days not independent of each other."""
    wild = np.zeros(count)
    for day in range(1, count):
        wild[day] = 0.8 * wild[day - 1] + chance.normal(0, 0.5)
    return np.asarray(chance.standard_t(4, count) * np.exp(wild) * 0.01)


def most(values: NDArray[np.float64]) -> float:
    """The largest e-value ever."""
    wager = Wager()
    for value in values.tolist():
        wager.settle(value)
    return wager.most


def test_without_a_difference_it_is_rarely_decided_ever() -> None:
    """Signs of whole days flipped at random, 250 days, looked at after each: P(e ever >= 20) <= .05."""
    chance = np.random.default_rng(1)
    decided = []
    for _ in range(2_000):
        values = hard_days(chance, 250) * chance.choice([-1, 1], 250)
        decided.append(most(values) >= DECISIVE)
    assert 0.002 < np.mean(decided) <= 0.05


def test_a_mean_below_zero_is_never_above() -> None:
    """A challenger that is worse is not found better: the bet is one-sided."""
    chance = np.random.default_rng(2)
    assert max(most(chance.normal(-0.3, 1, 250)) for _ in range(300)) < DECISIVE


@pytest.mark.parametrize(("effect", "within"), [(1.0, 20), (0.5, 50), (0.3, 120)])
def test_a_difference_is_found(effect: float, within: int) -> None:
    """Of so many standard deviations between days, in so many days, in half of the cases: whatever the unit."""
    for unit in (1e-6, 1.0):
        chance, when = np.random.default_rng(3), []
        for _ in range(100):
            wager, block = Wager(), 0
            while wager.most < DECISIVE and block < 1_000:
                wager.settle(float(chance.normal(effect, 1) * unit))
                block += 1
            when.append(block)
        assert np.median(when) <= within


def test_the_bet_knows_nothing_of_the_block_that_it_is_on() -> None:
    """The first two blocks set the scale, and a single wild block costs and gains at most the part that is bet."""
    wager = Wager()
    for value in (1e9, -1.0):
        wager.settle(value)
        assert wager.e == 1.0
    wager = Wager(squares=2.0, blocks=2)
    wager.settle(1e12)
    assert wager.wealth == [1.25, 1.5, 1.9]


def test_nothing_is_bet_while_nobody_differs() -> None:
    """Two sides that are the same model: no division by 0, no evidence."""
    assert most(np.zeros(50)) == 1.0


# -------------------------------------------------------------------------------------------------------------- contest


def test_differences_are_scikit_learns() -> None:
    """Of Brier and AUC over all pairs, the challenger's less the champion's, inside their intervals."""
    made = days(1, 0.3)
    found = contest(made)
    champion, challenger, labels = (np.concatenate(columns) for columns in zip(*made, strict=True))
    chance = np.random.default_rng(5)
    brier, auc = found.difference("brier", chance), found.difference("auc", chance)
    sides = [side[:, 0].astype(np.float64) for side in (challenger, champion)]
    expected = [brier_score_loss(labels, side) for side in sides]
    assert brier.value == pytest.approx(expected[0] - expected[1], abs=1e-8)
    ranks = [roc_auc_score(labels, side) for side in sides]
    assert auc.value == pytest.approx(ranks[0] - ranks[1], abs=1e-5)
    assert brier.low < brier.value < brier.high < 0 < auc.low < auc.value < auc.high
    assert (found.rows, len(found.blocks)) == (BLOCKS * PER_BLOCK, BLOCKS)


def test_a_better_challenger_is_decided_and_the_other_bet_is_lost() -> None:
    """Both by Brier and log loss; from the other side it is as surely worse."""
    e_values = contest(days(2, 0.5)).e_values
    assert set(e_values) == {"brier_better", "brier_worse", "log_loss_better", "log_loss_worse"}
    assert min(e_values["brier_better"], e_values["log_loss_better"]) >= DECISIVE
    assert max(e_values["brier_worse"], e_values["log_loss_worse"]) < 2
    swapped = contest([(challenger, champion, labels) for champion, challenger, labels in days(2, 0.5)]).e_values
    assert swapped["brier_worse"] == pytest.approx(e_values["brier_better"])
    assert swapped["log_loss_better"] == pytest.approx(e_values["log_loss_worse"])


def test_a_restart_between_blocks_changes_nothing() -> None:
    """Through JSON after each block: the same bets, the same intervals."""
    made = days(4, 0.2, 12)
    straight, restarted = contest(made), Contest("binary")
    for day in made:
        block = PairedTally.from_json(json.loads(json.dumps(paired(day).to_json())))
        restarted.add(block)
        restarted = Contest.from_json(json.loads(json.dumps(restarted.to_json())))
    assert restarted.to_json() == straight.to_json()
    first, second = (found.difference("auc", np.random.default_rng(7)) for found in (straight, restarted))
    assert first == second


def test_order_within_a_block_does_not_matter() -> None:
    """Nor batches, bit for bit."""
    champion, challenger, labels = days(5)[0]
    whole, parts = paired((champion, challenger, labels)), PairedTally.of("binary")
    order = np.random.default_rng(8).permutation(PER_BLOCK)
    parts.add(champion[order[:50]], challenger[order[:50]], labels[order[:50]])
    parts.merge(paired((champion[order[50:]], challenger[order[50:]], labels[order[50:]])))
    assert parts.to_json() == whole.to_json()


def test_only_what_both_scored_is_compared() -> None:
    """A request that either side has no number for counts for neither."""
    half = np.full((4, 1), 0.5, np.float32)
    champion, challenger = half.copy(), half.copy()
    champion[0], challenger[1] = np.nan, np.inf
    made = PairedTally.of("binary")
    made.add(champion, challenger, np.array([1.0, 1.0, 0.0, np.nan]))
    assert (made.champion.rows, made.challenger.rows, made.rows) == (1, 1, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_output_has_its_contest(kind: Kind) -> None:
    """The challenger that says the truth beats the champion that does not, by its kind's losses, and wins."""
    chance, found = np.random.default_rng(9), Contest(kind)
    width = 3 if kind == "multiclass" else 1
    for _ in range(30):
        labels = chance.integers(0, max(width, 2), 50).astype(np.float64)
        wrong = chance.dirichlet(np.ones(3), 50)[:, :width].astype(np.float32)
        right = np.eye(3)[labels.astype(int)].astype(np.float32) if width == 3 else labels.astype(np.float32)[:, None]
        found.add(paired((wrong, right, labels), kind))
    assert set(found.e_values) == {f"{loss}_{side}" for loss in LOSSES[kind] for side in ("better", "worse")}
    assert min(value for name, value in found.e_values.items() if name.endswith("better")) >= DECISIVE
    assert found.wins > found.losses == 0
    told = compared(("m", "2"), ("m", "1"), 29, 0, found, chance)
    assert isfinite(told.mae) == isfinite(told.mae_low) == isfinite(told.champion_mae) == (kind == "regression")
    if kind == "regression":
        assert told.mae == pytest.approx(-told.champion_mae)  # the challenger is never wrong
    assert Contest.from_json(json.loads(json.dumps(found.to_json()))).to_json() == found.to_json()
