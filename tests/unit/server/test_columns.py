"""A mailbox's storage: what is kept, and what becomes of it when the model axis changes."""

from __future__ import annotations

import numpy as np
import pytest

from rendezvous.messages import Status
from rendezvous.server.columns import Columns

NOW_US = 1_000


def said(slots: int = 4, models: int = 3) -> Columns:
    """In slot s model m has said s + m / 4 at NOW_US + m, but for (1, 0): an error; and (2, 2): nothing."""
    columns = Columns(slots, models, 1)
    for model in range(models):
        for slot in range(slots):
            if (slot, model) != (2, 2):
                status = Status.ERROR if (slot, model) == (1, 0) else Status.OK
                columns.keep(
                    np.array([slot]),
                    np.array([model]),
                    np.array([status], np.uint8),
                    np.array([[slot + model / 4]], np.float32),
                    NOW_US + model,
                )
    return columns


def test_what_is_kept() -> None:
    """A bit for each that has reported, one for each usable score; no output where there is none."""
    columns = said()
    assert columns.reported.tolist() == [0b111, 0b111, 0b011, 0b111]
    assert columns.usable.tolist() == [0b111, 0b110, 0b011, 0b111]
    assert columns.status[1].tolist() == [Status.ERROR, Status.OK, Status.OK]
    assert columns.output[3, :, 0].tolist() == [3, 3.25, 3.5]
    assert np.isnan(columns.output[1, 0])
    assert columns.arrival_us[2].tolist() == [NOW_US, NOW_US + 1, -1]


def test_not_finite_is_no_score() -> None:
    """One number of several is enough."""
    columns = Columns(4, 1, 2)
    outputs = np.array([[0.5, np.inf], [0.5, 0.5]], np.float32)
    columns.keep(np.array([0, 1]), np.array([0, 0]), np.ones(2, np.uint8), outputs, NOW_US)
    assert columns.status[:2, 0].tolist() == [Status.NONFINITE, Status.OK]
    assert columns.usable.tolist()[:2] == [0, 1]


@pytest.mark.parametrize(
    ("places", "reported", "winner"),
    [
        ([0, 1, 2], 0b111, [0, 1, 2, -1]),
        ([1, 2, -1, 0], 0b1011, [3, 0, 1, -1]),
        ([2, 0], 0b11, [1, -1, 0, -1]),
        ([-1, -1], 0, [-1, -1, -1, -1]),
        ([], 0, [-1, -1, -1, -1]),
    ],
    ids=str,
)
def test_another_axis(places: list[int], reported: int, winner: list[int]) -> None:
    """Everything that names a model follows it: its cells, its bits, and what it has won; who is gone won nothing."""
    columns = said()
    columns.winner[:] = [0, 1, 2, -1]
    columns.expected[:] = columns.reported
    columns.rearrange(places)
    assert columns.status.shape == columns.arrival_us.shape == (4, len(places))
    assert columns.output.shape == (4, len(places), 1)
    for column, place in enumerate(places):
        if place < 0:
            assert not columns.status[:, column].any()
            assert (columns.arrival_us[:, column] == -1).all()
            assert np.isnan(columns.output[:, column]).all()
        else:
            assert columns.output[3, column, 0] == 3 + place / 4
            assert columns.arrival_us[3, column] == NOW_US + place
    assert columns.reported[0] == columns.usable[0] == columns.expected[0] == reported
    assert columns.winner.tolist() == winner


def test_the_last_bit_moves_too() -> None:
    """64 models fill the mask: the highest bit goes down, the lowest goes up."""
    columns = said(1, 64)
    columns.usable[:] = 1
    columns.rearrange([63, *range(1, 63), 0])
    assert columns.usable.tolist() == [1 << 63]
    assert columns.reported.tolist() == [2**64 - 1]


def test_a_free_slot_is_as_new() -> None:
    """What the next request finds there is nothing."""
    columns, new = said(), Columns(4, 3, 1)
    columns.offset[:], columns.state[:], columns.step[:], columns.winner[:] = 9, 3, 2, 1
    columns.free(np.arange(4))
    for name in ("state", "step", "winner", "offset", "reported", "usable", "status", "arrival_us", "output"):
        np.testing.assert_array_equal(getattr(columns, name), getattr(new, name), err_msg=name)
