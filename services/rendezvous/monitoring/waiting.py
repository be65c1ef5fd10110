"""What is kept of a request that waits for its label, and of its label when that has come. Pure.

A row is packed, little-endian: the head, the label's part where one has come, then float32 outputs [models, width] with
NaN where a model had no score. Of the labels of one request two can count: the latest that was observed in time for
its block's closing, and the latest after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rendezvous.messages import Bytes, Floats, Int64s
from rendezvous.monitoring.pending import Pending
from rendezvous.replay.bootstrapping import Float64s

Pair: TypeAlias = tuple[str, str]
"""A model's name and a version."""
Mask: TypeAlias = NDArray[np.bool_]

IN_TIME, AFTER, CONTRADICTED = 1, 2, 4
"""Flags: a label was observed in time for the closing; one after it; two labels said different things."""
HEAD: np.dtype[np.void] = np.dtype([("axis", "<u2"), ("flags", "u1"), ("asked_us", "<i8")])
LABEL: np.dtype[np.void] = np.dtype([("observed_us", "<i8"), ("value", "<f8"), ("source", "u1")])
LABELS: np.dtype[np.void] = np.dtype([("first_us", "<i8"), ("in_time", LABEL), ("after", LABEL)])
"""first_us: when the first of them was observed; it makes the delay."""
FIELDS = ("first_us", "in_time", "after")
"""What a row has of them: nothing without a label, nearly always the first two with one."""


@dataclass(slots=True, eq=False)
class Waiting:
    """Requests of one axis of models, in columns: what `HEAD` and `LABELS` say, and outputs [rows, models, width]."""

    digests: list[bytes]
    axis: int
    flags: Bytes
    asked_us: Int64s
    labels: NDArray[np.void]
    outputs: Floats

    @classmethod
    def of(cls, digests: list[bytes], axis: int, asked_us: Int64s, outputs: Floats) -> Self:
        """Requests that no label is known of."""
        rows = len(digests)
        return cls(digests, axis, np.zeros(rows, np.uint8), asked_us, np.zeros(rows, LABELS), outputs)

    def take(self, chosen: Int64s) -> Waiting:
        """Some of the rows."""
        return Waiting(
            [self.digests[i] for i in chosen.tolist()],
            self.axis,
            self.flags[chosen],
            self.asked_us[chosen],
            self.labels[chosen],
            self.outputs[chosen],
        )

    def keep(self, pending: Pending) -> None:
        """Put the rows into the store; those without a label are shorter."""
        lengths = np.array([_length(flags) for flags in range(8)])[self.flags]
        for length in np.unique(lengths).tolist():
            rows = self.take(np.flatnonzero(lengths == length))
            pending.put(rows.digests, rows.asked_us, rows.packed(length))

    def packed(self, length: int) -> Bytes:
        """Rows as bytes, uint8 [rows, size], with so many fields of LABELS."""
        _, models, width = self.outputs.shape
        rows = np.zeros(len(self.digests), _layout(length, models, width))
        rows["axis"], rows["flags"], rows["asked_us"] = self.axis, self.flags, self.asked_us
        rows["outputs"] = self.outputs
        for name in FIELDS[:length]:
            rows[name] = self.labels[name]
        return rows.view(np.uint8).reshape(len(rows), -1)


def _length(flags: int) -> int:
    """How many fields of LABELS a row has."""
    return len(FIELDS) if flags & AFTER else len(FIELDS) - 1 if flags & IN_TIME else 0


def _layout(length: int, models: int, width: int) -> np.dtype[np.void]:
    fields = [(name, LABELS[name]) for name in FIELDS[:length]]
    heads = [(name, HEAD[name]) for name in HEAD.names or ()]
    return np.dtype([*heads, *fields, ("outputs", "<f4", (models, width))])


def unpacked(digests: Sequence[bytes], rows: Sequence[bytes], shapes: Sequence[tuple[int, int]]) -> list[Waiting]:
    """Rows as they were kept, by axis; shapes: (models, width) of each axis. Of empty rows nothing comes back."""
    kinds: dict[tuple[int, int], list[int]] = {}
    for i, row in enumerate(rows):
        if row:
            kinds.setdefault((int.from_bytes(row[:2], "little"), _length(row[2])), []).append(i)
    found = []
    for (axis, length), chosen in kinds.items():
        read = np.frombuffer(b"".join(rows[i] for i in chosen), _layout(length, *shapes[axis]))
        labels = np.zeros(len(read), LABELS)
        for name in FIELDS[:length]:
            labels[name] = read[name]
        found.append(
            Waiting(
                [digests[i] for i in chosen],
                axis,
                read["flags"].copy(),
                read["asked_us"].astype(np.int64),
                labels,
                read["outputs"].astype(np.float32),
            )
        )
    return found


def stands_over(new: NDArray[np.void], old: NDArray[np.void]) -> Mask:
    """Whether each label counts rather than another: the later observation, and of two at once the larger value.

    By value and source too, so that no order of arrival makes a difference.
    """
    later: Mask = new["observed_us"] > old["observed_us"]
    same_time = new["observed_us"] == old["observed_us"]
    mine, theirs = _rank(new["value"]), _rank(old["value"])
    larger = (mine > theirs) | ((mine == theirs) & (new["source"] > old["source"]))
    stands: Mask = later | (same_time & larger)
    return stands


def differs(one: Float64s, other: Float64s) -> Mask:
    """Whether two labels say different things; two that say "never" do not."""
    said: Mask = (one != other) & ~(np.isnan(one) & np.isnan(other))
    return said


def _rank(values: Float64s) -> Float64s:
    return np.where(np.isnan(values), -np.inf, values)
