"""Labels come late: how old a request must be before it is fair to judge it. Pure, but for reading them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rendezvous.log.records import Record
from rendezvous.messages import Int64s, Label
from rendezvous.replay.bootstrapping import Float64s
from rendezvous.replay.tape import Records
from rendezvous.server.plan import MS_US
from rendezvous.settings import Endpoint
from rendezvous.wire import WireError, decode

ROUNDING = 1e-12
"""Of products that stand for whole shares."""
LEAST_AT_RISK = 0.05
"""Of the largest number of labels that could have shown a delay: where fewer could, nothing is concluded."""
COME = 0.99
"""Share of labels that have come by the default horizon."""


class Known(NamedTuple):
    """A label: its value (NaN: it will never be known) and when it stood in the log."""

    value: float
    at_us: int


@dataclass(frozen=True, slots=True)
class Labels:
    """By request id; of several the last counts. as_of_us: how far the log was read; unreadable: records."""

    known: Mapping[str, Known]
    as_of_us: int
    unreadable: int


def read_labels(records: Records, endpoint: Endpoint, partitions: int, since_ms: int) -> Labels:
    """Every label since the first request."""
    topic, known, unreadable, as_of_us = endpoint.topic("labels"), {}, 0, 0
    for partition in range(partitions):
        for record in records.read(topic, partition, records.position_at(topic, partition, since_ms)):
            as_of_us = max(as_of_us, record.timestamp_ms * MS_US)
            found = _label(record)
            if found is None:
                unreadable += 1
            else:
                value = np.nan if found.value is None else found.value
                known[found.request_id] = Known(value, record.timestamp_ms * MS_US)
    return Labels(known, as_of_us, unreadable)


def _label(record: Record) -> Label | None:
    try:
        return decode(record.value, Label)
    except WireError:
        return None


def horizon_us(delays_us: Int64s, ages_us: Int64s, share: float = COME) -> int:
    """The delay by which this share of labels has come, from labels that have come.

    A young request shows its label only if that was fast, so plain quantiles are too small. Delays are truncated on the
    right by the requests' ages: the product-limit estimator in reversed time (Lagakos, Barraj and De Gruttola,
    Biometrika 1988). What takes longer than the oldest requests' age cannot be seen at all; where few are old enough a
    single label would move it all, so what lies beyond is left out.

    delays_us, ages_us: int64 [labels], delays at most the ages.
    """
    delays, ages = np.sort(delays_us), np.sort(ages_us)
    # who is at risk of a delay d, in reversed time: came by d, and was old enough to have shown one of d
    at_risk = np.searchsorted(delays, delays, "right") - np.searchsorted(ages, delays, "left")
    seen = int(np.flatnonzero(at_risk >= LEAST_AT_RISK * at_risk.max())[-1]) + 1
    return int(delays[_first_reaching(delays[:seen], at_risk[:seen], share)])


def _first_reaching(delays: Int64s, at_risk: Int64s, share: float) -> int:
    """Where the distribution function of sorted delays reaches `share`."""
    distinct, first, counts = np.unique(delays, return_index=True, return_counts=True)
    kept: Float64s = 1 - counts / np.maximum(at_risk[first], 1)
    by_then = np.append(np.cumprod(kept[::-1])[::-1][1:], 1.0)
    return int(first[np.argmax(by_then >= share - ROUNDING)]) if len(distinct) else 0
