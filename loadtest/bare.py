"""A model in a bare loop: what a batch costs before anything is built around it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from loadtest.latency import histogram, percentile_ms
from rendezvous.registry.state import Pair
from rendezvous.registry.store import folder_of
from rendezvous.scoring.columns import to_columns
from rendezvous.scoring.models import load_model
from rendezvous.settings import Endpoint

CALLS = 500
"""Their median moves by a few percent from run to run."""


def batch_ms(endpoint: Endpoint, version: Pair, rows: Sequence[Mapping[str, Any]]) -> float:
    """Median time of scoring `rows` in one batch, in this process; decoding is not in it."""
    scorer = load_model(endpoint, version[0], folder_of(endpoint, version)).model
    columns = to_columns(rows, endpoint.features)
    times_ms = []
    for _ in range(CALLS):
        begun = time.perf_counter()
        scorer.score(columns)
        times_ms.append((time.perf_counter() - begun) * 1e3)
    return percentile_ms(histogram(times_ms), 50)
