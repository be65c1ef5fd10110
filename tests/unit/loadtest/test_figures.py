"""From runs to the report: percentiles, ratios, targets, what was lost, and the picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("hdrh", reason="hdrhistogram has no wheel for Linux on arm64")

from loadtest import picture
from loadtest.bench import Bench
from loadtest.floor import summary
from loadtest.latency import HIGHEST_US, Run, figures, histogram, percentile_ms
from loadtest.report import HALF, IDLE, SIDES, Bare, Pair, lost, most_other_cores, rate_figures, targets
from loadtest.system import batches
from rendezvous.registry.state import Control
from rendezvous.settings import load_endpoint
from rendezvous.telemetry import ScorerMetrics, Telemetry

NAN = float("nan")
HOME = Path(__file__).parents[3]


def run(*latencies_ms: float, unanswered: int = 0, batch_rows: float | None = None, others: float = 0.0) -> Run:
    """A run with these latencies."""
    return Run(latencies_ms, [0.1] * len(latencies_ms), unanswered, 0, 0, others, batch_rows)


def entry(system_ms: float, floor_ms: float, batch_ms: float = 0.5, load: str = HALF) -> dict[str, Any]:
    """A rate's figures where every request of a side took the same time."""
    runs = [(side, run(*[ms] * 50)) for side, ms in zip(SIDES, (system_ms, floor_ms), strict=True)]
    return rate_figures(Pair(load, 100.0, runs, Bare("champion", 1, batch_ms)))


def test_percentiles_are_exact_to_a_thousandth() -> None:
    """Of a thousand latencies from 0.1 to 100 ms."""
    made = histogram([number / 10 for number in range(1, 1_001)])
    assert percentile_ms(made, 50) == pytest.approx(50, rel=1e-3)
    assert percentile_ms(made, 99.9) == pytest.approx(99.9, rel=1e-3)
    assert percentile_ms(made, 100) == pytest.approx(100, rel=1e-3)


@pytest.mark.parametrize("value_ms", [-1.0, 0.0, 1e9])
def test_a_latency_beyond_the_scale_counts_as_its_end(value_ms: float) -> None:
    """Nothing is dropped."""
    assert histogram([value_ms]).get_total_count() == 1
    assert percentile_ms(histogram([value_ms]), 100) <= HIGHEST_US / 1e3 * 1.001


def test_runs_of_a_side_are_taken_together() -> None:
    """Counts add up, and each run's own median stays visible."""
    found = figures([run(1, 1, 1), run(9, 9, 9, unanswered=1)])
    assert found["requests"] == 6
    assert found["unanswered"] == 1
    assert found["p50_ms_of_runs"] == [pytest.approx(1, rel=1e-3), pytest.approx(9, rel=1e-3)]


def test_system_stands_beside_the_floor() -> None:
    """Ratio and difference of the same percentile."""
    found = entry(system_ms=6, floor_ms=4)
    assert found["ratio"]["p50"] == pytest.approx(1.5, rel=1e-2)
    assert found["difference_ms"]["p99"] == pytest.approx(2, rel=1e-2)


@pytest.mark.parametrize(
    ("system_ms", "met"), [(5.6, [True, True]), (6.0, [False, True]), (9.0, [False, False])], ids=["both", "p99", "no"]
)
def test_targets_are_a_multiple_of_the_floor_and_the_bare_batch(system_ms: float, met: list[bool]) -> None:
    """1.3 x 4 + 0.5 at the median, 2 x 4 + 0.5 at p99."""
    found = targets([entry(system_ms, floor_ms=4)])
    assert [set(target) for target in found] == [{"name", "value", "limit", "met", "reason"}] * 2
    assert ["4.00 ms" in (target["reason"] or "") for target in found] == [not one for one in met]
    assert [target["limit"] for target in found] == [pytest.approx(5.7, rel=1e-2), pytest.approx(8.5, rel=1e-2)]
    assert [target["met"] for target in found] == met


@pytest.mark.parametrize(("system_ms", "met"), [(5.9, True), (6.2, False)])
def test_an_idle_systems_median_is_held_against_the_floor_alone(system_ms: float, *, met: bool) -> None:
    """1.5 x 4, and no batch on top."""
    (found,) = targets([entry(system_ms, floor_ms=4, batch_ms=9, load=IDLE)])
    assert found["limit"] == pytest.approx(6, rel=1e-2)
    assert found["met"] is met


@pytest.mark.parametrize("load", ["25 %", "75 %"])
def test_other_loads_have_figures_and_no_targets(load: str) -> None:
    """The targets are at half of saturation."""
    assert targets([entry(99, floor_ms=4, load=load)]) == []


def test_lost_requests_count_on_both_sides() -> None:
    """A floor that loses requests is no floor."""
    runs = [("system", run(1, unanswered=2)), ("floor", run(1, unanswered=3)), ("system", run(1, unanswered=4))]
    assert lost([rate_figures(Pair(HALF, 1.0, runs, Bare("champion", 1, 0.1)))]) == 9


def test_the_most_disturbed_run_is_named() -> None:
    """By the cores that others kept busy, on either side."""
    runs = [("system", run(1, others=0.1)), ("floor", run(1, others=1.4))]
    assert most_other_cores([rate_figures(Pair(HALF, 1.0, runs, Bare("champion", 1, 0.1)))]) == 1.4


def test_the_mean_batch_is_the_systems() -> None:
    """Of the runs that saw one."""
    runs = [("system", run(1, batch_rows=2.0)), ("floor", run(1)), ("system", run(1, batch_rows=4.0))]
    assert rate_figures(Pair(HALF, 1.0, runs, Bare("champion", 3, 0.1)))["champion"]["mean_batch_rows"] == 3.0


def test_latency_counts_from_when_a_request_was_due() -> None:
    """Due at 10, 11 and 12 s; the second came too late, the third never and counts with the time that was waited."""
    found = summary([10.01, 12.0, NAN], 10.0, 14.0, 1.0, 0.25, [0.0, 0.0, 0.0], 0)
    assert found.latencies_ms == pytest.approx([10, 1_000, 2_000])
    assert (found.unanswered, found.late) == (1, 1)


def test_batches_are_read_from_a_scorers_page() -> None:
    """Rows and micro-batches, under the names that the scorer gives them."""
    telemetry = Telemetry()
    metrics = ScorerMetrics(telemetry.registry)
    for rows in (1, 4):
        metrics.batch.observe(rows)
    assert batches(telemetry.page("/metrics")[2].decode()) == (5.0, 2.0)


def test_the_sample_is_repeated_for_as_long_as_a_run_lasts(tmp_path: Path) -> None:
    """Rows and ids in step."""
    rows = [{"x": 1}, {"x": 2}]
    flights = load_endpoint("flights", HOME)
    bench = Bench(flights, Control(), tmp_path, "", tmp_path, rows, ["a", "b"], 1.0, lambda *_: flights)
    assert bench.requests(10, 0.3) == ([{"x": 1}, {"x": 2}, {"x": 1}], ["a", "b", "a"])


def test_the_picture_is_drawn(tmp_path: Path) -> None:
    """One panel a rate, whatever their number."""
    report = {
        "scenario": "steady",
        "endpoint": "flights",
        "models": 5,
        "rates": [entry(6, 4), entry(9, 4), entry(9, 5), entry(3, 2)],
        "machine": {"cores": 2, "processor": "any", "load_average_at_start": [0.5, 0.5, 0.5]},
    }
    picture.draw(report, tmp_path / "steady.png")
    assert (tmp_path / "steady.png").read_bytes().startswith(b"\x89PNG")
