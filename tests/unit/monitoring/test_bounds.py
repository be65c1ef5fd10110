"""What a monitor holds does not grow with the number of requests."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np
import pytest

from monitored import LIMITS, Watched, batched, comparisons, reference, rows_of, world
from rendezvous.messages import Label

REFERENCE = reference()


def arrays_bytes(thing: Any) -> int:  # noqa: ANN401 - whatever hangs together
    """Bytes of all NumPy columns that hang on a thing."""
    if isinstance(thing, np.ndarray):
        return thing.nbytes
    if isinstance(thing, dict):
        return sum(arrays_bytes(value) for value in thing.values())
    if isinstance(thing, list | tuple):
        return sum(arrays_bytes(value) for value in thing)
    if is_dataclass(thing):
        return sum(arrays_bytes(getattr(thing, field.name)) for field in fields(thing))
    return 0


def held(a_day: int) -> tuple[int, int, int]:
    """Bytes of one open block's traffic, of its labelled rows, and how many blocks are held, after four days."""
    watched = Watched.fresh(REFERENCE)
    for batch in batched(world(1, days=4, a_day=a_day, drift_from=99), [500] * (3 * a_day // 100)):
        watched.feed(batch)
        watched.monitor.conclude()
    blocks = watched.monitor._blocks  # noqa: SLF001 - there is no other way to see what is held
    newest = blocks[max(blocks)]
    return arrays_bytes(newest.traffic), arrays_bytes([newest.sheets, newest.deltas]), len(blocks)


def test_memory_depends_on_models_features_and_blocks_alone() -> None:
    """Four times the requests take the same: see docs/monitoring.md for the figures."""
    few, many = held(200), held(800)
    assert few[:2] == many[:2]
    traffic, labelled, blocks = many
    # three models: latencies 7,680 bytes each, and two bins of scores at least; two features
    assert traffic <= 3 * (7_680 + 88) + 2 * 88
    # three tallies of 65,896 bytes, two pairs of them, one histogram of delays
    assert labelled <= 3 * 65_896 + 2 * 2 * 65_896 + 7_680
    assert blocks <= 5


def test_closed_blocks_are_forgotten() -> None:
    """After twenty label delays: what comes then is counted."""
    watched = Watched.fresh(REFERENCE)
    watched.run([world(1, days=20, a_day=60)])
    assert not watched.monitor._blocks  # noqa: SLF001 - ditto
    kept = (20 * LIMITS.label_delay + LIMITS.label_delay + LIMITS.lateness) // LIMITS.block + 2
    events = world(1, days=20, a_day=60)
    watched = Watched.fresh(REFERENCE)
    for batch in batched(events, [100] * (len(events) // 100)):
        watched.feed(batch)
        watched.monitor.conclude()
        assert len(watched.monitor._blocks) <= kept + 1  # noqa: SLF001 - ditto


@pytest.mark.parametrize("field", ["asked_us", "observed_us"])
def test_a_clock_in_the_future_closes_nothing(field: str) -> None:
    """A time beyond the record's own append is left out, and counted: believed, it would close every block at once."""
    watched = Watched.fresh(REFERENCE)
    rows = [row for row in rows_of(world(1, days=1)) if row.partition == 0]
    told = comparisons(rows)
    watched.monitor.compared(0, told)
    before = watched.monitor.watermark_us
    far_us = rows[-1].asked_us + 10**15
    if field == "asked_us":
        late = replace(told, offsets=told.offsets + 10_000, asked_us=told.asked_us + 10**15)
        watched.monitor.compared(0, late)
        assert watched.monitor.counts["future_requests"] == len(rows)
    else:
        watched.monitor.labelled([Label("r0", 1.0, far_us, "")], np.array([rows[-1].asked_us]))
        assert watched.monitor.counts["future_labels"] == 1
    assert watched.monitor.watermark_us == before


def test_repeats_are_dropped_by_their_place() -> None:
    """Comparisons and features that come again after a take-over change nothing."""
    events = world(1, days=3)
    once, twice = Watched.fresh(REFERENCE), Watched.fresh(REFERENCE)
    told = once.run([events])
    for event in events:
        if event[1] != "label":
            twice.feed([event])
    again = twice.run([events])
    counts = twice.monitor.counts
    assert counts["repeated_comparisons"] == counts["repeated_features"] == len(rows_of(events))
    assert [repr(one) for one in told] == [repr(one) for one in again]
