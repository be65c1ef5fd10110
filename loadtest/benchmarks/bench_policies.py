"""Every policy of the schedule, on the ballots of a hundred requests and five models."""

from __future__ import annotations

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from rendezvous.server.policies import POLICIES, Ballot

ROWS, MODELS = 100, 5


@pytest.mark.parametrize("name", POLICIES)
def bench_policy(benchmark: BenchmarkFixture, name: str) -> None:
    """One call."""
    random = np.random.default_rng(0)
    usable = random.random((ROWS, MODELS)) < 0.8  # most have answered
    ballot = Ballot(
        usable=usable,
        reported=usable | (random.random((ROWS, MODELS)) < 0.5),  # of the others half have failed
        outputs=random.random((ROWS, MODELS, 1), np.float32),
        draws=random.random(ROWS, np.float32),
        weights=np.full(MODELS, 1 / MODELS),
        closing=np.ones(ROWS, np.bool_),
    )
    assert len(benchmark(POLICIES[name].choose, ballot).winners) == ROWS
