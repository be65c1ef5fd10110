"""Laws of every policy, found in POLICIES: another policy needs no line here."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import astuple
from typing import Any, TypeAlias

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from rendezvous.server.policies import COMBINED, DRAWS, NOBODY, POLICIES, Ballot, Choice, Policy, fault_of

GARBAGE = np.array([np.nan, np.inf, -np.inf, 3.4e38, -1.0], np.float32)
EXTREMES = [0.0, 0.5, 1.0, 3.4e38, -3.4e38, 1e-45, -1e-45, -1.0]
OUTPUTS = np.array([*EXTREMES, *np.random.default_rng(0).normal(size=248) ** 3], np.float32)
WEIGHTS = np.array([1.0, 0.0, np.nan, 1 / 3, 2 / 3, 0.1, 3.0, 5e-324, 1e-46, 1e6, 0.7])
KINDS = ("binary", "multiclass", "regression")

each_policy = pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
patient_policy = pytest.mark.parametrize(
    "policy", [found for found in POLICIES.values() if found.patient], ids=lambda found: found.choose.__name__
)
some = settings(max_examples=50)


Draw: TypeAlias = Callable[[st.SearchStrategy[bytes]], bytes]


def numbers(draw: Draw, *shape: int) -> NDArray[np.int64]:
    """Numbers from 0 to 255 in a shape, from which everything else is made: bytes are quickly drawn and shrunk."""
    count = math.prod(shape)
    return np.frombuffer(draw(st.binary(min_size=count, max_size=count)), np.uint8).reshape(shape).astype(np.int64)


def flags(draw: Draw, *shape: int) -> NDArray[np.bool_]:
    """True and False."""
    found: NDArray[np.bool_] = numbers(draw, *shape) % 2 == 1
    return found


def chosen(draw: Draw, among: NDArray[Any], *shape: int) -> NDArray[Any]:
    """Some of a table's values."""
    picked: NDArray[Any] = among[numbers(draw, *shape) % len(among)]
    return picked


@st.composite
def ballots(draw: st.DrawFn, max_models: int = 5) -> Ballot:
    """What a step may see: who is usable has reported, and a step whose models have all reported is closing."""
    rows, models, width = draw(st.integers(1, 6)), draw(st.integers(1, max_models)), draw(st.integers(1, 3))
    usable = flags(draw, rows, models)
    reported = usable | flags(draw, rows, models)
    return Ballot(
        usable=usable,
        reported=reported,
        outputs=chosen(draw, OUTPUTS, rows, models, width),
        draws=(numbers(draw, rows, 3) @ np.array([1 << 16, 1 << 8, 1]) / DRAWS).astype(np.float32),
        weights=chosen(draw, WEIGHTS, models),
        closing=reported.all(axis=1) | flags(draw, rows),
    )


def rows_of(ballot: Ballot, rows: Any) -> Ballot:  # noqa: ANN401 - whatever indexes an array
    """Some rows of a ballot, alone."""
    return ballot._replace(**{name: getattr(ballot, name)[rows] for name in Ballot._fields if name != "weights"})


def models_of(ballot: Ballot, order: list[int]) -> Ballot:
    """A ballot with its models in another order."""
    return ballot._replace(
        usable=ballot.usable[:, order],
        reported=ballot.reported[:, order],
        outputs=ballot.outputs[:, order],
        weights=ballot.weights[order],
    )


def column_major(ballot: Ballot) -> Ballot:
    """The same ballot, laid out the other way in memory."""
    return Ballot._make(np.asfortranarray(column) for column in ballot)


def said(choice: Choice) -> list[tuple[int, bytes | None, float | None, bool]]:
    """Everything that a choice says, row by row, to the last bit; what is undefined is left out."""
    return [
        (
            int(winner),
            None if winner == NOBODY else answer.tobytes(),
            None if winner == NOBODY else float(propensity),
            bool(hopeless),
        )
        for winner, answer, propensity, hopeless in zip(*choice, strict=True)
    ]


