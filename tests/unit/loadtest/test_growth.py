"""What grows in a soak, and what is only noise; and the model of `scale`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("hdrh", reason="hdrhistogram has no wheel for Linux on arm64")

from loadtest.scale.model import capacity, service_times, table
from loadtest.soak.growth import FEWEST, growth, target

FULL = ((1, False, 50.0), (5, True, 99.0), (5, False, 60.0))
AT_S = [float(number * 30) for number in range(60)]


def test_what_rises_evenly_grows_by_its_slope() -> None:
    """Over what is left after the first tenth."""
    assert growth(AT_S, [100 + at_s / 10 for at_s in AT_S]) == pytest.approx((AT_S[-1] - AT_S[6]) / 10)


def test_what_fills_at_first_is_no_growth() -> None:
    """Allocators and caches."""
    assert growth(AT_S, [50.0, 70.0, 90.0, *[100.0] * 57]) == 0.0


def test_single_outliers_do_not_make_a_slope() -> None:
    """One sample in ten, all of them late in the run."""
    values = [100.0] * 54 + [400.0] * 6
    assert growth(AT_S, values) == pytest.approx(0.0)


@pytest.mark.parametrize(("per_window", "met"), [(0.0, True), (0.05, True), (0.3, False)])
def test_a_leak_is_found_among_noise(per_window: float, *, met: bool) -> None:
    """5 % of 100 MB in half an hour is the limit."""
    noise = np.random.default_rng(1).normal(size=60)
    values = (100 + np.arange(60) * per_window + noise).tolist()
    found = target("memory of server", "MB", "memory", AT_S, values)
    assert found["met"] is met
    assert found["limit"] == pytest.approx(5, rel=0.2)
    assert (found["reason"] is None) is met


def test_too_few_samples_prove_nothing() -> None:
    """And the target is not met."""
    found = target("latency p50", "ms", "p50", AT_S[: FEWEST - 1], [1.0] * (FEWEST - 1))
    assert (found["value"], found["met"]) == (None, False)


@pytest.mark.parametrize(
    ("partitions", "processes", "times"), [(1, 1, 1), (1, 4, 1), (4, 2, 2), (4, 3, 2), (4, 4, 4), (8, 3, 8 / 3)]
)
def test_the_process_with_the_most_partitions_is_full_first(partitions: int, processes: int, times: float) -> None:
    """A partition belongs to one process."""
    assert capacity(100.0, partitions, processes) == pytest.approx(10_000 * times)


def test_the_model_leaves_out_processes_without_a_partition() -> None:
    """They do nothing."""
    rows = table({"server": 100.0})
    assert all(row["processes"] <= row["partitions"] for row in rows)
    assert {"partitions": 4, "processes": 2, "per_s": {"server": 20_000}} in rows


def test_the_model_rests_on_full_topics_where_they_were_measured(tmp_path: Path) -> None:
    """On what this run saw where they were not, and it says which."""
    entry = {"cpu_us": {"server": 900.0, "trees": 500.0}, "champion": "trees"}
    assert service_times(tmp_path, entry) == ({"server": 900.0, "a scorer": 500.0}, "half of saturation")
    servers = [{"models": models, "exactly_once": once, "cpu_us": us} for models, once, us in FULL]
    (tmp_path / "server.json").write_text(json.dumps({"servers": servers}))
    assert service_times(tmp_path, entry)[1] == "half of saturation"
    batches = [{"most": most, "scorer": {"cpu_us": us}} for most, us in ((64, 9.0), (32, 12.0))]
    (tmp_path / "scorer.json").write_text(json.dumps({"batches": batches}))
    assert service_times(tmp_path, entry) == ({"server": 60.0, "a scorer": 12.0}, "full topics")
