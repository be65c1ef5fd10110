"""Whose processor time is whose."""

from __future__ import annotations

import pytest

from loadtest.noise import Process, Spent, busy_cores, busy_ticks, other_cores, own_ticks, process_of

STAT = "cpu  100 20 30 9000 400 5 6 7 50 0\ncpu0 1 2 3 4 5 6 7 8 9 0\n"


def test_busy_is_neither_idle_nor_waiting() -> None:
    """Steal counts: a neighbour had it; guests do not: they are in user."""
    assert busy_ticks(STAT) == 100 + 20 + 30 + 5 + 6 + 7


def test_a_process_may_be_called_anything() -> None:
    """Brackets and blanks in its name do not shift the fields."""
    line = "42 (a) b (c)) S 7 42 42 0 -1 4194560 9 9 9 9 11 22 9 9 20 0 1 0 5 5 5"
    assert process_of(line) == Process(42, 7, 33)


def test_ours_is_all_that_descends_from_us() -> None:
    """Children of children too; a sibling and a parent are not."""
    tree = [Process(1, 0, 1_000), Process(2, 1, 1), Process(3, 2, 10), Process(4, 3, 100), Process(5, 1, 10_000)]
    assert own_ticks(tree, 2) == 111


@pytest.mark.parametrize(("all_s", "cores"), [(15.0, 1.0), (5.0, 0.0), (4.0, 0.0)])
def test_others_took_what_is_not_ours(all_s: float, cores: float) -> None:
    """Within ten seconds in which we took five; the clocks' grain never makes it negative."""
    assert other_cores(Spent(0, 0, 0), Spent(10, all_s, 5)) == cores


def test_who_cannot_say_does_not() -> None:
    """Without /proc there is no figure."""
    assert other_cores(None, Spent(1, 1, 1)) is None
    assert busy_cores(Spent(1, 1, 1), None) is None


def test_busy_is_everybodys() -> None:
    """Ours too."""
    assert busy_cores(Spent(10, 1, 1), Spent(20, 16, 11)) == 1.5