def voices_of(policy: Policy, ballot: Ballot) -> NDArray[np.bool_]:
    """Whom a policy would take for each row, if usable: those with a weight, where it looks at weights.

    `split` takes the one model that owns the draw; who that is, it says itself when everybody is usable.
    """
    everybody = np.ones_like(ballot.usable)
    if policy.weights == "required":
        everyone = policy.choose(ballot._replace(usable=everybody, reported=everybody)).winners
        mine: NDArray[np.bool_] = np.arange(ballot.usable.shape[1]) == everyone[:, None]
        return mine
    if not policy.patient or policy.weights == "none" or np.isnan(ballot.weights).all():
        return everybody
    return everybody & (np.nan_to_num(ballot.weights) > 0)


# ------------------------------------------------------------------------------------------------------ who answers


@each_policy
@some
@given(ballot=ballots())
def test_somebody_answers_exactly_when_somebody_can(policy: Policy, ballot: Ballot) -> None:
    """Eager: as soon as one whom the policy takes is usable. Patient: then too, but not before the step closes."""
    choice = policy.choose(ballot)
    can = (ballot.usable & voices_of(policy, ballot)).any(axis=1)
    np.testing.assert_array_equal(choice.winners != NOBODY, can & ballot.closing if policy.patient else can)


@each_policy
@some
@given(ballot=ballots())
def test_a_winner_was_usable_and_its_answer_is_its_own(policy: Policy, ballot: Ballot) -> None:
    """Whoever is named answered with what it said, to the last bit, and the policy takes it."""
    choice = policy.choose(ballot)
    rows = np.flatnonzero(choice.winners >= 0)
    won = choice.winners[rows]
    assert (won < ballot.usable.shape[1]).all()
    assert (ballot.usable & voices_of(policy, ballot))[rows, won].all()
    assert choice.outputs[rows].tobytes() == ballot.outputs[rows, won].tobytes()


@each_policy
@some
@given(ballot=ballots())
def test_only_the_patient_combine_and_only_several(policy: Policy, ballot: Ballot) -> None:
    """COMBINED stands exactly where a patient policy has two voices or more; nothing below it is ever a winner."""
    winners = policy.choose(ballot).winners
    several = (ballot.usable & voices_of(policy, ballot)).sum(axis=1) > 1
    assert (winners >= COMBINED).all()
    np.testing.assert_array_equal(winners == COMBINED, several & ballot.closing & policy.patient)


@each_policy
@some
@given(ballot=ballots())
def test_answers_are_finite_and_between_those_that_made_them(policy: Policy, ballot: Ballot) -> None:
    """Nothing overflows, also at the end of float32; `vote` counts, so its answers are shares."""
    choice = policy.choose(ballot)
    voices = (ballot.usable & voices_of(policy, ballot))[:, :, None]
    low = np.where(voices, ballot.outputs, np.inf).min(axis=1)
    high = np.where(voices, ballot.outputs, -np.inf).max(axis=1)
    if policy is POLICIES["vote"]:
        several = (choice.winners == COMBINED)[:, None]
        low, high = np.where(several, 0, low), np.where(several, 1, high)
    answered = choice.winners != NOBODY
    assert np.isfinite(choice.outputs[answered]).all()
    assert (choice.outputs >= low)[answered].all()
    assert (choice.outputs <= high)[answered].all()


@each_policy
@some
@given(ballot=ballots())
def test_propensities_are_probabilities(policy: Policy, ballot: Ballot) -> None:
    """In (0, 1] for every answer; 1 for a policy that does not look at the draw."""
    choice = policy.choose(ballot)
    answered = choice.propensities[choice.winners != NOBODY]
    assert ((answered > 0) & (answered <= 1)).all()
    other = ballot._replace(draws=(np.float32(1) - np.float32(1 / DRAWS)) - ballot.draws)
    if policy.weights != "required":
        assert (answered == 1).all()
        assert said(policy.choose(other)) == said(choice)


