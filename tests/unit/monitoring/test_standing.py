"""Which label stands: every row of the table, in every order of arrival."""

from __future__ import annotations

from itertools import permutations
from typing import TypeAlias

import numpy as np
import pytest

from rendezvous.monitoring.blocks import Block, Calendar
from rendezvous.monitoring.sheets import Judging, Sheet
from rendezvous.monitoring.standing import rounds, take
from rendezvous.monitoring.traffic import Traffic
from rendezvous.monitoring.waiting import CONTRADICTED, LABEL, Waiting

CALENDAR = Calendar(length_us=100, offset_us=0, label_delay_us=50)
MODELS = (("trees", "1"),)
NAN = float("nan")
Told: TypeAlias = tuple[int, float, int]
"""observed_us, value, source."""


def outcome(labels: tuple[Told, ...]) -> tuple[dict[str, float], dict[str, float], int, list[int]]:
    """Of one request asked at 10: closed figures, corrected figures, whether it was contradicted, delays."""
    block = Block(0, Judging("binary", 0.5), Traffic(None, None))
    waiting = Waiting.of([b"12345678"], 0, np.array([10]), np.full((1, 1, 1), 0.75, np.float32))
    for label in labels:
        for change in take(waiting, np.array([label], LABEL), CALENDAR, MODELS).changes:
            if change.in_time:
                block.count(change.source, change.rows, back=change.back)
            else:
                block.amend(change.source, change.rows, back=change.back)
    block.close(share=1.0)
    assert block.closed is not None
    together = block.together()
    delays = [sheet.delays.quantile_us(0.5) for sheet in (block.closed, together)]
    return seen(block.closed), seen(together), int(waiting.flags[0] & CONTRADICTED), delays


def seen(sheet: Sheet) -> dict[str, float]:
    """Rows, positives and those that will never have a label."""
    tally = sheet.tallies.get(MODELS[0])
    rows = tally.rows if tally else 0
    positives = tally.figures()["positives"] if tally and rows else 0.0
    return {"rows": rows, "positives": positives, "never": sheet.never.get(MODELS[0], 0)}


NOTHING = {"rows": 0, "positives": 0.0, "never": 0}
YES = {"rows": 1, "positives": 1.0, "never": 0}
NO = {"rows": 1, "positives": 0.0, "never": 0}
NEVER = {"rows": 0, "positives": 0.0, "never": 1}


@pytest.mark.parametrize(
    ("labels", "closed", "corrected", "contradicted"),
    [
        (((20, 1.0, 0),), YES, YES, False),
        (((150, 1.0, 0),), YES, YES, False),
        (((151, 1.0, 0),), NOTHING, YES, False),
        (((20, NAN, 0),), NEVER, NEVER, False),
        (((20, 1.0, 0), (20, 1.0, 0)), YES, YES, False),
        (((20, 1.0, 0), (160, 1.0, 0)), YES, YES, False),
        (((20, 1.0, 0), (30, 0.0, 0)), NO, NO, True),
        (((20, 1.0, 0), (20, 0.0, 0)), YES, YES, True),
        (((20, 1.0, 0), (160, 0.0, 0)), YES, NO, True),
        (((20, 1.0, 0), (30, NAN, 1), (160, 0.0, 0)), NEVER, NO, True),
        (((20, 1.0, 0), (30, 0.0, 1), (40, 1.0, 2)), YES, YES, True),
        (((160, 0.0, 0), (170, 1.0, 1), (30, 0.0, 1)), NO, YES, True),
        (((160, 0.0, 0), (170, NAN, 1), (30, 0.0, 1), (40, 1.0, 0)), YES, NEVER, True),
    ],
)
def test_the_later_observation_stands_in_any_order_of_arrival(
    labels: tuple[Told, ...], closed: dict[str, float], corrected: dict[str, float], *, contradicted: bool
) -> None:
    """What was observed by the closing is in the closed figures, whatever came first."""
    for order in permutations(labels):
        found = outcome(order)
        assert found[:2] == (closed, corrected), order
        assert bool(found[2]) == contradicted


def test_the_delay_is_that_of_the_first_label() -> None:
    """Who sends all labels again each night does not make them late."""
    for order in permutations(((20, 1.0, 0), (60, 1.0, 0), (160, 1.0, 0))):
        assert outcome(order)[3] == [10, 10]


def test_a_label_that_arrives_after_the_closing_changes_corrected_figures_alone() -> None:
    """Also one that was observed in time, and came later than `lateness` allows."""
    block = Block(0, Judging("binary", 0.5), Traffic(None, None))
    block.close(share=1.0)
    waiting = Waiting.of([b"12345678"], 0, np.array([10]), np.full((1, 1, 1), 0.75, np.float32))
    (change,) = take(waiting, np.array([(20, 1.0, 0)], LABEL), CALENDAR, MODELS).changes
    block.count(change.source, change.rows, back=change.back)
    assert block.closed is not None
    assert seen(block.closed) == NOTHING
    assert seen(block.together()) == YES
    assert block.changed


def test_a_source_with_too_large_a_share_is_left_out() -> None:
    """Its labels count neither at the closing nor later; the others' do."""
    block = Block(0, Judging("binary", 0.5), Traffic(None, None))
    for number in range(10):
        waiting = Waiting.of([bytes(7) + bytes([number])], 0, np.array([10]), np.full((1, 1, 1), 0.75, np.float32))
        source = 99 if number < 6 else number
        for label in ((20, 1.0, source), (160, 0.0, source)):
            for change in take(waiting, np.array([label], LABEL), CALENDAR, MODELS).changes:
                (block.count if change.in_time else block.amend)(change.source, change.rows, back=change.back)
    assert block.close(share=0.5) == 6
    assert block.closed is not None
    assert seen(block.closed) == {"rows": 4, "positives": 1.0, "never": 0}
    assert seen(block.together()) == {"rows": 4, "positives": 0.0, "never": 0}


def test_labels_of_one_request_are_taken_one_after_the_other() -> None:
    """A batch with several of one request becomes rounds, none of which has two of it."""
    turns = rounds([b"a", b"b", b"a", b"a"])
    assert [turn.tolist() for turn in turns] == [[0, 1], [2], [3]]
