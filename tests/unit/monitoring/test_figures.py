"""Tallies agree with scikit-learn on the same rows, and are the same whatever the order and the batching."""

from __future__ import annotations

import json
from fractions import Fraction
from math import isnan
from typing import Any, TypeAlias

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    brier_score_loss,
    f1_score,
    log_loss,
    mean_absolute_error,
    precision_score,
    r2_score,
    recall_score,
    roc_auc_score,
    root_mean_squared_error,
)

from rendezvous.messages import Floats
from rendezvous.monitoring.figures import TALLIES, BinaryTally, Kind, tally, tally_from_json
from rendezvous.monitoring.figures.binary import BINS, ECE_BINS, EDGES
from rendezvous.monitoring.figures.sums import EXACT_BITS, exact, exact_squares, packed, unpacked
from rendezvous.replay.bootstrapping import Float64s

Rows: TypeAlias = tuple[Floats, Float64s]
KINDS: tuple[Kind, ...] = ("binary", "multiclass", "regression")
each_kind = pytest.mark.parametrize("kind", KINDS)
seeds = st.integers(0, 2**32 - 1)
sizes = st.integers(2, 400)
TOLERANCE = 1e-8
CLASSES = 4


def binary(seed: int, rows: int, rate: float = 0.3, digits: int = 7) -> Rows:
    """Scores around a rate (in odds), more or less ties by their digits, and labels drawn from them; both classes."""
    chance = np.random.default_rng(seed)
    odds = rate / (1 - rate) * np.exp(chance.normal(0, 1.5, rows))
    scores = np.round(odds / (1 + odds), digits)
    labels = (chance.random(rows) < scores).astype(np.float64)
    labels[:2] = 0, 1
    return scores.astype(np.float32)[:, None], labels


def of_kind(kind: Kind, seed: int, rows: int) -> Rows:
    """Rows of any kind, some of them unusable."""
    chance = np.random.default_rng(seed)
    if kind == "binary":
        outputs, labels = binary(seed, rows)
    elif kind == "multiclass":
        outputs = chance.dirichlet(np.ones(CLASSES), rows).astype(np.float32)
        labels = chance.integers(0, CLASSES, rows).astype(np.float64)
    else:
        scale = 10.0 ** chance.integers(-12, 12, rows)
        labels = chance.normal(0, 1, rows) * scale
        outputs = (labels + chance.normal(0, 1, rows)).astype(np.float32)[:, None]
    labels[chance.random(rows) < 0.05] = np.nan
    outputs[chance.random(rows) < 0.05] = np.nan
    return outputs, labels


def counted(kind: Kind, outputs: Floats, labels: Float64s) -> Any:  # noqa: ANN401 - a test looks inside
    """A tally of rows."""
    made = tally(kind)
    made.add(outputs, labels)
    return made


# ------------------------------------------------------------------------------------------------ any order, any batch


@each_kind
@given(seed=seeds, rows=sizes, cuts=st.lists(st.integers(0, 400), max_size=6))
@settings(max_examples=60)
def test_order_and_batches_do_not_matter(kind: Kind, seed: int, rows: int, cuts: list[int]) -> None:
    """Bit for bit: added whole, or shuffled and in parts, of which some come by way of another tally and its JSON."""
    outputs, labels = of_kind(kind, seed, rows)
    whole = counted(kind, outputs, labels)
    order = np.random.default_rng(seed).permutation(rows)
    parts = tally(kind)
    for number, some in enumerate(np.split(order, sorted(min(cut, rows) for cut in cuts))):
        if number % 2:
            other = counted(kind, outputs[some], labels[some])
            parts.merge(tally_from_json(kind, json.loads(json.dumps(other.to_json()))))
        else:
            parts.add(outputs[some], labels[some])
    assert parts.to_json() == whole.to_json()
    assert str(parts.figures()) == str(whole.figures())
    assert whole.rows + whole.unusable == rows


@each_kind
@given(seed=seeds, rows=sizes)
@settings(max_examples=30)
def test_what_is_taken_back_was_never_counted(kind: Kind, seed: int, rows: int) -> None:
    """Bit for bit: nothing of the rows is left, whatever their size beside the others."""
    outputs, labels = of_kind(kind, seed, rows)
    kept = np.random.default_rng(seed).random(rows) < 0.5
    made = counted(kind, outputs, labels)
    made.subtract(counted(kind, outputs[~kept], labels[~kept]))
    assert made.to_json() == counted(kind, outputs[kept], labels[kept]).to_json()


@each_kind
def test_without_rows_nothing_is_defined(kind: Kind) -> None:
    """All figures have their names, and are NaN."""
    empty = tally(kind)
    assert empty.rows == 0
    assert all(isnan(value) for value in empty.figures().values())
    assert set(empty.figures()) == set(counted(kind, *of_kind(kind, 1, 50)).figures())


