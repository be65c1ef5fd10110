"""What a client complains of while a broker is away: once, and how often since."""

from __future__ import annotations

from rendezvous.log.reading import MAX_TROUBLES, QUIET_S, Troubles


def test_the_same_trouble_is_said_once_in_a_while() -> None:
    """Then with how often it came; durations do not make it another one, addresses do."""
    troubles = Troubles()
    refused = "127.0.0.1:1/1: Connection refused (after {}ms in state CONNECT)"
    assert troubles.say(refused.format(0), 5.0) == refused.format(0)
    assert [troubles.say(refused.format(number), 5.0 + number) for number in range(1, 4)] == ["", "", ""]
    assert troubles.say("127.0.0.1:2/1: Connection refused", 6.0) == "127.0.0.1:2/1: Connection refused"
    assert troubles.say(refused.format(7), 5.0 + QUIET_S) == f"{refused.format(7)} (3 more like it in 10 s)"
    assert troubles.say(refused.format(7), 5.1 + QUIET_S) == ""
    assert troubles.say(refused.format(7), 9.0 + 3 * QUIET_S) == f"{refused.format(7)} (1 more like it in 24 s)"


def test_so_many_kinds_are_remembered_and_no_more() -> None:
    """More than that are said, and none is kept for ever."""
    troubles = Troubles()
    kinds = [f"trouble {number}" for number in range(2 * MAX_TROUBLES)]
    assert [troubles.say(kind, 0.0) for kind in kinds] == kinds
    assert troubles.say(kinds[0], 1.0) == kinds[0]
