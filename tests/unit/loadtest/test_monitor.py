"""The figures of the monitor's load test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("hdrh", reason="hdrhistogram has no wheel for Linux on arm64")

from loadtest.monitor import filling
from loadtest.monitor.home import PARTITIONS, write_home
from loadtest.monitor.picture import draw, speeds
from loadtest.monitor.scenario import Sample, rates, targets
from memory_log import MemoryLog, MemorySink
from rendezvous.messages import Comparisons, FeatureColumns, Label
from rendezvous.monitoring.reference import Reference
from rendezvous.monitoring.shipped import load_reference
from rendezvous.wire import decode

SAMPLES = [
    Sample(100.0, {"requests": 10_000, "features": 10_000, "labels": 0}, 5.0, 200.0, 10_000),
    Sample(101.0, {"requests": 40_000, "features": 40_000, "labels": 100}, 6.0, 300.0, 40_000),
    Sample(102.0, {"requests": 60_000, "features": 50_000, "labels": 4_100}, 7.0, 250.0, 60_000),
]


def report() -> dict[str, Any]:
    """What is drawn."""
    figures = rates(SAMPLES)
    return {
        **figures,
        "samples": [{"at_s": one.at_s, "rows": dict(one.rows)} for one in SAMPLES],
        "targets": targets(figures),
        "endpoint": {"features": 20, "models": 5},
        "machine": {"cores": 2, "processor": "a processor", "load_average_at_start": [0.1]},
    }


def test_rates_count_from_where_rows_were_first_seen() -> None:
    """Labels come later than requests: nothing was kept up with before."""
    found = rates(SAMPLES)
    assert found["requests_per_s"] == 25_000
    assert found["features_per_s"] == 20_000
    assert found["labels_per_s"] == 4_000
    assert found["cores"] == 1.0
    assert found["cpu_us_per_request"] == 40.0
    assert found["memory_mb"] == 300


def test_a_target_is_met_or_not() -> None:
    """Each kind of row has its own."""
    assert [target["met"] for target in targets(rates(SAMPLES))] == [True, True, False]


def test_the_picture_shows_rows_a_second(tmp_path: Path) -> None:
    """Between any two samples."""
    assert speeds(report(), "requests") == ([1.0, 2.0], [30_000.0, 20_000.0])
    draw(report(), tmp_path / "monitor.png")
    assert (tmp_path / "monitor.png").stat().st_size > 10_000


def test_what_is_written_is_what_a_busy_endpoint_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests evenly over partitions, each with its features; labels of those of some seconds before."""
    endpoint = write_home(tmp_path)
    log = MemoryLog(lambda: 0, dict.fromkeys(map(endpoint.topic, ("comparisons", "features", "labels")), PARTITIONS))
    monkeypatch.setattr(filling, "KafkaSink", lambda *_, **__: MemorySink(log))
    requests, labels = filling.Filling(endpoint, "nowhere", ["1"] * 5).write(800, 200, 10.0)
    rows = dict.fromkeys(("comparisons", "features"), 0)
    asked: set[str] = set()
    for (topic, _), records in log.records.items():
        for record in records:
            if topic == endpoint.topic("comparisons"):
                comparisons = decode(record.value, Comparisons)
                asked |= set(comparisons.request_ids)
                rows["comparisons"] += len(comparisons.offsets)
            elif topic == endpoint.topic("features"):
                rows["features"] += len(decode(record.value, FeatureColumns).offsets)
            else:
                assert decode(record.value, Label).request_id in asked
    assert rows == {"comparisons": requests, "features": requests}
    assert requests == 8_000
    assert labels == pytest.approx(400, rel=0.3)
    assert isinstance(load_reference(endpoint.folder / "champion"), Reference)
