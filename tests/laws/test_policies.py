"""Laws of every policy, found in POLICIES: another policy needs no line here."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from rendezvous.server.policies import POLICIES, Choice, Policy

GARBAGE = (np.nan, np.inf, -np.inf, 3.4e38, -1.0)
FINITE = st.floats(-1e6, 1e6, width=32)

each_policy = pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
some = settings(deadline=None, max_examples=100)


@st.composite
def arrivals(draw: st.DrawFn) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """What has arrived: usable [rows, models], outputs [rows, models, width] that are finite."""
    rows, models, width = draw(st.integers(1, 6)), draw(st.integers(1, 5)), draw(st.integers(1, 3))
    usable = draw(st.lists(st.booleans(), min_size=rows * models, max_size=rows * models))
    outputs = draw(st.lists(FINITE, min_size=rows * models * width, max_size=rows * models * width))
    return np.array(usable).reshape(rows, models), np.array(outputs, np.float32).reshape(rows, models, width)


def said(choice: Choice) -> tuple[list[int], list[bytes]]:
    """Winners, and the answers of those rows that have one: the others' are undefined."""
    winners, answers = choice
    return winners.tolist(), [answer.tobytes() for answer in answers[winners >= 0]]


@each_policy
@some
@given(arrived=arrivals())
def test_a_winner_is_usable_and_there_is_one_whenever_anything_is(policy: Policy, arrived: Any) -> None:  # noqa: ANN401
    """The winner had a usable score; -1 stands exactly where nobody had one; an answer is finite."""
    usable, outputs = arrived
    winners, answers = policy(usable, outputs)
    np.testing.assert_array_equal(winners >= 0, usable.any(axis=1))
    won = np.flatnonzero(winners >= 0)
    assert usable[won, winners[won]].all()
    assert (winners >= -1).all()
    assert np.isfinite(answers[won]).all()


@each_policy
@some
@given(arrived=arrivals(), data=st.data())
def test_what_is_not_usable_changes_nothing(policy: Policy, arrived: Any, data: st.DataObject) -> None:  # noqa: ANN401
    """NaN, infinity or anything else in cells that are not usable never shows in the result."""
    usable, outputs = arrived
    spoiled = outputs.copy()
    holes = np.flatnonzero(~usable.ravel())
    chosen = data.draw(st.lists(st.sampled_from(GARBAGE), min_size=len(holes), max_size=len(holes)))
    spoiled.reshape(usable.size, -1)[holes] = np.array(chosen, np.float32)[:, None]
    assert said(policy(usable, spoiled)) == said(policy(usable, outputs))


@each_policy
@some
@given(arrived=arrivals())
def test_shapes_and_types(policy: Policy, arrived: Any) -> None:  # noqa: ANN401
    """Winners are int64 [rows], answers float32 [rows, width], and the arguments are as they were."""
    usable, outputs = arrived
    before = usable.copy(), outputs.copy()
    winners, answers = policy(usable, outputs)
    assert (winners.dtype, winners.shape) == (np.dtype(np.int64), (len(usable),))
    assert (answers.dtype, answers.shape) == (np.dtype(np.float32), (len(usable), outputs.shape[2]))
    np.testing.assert_array_equal(usable, before[0])
    np.testing.assert_array_equal(outputs, before[1])


@each_policy
@some
@given(arrived=arrivals())
def test_the_same_arrivals_give_the_same_choice(policy: Policy, arrived: Any) -> None:  # noqa: ANN401
    """A decision can be replayed, row by row: a row alone gets what it gets among others."""
    usable, outputs = arrived
    whole = policy(usable, outputs)
    assert said(policy(usable.copy(), outputs.copy())) == said(whole)
    for row in range(len(usable)):
        alone = policy(usable[row : row + 1], outputs[row : row + 1])
        assert said(alone) == said((whole[0][row : row + 1], whole[1][row : row + 1]))


@each_policy
def test_no_rows_are_no_choice(policy: Policy) -> None:
    """An empty batch is legal."""
    winners, answers = policy(np.zeros((0, 3), np.bool_), np.zeros((0, 3, 2), np.float32))
    assert (winners.shape, answers.shape) == ((0,), (0, 2))


def test_prefer_takes_the_first_that_can() -> None:
    """The order of the step decides, not the size of the score."""
    usable = np.array([[False, True, True], [True, True, True], [False, False, False]])
    outputs = np.arange(9, dtype=np.float32).reshape(3, 3, 1)
    winners, answers = POLICIES["prefer"](usable, outputs)
    assert winners.tolist() == [1, 0, -1]
    assert answers[:2].tolist() == [[1.0], [3.0]]
