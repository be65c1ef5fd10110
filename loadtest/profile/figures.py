"""From samples and processor time to microseconds a request. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loadtest.profile.areas import Table, samples
from loadtest.profile.samplers import Recording
from loadtest.profile.threads import Taken

CLIENTS = "the Kafka clients' threads"
OTHERS = "other threads"
US = 1e6


def shares(counts: Mapping[str, int]) -> dict[str, float]:
    """Of all samples; of none, nothing is known and all of it is 0."""
    total = sum(counts.values())
    return {area: count / total if total else 0.0 for area, count in counts.items()}


def figures(recording: Recording, table: Table, took: Taken, requests: int) -> dict[str, Any]:
    """One process at one rate: the loop's areas by their samples, beside what other threads took."""
    counts = samples(recording.stacks.whole, table)
    each = US / max(requests, 1)
    loop = {area: share * took.loop_s * each for area, share in shares(counts).items()}
    areas = loop | {CLIENTS: took.clients_s * each, OTHERS: took.others_s * each}
    total = took.loop_s + took.clients_s + took.others_s
    return {
        "us_per_request": {area: round(us, 2) for area, us in areas.items()},
        "total_us": round(total * each, 1),
        "loop_us": round(took.loop_s * each, 1),
        "queued_us": round(took.queued_s * each, 1),
        "cpu_s": round(total, 3),
        "samples": sum(counts.values()),
        "samples_of_areas": counts,
        "torn": recording.stacks.torn,
        "of_other_threads": recording.stacks.others,
        "unread": recording.unread,
    }
