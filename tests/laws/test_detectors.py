"""Laws of every detector, found in DETECTORS: another detector needs no line here."""

from __future__ import annotations

import doctest
import json
from math import nan, sqrt
from sys import modules
from typing import TypeAlias

import numpy as np
import pytest
from numpy.typing import NDArray

from rendezvous.monitoring.detectors import DETECTORS, Detector, Worse, restored

Values: TypeAlias = NDArray[np.float64]

each_detector = pytest.mark.parametrize("kind", DETECTORS.values(), ids=DETECTORS)
each_of_blocks = pytest.mark.parametrize(
    "kind", [kind for kind in DETECTORS.values() if not kind.assumes_independence], ids=lambda kind: kind.name
)
each_of_rows = pytest.mark.parametrize(
    "kind", [kind for kind in DETECTORS.values() if kind.assumes_independence], ids=lambda kind: kind.name
)
either_way = pytest.mark.parametrize("worse", ["higher", "lower"])

STREAMS = 40
RUN_LENGTH = {"block": 100, "row": 4_000}
REFERENCE = {"block": 59, "row": 2_000}
"""Blocks: as many as January and February have days."""
UNIT = 1 << 20
"""Values are multiples of 2**-20, so that 1 - x is exact."""


def dyadic(values: Values) -> Values:
    """Rounded so that whatever is done to them in the tests is exact."""
    return np.round(values * UNIT) / UNIT


def independent(kind: type[Detector], chance: np.random.Generator, count: int, rate: float = 0.2) -> Values:
    """Errors of independent rows, or the error rates of blocks of a hundred such rows."""
    if kind.per == "row":
        return (chance.random(count) < rate).astype(np.float64)
    return dyadic(chance.binomial(100, rate, count) / 100)


def day_rates(chance: np.random.Generator, days: int) -> Values:
    """Days that are hard or easy as a whole, like the flights': mean .2, sd .11, a long tail to the right."""
    return chance.beta(2.5, 10, days)


def seen(detector: Detector, values: Values) -> list[int]:
    """Positions of its alarms."""
    alarms = []
    for position, value in enumerate(values.tolist()):
        detector.update(value)
        if detector.alarm:
            alarms.append(position)
    return alarms


def made(kind: type[Detector], reference: Values, worse: Worse = "higher", run_length: float = 0) -> Detector:
    """A detector that knows a reference."""
    return kind.calibrated(reference.tolist(), worse, run_length or RUN_LENGTH[kind.per])


def changing(kind: type[Detector], seed: int, rate: float = 0.5) -> tuple[Values, Values]:
    """A reference, and a stream whose error rate changes from .2 half way."""
    chance, length = np.random.default_rng(seed), RUN_LENGTH[kind.per] // 2
    before = independent(kind, chance, REFERENCE[kind.per] + length)
    after = independent(kind, chance, length, rate)
    return before[:-length], np.concatenate([before[-length:], after])


@each_detector
def test_the_example_in_the_docstring_is_true(kind: type[Detector]) -> None:
    """Everybody shows what to do with it, and what comes of it."""
    finder = doctest.DocTestFinder(recurse=False)
    (example,) = finder.find(kind, kind.__name__, globs=dict(vars(modules[kind.__module__])))
    assert example.examples
    assert doctest.DocTestRunner().run(example).failed == 0


@each_detector
def test_it_is_known_by_its_name(kind: type[Detector]) -> None:
    """DETECTORS, the class and its snapshot say the same."""
    assert DETECTORS[kind.name] is kind
    assert made(kind, independent(kind, np.random.default_rng(1), 50)).snapshot()["detector"] == kind.name


@each_detector
@either_way
def test_a_restart_at_any_point_changes_nothing(kind: type[Detector], worse: Worse) -> None:
    """A snapshot, through JSON, goes on as if there had been none: same alarms, same evidence, bit for bit."""
    reference, stream = changing(kind, 2)
    if worse == "lower":
        reference, stream = 1 - reference, 1 - stream
    straight, restarted = made(kind, reference, worse), made(kind, reference, worse)
    for position, value in enumerate(stream.tolist()):
        straight.update(value)
        restarted.update(value)
        if position % 7 == 0:
            restarted = restored(json.loads(json.dumps(restarted.snapshot())))
        assert restarted.snapshot() == straight.snapshot()
        assert (restarted.alarm, restarted.value, restarted.threshold) == (
            straight.alarm,
            straight.value,
            straight.threshold,
        )


