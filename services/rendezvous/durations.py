"""Durations as people write them, 90s, 30m, 8h, 1d, 2w, in microseconds."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|d|w)")
_UNIT_US = {"s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000, "w": 604_800_000_000}


def length_us(text: str) -> int | None:
    """How long a text says, microseconds; None when it is no duration."""
    found = _DURATION.fullmatch(text.strip())
    return None if found is None else round(float(found[1]) * _UNIT_US[found[2]])


def _read(value: object) -> object:
    if isinstance(value, int):  # as it was read before
        return value
    found = length_us(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f"{value!r} is no duration such as 90s, 30m, 8h, 1d or 2w")
    return found


Duration = Annotated[int, BeforeValidator(_read), PlainSerializer(int)]
"""A field of a document: written as text, held in microseconds."""