@each_kind
def test_unusable_rows_are_counted_apart(kind: Kind) -> None:
    """A label that does not fit, no label, an output that is no number."""
    outputs = np.full((4, CLASSES if kind == "multiclass" else 1), 0.25, np.float32)
    outputs[3] = np.inf
    made = counted(kind, outputs, np.array([1.0, np.nan, np.inf, 1.0]))
    assert (made.rows, made.unusable) == (1, 3)


def test_every_kind_has_a_tally() -> None:
    """Those of an endpoint's output."""
    assert set(TALLIES) == set(KINDS)


# -------------------------------------------------------------------------------------------------------- the binary


def pairs_within_bins(scores: NDArray[Any], labels: Float64s) -> float:
    """Half the share of pairs (one positive, one negative) whose scores share a bin: counted by hand."""
    places = np.searchsorted(EDGES, scores, side="right")
    positives, negatives = (np.bincount(places[labels == which], minlength=BINS) for which in (1, 0))
    return float((positives * negatives).sum() / (2 * positives.sum() * negatives.sum()))


def precision_bounds(scores: NDArray[Any], labels: Float64s) -> tuple[float, float]:
    """Average precision if, within each bin, all positives came last, or first and equal."""
    places = np.searchsorted(EDGES, scores, side="right")
    low = high = found = wrong = 0.0
    for place in np.unique(places)[::-1]:
        here = labels[places == place]
        positives, negatives = here.sum(), len(here) - here.sum()
        if positives:
            low += positives * (found + 1) / (found + 1 + wrong + negatives)
            high += positives * (found + positives) / (found + positives + wrong)
        found, wrong = found + positives, wrong + negatives
    return low / found, high / found


@given(seed=seeds, rows=sizes, rate=st.sampled_from([1e-5, 1e-3, 0.05, 0.5, 0.97]), digits=st.integers(1, 9))
@settings(max_examples=150)
def test_ranking_is_scikit_learns_within_the_stated_bound(seed: int, rows: int, rate: float, digits: int) -> None:
    """AUC is off by no more than `auc_error`, average precision lies between its bins' bounds; also at 1e-5."""
    outputs, labels = binary(seed, rows, rate, digits)
    scores = outputs[:, 0].astype(np.float64)
    made = counted("binary", outputs, labels)
    figures = made.figures()
    assert made.auc_error == pytest.approx(pairs_within_bins(scores, labels), abs=1e-15)
    assert abs(figures["auc"] - roc_auc_score(labels, scores)) <= made.auc_error + 1e-12
    low, high = precision_bounds(scores, labels)
    assert low - 1e-12 <= average_precision_score(labels, scores) <= high + 1e-12
    assert low - 1e-12 <= figures["average_precision"] <= high + 1e-12


@pytest.mark.parametrize(("rate", "auc"), [(1e-5, 1e-3), (1e-3, 1e-4), (0.2, 1e-5)])
def test_ranking_of_many_rows_is_closer_than_its_bound(rate: float, auc: float) -> None:
    """On 50,000 rows of spread scores: of 3 positives, of 150 and of 13,500."""
    outputs, labels = binary(11, 50_000, rate, 12)
    scores = outputs[:, 0].astype(np.float64)
    made = counted("binary", outputs, labels)
    assert made.auc_error < 2e-3
    assert made.figures()["auc"] == pytest.approx(roc_auc_score(labels, scores), abs=auc)
    assert made.figures()["average_precision"] == pytest.approx(average_precision_score(labels, scores), abs=2e-3)


def test_a_bin_is_less_than_a_hundredth_of_the_odds() -> None:
    """From odds of 2.1e-9 to their inverse."""
    odds = EDGES / (1 - EDGES)
    assert (odds[1:] / odds[:-1] < 1.0099).all()
    assert odds[0] < 2.1e-9


@given(seed=seeds, rows=sizes, rate=st.sampled_from([1e-5, 0.05, 0.5]))
@settings(max_examples=100)
def test_losses_are_scikit_learns(seed: int, rows: int, rate: float) -> None:
    """Log loss (of probabilities kept 1e-7 from 0 and 1), Brier score and what holds at the threshold."""
    outputs, labels = binary(seed, rows, rate)
    scores = outputs[:, 0].astype(np.float64)
    said = scores >= 0.5
    figures = counted("binary", outputs, labels).figures()
    expected = {
        "log_loss": log_loss(labels, np.clip(scores, 1e-7, 1 - 1e-7)),
        "brier": brier_score_loss(labels, scores),
        "accuracy": accuracy_score(labels, said),
        "recall": recall_score(labels, said),
        "f1": f1_score(labels, said),
        "calibration_residual": labels.mean() - scores.mean(),
        "positives": labels.mean(),
    }
    assert {name: figures[name] for name in expected} == pytest.approx(expected, abs=TOLERANCE)
    if said.any():
        assert figures["precision"] == pytest.approx(precision_score(labels, said))
    else:
        assert isnan(figures["precision"])


