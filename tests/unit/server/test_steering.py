"""Control on its way to one server: a flood of it is followed a little at a time, and in its order."""

from __future__ import annotations

import json

from endpoints import endpoint, genesis
from rendezvous.log.records import Record
from rendezvous.registry.events import ControlEvent, RulesChange
from rendezvous.registry.fold import MAX_EVENT_BYTES
from rendezvous.server.steering import MAX_NEWS, MAX_WAITING_BYTES, Steering
from rendezvous.wire import encode

ENDPOINT = endpoint()
GENESIS = genesis(ENDPOINT)


def record(offset: int, value: bytes) -> Record:
    """A record of control."""
    return Record(ENDPOINT.topic("control"), 0, offset, 0, None, value, ())


def rules(margin_ms: int) -> ControlEvent:
    """Rules that hold."""
    document = ENDPOINT.rules.model_dump(mode="json") | {"reply_margin_ms": margin_ms}
    return RulesChange(json.dumps(document), by="tests", at_us=0)


def begun() -> Steering:
    """After the first deployment."""
    return Steering(ENDPOINT, [record(offset, encode(event)) for offset, event in enumerate(GENESIS)], "tests")


def test_a_flood_of_rules_is_followed_a_little_at_a_time() -> None:
    """So that answers that are due need not wait for all of it; the last of it is in force in the end."""
    steering, start = begun(), len(GENESIS)
    flood = [record(start + number, encode(rules(number))) for number in range(2 * MAX_NEWS + 1)]
    steering.follow(flood)
    assert (steering.behind, steering.control.position) == (True, start + MAX_NEWS)
    assert steering.plan(0).margin_us == (MAX_NEWS - 1) * 1_000
    steering.follow([record(start + len(flood), encode(rules(7)))])
    assert (steering.behind, steering.control.position) == (True, start + 2 * MAX_NEWS)
    steering.follow([])
    assert (steering.behind, steering.plan(0).margin_us) == (False, 7_000)


def test_what_waits_is_bounded() -> None:
    """In bytes: of a record that is too large only as much is kept as tells so; what is more is followed at once."""
    steering, start = begun(), len(GENESIS)
    large = encode(RulesChange("x" * 900_000, by="tests", at_us=0))
    flood = [record(start + number, large) for number in range(MAX_WAITING_BYTES // MAX_EVENT_BYTES + 2 * MAX_NEWS)]
    refusals = steering.follow(flood)
    assert steering.behind
    assert MAX_NEWS < len(refusals) < 3 * MAX_NEWS
    assert all(f"{MAX_EVENT_BYTES} bytes at most" in refusal for refusal in refusals)
