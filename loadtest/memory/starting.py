"""How long a service takes from its start to ready, and how much of that is imports."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rendezvous.local.failure import LocalStackError, tail
from rendezvous.local.services import READY_S, started

LOOK_EVERY_S = 0.01
IMPORT = re.compile(r"^import time: +(\d+) \|", re.MULTILINE)
"""Of Python's own report: microseconds that a module took by itself."""


def start(name: str, arguments: Sequence[str], surroundings: Mapping[str, str], logs: Path) -> dict[str, float]:
    """Start a service, wait until it is ready, stop it; seconds in all, and of imports, told by the same process.

    Raises:
        LocalStackError: it ended, or did not become ready.
    """
    begun_s = time.monotonic()
    service = started(name, arguments, {**surroundings, "PYTHONPROFILEIMPORTTIME": "1"}, logs)
    try:
        while not service.ready():
            if time.monotonic() - begun_s > READY_S:
                raise LocalStackError(f"{name} not ready after {READY_S:.0f} s. {tail(service.log)}")
            time.sleep(LOOK_EVERY_S)
        ready_s = time.monotonic() - begun_s
        imports_s = imports(service.log.read_text())
    finally:
        service.process.stop()
    return {"ready_s": round(ready_s, 3), "imports_s": round(imports_s, 3), "beyond_s": round(ready_s - imports_s, 3)}


def imports(report: str) -> float:
    """Seconds, of what Python says about its imports."""
    return sum(int(us) for us in IMPORT.findall(report)) / 1e6


def quickest(starts: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """The start with the least beyond its imports: other work can only make one slower."""
    found = min(starts, key=lambda one: one["beyond_s"])
    return {**found, "beyond_s_of_starts": [one["beyond_s"] for one in starts]}