@each_detector
def test_a_snapshot_is_not_changed_by_what_comes_later(kind: type[Detector]) -> None:
    """It can be written at leisure."""
    reference, stream = changing(kind, 3)
    detector = made(kind, reference)
    seen(detector, stream[:10])
    snapshot = detector.snapshot()
    text = json.dumps(snapshot)
    seen(detector, stream[10:])
    assert json.dumps(snapshot) == text


@each_detector
def test_it_is_deterministic(kind: type[Detector]) -> None:
    """The same values, the same alarms."""
    reference, stream = changing(kind, 4)
    assert seen(made(kind, reference), stream) == seen(made(kind, reference), stream)


@each_detector
def test_lower_is_worse_is_the_mirror(kind: type[Detector]) -> None:
    """What a detector finds in an error rate it finds in the accuracy at the same place."""
    reference, stream = changing(kind, 5)
    alarms = seen(made(kind, reference), stream)
    assert alarms
    assert seen(made(kind, 1 - reference, "lower"), 1 - stream) == alarms


@each_detector
def test_where_there_is_nothing_to_say_nothing_changes(kind: type[Detector]) -> None:
    """NaN (a block of one class has no AUC) leaves the evidence as it is; an alarm does not last through it."""
    reference, stream = changing(kind, 6)
    plain, holed = made(kind, reference), made(kind, reference)
    for value in stream.tolist():
        plain.update(value)
        holed.update(value)
        assert holed.alarm == plain.alarm
        holed.update(nan)
        assert not holed.alarm


@each_detector
def test_an_alarm_says_what_it_has_crossed(kind: type[Detector]) -> None:
    """The evidence is at its threshold or over it."""
    reference, stream = changing(kind, 7)
    detector = made(kind, reference)
    for value in stream.tolist():
        detector.update(value)
        assert not detector.alarm or detector.value >= detector.threshold
    assert np.isfinite([detector.value, detector.threshold]).all()


@each_detector
def test_false_alarms_stay_within_the_stated_rate(kind: type[Detector]) -> None:
    """Independent values without a change: at most one alarm in a run length, on average over streams."""
    alarms = 0
    for seed in range(STREAMS):
        chance = np.random.default_rng(seed)
        values = independent(kind, chance, REFERENCE[kind.per] + RUN_LENGTH[kind.per])
        alarms += len(seen(made(kind, values[: REFERENCE[kind.per]]), values[REFERENCE[kind.per] :]))
    assert alarms <= STREAMS + 2 * sqrt(STREAMS)


@pytest.mark.parametrize("count", [0, 5, 14, 59, 200])
@each_of_blocks
def test_false_alarms_of_correlated_rows_stay_within_the_rate_by_block(kind: type[Detector], count: int) -> None:
    """Days that err together, none, few or many of them known: whoever does not assume independence keeps the rate."""
    alarms = 0
    for seed in range(2 * STREAMS):
        days = dyadic(day_rates(np.random.default_rng(seed), count + RUN_LENGTH["block"]))
        alarms += len(seen(made(kind, days[:count]), days[count:]))
    assert alarms <= 2 * STREAMS + 2 * sqrt(2 * STREAMS)


@each_of_rows
def test_who_assumes_independence_says_so(kind: type[Detector]) -> None:
    """On rows of days that err together its stated rate does not hold, so the mark is there for a reason."""
    chance, rows, alarms = np.random.default_rng(8), 500, 0
    for _ in range(20):
        rates = np.repeat(day_rates(chance, (REFERENCE["row"] + RUN_LENGTH["row"]) // rows), rows)
        values = (chance.random(len(rates)) < rates).astype(np.float64)
        alarms += len(seen(made(kind, values[: REFERENCE["row"]]), values[REFERENCE["row"] :]))
    assert alarms > 20 + 2 * sqrt(20)


@each_detector
def test_a_real_change_is_found(kind: type[Detector]) -> None:
    """An error rate that doubles is found in every one of twenty streams, soon."""
    soon = {"block": 8, "row": 600}[kind.per]
    for seed in range(20):
        reference, stream = changing(kind, seed, 0.4)
        half = RUN_LENGTH[kind.per] // 2
        delays = [position - half for position in seen(made(kind, reference), stream) if position >= half]
        assert delays
        assert delays[0] < soon


@each_detector
def test_a_change_for_the_better_is_no_alarm(kind: type[Detector]) -> None:
    """An error rate that halves raises nothing from then on."""
    for seed in range(20):
        reference, stream = changing(kind, seed, 0.1)
        half = RUN_LENGTH[kind.per] // 2
        assert not [position for position in seen(made(kind, reference), stream) if position >= half]