# ------------------------------------------------------------------------------------------------------- who may come


@each_policy
@some
@given(ballot=ballots())
def test_hopeless_is_where_nobody_can_come(policy: Policy, ballot: Ballot) -> None:
    """A row without an answer is hopeless exactly when no arrival could give it one.

    Its best future: everybody reports, all who have not reported yet are usable, and the step closes. A patient step
    that has closed already takes no more.
    """
    choice = policy.choose(ballot)
    open_still = ~ballot.reported & ~(ballot.closing[:, None] & policy.patient)
    everybody = np.ones_like(ballot.reported)
    future = ballot._replace(
        usable=ballot.usable | open_still, reported=everybody, closing=np.ones_like(ballot.closing)
    )
    can = policy.choose(future).winners != NOBODY
    without = choice.winners == NOBODY
    np.testing.assert_array_equal(choice.hopeless[without], ~can[without])


@each_policy
@some
@given(ballot=ballots(), data=st.data())
def test_no_arrival_takes_hope_or_gives_it_back(policy: Policy, ballot: Ballot, data: st.DataObject) -> None:
    """What was hopeless stays so, whoever reports later."""
    before_its_end = ballot._replace(closing=np.logical_and.reduce(ballot.reported, axis=1))
    later = ballot.reported | flags(data.draw, *ballot.reported.shape)
    arrived = later & ~ballot.reported & flags(data.draw, *ballot.reported.shape)
    future = ballot._replace(
        usable=ballot.usable | arrived, reported=later, closing=np.logical_and.reduce(later, axis=1)
    )
    before, after = policy.choose(before_its_end), policy.choose(future)
    gave_up = before.hopeless & (before.winners == NOBODY)
    assert (after.hopeless | ~gave_up).all()
    assert (after.winners[gave_up] == NOBODY).all()


# ------------------------------------------------------------------------------------------------- the ballot alone


@each_policy
@some
@given(ballot=ballots(), data=st.data())
def test_what_is_not_usable_changes_nothing(policy: Policy, ballot: Ballot, data: st.DataObject) -> None:
    """NaN, infinity or anything else in cells that are not usable never shows in the result."""
    garbage = chosen(data.draw, GARBAGE, *ballot.outputs.shape)
    spoiled = np.where(ballot.usable[:, :, None], ballot.outputs, garbage)
    assert said(policy.choose(ballot._replace(outputs=spoiled))) == said(policy.choose(ballot))


@each_policy
@some
@given(ballot=ballots())
def test_shapes_and_types(policy: Policy, ballot: Ballot) -> None:
    """Each column has the type that Choice names, and the arguments are as they were."""
    before = [column.copy() for column in ballot]
    choice = policy.choose(ballot)
    rows, _, width = ballot.outputs.shape
    assert [(column.dtype.name, column.shape) for column in choice] == [
        ("int64", (rows,)),
        ("float32", (rows, width)),
        ("float32", (rows,)),
        ("bool", (rows,)),
    ]
    assert [column.tobytes() for column in ballot] == [column.tobytes() for column in before]


@each_policy
@some
@given(ballot=ballots(max_models=20))
def test_a_row_alone_gets_what_it_gets_among_others(policy: Policy, ballot: Ballot) -> None:
    """A decision can be replayed, row by row, wherever its columns lie in memory."""
    whole = said(policy.choose(ballot))
    assert said(policy.choose(column_major(ballot))) == whole
    for row in range(len(ballot.usable)):
        assert said(policy.choose(rows_of(ballot, slice(row, row + 1)))) == whole[row : row + 1]


