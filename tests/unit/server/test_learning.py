"""What labels teach: shares that follow losses, whoever sleeps, and for how long nobody is given up."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from rendezvous.server.learning import FLOOR, hedged

RATE = 0.5
SLEEPS = np.nan

some = settings(max_examples=60)


@st.composite
def histories(draw: st.DrawFn) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Shares, losses with gaps, and a rate, however large."""
    models, rows = draw(st.integers(1, 5)), draw(st.integers(0, 8))
    weights = draw(st.lists(st.sampled_from([1e-300, 1e-6, 0.1, 1.0, 1e6]) | st.just(0.0), min_size=models - 1))
    shares = np.array([1.0, *weights[: models - 1]])
    cells = st.sampled_from([SLEEPS, 0.0, 1.0]) | st.floats(0, 1)
    losses = draw(st.lists(cells, min_size=rows * models, max_size=rows * models))
    return (
        shares,
        np.array(losses, np.float64).reshape(rows, len(shares)) if rows else np.zeros((0, len(shares))),
        draw(st.sampled_from([1e-9, 0.1, RATE, 10.0, 1e6])),
    )


@some
@given(history=histories())
def test_shares_are_shares(history: tuple[NDArray[np.float64], NDArray[np.float64], float]) -> None:
    """They sum to one, none is below the floor, and what was given is as it was."""
    shares, losses, rate = history
    before = shares.copy(), losses.copy()
    learned = hedged(shares, losses, rate)
    assert (learned.dtype.name, learned.shape) == ("float64", shares.shape)
    assert learned.sum() == pytest.approx(1, abs=1e-12)
    assert (learned >= FLOOR * (1 - 1e-9)).all()
    np.testing.assert_array_equal(shares, before[0])
    np.testing.assert_array_equal(losses, before[1])


@some
@given(history=histories())
def test_labels_may_come_one_by_one(history: tuple[NDArray[np.float64], NDArray[np.float64], float]) -> None:
    """In one call or in many, the same is learned."""
    shares, losses, rate = history
    learned = shares
    for row in losses:
        learned = hedged(learned, row[None, :], rate)
    np.testing.assert_allclose(hedged(learned, losses[:0], rate), hedged(shares, losses, rate), rtol=1e-6)


@some
@given(worse=st.floats(0.01, 1), better=st.floats(0, 1), share=st.floats(0.001, 0.999))
def test_the_better_of_two_gains(worse: float, better: float, share: float) -> None:
    """By the ratio that the formula says: exp(rate * difference of losses)."""
    better *= worse * 0.99
    first, second = hedged(np.array([share, 1 - share]), np.array([[better, worse]]), RATE)
    assert first > share
    assert first / second == pytest.approx(share / (1 - share) * np.exp(RATE * (worse - better)), rel=1e-9)


def test_equal_losses_teach_nothing() -> None:
    """However many of them there are: the floor does not pull anybody together."""
    shares = np.array([0.9, 0.0999, 0.0001])
    np.testing.assert_allclose(hedged(shares, np.full((10_000, 3), 0.3), RATE), shares, rtol=1e-9)


def test_a_sleeping_model_keeps_its_share() -> None:
    """What the others win or lose, they win from and lose to each other."""
    shares = np.array([0.5, 0.3, 0.2])
    learned = hedged(shares, np.array([[0.0, 1.0, SLEEPS]]), RATE)
    assert learned[2] == pytest.approx(0.2)
    assert learned[0] > 0.5
    assert learned[0] / learned[1] == pytest.approx(0.5 / 0.3 * np.exp(RATE))


def test_who_is_alone_awake_learns_nothing() -> None:
    """A loss says something only beside another one's; a row in which all sleep says nothing at all."""
    shares = np.array([0.5, 0.3, 0.2])
    losses = np.array([[1.0, SLEEPS, SLEEPS], [SLEEPS] * 3])
    np.testing.assert_allclose(hedged(shares, losses, RATE), shares)


