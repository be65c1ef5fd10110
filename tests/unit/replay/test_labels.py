"""When labels have come."""

from __future__ import annotations

import numpy as np
import pytest

from rendezvous.replay.labels import horizon_us


@pytest.mark.parametrize("seed", range(5))
def test_young_requests_do_not_make_labels_look_fast(seed: int) -> None:
    """With ages up to 3 mean delays the plain 99 % quantile of what has come is too small; the estimate is not."""
    chance = np.random.default_rng(seed)
    delays = chance.gamma(4, 0.25e6, 60_000).astype(np.int64)
    ages = chance.uniform(0, 3e6, len(delays)).astype(np.int64)
    come = delays <= ages
    truth = np.quantile(delays[delays <= 3e6], 0.99)  # what takes longer than the oldest request's age nobody can see
    assert np.quantile(delays[come], 0.99) < 0.97 * truth
    assert horizon_us(delays[come], ages[come]) == pytest.approx(truth, rel=0.04)


def test_old_requests_show_plain_quantiles() -> None:
    """Nothing is hidden by youth."""
    delays = np.arange(1, 101, dtype=np.int64)
    assert horizon_us(delays, np.full(100, 10_000, np.int64)) == 99
    assert horizon_us(delays, np.full(100, 10_000, np.int64), 0.5) == 50


def test_equal_delays_are_one_step() -> None:
    """All labels at once, as a nightly job writes them."""
    assert horizon_us(np.full(50, 7, np.int64), np.full(50, 9, np.int64)) == 7
