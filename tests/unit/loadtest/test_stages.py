"""Where the median request's time goes."""

from __future__ import annotations

import pytest

from loadtest.stages import NAMES, Passed, middle, told


def test_the_parts_are_those_of_the_requests_in_the_middle() -> None:
    """They add up to the median; the slowest and the fastest do not count."""
    fast = [Passed(0, 0, 0, 0, 1.0)] * 40
    median = [Passed(100, 101, 105, 108, 110.0)] * 40
    slow = [Passed(0, 0, 0, 0, 900.0)] * 40
    found = middle([*fast, *median, *slow])
    assert found == {"to the log": 1.5, "to the score": 4.0, "to the answer": 3.0, "to the application": 1.5}
    assert sum(found.values()) == pytest.approx(10)


def test_nothing_is_told_of_what_is_not_known() -> None:
    """Of no request, and of one side without the other."""
    assert middle([]) is None
    known = dict.fromkeys(NAMES, 1.0)
    assert told(known, None) == told(None, known) == ""
    assert told(known, known).startswith("to the log 1.0 (1.0), ")
