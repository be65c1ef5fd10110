"""What a service says about itself, on its page."""

from __future__ import annotations

import time
import urllib.request
from collections import Counter

from prometheus_client.parser import text_string_to_metric_families

from rendezvous.local.failure import LocalStackError
from rendezvous.local.ports import LOOPBACK
from rendezvous.local.services import RunningService

PAGE_S = 10.0
LOOK_EVERY_S = 0.2
PATIENCE_S = 120.0

IN_FLIGHT, REQUESTS, ROWS = (f"rendezvous_server_{name}" for name in ("in_flight", "requests_total", "scores_total"))
RESIDENT = "process_resident_memory_bytes"


def page(port: int) -> Counter[str]:
    """Every sample by its name, summed over labels."""
    with urllib.request.urlopen(f"http://{LOOPBACK}:{port}/metrics", timeout=PAGE_S) as answer:
        text = answer.read().decode()
    found: Counter[str] = Counter()
    for family in text_string_to_metric_families(text):
        for one in family.samples:
            found[one.name] += one.value  # type: ignore[assignment] # typeshed lets a Counter count in int alone
    return found


def await_page(service: RunningService, what: str, value: float) -> None:
    """Wait until a figure is as it should be.

    Raises:
        LocalStackError: it is not, for too long.
    """
    give_up_s = time.monotonic() + PATIENCE_S
    while (found := page(service.port)[what]) != value:
        service.alive()
        if time.monotonic() > give_up_s:
            raise LocalStackError(f"{what} is {found}, not {value}, after {PATIENCE_S:g} s")
        time.sleep(LOOK_EVERY_S)
