"""A writer that sends too much of no use is not read for a while; the others are."""

from __future__ import annotations

from rendezvous.server.flooding import STRANGERS, USELESS_RECORDS, WINDOW_US, Floods

KNOWN = {b"champion/c1", b"rule/r1"}


def flooded(key: bytes | None, count: int = USELESS_RECORDS + 1) -> Floods:
    """After a window in which a writer sent so many useless records."""
    floods = Floods()
    floods.turn(WINDOW_US)
    for _ in range(count):
        assert floods.shuts(key, KNOWN) is None
        floods.useless(key, KNOWN)
    return floods


def test_a_writer_is_shut_out_at_once_and_for_a_window() -> None:
    """Said once; its neighbour is read all the while; then it may try again."""
    floods = flooded(b"rule/r1")
    assert floods.shuts(b"rule/r1", KNOWN) == b"rule/r1"
    assert floods.turn(2 * WINDOW_US - 1) == {b"rule/r1"}
    assert floods.turn(2 * WINDOW_US) == frozenset()
    assert floods.shuts(b"rule/r1", KNOWN) == b"rule/r1"
    assert floods.shuts(b"champion/c1", KNOWN) is None
    assert floods.turn(3 * WINDOW_US) == frozenset()
    assert floods.shuts(b"rule/r1", KNOWN) is None


def test_a_writer_that_goes_on_stays_out() -> None:
    """What is not read counts on; that it is shut out still is no news."""
    floods = flooded(b"rule/r1")
    floods.turn(2 * WINDOW_US)
    for _ in range(USELESS_RECORDS + 1):
        floods.shuts(b"rule/r1", KNOWN)
    assert floods.turn(3 * WINDOW_US) == frozenset()
    assert floods.shuts(b"rule/r1", KNOWN) == b"rule/r1"


def test_a_restarted_scorer_is_no_flood() -> None:
    """As many useless records as one repeats at most."""
    floods = flooded(b"rule/r1", USELESS_RECORDS)
    assert floods.turn(2 * WINDOW_US) == frozenset()


def test_whoever_is_not_known_is_one_stranger_together() -> None:
    """No key, or a key of nobody's: a name that is made up each time does not help, nor does it cost memory."""
    floods = Floods()
    floods.turn(WINDOW_US)
    for number in range(USELESS_RECORDS + 1):
        floods.useless(f"made up {number}".encode() if number % 2 else None, KNOWN)
    assert floods.turn(2 * WINDOW_US) == {STRANGERS}
    assert floods.shuts(b"another", KNOWN) == STRANGERS
    assert floods.shuts(None, KNOWN) == STRANGERS
    assert floods.shuts(b"rule/r1", KNOWN) is None
