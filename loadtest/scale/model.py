"""What more processes and partitions would give, from measured service times. A model, and nothing more. Pure.

It says: a partition belongs to one process of a group; a process has a core of its own; a request costs it what it
cost here. So the process with the most partitions is full first. It leaves out the broker, the network, and that
batches grow with the rate, which makes each request cheaper.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PARTITIONS = (1, 2, 4, 8)
PROCESSES = (1, 2, 4, 8)
US = 1e6


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
