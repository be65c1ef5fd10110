"""Pictures of scenarios are drawn, whatever their figures; and what `soak` holds against its limits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("hdrh", reason="hdrhistogram has no wheel for Linux on arm64")

from loadtest.saturation import picture as saturation
from loadtest.scale import picture as scale
from loadtest.scale.model import table
from loadtest.soak import picture as soak
from loadtest.soak.scenario import Sample, targets

HEAD = {"machine": {"cores": 2, "processor": "any"}, "most_other_cores": None, "models": 5, "partitions": 1}
LATENCY = {"p50": 3.0, "p99": 30.0, "max": 100.0}


def is_png(path: Path) -> bool:
    """Whether a picture was drawn."""
    return path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("kept", [400.0, 0.0])
def test_saturation_is_drawn(tmp_path: Path, kept: float) -> None:
    """Also where nothing is kept."""
    steps = [
        {"rate": rate, "latency_ms": LATENCY, "goodput_per_s": rate / 2, "faults": faults}
        for rate, faults in ((200.0, []), (400.0, ["late"]))
    ]
    report = {"scenario": "saturation", "saturation": kept, "steps": steps} | HEAD
    saturation.draw(report, tmp_path / "saturation.png")
    assert is_png(tmp_path / "saturation.png")


def test_scale_is_drawn(tmp_path: Path) -> None:
    """With one server and with two."""
    shapes: list[dict[str, Any]] = [
        {"partitions": 1, "servers": 1, "latency_ms": LATENCY, "cpu_us": {"server": 100.0}},
        {"partitions": 2, "servers": 2, "latency_ms": LATENCY, "cpu_us": {"server": 60.0, "server-2": 50.0}},
    ]
    times = {"server": 50.0, "a scorer": 20.0}
    told = {"scenario": "scale", "rate": 100.0, "shapes": shapes, "service_us": times, "model": table(times)}
    scale.draw(told | {"service_us_from": "full topics"} | HEAD, tmp_path / "scale.png")
    assert is_png(tmp_path / "scale.png")


def samples(leak_mb: float) -> list[Sample]:
    """A server that grows by so much a window."""
    return [
        Sample(number * 30.0, 100, 0, 0, LATENCY, {"server": 100 + number * leak_mb}, {"server": 2.0}, None)
        for number in range(20)
    ]


def test_a_process_that_grows_is_found_by_name() -> None:
    """Latency and lag, which stay, meet their limits."""
    assert all(target["met"] for target in targets(samples(0.0)))
    (found,) = [target for target in targets(samples(1.0)) if not target["met"]]
    assert found["name"] == "memory of server, growth in MB"
    assert "from 100 to 119" in found["reason"]


def test_soak_is_drawn(tmp_path: Path) -> None:
    """A line for each process."""
    told = [
        {"at_s": one.at_s, "latency_ms": one.latency_ms, "memory_mb": one.memory_mb, "lag_ms": one.lag_ms}
        for one in samples(0.1)
    ]
    soak.draw({"scenario": "soak", "rate": 100.0, "samples": told} | HEAD, tmp_path / "soak.png")
    assert is_png(tmp_path / "soak.png")
