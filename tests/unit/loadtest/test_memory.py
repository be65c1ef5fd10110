"""`memory`: a partition that is looked at by itself, and what a start says of its imports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("hdrh", reason="hdrhistogram has no wheel for Linux on arm64")

from loadtest.memory.flight import ring_bytes, traced
from loadtest.memory.picture import draw
from loadtest.memory.scenario import MODELS, MOST_BYTES, OUTPUTS, targets
from loadtest.memory.starting import imports, quickest
from loadtest.server.filling import SLICE
from loadtest.server.home import versions_of, write_home
from rendezvous.registry.events import ControlEvent, Deployment, RulesChange, State
from rendezvous.registry.state import Control, after


def test_a_request_in_flight_takes_no_more_than_promised(tmp_path: Path) -> None:
    """With as many models and outputs as promised; counted by tracemalloc, so that no other work weighs on it."""
    endpoint = write_home(tmp_path, "flying", MODELS, 2 * SLICE, outputs=OUTPUTS)
    pairs = versions_of(endpoint)
    genesis: list[ControlEvent] = [
        *(Deployment(*pair, f"sha of {pair}", State.ACTIVE, "tests", 0) for pair in pairs),
        RulesChange(endpoint.rules.model_dump_json(), "tests", 0),
    ]
    control = Control()
    for event in genesis:
        control = after(control, event, control.position)
    found = traced(endpoint, control, pairs[1:], 2 * SLICE)
    assert found["ring_bytes"] == ring_bytes(endpoint, MODELS) / (2 * SLICE)
    assert found["ring_bytes"] < found["bytes"] <= MOST_BYTES


def test_imports_are_what_python_says_of_each_module() -> None:
    """By themselves, not with what they import in turn."""
    report = (
        "import time: self [us] | cumulative | imported package\n"
        "import time:       150 |        150 |   encodings.aliases\n"
        "2026-11-21 10:00:00 INFO import time: 7 | no import\n"
        "import time:      1850 |       2000 | encodings\n"
    )
    assert imports(report) == pytest.approx(0.002)


def start(ready_s: float, imports_s: float) -> dict[str, float]:
    """One start."""
    return {"ready_s": ready_s, "imports_s": imports_s, "beyond_s": round(ready_s - imports_s, 3)}


def test_the_quickest_start_is_the_one_with_the_least_beyond_its_imports() -> None:
    """Imports come from a disk that others use too."""
    found = quickest([start(3.0, 2.0), start(3.5, 3.0)])
    assert (found["ready_s"], found["beyond_s_of_starts"]) == (3.5, [1.0, 0.5])


def test_targets_and_picture(tmp_path: Path) -> None:
    """What is not met says why."""
    mailbox = {"requests": 10, "bytes": 700.0, "ring_bytes": 200.0}
    server = {"requests": 100, "bytes": 1_100.0, "ring_mb": 0.02}
    flight: dict[str, Any] = {"mailbox": mailbox, "server": server}
    starts = {"server": quickest([start(5.0, 2.0)]), "scorer": quickest([start(2.5, 2.0)])}
    found = targets(flight, starts)
    assert [target["met"] for target in found] == [True, False, False, True]
    assert [bool(target["reason"]) for target in found] == [False, True, True, False]
    report = {
        "scenario": "memory",
        "machine": {"cores": 2, "processor": "some"},
        "most_other_cores": None,
        "models": 5,
        "outputs": 4,
        "flight": flight,
        "starts": starts,
        "targets": found,
    }
    draw(report, tmp_path / "memory.png")
    assert (tmp_path / "memory.png").stat().st_size > 1_000
