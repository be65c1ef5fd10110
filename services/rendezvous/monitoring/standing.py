"""Which label of a request stands, and what a new one changes in its block. Pure.

| the new label is                               | the block's closed figures      | its corrected figures        |
|------------------------------------------------|---------------------------------|------------------------------|
| the first, observed in time                    | count it                        | count it                     |
| the first, observed after the closing          | -                               | count it                     |
| the same as before                             | -                               | -                            |
| another value, observed later, in time         | take the former back, count it  | likewise                     |
| another value, observed after the closing      | -                               | count it, not the one before |
| another value, observed earlier                | -                               | -                            |

In any order of arrival the same labels stand. A label in time that *arrives* after its block was closed (later than
`lateness` allows) changes the corrected figures alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rendezvous.messages import Bytes, Int64s
from rendezvous.monitoring.blocks import Calendar, groups
from rendezvous.monitoring.sheets import Rows
from rendezvous.monitoring.waiting import AFTER, CONTRADICTED, IN_TIME, Mask, Pair, Waiting, differs, stands_over


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """Rows of one block and source to count, or to take back; in_time: in the closed figures, else in the delta."""

    block: int
    source: int
    rows: Rows
    in_time: bool
    back: bool


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of labels. again: requests that had one; contradicted: those whose labels differ for the first time."""

    changes: list[Change]
    again: int
    contradicted: int


@dataclass(frozen=True, slots=True, eq=False)
class _State:
    """Flags and labels of rows at one moment."""

    flags: Bytes
    labels: NDArray[np.void]

    def has(self, flag: int) -> Mask:
        there: Mask = (self.flags & flag) != 0
        return there


def take(waiting: Waiting, new: NDArray[np.void], calendar: Calendar, models: tuple[Pair, ...]) -> Taken:
    """Let a label stand for each row, or not; `new` is `waiting.LABEL` [rows]. The rows are changed in place."""
    before = _State(waiting.flags.copy(), waiting.labels.copy())
    in_time = calendar.in_time(waiting.asked_us, new["observed_us"])
    told, other = before.has(IN_TIME | AFTER), np.zeros(len(new), np.bool_)
    for flag, field, here in ((IN_TIME, "in_time", in_time), (AFTER, "after", ~in_time)):
        has, stood = before.has(flag), before.labels[field]
        wins = here & (~has | stands_over(new, stood))
        waiting.labels[field][wins] = new[wins]
        waiting.flags[wins] |= flag
        other |= has & differs(new["value"], stood["value"])
    first = np.where(told, np.minimum(before.labels["first_us"], new["observed_us"]), new["observed_us"])
    waiting.labels["first_us"] = first
    contradicted = other & ~before.has(CONTRADICTED)
    waiting.flags[contradicted] |= CONTRADICTED
    changes = list(_changes(waiting, before, calendar, models))
    return Taken(changes, int(np.count_nonzero(told)), int(np.count_nonzero(contradicted)))


def _changes(waiting: Waiting, before: _State, calendar: Calendar, models: tuple[Pair, ...]) -> Iterator[Change]:
    now = _State(waiting.flags, waiting.labels)
    numbers = calendar.numbers(waiting.asked_us)

    def change(chosen: Mask, state: _State, field: str, *, in_time: bool, back: bool) -> Iterator[Change]:
        """By block and source."""
        there = np.flatnonzero(chosen)
        sources = state.labels[field]["source"][there].astype(np.int64)
        for block, of_block in groups(numbers[there]) if len(there) else ():
            for source, of_source in groups(sources[of_block]):
                rows = there[of_block[of_source]]
                delays = state.labels["first_us"][rows] - waiting.asked_us[rows]
                values = state.labels[field]["value"][rows]
                yield Change(block, source, Rows(models, waiting.outputs[rows], values, delays), in_time, back)

    in_time = _changed(before, now, IN_TIME, "in_time")
    either = in_time | _changed(before, now, AFTER, "after")
    for state, back in ((before, True), (now, False)):
        has, later = state.has(IN_TIME), state.has(AFTER)
        yield from change(in_time & has, state, "in_time", in_time=True, back=back)
        # beyond the closed figures: the later label instead of the one in time
        yield from change(either & later, state, "after", in_time=False, back=back)
        yield from change(either & later & has, state, "in_time", in_time=False, back=not back)


def _changed(before: _State, now: _State, flag: int, field: str) -> Mask:
    """Whether what counts of a label is another now: value, source, delay."""
    had, has = before.has(flag), now.has(flag)
    old, new = before.labels[field], now.labels[field]
    other = differs(old["value"], new["value"]) | (old["source"] != new["source"])
    delayed = before.labels["first_us"] != now.labels["first_us"]
    changed: Mask = (has & ~had) | (has & (other | delayed))
    return changed


def rounds(digests: list[bytes]) -> list[Int64s]:
    """Labels in rounds, such that none has two of the same request; in their order within a request."""
    nth: dict[bytes, int] = {}
    turns = np.empty(len(digests), np.int64)
    for i, digest in enumerate(digests):
        turns[i] = nth[digest] = nth.get(digest, -1) + 1
    return [chosen for _, chosen in groups(turns)]