def test_who_was_bad_for_long_comes_back() -> None:
    """After ten thousand bad labels, about 14 / rate good ones (as FLOOR says) make it the equal of the best."""
    fallen = hedged(np.array([0.5, 0.5]), np.array([[0.0, 1.0]] * 10_000), RATE)
    assert fallen[1] == pytest.approx(FLOOR, rel=1e-6)
    count = int(14 / RATE)
    assert hedged(fallen, np.array([[1.0, 0.0]] * count), RATE)[1] > 0.5
    assert hedged(fallen, np.array([[1.0, 0.0]] * (count - 2)), RATE)[1] < 0.5


@pytest.mark.parametrize("seed", range(5))
def test_regret_on_any_losses_is_bounded(seed: int) -> None:
    """A mix by shares loses no more than the best model and ln(models)/rate + rate * rows / 8.

    Cesa-Bianchi and Lugosi, Prediction, Learning, and Games, theorem 2.2; the floor costs at most its own mass a row.
    """
    rng = np.random.default_rng(seed)
    rows, models, rate = 2_000, 6, 0.1
    losses = rng.random((rows, models)) ** rng.uniform(0.3, 3, models)
    losses[rows // 2 :] = losses[rows // 2 :, ::-1]
    shares, lost = np.full(models, 1 / models), 0.0
    for row in losses:
        lost += shares @ row
        shares = hedged(shares, row[None, :], rate)
    assert lost - losses.sum(axis=0).min() <= np.log(models) / rate + rate * rows / 8 + rows * models * FLOOR


@pytest.mark.parametrize("seed", range(5))
def test_regret_of_probabilities_does_not_grow(seed: int) -> None:
    """By Brier scores and the rate 0.5, the mean of probabilities loses at most 2 ln(models) more than the best one.

    The squared loss on [0, 1] is exp-concave up to there: theorem 3.2 of the same book.
    """
    rng = np.random.default_rng(seed)
    rows, models = 3_000, 6
    truth = rng.random(rows) < 0.3
    said = np.clip(
        0.3 + (truth[:, None] - 0.3) * rng.uniform(-0.2, 0.6, models) + rng.normal(0, 0.2, (rows, models)), 0, 1
    )
    losses = (said - truth[:, None]) ** 2
    shares, lost = np.full(models, 1 / models), 0.0
    for row, answer, is_so in zip(losses, said, truth, strict=True):
        lost += (shares @ answer - is_so) ** 2
        shares = hedged(shares, row[None, :], RATE)
    assert lost - losses.sum(axis=0).min() <= np.log(models) / RATE + rows * models * FLOOR


GOOD = np.array([0.5, 0.5])


@pytest.mark.parametrize(
    ("shares", "losses", "rate", "words"),
    [
        (GOOD, np.zeros(2), RATE, r"losses must be \[rows, 2\], not \(2,\)"),
        (GOOD, np.zeros((1, 3)), RATE, r"losses must be \[rows, 2\], not \(1, 3\)"),
        (GOOD, np.array([[0.0, 1.1]]), RATE, r"losses must lie in \[0, 1\]: scale them"),
        (GOOD, np.array([[-0.1, 1.0]]), RATE, r"losses must lie in \[0, 1\]"),
        (GOOD, np.array([[np.inf, 1.0]]), RATE, r"losses must lie in \[0, 1\]"),
        (np.zeros(2), np.zeros((1, 2)), RATE, r"shares must be finite, not negative, and not all 0: \[0.0, 0.0\]"),
        (np.array([-0.5, 1.5]), np.zeros((1, 2)), RATE, "shares must be"),
        (np.array([np.nan, 1]), np.zeros((1, 2)), RATE, "shares must be"),
        (np.array([np.inf, 1]), np.zeros((1, 2)), RATE, "shares must be"),
        (GOOD, np.zeros((1, 2)), 0.0, "rate must be above 0 and finite, not 0.0"),
        (GOOD, np.zeros((1, 2)), -1.0, "rate must be"),
        (GOOD, np.zeros((1, 2)), np.nan, "rate must be"),
        (GOOD, np.zeros((1, 2)), np.inf, "rate must be"),
    ],
)
def test_what_cannot_be_learned_from_is_refused(
    shares: NDArray[np.float64], losses: NDArray[np.float64], rate: float, words: str
) -> None:
    """With what was wrong, and what to do."""
    with pytest.raises(ValueError, match=words):
        hedged(shares, losses, rate)