@given(seed=seeds, rows=sizes)
@settings(max_examples=50)
def test_calibration_error_is_its_definition(seed: int, rows: int) -> None:
    """The mean gap between what was said and what came true, by fifteenths of the score, weighted by rows."""
    outputs, labels = binary(seed, rows)
    scores = outputs[:, 0].astype(np.float64)
    places = np.minimum((scores * ECE_BINS).astype(int), ECE_BINS - 1)
    gaps = [abs((labels - scores)[places == place].sum()) for place in range(ECE_BINS)]
    found = counted("binary", outputs, labels).figures()["ece"]
    assert found == pytest.approx(sum(gaps) / rows, abs=TOLERANCE)


def test_one_class_alone_has_no_ranking() -> None:
    """AUC and, without positives, average precision and recall are NaN."""
    outputs = np.array([[0.1], [0.9]], np.float32)
    negatives, positives = (counted("binary", outputs, np.full(2, label)).figures() for label in (0.0, 1.0))
    assert [isnan(negatives[name]) for name in ("auc", "average_precision", "recall")] == [True] * 3
    assert isnan(positives["auc"])
    assert positives["average_precision"] == 1.0


def test_what_no_probability_is_counts_as_the_nearest_one() -> None:
    """-3 as 0 and 1e30 as 1: a broken model costs what it can, and no overflow."""
    figures = counted("binary", np.array([[-3.0], [1e30]], np.float32), np.array([1.0, 0.0])).figures()
    assert (figures["brier"], figures["auc"]) == (1.0, 0.0)


def test_the_threshold_is_the_owners() -> None:
    """And tallies at two thresholds are not merged."""
    made = tally("binary", 0.2)
    made.add(np.array([[0.3], [0.1]], np.float32), np.array([1.0, 1.0]))
    assert made.figures()["recall"] == 0.5
    with pytest.raises(ValueError, match=r"thresholds 0.2 and 0.5 cannot be merged"):
        made.merge(BinaryTally())


def test_a_tally_is_small() -> None:
    """A thousand rows are below 15 kB of JSON: bins without rows are left out."""
    assert len(json.dumps(counted("binary", *binary(1, 1_000)).to_json())) < 15_000


# ------------------------------------------------------------------------------------------------------------- others


@given(seed=seeds, rows=sizes)
@settings(max_examples=50)
def test_classes_are_scikit_learns(seed: int, rows: int) -> None:
    """Accuracy and log loss."""
    outputs, labels = of_kind("multiclass", seed, rows)
    figures = counted("multiclass", outputs, labels).figures()
    fit = ~np.isnan(labels) & ~np.isnan(outputs[:, 0])
    if not fit.any():
        return
    outputs, labels = outputs[fit].astype(np.float64), labels[fit].astype(int)
    assert figures["accuracy"] == accuracy_score(labels, outputs.argmax(axis=1))
    clipped = np.clip(outputs, 1e-7, 1 - 1e-7)
    of_truth = clipped[np.arange(len(labels)), labels]
    assert figures["log_loss"] == pytest.approx(-np.log(of_truth).mean(), abs=TOLERANCE)
    normed = clipped / clipped.sum(axis=1, keepdims=True)
    assert figures["log_loss"] == pytest.approx(log_loss(labels, normed, labels=range(CLASSES)), abs=1e-5)


@given(seed=seeds, rows=sizes, scale=st.sampled_from([1e-9, 1.0, 1e9]), mean=st.sampled_from([0.0, 100.0]))
@settings(max_examples=100)
def test_regression_is_scikit_learns(seed: int, rows: int, scale: float, mean: float) -> None:
    """Whatever the scale of the target: sums are exact."""
    chance = np.random.default_rng(seed)
    labels = (mean + chance.normal(0, 1, rows)) * scale
    outputs = (labels + chance.normal(0, 0.5, rows) * scale).astype(np.float32)[:, None]
    said = outputs[:, 0].astype(np.float64)
    expected = {
        "mae": mean_absolute_error(labels, said),
        "rmse": root_mean_squared_error(labels, said),
        "r2": r2_score(labels, said),
    }
    assert counted("regression", outputs, labels).figures() == pytest.approx(expected, rel=1e-9, abs=1e-9 * scale)


def test_labels_that_are_all_equal_have_no_share_explained() -> None:
    """R² is NaN, not minus infinity."""
    assert isnan(counted("regression", np.zeros((3, 1), np.float32), np.ones(3)).figures()["r2"])


# --------------------------------------------------------------------------------------------------------------- sums


@given(st.lists(st.floats(-1e100, 1e100).map(lambda value: value if abs(value) > 1e-100 else 0.0), max_size=20))
def test_exact_squares_are_exact(values: list[float]) -> None:
    """Against fractions."""
    found = exact_squares(np.array(values, np.float64))
    assert found == sum(Fraction(value) ** 2 for value in values) * (1 << EXACT_BITS)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=50))
def test_exact_sums_are_exact(values: list[float]) -> None:
    """Of any float64, from the smallest to the largest, against fractions; and JSON keeps them."""
    expected = 0
    for value in values:
        over, under = value.as_integer_ratio()
        expected += over * ((1 << EXACT_BITS) // under)
    found = exact(np.array(values, np.float64))
    assert found == expected
    assert unpacked(json.loads(json.dumps(packed(found)))) == found
