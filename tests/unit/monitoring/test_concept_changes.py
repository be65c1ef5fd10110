"""Concepts that change at a known row (river's synthetic streams): the per-row e-detector beside ADWIN."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from river.datasets import synth
from sklearn.tree import DecisionTreeClassifier

from rendezvous.monitoring.detectors import Adwin, BoundedLoss, Detector

SEEDS = 20
TRAINING, REFERENCE, BEFORE, AFTER = 1_000, 1_500, 3_000, 2_500
RUN_LENGTH = {BoundedLoss: 100_000, Adwin: 16_000}
"""ADWIN's is what makes its delta river's default, .002."""
Streams = Callable[[int, int], Iterable[Any]]
CHANGES: dict[str, Streams] = {
    "SEA, noise .1": lambda seed, then: synth.SEA(variant=(0, 3)[then], seed=seed, noise=0.1),
    "SEA": lambda seed, then: synth.SEA(variant=(2, 0)[then], seed=seed),
    "Sine": lambda seed, then: synth.Sine(classification_function=then, seed=seed, has_noise=True),
    "Mixed": lambda seed, then: synth.Mixed(classification_function=then, seed=seed),
    "STAGGER": lambda seed, then: synth.STAGGER(classification_function=then, seed=seed),
}


def rows(stream: Iterable[Any], count: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Numbers and classes."""
    found = list(islice(stream, count))
    return np.array([[float(number) for number in x.values()] for x, _ in found]), np.array([int(y) for _, y in found])


def errors(change: Streams, seed: int) -> list[float]:
    """Of a tree that learned the first concept: REFERENCE and BEFORE rows of it, then AFTER rows of the next one."""
    x, y = rows(change(seed, 0), TRAINING + REFERENCE + BEFORE)
    later_x, later_y = rows(change(seed + 1_000, 1), AFTER)
    tree = DecisionTreeClassifier(max_depth=5, random_state=0).fit(x[:TRAINING], y[:TRAINING])
    wrong = np.concatenate([(tree.predict(x) != y)[TRAINING:], tree.predict(later_x) != later_y])
    found: list[float] = wrong.astype(np.float64).tolist()
    return found


def watched(kind: type[Detector], stream: list[float]) -> tuple[int, int]:
    """False alarms before the change, and rows from the change to the alarm (AFTER: never)."""
    detector = kind.calibrated(stream[:REFERENCE], "higher", RUN_LENGTH[kind])
    false = 0
    for row, error in enumerate(stream[REFERENCE:], -BEFORE):
        detector.update(error)
        if detector.alarm and row >= 0:
            return false, row
        false += detector.alarm
    return false, AFTER


@pytest.mark.parametrize("change", CHANGES)
def test_the_row_detector_is_no_later_than_adwin(change: str) -> None:
    """On average over twenty seeds, at no more false alarms."""
    streams = [errors(CHANGES[change], seed) for seed in range(SEEDS)]
    (false, delay), (adwins_false, adwins_delay) = (
        np.mean([watched(kind, stream) for stream in streams], axis=0) for kind in (BoundedLoss, Adwin)
    )
    assert false <= adwins_false
    assert delay <= adwins_delay
