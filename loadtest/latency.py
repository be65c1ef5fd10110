"""What one run measured, and the figures made of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hdrh.histogram import HdrHistogram

LOWEST_US = 1
HIGHEST_US = 60_000_000
"""A minute: far beyond any deadline; what is longer counts as this."""
DIGITS = 3
"""A latency is known to a thousandth of itself: finer than two runs agree."""
PERCENTILES = {"p50": 50.0, "p99": 99.0, "p999": 99.9, "max": 100.0}
"""By the names that the demo's report uses."""


@dataclass(frozen=True, slots=True)
class Run:
    """One side at one rate, once.

    latencies_ms: of every request, from the moment it was due; one without an answer counts with the time that was
    waited for it. sent_late_ms: from due to handed to the Kafka client. late: answered after the deadline. other_cores:
    how many cores the machine's other work kept busy; None where nobody can say. batch_rows: mean rows in a
    micro-batch of the first model; None where there is no model. busy_cores: as other_cores, by anybody. left_out:
    whether models were passed by or left out to save work when it ended. stages_ms: see `stages`.
    """

    latencies_ms: Sequence[float]
    sent_late_ms: Sequence[float]
    unanswered: int
    late: int
    duplicates: int
    other_cores: float | None = None
    batch_rows: float | None = None
    busy_cores: float | None = None
    left_out: bool = False
    stages_ms: Mapping[str, float] | None = None


def histogram(values_ms: Sequence[float]) -> Any:  # noqa: ANN401 - hdrh publishes no types
    """An HdrHistogram of microseconds."""
    made = HdrHistogram(LOWEST_US, HIGHEST_US, DIGITS)
    for value in values_ms:
        made.record_value(min(max(round(value * 1e3), LOWEST_US), HIGHEST_US))
    return made


def percentile_ms(made: Any, percentile: float) -> float:  # noqa: ANN401 - hdrh publishes no types
    """A percentile of a histogram of microseconds."""
    return round(float(made.get_value_at_percentile(percentile)) / 1e3, 3)


def figures(runs: Sequence[Run]) -> dict[str, Any]:
    """One side's runs at one rate, taken together, as the report shows them.

    p50_ms_of_runs: of each by itself; how far they differ is how much the machine's other work weighs. histogram:
    HdrHistogram's own compressed form (V2, base64), in microseconds.
    """
    latency = histogram([latency for run in runs for latency in run.latencies_ms])
    sent = histogram([late for run in runs for late in run.sent_late_ms])
    return {
        "requests": latency.get_total_count(),
        "latency_ms": {name: percentile_ms(latency, at) for name, at in PERCENTILES.items()},
        "p50_ms_of_runs": [percentile_ms(histogram(run.latencies_ms), PERCENTILES["p50"]) for run in runs],
        "unanswered": sum(run.unanswered for run in runs),
        "late": sum(run.late for run in runs),
        "duplicates": sum(run.duplicates for run in runs),
        "sent_late_ms": {name: percentile_ms(sent, at) for name, at in PERCENTILES.items()},
        "other_cores_of_runs": [run.other_cores for run in runs],
        "busy_cores_of_runs": [run.busy_cores for run in runs],
        "left_out_of_runs": [run.left_out for run in runs],
        "stages_ms": mean_stages([run.stages_ms for run in runs]),
        "histogram": latency.encode().decode(),
    }


def mean_stages(found: Sequence[Mapping[str, float] | None]) -> dict[str, float] | None:
    """Of several runs; None where none is known."""
    known = [stages for stages in found if stages is not None]
    return {name: round(sum(one[name] for one in known) / len(known), 2) for name in known[0]} if known else None
