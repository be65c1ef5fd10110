"""What a server that is behind skips, and when it comes back to it."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rendezvous.server.arrears import CALMS, Arrears, Backlog, Span
from rendezvous.server.ledger import Owes

MS_US = 1_000
MOST_US, BEHIND_US = 125 * MS_US, 500 * MS_US
OLD_US, YOUNG_US = 126 * MS_US, 125 * MS_US


def skips(backlog: Backlog, age_us: int, at_ms: int, *, waits: bool = True) -> bool:
    """Whether what waits is skipped, with a newest request of this age."""
    return backlog.skips(age_us, MOST_US, BEHIND_US, at_ms * MS_US, waits=waits)


def test_a_short_lag_is_worked_off() -> None:
    """Nothing is skipped before only old requests have come for half a second; a young one begins that anew."""
    backlog = Backlog()
    assert [skips(backlog, OLD_US, at_ms) for at_ms in (0, 300, 499)] == [False] * 3
    assert not skips(backlog, YOUNG_US, 499)
    assert [skips(backlog, OLD_US, at_ms) for at_ms in (500, 999, 1_000)] == [False, False, True]


def test_who_was_behind_a_moment_ago_skips_at_once() -> None:
    """Until it has kept up for four times as long as it took to be behind; only then it is calm."""
    backlog = Backlog()
    assert backlog.calm(0)
    assert [skips(backlog, OLD_US, at_ms) for at_ms in (0, 500)] == [False, True]
    calm_ms = 500 + CALMS * 500
    assert not skips(backlog, MOST_US // 2, 501)
    assert skips(backlog, MOST_US // 2 + 1, calm_ms - 1), "half of the age is too old now"
    assert not backlog.calm(calm_ms * MS_US)
    assert not skips(backlog, MOST_US // 2, calm_ms)
    assert backlog.calm((calm_ms - 1 + CALMS * 500) * MS_US)
    assert not skips(backlog, OLD_US, calm_ms - 1 + CALMS * 500)


def test_a_spell_begins_with_its_first_old_request() -> None:
    """Being behind for long, with pauses in which nothing comes, is being behind all the same."""
    backlog = Backlog()
    assert not skips(backlog, OLD_US, 0)
    assert skips(backlog, OLD_US, 10_000)


def test_old_requests_with_nothing_behind_them_are_no_backlog() -> None:
    """As of clocks that differ; nor do they end one, as a young one does."""
    backlog = Backlog()
    assert [skips(backlog, OLD_US, at_ms, waits=False) for at_ms in (0, 10_000)] == [False, False]
    assert not skips(backlog, OLD_US, 10_000)
    assert not skips(backlog, OLD_US, 10_400, waits=False)
    assert skips(backlog, OLD_US, 10_500)
    assert not skips(backlog, 0, 10_600, waits=False)
    assert not skips(backlog, OLD_US, 10_000 + 500 * (2 + CALMS))


@given(
    st.lists(st.tuples(st.integers(1, 6), st.integers(1, 9)), min_size=1, max_size=5),
    st.data(),
)
def test_what_is_skipped_is_admitted_once_and_done_when_delivered(
    gaps: list[tuple[int, int]], data: st.DataObject
) -> None:
    """Whatever spans, places to read on from and order of reports: the oldest is the first that is not delivered."""
    skipped: list[int] = []
    arrears, start = Arrears(), 0
    for number, (served, length) in enumerate(gaps):
        start += served
        arrears.add(Span(start, start + length, number))
        skipped += range(start, start + length)
        start += length
    waiting: list[int] = []
    expected = list(skipped)
    at = 0
    while expected or waiting:
        assert arrears.count == len(expected)
        oldest = min([*waiting, *expected])
        found = arrears.oldest
        assert found is not None
        assert skipped[0] <= found.start <= oldest
        assert all(
            offset not in skipped or offset not in {*waiting, *expected} for offset in range(found.start, oldest)
        )
        assert found.start in _spans(gaps)[found.decisions]
        if waiting and (not expected or data.draw(st.booleans())):
            offset = waiting.pop(data.draw(st.integers(0, len(waiting) - 1)))
            arrears.settled(np.array([offset]), Owes.DECISION)
        else:
            at = arrears.next if arrears.next is not None and data.draw(st.booleans()) else at
            admitted = arrears.admits(at)
            assert admitted == (at in expected)
            if admitted:
                arrears.opened(at, Owes.DECISION)
                waiting.append(at)
                expected.remove(at)
            at += 1
    arrears.read_to(at)
    assert arrears.next is None
    assert arrears.oldest is None
    assert arrears.count == 0


def _spans(gaps: list[tuple[int, int]]) -> list[range]:
    found, start = [], 0
    for served, length in gaps:
        found.append(range(start + served, start + served + length))
        start += served + length
    return found


def test_reports_of_others_do_not_count() -> None:
    """Decisions about requests in time come all the while."""
    arrears = Arrears()
    arrears.settled(np.array([3]), Owes.DECISION)
    arrears.add(Span(5, 7, 0))
    assert arrears.admits(5)
    arrears.opened(5, Owes.DECISION | Owes.DEAD_LETTER)
    arrears.settled(np.array([3, 6, 9]), Owes.DECISION)
    arrears.settled(np.array([5]), Owes.DECISION)
    assert arrears.oldest == Span(5, 7, 0)
    arrears.settled(np.array([5]), Owes.DEAD_LETTER)
    assert arrears.oldest == Span(6, 7, 0)
    assert arrears.next == 6


def test_what_is_no_request_needs_no_report() -> None:
    """A gap in the log at the end of what was skipped."""
    arrears = Arrears()
    arrears.add(Span(5, 9, 0))
    arrears.read_to(7)
    assert arrears.next == 7
    arrears.read_to(9)
    assert arrears.oldest is None


def test_what_is_skipped_behind_a_reader_that_read_on() -> None:
    """It had read past the end of the last span: what begins before that place is read again all the same."""
    arrears = Arrears()
    arrears.add(Span(5, 7, 0))
    assert arrears.admits(6)
    arrears.opened(6, Owes.DECISION)
    arrears.read_to(20)
    arrears.add(Span(15, 25, 1))
    assert arrears.next == 15
    assert arrears.admits(15)
    assert arrears.oldest == Span(6, 7, 0)
    arrears.settled(np.array([6]), Owes.DECISION)
    assert arrears.oldest == Span(15, 25, 1)