@each_policy
def test_no_rows_are_no_choice(policy: Policy) -> None:
    """An empty batch is legal."""
    none = np.zeros((0, 3), np.bool_)
    ballot = Ballot(
        none, none, np.zeros((0, 3, 2), np.float32), np.zeros(0, np.float32), np.full(3, 0.5), np.zeros(0, np.bool_)
    )
    choice = policy.choose(ballot)
    assert [column.shape for column in choice] == [(0,), (0, 2), (0,), (0,)]


@patient_policy
@some
@given(ballot=ballots(), data=st.data())
def test_the_order_of_models_does_not_matter_to_the_patient(
    policy: Policy, ballot: Ballot, data: st.DataObject
) -> None:
    """A mean, a median and a vote are the same whoever is named first, but for float32's last digit."""
    order = data.draw(st.permutations(range(ballot.usable.shape[1])))
    choice, other = policy.choose(ballot), policy.choose(models_of(ballot, order))
    together = choice.winners == COMBINED
    np.testing.assert_array_equal(together, other.winners == COMBINED)
    np.testing.assert_array_equal(choice.hopeless, other.hopeless)
    alone = choice.winners >= 0
    np.testing.assert_array_equal(choice.winners[alone], np.array(order)[other.winners[alone]])
    scale = np.abs(np.where(ballot.usable[:, :, None], ballot.outputs, 0)).max(axis=1).astype(np.float64)
    difference = choice.outputs[together].astype(np.float64) - other.outputs[together]
    assert (np.abs(difference) <= scale[together] * np.finfo(np.float32).eps).all()


# ------------------------------------------------------------------------------------------------------- each by name


def ballot_of(
    outputs: Any,  # noqa: ANN401 - nested lists: rows, models, numbers; None where nothing usable is
    *,
    reported: Any = None,  # noqa: ANN401 - nested lists: rows, models
    draws: Any = None,  # noqa: ANN401 - one number a row
    weights: Any = None,  # noqa: ANN401 - one number a model
    closing: bool = True,
) -> Ballot:
    """A ballot in few words: all that is not said has reported, with draw 0 and nothing known of weights."""
    width = max((len(cell) for row in outputs for cell in row if cell is not None), default=1)
    filled = [[[np.nan] * width if cell is None else cell for cell in row] for row in outputs]
    usable = np.array([[cell is not None for cell in row] for row in outputs], np.bool_)
    rows, models = usable.shape
    return Ballot(
        usable=usable,
        reported=usable | (np.ones_like(usable) if reported is None else np.array(reported, np.bool_)),
        outputs=np.array(filled, np.float32).reshape(rows, models, width),
        draws=np.array([0.0] * rows if draws is None else draws, np.float32),
        weights=np.array([np.nan] * models if weights is None else weights, np.float64),
        closing=np.full(rows, closing),
    )


def answers(policy: str, ballot: Ballot) -> list[tuple[int, list[float]] | None]:
    """(winner, answer) of each row; None for nobody."""
    choice = POLICIES[policy].choose(ballot)
    return [
        None if winner == NOBODY else (int(winner), answer.tolist())
        for winner, answer in zip(choice.winners, choice.outputs, strict=True)
    ]


def test_prefer_takes_the_first_that_can() -> None:
    """The order of the step decides, not the size of the score, and nobody is waited for."""
    rows = [[None, [1], [2]], [[3], [4], [5]], [None, None, None]]
    ballot = ballot_of(rows, reported=np.zeros((3, 3)), closing=False)
    assert answers("prefer", ballot) == [(1, [1.0]), (0, [3.0]), None]


@pytest.mark.parametrize(
    ("weights", "winner"),
    [
        ([0.1, 0.9, 0.5], 1),
        ([0.5, 0.9, 0.9], 1),
        ([np.nan, 0.2, 0.1], 1),
        ([np.nan, np.nan, 0.0], 2),
        ([np.nan, np.nan, np.nan], 0),
        ([0.0, 0.0, 0.0], 0),
        ([-3.0, -1.0, -2.0], 1),
        ([np.nan, -1e300, np.nan], 1),
    ],
    ids=["largest", "tie", "unknown first", "one known", "nothing known", "all zero", "negative", "very bad but known"],
)
def test_best_takes_the_highest_quality(weights: list[float], winner: int) -> None:
    """Of equals the first; whose quality is unknown comes last."""
    ballot = ballot_of([[[0], [1], [2]]], weights=weights)
    assert answers("best", ballot) == [(winner, [float(winner)])]


