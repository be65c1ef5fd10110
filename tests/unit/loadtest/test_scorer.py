"""`scorer`: what the bare loop is given, and how targets and picture follow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("hdrh", reason="hdrhistogram has no wheel for Linux on arm64")

from loadtest.scorer.loop import batches, save
from loadtest.scorer.picture import draw
from loadtest.scorer.scenario import best, target


def test_the_bare_loop_gets_the_same_batches(tmp_path: Path) -> None:
    """Values of any length, in the sizes that the scorer took; what was left over is none of them."""
    values = [bytes([number]) * (number % 7 + 1) for number in range(100)]
    save(tmp_path / "kept.npz", values, [32, 1, 50])
    found = list(batches(tmp_path / "kept.npz"))
    assert [len(batch) for batch in found] == [32, 1, 50]
    assert [value for batch in found for value in batch] == values[:83]


def side(per_s: float, cpu_us: float | None) -> dict[str, Any]:
    """One run."""
    return {"per_s": per_s, "cpu_us": cpu_us, "loop_cpu_us": cpu_us}


def test_the_best_of_several_runs_counts() -> None:
    """Of rate and price each; a kernel that tells no price is no reason to stop."""
    assert best([side(10.0, 4.0), side(12.0, 5.0)]) == side(12, 4.0)
    assert best([side(10.0, None)]) == side(10, None)


def measured(most: int, share: float, cpu_us: float | None = 20.0) -> dict[str, Any]:
    """A size of batches."""
    return {
        "most": most,
        "rows": most,
        "scorer": side(20_000 * share, cpu_us),
        "bare": side(20_000, 15.0),
        "share": share,
    }


def test_a_target_that_is_not_met_says_where_the_time_goes() -> None:
    """And one that is met says nothing."""
    assert target(measured(32, 0.7)) | {"name": ""} == {
        "name": "",
        "value": 0.7,
        "limit": 0.7,
        "met": True,
        "reason": None,
    }
    assert "20.0 us of the scorer's loop" in target(measured(32, 0.69))["reason"]
    assert target(measured(32, 0.6, None))["reason"]


def test_the_picture_holds_every_size(tmp_path: Path) -> None:
    """Also where no price is known."""
    sizes = [measured(32, 0.5), measured(256, 0.8, None)]
    report = {
        "scenario": "scorer",
        "machine": {"cores": 2, "processor": "some"},
        "most_other_cores": None,
        "endpoint": "flights",
        "rows": 1_000,
        "batches": sizes,
        "targets": [target(one) for one in sizes],
    }
    draw(report, tmp_path / "scorer.png")
    assert (tmp_path / "scorer.png").stat().st_size > 1_000
