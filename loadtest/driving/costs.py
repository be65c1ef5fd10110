"""What each process took of the processor between two moments."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from loadtest.noise import cpu_s
from rendezvous.local.services import RunningService

DRIVER = "driver"
US = 1e6


@dataclass(slots=True)
class Costs:
    """Processor seconds of each service, and of the driver, whenever they were noted; None where nobody can say."""

    services: Mapping[str, RunningService]
    marks: list[tuple[float, dict[str, float | None]]] = field(default_factory=list)

    def note(self) -> None:
        """As it is now."""
        pids = {name: service.process.pid for name, service in self.services.items()} | {DRIVER: os.getpid()}
        self.marks.append((time.monotonic(), {name: cpu_s(pid) for name, pid in pids.items()}))

    def cores(self) -> dict[str, float | None]:
        """How many each kept busy between the last two notes."""
        (before_s, before), (after_s, after) = self.marks[-2:]
        return {name: _per(before[name], after[name], after_s - before_s, 2) for name in before}

    def us_per_request(self, requests: int) -> dict[str, float | None]:
        """Of each process, spread over all requests."""
        (_, before), (_, after) = self.marks[-2:]
        return {name: _per(before[name], after[name], max(requests, 1) / US, 1) for name in before}


def _per(before: float | None, after: float | None, by: float, digits: int) -> float | None:
    return None if before is None or after is None else round((after - before) / by, digits)
