"""Where the data is split: a model is judged on days that are later than all it was trained on. Pure."""

from __future__ import annotations

from datetime import date, timedelta

DAY_US = 86_400_000_000
EPOCH = date(1970, 1, 1)
WEST_US = 43_200_000_000
"""Twelve hours: after midnight in Greenwich, the last local midnight of the same date."""


def split_us(last_us: int, held_out_us: int, seen_us: int, block_us: int, offset_us: int) -> int:
    """The time from which rows are judged on: the first block that begins in the last `held_out_us`, and is unseen.

    Args:
        last_us: the data ends there.
        held_out_us: how much of it is for judging.
        seen_us: the champion has seen what was asked before.
        block_us: rows of a block err together, so none is cut in two.
        offset_us: when a block begins.
    """
    from_us = max(last_us - held_out_us, seen_us)
    return -((offset_us - from_us) // block_us) * block_us + offset_us


def day_of(asked_us: int, offset_us: int) -> date:
    """The owner's local day."""
    return EPOCH + timedelta(days=(asked_us - offset_us) // DAY_US)


def end_of(day: date) -> int:
    """When a local day is over wherever it was local; for cards that say no more than the day."""
    return ((day - EPOCH).days + 1) * DAY_US + WEST_US
