"""A mailbox's storage: one NumPy column per fact, one row per slot of the ring."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rendezvous.messages import Bytes, Floats, Int64s, Status

OK, NONE, SHED = int(Status.OK), int(Status.NONE), int(Status.SHED)
ONE = np.uint64(1)
NONFINITE = np.uint8(Status.NONFINITE)


class Columns:
    """`capacity` slots (a power of two) for `models` models of `width` outputs.

    plan: which of the mailbox's plans the request opened under. Bytes a slot: 59 + models * (9 + 4 * width).
    """

    def __init__(self, capacity: int, models: int, width: int) -> None:
        self.mask = capacity - 1
        self.state: Bytes = np.zeros(capacity, np.uint8)
        self.step: Bytes = np.zeros(capacity, np.uint8)
        self.reason: Bytes = np.zeros(capacity, np.uint8)
        self.winner = np.full(capacity, -1, np.int16)
        self.plan = np.zeros(capacity, np.uint16)
        self.draw: Floats = np.zeros(capacity, np.float32)
        self.offset: Int64s = np.full(capacity, -1, np.int64)
        self.appended_us: Int64s = np.zeros(capacity, np.int64)
        self.end_us: Int64s = np.zeros(capacity, np.int64)
        self.closes_us: Int64s = np.zeros(capacity, np.int64)
        self.reported = np.zeros(capacity, np.uint64)
        self.usable = np.zeros(capacity, np.uint64)
        self.expected = np.zeros(capacity, np.uint64)
        self.status: Bytes = np.zeros((capacity, models), np.uint8)
        self.arrival_us: Int64s = np.full((capacity, models), -1, np.int64)
        self.output: Floats = np.full((capacity, models, width), np.nan, np.float32)

    def keep(self, slots: Int64s, columns: Int64s, statuses: Bytes, outputs: Floats, now_us: int) -> None:
        """Models' reports: slots and columns int64 [rows], statuses uint8 [rows], outputs float32 [rows, width].

        A slot may stand in several rows, for several models. What calls itself OK but is not finite becomes NONFINITE:
        no policy ever sees it.
        """
        finite = np.isfinite(outputs).all(axis=1)
        statuses = np.where((statuses == OK) & ~finite, NONFINITE, statuses)
        usable = statuses == OK
        bits = ONE << columns.astype(np.uint64)
        np.bitwise_or.at(self.reported, slots, bits)
        np.bitwise_or.at(self.usable, slots[usable], bits[usable])
        self.status[slots, columns] = statuses
        self.arrival_us[slots, columns] = now_us
        self.output[slots[usable], columns[usable]] = outputs[usable]

    def keep_one(self, slot: int, column: int, status: int, output: Floats, now_us: int) -> None:
        """The same for a row alone; output: float32 [width]."""
        if status == OK:
            if np.isfinite(output).all():
                self.usable[slot] |= ONE << np.uint64(column)
                self.output[slot, column] = output
            else:
                status = int(NONFINITE)
        self.reported[slot] |= ONE << np.uint64(column)
        self.status[slot, column] = status
        self.arrival_us[slot, column] = now_us

    def leave_out(self, slots: Int64s, resting: NDArray[np.uint64]) -> None:
        """Who left requests out unread is SHED there, unless it had said something; resting: uint64 [slots], bits."""
        if np.count_nonzero(resting):
            status = self.status[slots]
            rests = resting[:, None] >> np.arange(status.shape[1], dtype=np.uint64) & ONE != 0
            status[rests & (status == NONE)] = SHED
            self.status[slots] = status

    def rearrange(self, places: Sequence[int]) -> None:
        """Another model axis: column i of it was at places[i] before, or is new where that is -1."""
        known = np.array(places, np.int64)
        old = known >= 0
        capacity, models, width = self.output.shape
        status = np.zeros((capacity, len(known)), np.uint8)
        arrival_us = np.full((capacity, len(known)), -1, np.int64)
        output = np.full((capacity, len(known), width), np.nan, np.float32)
        status[:, old], arrival_us[:, old] = self.status[:, known[old]], self.arrival_us[:, known[old]]
        output[:, old] = self.output[:, known[old]]
        self.status, self.arrival_us, self.output = status, arrival_us, output
        self.reported, self.usable = _moved(self.reported, places), _moved(self.usable, places)
        self.expected = _moved(self.expected, places)
        now_at = np.full(models + 1, -1, np.int16)  # the last is of winner -1: nobody stays nobody
        now_at[known[old]] = np.flatnonzero(old)
        self.winner = now_at[self.winner]

    def free(self, slots: Int64s) -> None:
        """Make slots as new."""
        self.state[slots] = 0
        self.step[slots] = 0
        self.winner[slots] = -1
        self.offset[slots] = -1
        self.reported[slots] = 0
        self.usable[slots] = 0
        self.status[slots] = 0
        self.arrival_us[slots] = -1
        self.output[slots] = np.nan


def _moved(masks: NDArray[np.uint64], places: Sequence[int]) -> NDArray[np.uint64]:
    """Bit masks in the columns of another axis."""
    moved = np.zeros_like(masks)
    for column, place in enumerate(places):
        if place >= 0:
            moved |= (masks >> np.uint64(place) & np.uint64(1)) << np.uint64(column)
    return moved
