"""What a client remembers of its requests: pure, time is an argument."""

from __future__ import annotations

import ast
import inspect
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rendezvous.client import REMEMBERED, Ask, Asked
from rendezvous.messages import Reason, Response

DEFAULT = (0.25,)


def response(request_id: str = "r", reason: Reason = Reason.PREFERRED) -> Response:
    """An answer of a server."""
    return Response(request_id, 0, 7, "champion", "c1", reason, (0.7,), (), 100.0, 1)


def asked(*deadlines_s: float) -> tuple[Asked, list[Ask]]:
    """Requests under way with these deadlines; number n has the correlation id bytes([n])."""
    found = Asked(DEFAULT)
    asks = [Ask(f"r{number}", 0.0, deadline_s) for number, deadline_s in enumerate(deadlines_s)]
    for number, ask in enumerate(asks):
        found.add(bytes([number]), ask)
    return found, asks


# ------------------------------------------------------------------------------------------------------------ answers


def test_an_answer_finds_its_request_once() -> None:
    """The first answer ends the request; a second one is a duplicate and says how it had ended."""
    found, (ask,) = asked(10.0)
    assert found.answer(b"\0", response(reason=Reason.FALLBACK)) == (ask, None)
    assert len(found) == 0
    assert found.answer(b"\0", response()) == (None, Reason.FALLBACK)
    assert found.answer(b"\0", response()) == (None, Reason.FALLBACK)


def test_an_answer_after_the_deadline_is_late() -> None:
    """A request that was given up stays given up: its answer, and any second one, is late."""
    found, (ask,) = asked(10.0)
    assert [given_up for given_up, _ in found.overdue(10.0)] == [ask]
    assert found.answer(b"\0", response()) == (None, Reason.NO_ANSWER)
    assert found.answer(b"\0", response()) == (None, Reason.NO_ANSWER)


def test_an_answer_to_somebody_else_is_unknown() -> None:
    """A reply partition is shared: what was never asked here is neither late nor a duplicate."""
    found, _ = asked(10.0)
    assert found.answer(b"other", response()) == (None, None)
    assert len(found) == 1


def test_answers_come_in_any_order() -> None:
    """Each finds its own request, whichever deadline is nearer."""
    found, asks = asked(10.0, 5.0, 7.0)
    for number in (2, 0, 1):
        assert found.answer(bytes([number]), response()) == (asks[number], None)
    assert found.overdue(100.0) == []


# ---------------------------------------------------------------------------------------------------------- deadlines


def test_what_is_overdue_gets_the_default() -> None:
    """The endpoint's default, reason NO_ANSWER, under the request's own id, from no partition of the log."""
    found, (ask,) = asked(10.0)
    assert found.overdue(9.999) == []
    ((given_up, answer),) = found.overdue(10.0)
    assert given_up is ask
    assert (answer.request_id, answer.reason, answer.output) == ("r0", Reason.NO_ANSWER, DEFAULT)
    assert (answer.model, answer.version, answer.missing) == ("", "", ())
    assert (answer.partition, answer.offset) == (-1, -1)
    assert found.overdue(11.0) == []
    assert len(found) == 0


def test_an_answered_request_is_never_overdue() -> None:
    """Its deadline passes without a word."""
    found, asks = asked(10.0, 10.0)
    found.answer(b"\0", response())
    assert [given_up for given_up, _ in found.overdue(10.0)] == [asks[1]]


def test_the_earliest_deadline_comes_first() -> None:
    """Whatever order requests were sent in; equal deadlines in the order of sending."""
    found, asks = asked(10.0, 5.0, 7.0, 5.0)
    assert found.next_deadline_s() == 5.0
    assert [given_up for given_up, _ in found.overdue(7.0)] == [asks[1], asks[3], asks[2]]
    assert found.next_deadline_s() == 10.0
    assert [given_up for given_up, _ in found.overdue(float("inf"))] == [asks[0]]
    assert found.next_deadline_s() is None


def test_nothing_is_due_of_nothing() -> None:
    """An idle client has no deadline."""
    found, _ = asked()
    assert found.next_deadline_s() is None
    assert found.overdue(float("inf")) == []
    assert len(found) == 0


# ------------------------------------------------------------------------------------------------------------- memory


def test_memory_of_what_is_over_is_bounded() -> None:
    """REMEMBERED endings are kept; the oldest is forgotten first, and its answer is then unknown."""
    found = Asked(DEFAULT)
    for number in range(REMEMBERED + 1):
        correlation = number.to_bytes(4)
        found.add(correlation, Ask("r", 0.0, float(number)))
        found.answer(correlation, response())
    assert found.answer((0).to_bytes(4), response()) == (None, None)
    assert found.answer((1).to_bytes(4), response()) == (None, Reason.PREFERRED)
    assert found.answer(REMEMBERED.to_bytes(4), response()) == (None, Reason.PREFERRED)


def test_deadlines_that_passed_are_forgotten() -> None:
    """Of an answered request nothing waits once its deadline has passed."""
    found, _ = asked(1.0, 2.0, 3.0)
    for number in range(3):
        found.answer(bytes([number]), response())
    found.overdue(2.5)
    assert found.next_deadline_s() == 3.0
    found.overdue(3.0)
    assert found.next_deadline_s() is None


# --------------------------------------------------------------------------------------------------------------- laws

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, 5), st.floats(0, 10)),
        st.tuples(st.just("answer"), st.integers(0, 5), st.just(0.0)),
        st.tuples(st.just("pass"), st.just(0), st.floats(0, 3)),
    ),
    max_size=30,
)


@given(STEPS)
def test_every_request_ends_exactly_once(steps: list[tuple[str, int, float]]) -> None:
    """Answered or given up, never both, never twice, never before its deadline, and none is left at the end."""
    found, now_s = Asked(DEFAULT), 0.0
    sent: dict[bytes, Ask] = {}
    ended: list[Ask] = []
    for number, (what, which, amount) in enumerate(steps):
        if what == "add":
            sent[bytes([number])] = ask = Ask(str(number), now_s, now_s + amount)
            found.add(bytes([number]), ask)
        elif what == "answer":
            correlation = list(sent)[which] if which < len(sent) else b"nobody"
            answered, _ = found.answer(correlation, response())
            ended += [] if answered is None else [answered]
        else:
            now_s += amount
            given_up = [ask for ask, _ in found.overdue(now_s)]
            assert all(ask.deadline_s <= now_s for ask in given_up)
            ended += given_up
    ended += [ask for ask, _ in found.overdue(float("inf"))]
    assert len(found) == 0
    assert sorted(map(id, ended)) == sorted(map(id, sent.values()))


@pytest.mark.parametrize("part", [Ask, Asked])
def test_time_is_an_argument(part: type) -> None:
    """No clock is asked: only `Client`, the shell, knows what time it is."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(part)))
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert not names & {"time", "threading", "secrets", "asyncio"}
