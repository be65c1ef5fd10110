"""What is poured: kinds of hostile records, each with what is right for it."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

ANSWERED = "answered"
"""A request that is odd and good all the same: it has an answer, and no dead letter."""
IGNORED = "ignored"
"""Scores that can be read and are of no use: counted by row, or by record where their writer is shut out."""
FOLDED = "folded"
"""Events of control that every reader takes, or refuses, in the same way."""

Header: TypeAlias = tuple[str, bytes | None]


@dataclass(frozen=True, slots=True)
class Raw:
    """A record as a producer writes it, nulls and all."""

    value: bytes | None
    headers: Sequence[Header] = ()
    key: bytes | None = None


@dataclass(frozen=True, slots=True)
class Kind:
    """One way in which records are hostile.

    right: the reason of the dead letter that each deserves, or one of the words above. share: of all records, against
    other kinds. most: there are no more of these, since each is large. rows: of scores, in each record.
    """

    name: str
    topic: str
    right: str
    make: Callable[[random.Random, int], Raw]
    share: float = 1.0
    most: int | None = None
    rows: int = 1
    compression: str = "none"
    aborted: bool = False
    """Written in transactions that are aborted."""


def counts(kinds: Sequence[Kind], records: int) -> list[int]:
    """How many of each kind, so that there are at least `records` altogether."""
    fixed = sum(kind.most or 0 for kind in kinds)
    shares = sum(kind.share for kind in kinds if kind.most is None)
    each = max(records - fixed, 0) / shares
    return [max(round(each * kind.share + 0.5), 1) if kind.most is None else kind.most for kind in kinds]
