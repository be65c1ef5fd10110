"""Detectors of a change for the worse, and histograms of inputs."""

from __future__ import annotations

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from rendezvous.monitoring.detectors import DETECTORS
from rendezvous.monitoring.histograms import CategoryBins, Histogram, NumberBins

ROWS = 1_000
REFERENCE = {"block": 60, "row": 2_000}
"""Values that a detector is calibrated on."""
RUN_LENGTH = {"block": 100, "row": 4_000}
ROUNDS = 30


@pytest.mark.parametrize("name", DETECTORS)
def bench_detector(benchmark: BenchmarkFixture, name: str) -> None:
    """A hundred values, one by one, none of them an alarm's."""
    kind, random = DETECTORS[name], np.random.default_rng(0)
    reference = _errors(random, kind.per, REFERENCE[kind.per])
    values = _errors(random, kind.per, 100)

    def updated(detector: object) -> None:
        for value in values:
            detector.update(value)  # type: ignore[attr-defined] # a Detector, whatever its class

    def ready() -> tuple[tuple[object], dict[str, object]]:
        return (kind.calibrated(reference, "higher", RUN_LENGTH[kind.per]),), {}

    benchmark.pedantic(updated, setup=ready, rounds=ROUNDS)  # type: ignore[no-untyped-call] # the plugin has no types there


def _errors(random: np.random.Generator, per: str, count: int) -> list[float]:
    """Error rates of blocks, or single errors."""
    rates = random.beta(2.5, 10, count)
    errors: list[float] = (rates if per == "block" else (random.random(count) < rates).astype(np.float64)).tolist()
    return errors


def bench_numbers(benchmark: BenchmarkFixture) -> None:
    """A column of numbers into a histogram."""
    random = np.random.default_rng(0)
    histogram = Histogram.of(NumberBins.of(random.normal(size=ROWS)), [])
    benchmark(histogram.add, random.normal(size=ROWS))
    assert histogram.rows > 0


def bench_categories(benchmark: BenchmarkFixture) -> None:
    """A column of text into a histogram."""
    texts = np.array([f"category {number % 12}" for number in range(ROWS)], object)
    histogram = Histogram.of(CategoryBins.of(texts), [])
    benchmark(histogram.add, texts)
    assert histogram.rows > 0


def bench_merge(benchmark: BenchmarkFixture) -> None:
    """Two histograms of the same bins."""
    bins = NumberBins.of(np.random.default_rng(0).normal(size=ROWS))
    one, other = (Histogram.of(bins, np.linspace(-2, 2, ROWS)) for _ in range(2))
    benchmark(one.merge, other)
    assert one.rows > other.rows