def test_best_goes_on_to_the_next_best() -> None:
    """Row by row, by who is usable."""
    ballot = ballot_of([[[0], None, [2]], [[0], None, None], [None, None, None]], weights=[0.1, 0.9, 0.5])
    assert answers("best", ballot) == [(2, [2.0]), (0, [0.0]), None]


def winners_over_all(weights: list[float], draws: NDArray[np.float32]) -> NDArray[np.int64]:
    """Whom `split` takes for each draw when everybody is usable."""
    rows, models = len(draws), len(weights)
    everybody = np.ones((rows, models), np.bool_)
    outputs = np.zeros((rows, models, 1), np.float32)
    ballot = Ballot(everybody, everybody, outputs, draws, np.array(weights), np.ones(rows, np.bool_))
    return POLICIES["split"].choose(ballot).winners


def drawn(count: int, seed: int) -> NDArray[np.float32]:
    """Random places in [0, 1)."""
    return (np.random.default_rng(seed).integers(0, DRAWS, count) / DRAWS).astype(np.float32)


@pytest.mark.parametrize("weights", [[9, 1], [1, 0, 1], [0.2, 0.3, 0.5], [0, 1], [np.nan, 2, 1]])
def test_split_gives_each_its_share(weights: list[float]) -> None:
    """Over random draws within five standard deviations; who has no weight never answers."""
    count = 50_000
    shares = np.nan_to_num(weights) / np.nansum(weights)
    found = np.bincount(winners_over_all(weights, drawn(count, 1)), minlength=len(weights)) / count
    assert (np.abs(found - shares) <= 5 * np.sqrt(shares * (1 - shares) / count)).all()


