"""Where it was measured: figures without their machine say little."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from loadtest import raw
from rendezvous.local.jars import fetch_jars

PACKAGES = ("rendezvous", "confluent-kafka", "fastavro", "numpy", "onnxruntime")
GIB = 1 << 30


def machine() -> dict[str, Any]:
    """Processor, cores that this process may use, memory, system, and how busy it is."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB, 1),
        "system": platform.platform(),
        "load_average_at_start": [round(load, 2) for load in os.getloadavg()],
    }


def _processor() -> str:
    """Linux names it in a file; elsewhere Python knows what there is to know."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def versions(kafka: str) -> dict[str, str]:
    """Of Python, of the packages on the way of a request, and of the broker unless it is somebody's own (`kafka`)."""
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
        "librdkafka": raw.LIBRDKAFKA,
        "kafka": f"as it is at {kafka}" if kafka else _local_kafka(os.environ),
    }


def _local_kafka(variables: Mapping[str, str]) -> str:
    return fetch_jars(variables, lambda _: None).version
