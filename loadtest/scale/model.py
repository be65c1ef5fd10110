"""What more processes and partitions would give, from measured service times. A model, and nothing more.

It says: a partition belongs to one process of a group; a process has a core of its own; a request costs it what it
cost where it was measured. So the process with the most partitions is full first. It leaves out the broker and the
network.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MODELS = 5
PARTITIONS = (1, 2, 4, 8)
PROCESSES = (1, 2, 4, 8)
US = 1e6


def service_times(folder: Path, entry: Mapping[str, Any]) -> tuple[dict[str, float], str]:
    """Processor time of one request, by kind of process, and where it is from.

    On topics that are full, by the scenarios `server` and `scorer`, where their reports are in `folder`: that is what a
    process does that has no pauses. Else by `entry`, a shape of one server and one scorer at half of saturation, where
    batches are small and each request pays for many a fetch.
    """
    full = {"server": _of_server(_read(folder / "server.json")), "a scorer": _of_scorer(_read(folder / "scorer.json"))}
    known = {kind: us for kind, us in full.items() if us}
    if len(known) == len(full):
        return known, "full topics"
    own = {"server": entry["cpu_us"]["server"], "a scorer": entry["cpu_us"][entry["champion"]]}
    return {kind: us for kind, us in own.items() if us}, "half of saturation"


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return found


def _of_server(report: Mapping[str, Any]) -> float | None:
    found = (one for one in report.get("servers", ()) if one["models"] == MODELS and not one["exactly_once"])
    return next((one["cpu_us"] for one in found), None)


def _of_scorer(report: Mapping[str, Any]) -> float | None:
    """With the smallest batches that were measured: the dearest."""
    least = min(report.get("batches", ()), key=lambda one: int(one["most"]), default=None)
    return None if least is None else least["scorer"]["cpu_us"]


def capacity(service_us: float, partitions: int, processes: int) -> float:
    """Requests a second that a group of so many processes can do, spread evenly over so many partitions."""
    busiest = -(-partitions // min(processes, partitions))
    return US / service_us * partitions / busiest


def table(service_us: Mapping[str, float]) -> list[dict[str, Any]]:
    """For each number of partitions and processes: what each kind of process could do.

    service_us: processor time of one request, by kind.
    """
    return [
        {
            "partitions": partitions,
            "processes": processes,
            "per_s": {kind: round(capacity(us, partitions, processes)) for kind, us in service_us.items()},
        }
        for partitions in PARTITIONS
        for processes in PROCESSES
        if processes <= partitions
    ]