EDGES = np.array([0, 1, DRAWS // 2 - 1, DRAWS // 2, DRAWS // 2 + 1, DRAWS - 2, DRAWS - 1])
"""Draws, times DRAWS, where rounding would show."""


@some
@given(weights=st.lists(st.sampled_from(WEIGHTS.tolist()) | st.floats(0, 1), min_size=1, max_size=6), data=st.data())
def test_split_says_the_exact_probability(weights: list[float], data: st.DataObject) -> None:
    """Propensities are counts of draws over all draws: those of the models that can answer sum to 1.

    A model owns the draws between two places; both ends of each, and what lies beside them, fall where they should.
    """
    assume(np.nansum(weights) > 0)
    everybody = np.ones((1, len(weights)), np.bool_)
    place = data.draw(st.integers(0, DRAWS - 1) | st.sampled_from(EDGES.tolist()))
    ballot = Ballot(
        everybody,
        everybody,
        np.zeros((1, len(weights), 1), np.float32),
        np.array([place / DRAWS], np.float32),
        np.array(weights),
        np.ones(1, np.bool_),
    )
    total, start = 0, 0
    while start < DRAWS:  # from one model's first draw to the next one's
        choice = POLICIES["split"].choose(ballot._replace(draws=np.array([start / DRAWS], np.float32)))
        owned = int(float(choice.propensities[0]) * DRAWS)
        assert owned >= 1
        last = np.array([(start + owned - 1) / DRAWS], np.float32)
        assert POLICIES["split"].choose(ballot._replace(draws=last)).winners[0] == choice.winners[0]
        assert weights[choice.winners[0]] > 0
        if start <= place < start + owned:
            assert POLICIES["split"].choose(ballot).winners[0] == choice.winners[0]
        total, start = total + owned, start + owned
    assert total == DRAWS


@some
@given(first=st.floats(0, 1), second=st.floats(0, 1))
def test_a_ramp_moves_each_draw_once_and_never_back(first: float, second: float) -> None:
    """Raising the second's weight from 0 to 1, by whatever steps, only ever moves draws to it."""
    low, high = sorted((first, second))
    draws = np.concatenate([EDGES / DRAWS, drawn(500, 2)]).astype(np.float32)
    before, after = winners_over_all([1 - low, low], draws), winners_over_all([1 - high, high], draws)
    assert (after >= before).all()
    assert not winners_over_all([1, 0], draws).any()
    assert winners_over_all([0, 1], draws).all()


def test_split_waits_for_its_own_and_takes_nobody_else() -> None:
    """Another model that has answered does not count; one that has reported that it cannot ends the step."""
    ballot = ballot_of(
        [[None, [2]], [None, [2]], [[1], None]], reported=[[0, 1], [1, 1], [1, 0]], draws=[0.1] * 3, weights=[0.5, 0.5]
    )
    choice = POLICIES["split"].choose(ballot)
    assert choice.winners.tolist() == [NOBODY, NOBODY, 0]
    assert choice.hopeless.tolist() == [False, True, False]


def test_split_of_nothing_is_nobodys() -> None:
    """Weights that are all 0, as no document gives them, are hopeless and no crash."""
    choice = POLICIES["split"].choose(ballot_of([[[1], [2]]], weights=[0, np.nan], draws=[0.9]))
    assert (choice.winners.tolist(), choice.hopeless.tolist()) == ([NOBODY], [True])


def test_mean_is_weighted_by_who_is_there() -> None:
    """Weights of who is not there go to the others in proportion; who has none has no voice."""
    rows = [[[0], [1], [8]], [[0], None, [8]], [None, [1], [8]], [None, None, [8]]]
    ballot = ballot_of(rows, weights=[1, 3, np.nan])
    assert answers("mean", ballot) == [(COMBINED, [0.75]), (0, [0.0]), (1, [1.0]), None]
    assert POLICIES["mean"].choose(ballot).hopeless.tolist() == [False, False, False, True]


@pytest.mark.parametrize("name", ["mean", "hedge"])
def test_without_any_weight_all_count_the_same(name: str) -> None:
    """Before anything was learned, hedge is the plain mean."""
    ballot = ballot_of([[[0, 1], [1, 0], [2, 8]]])
    assert answers(name, ballot) == [(COMBINED, [1.0, 3.0])]


@pytest.mark.parametrize("weights", [[5e-324, 5e-324], [1e-300, 1e-300], [1e6, 1e6]])
def test_the_size_of_weights_does_not_matter(weights: list[float]) -> None:
    """Only their proportion does, down to the smallest numbers that there are."""
    assert answers("mean", ballot_of([[[0.25], [0.75]]], weights=weights)) == [(COMBINED, [0.5])]


def test_a_mean_is_the_same_wherever_its_columns_lie() -> None:
    """NumPy's own sum of many models goes another way for another layout, and gives another figure."""
    rows, models = 50, 20
    everybody = np.ones((rows, models), np.bool_)
    outputs = np.random.default_rng(3).choice(np.array(EXTREMES, np.float32), (rows, models, 1))
    ballot = Ballot(
        everybody, everybody, outputs, np.zeros(rows, np.float32), np.linspace(0, 1, models), np.ones(rows, np.bool_)
    )
    other = column_major(ballot)
    assert said(POLICIES["mean"].choose(other)) == said(POLICIES["mean"].choose(ballot))


def test_mean_gives_up_when_only_voiceless_ones_are_to_come() -> None:
    """Nobody waits for a model whose score would not count."""
    ballot = ballot_of([[None, None]], reported=[[1, 0]], weights=[1, 0], closing=False)
    assert POLICIES["mean"].choose(ballot).hopeless.tolist() == [True]


def test_median_is_that_of_what_is_there() -> None:
    """Of an odd number the middle one, of an even number the mean of the middle two, each output alone."""
    rows = [[[9, 1], [1, 2], [2, 3]], [[9, 1], None, [2, 3]], [[9, 1], None, None]]
    assert answers("median", ballot_of(rows)) == [(COMBINED, [2.0, 2.0]), (COMBINED, [5.5, 2.0]), (0, [9.0, 1.0])]


def test_a_binary_vote_is_the_share_of_those_who_say_yes() -> None:
    """A half is a yes; a tie is a half."""
    rows = [[[0.5], [0.9], [0.1]], [[0.9], [0.4], None], [[0.49], [0.0], [0.3]]]
    found = [answer for answer in answers("vote", ballot_of(rows)) if answer]
    assert [winner for winner, _ in found] == [COMBINED] * 3
    assert [answer for _, answer in found] == [[pytest.approx(2 / 3)], [0.5], [0.0]]


def test_a_vote_among_classes_goes_to_each_models_largest() -> None:
    """Of classes that a model finds equally likely, to the first."""
    rows = [[[0.2, 0.8, 0.0], [0.4, 0.4, 0.2], [0.1, 0.2, 0.7], [0.0, 0.5, 0.5]]]
    assert answers("vote", ballot_of(rows)) == [(COMBINED, [0.25, 0.5, 0.25])]


def test_a_vote_of_one_is_its_own_answer() -> None:
    """It is not said that a model answered what it did not say."""
    assert answers("vote", ballot_of([[None, [0.75]]])) == [(1, [0.75])]


@pytest.mark.parametrize("name", [name for name, policy in POLICIES.items() if policy.patient])
def test_the_patient_wait_for_the_step_to_close(name: str) -> None:
    """However many have answered."""
    ballot = ballot_of([[[0.5], [0.5], None]], reported=[[1, 1, 0]], closing=False)
    choice = POLICIES[name].choose(ballot)
    assert (choice.winners.tolist(), choice.hopeless.tolist()) == ([NOBODY], [False])


# ------------------------------------------------------------------------------------------------------ where they fit


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_policy_fits_the_kinds_that_it_names(name: str, kind: str) -> None:
    """With weights where it needs them; what it is not for is named."""
    fault = fault_of(name, kind, weighted=POLICIES[name].weights == "required")
    assert (fault is None) == (kind in POLICIES[name].kinds)
    assert fault is None or (name in fault and kind in fault)


@pytest.mark.parametrize(
    ("name", "weighted", "words"),
    [
        ("preferred", False, "policy 'preferred' is unknown; there are ['best', "),
        ("split", False, "policy 'split' needs weights, for example weights = {"),
        ("prefer", True, "policy 'prefer' takes no weights from the document: remove them"),
        ("best", True, "policy 'best' takes no weights from the document: remove them"),
        ("hedge", True, "policy 'hedge' takes no weights from the document: remove them"),
        ("median", True, "policy 'median' takes no weights from the document: remove them"),
    ],
)
def test_a_policy_that_does_not_fit_says_why(name: str, weighted: bool, words: str) -> None:  # noqa: FBT001 - a table's cell
    """And what to do."""
    assert (fault_of(name, "binary", weighted=weighted) or "").startswith(words)


@pytest.mark.parametrize("weighted", [True, False])
def test_mean_takes_weights_or_none(weighted: bool) -> None:  # noqa: FBT001 - a table's cell
    """Both are legal."""
    assert fault_of("mean", "multiclass", weighted=weighted) is None


def test_every_policy_is_frozen() -> None:
    """A table of policies is no place to change things."""
    for policy in POLICIES.values():
        assert astuple(policy)[0] is policy.choose
        with pytest.raises(AttributeError):
            setattr(policy, "patient", True)  # noqa: B010 - mypy would not let it through
