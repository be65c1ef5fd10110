"""Hostile events of control: what every reader must refuse in the same way, and too much of what it must take."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import replace

from loadtest.hostile.kind import FOLDED, Kind, Raw
from loadtest.hostile.requests import FEW, noise
from loadtest.hostile.scores import GHOST
from rendezvous.registry.events import (
    Cause,
    ControlEvent,
    Deployment,
    HandOff,
    Move,
    Quality,
    RulesChange,
    Shedding,
    State,
    Suspension,
    Weights,
)
from rendezvous.registry.state import Pair
from rendezvous.rules import MAX_STEPS
from rendezvous.settings import Endpoint
from rendezvous.wire import HEAD_BYTES, encode

BY = "hostile"
LARGE = 900_000
SERVED: Pair = ("first", "forged")


def control_kinds(endpoint: Endpoint) -> list[Kind]:
    """Garbage, each event with impossible values, and floods of events that hold."""
    rules = endpoint.rules.model_dump(mode="json")
    good = encode(RulesChange(json.dumps(rules), BY, 0))
    seen = 1 << 62  # a hand-off whose writer saw everything: it is looked at for what it moves

    def event(name: str, make: Callable[[random.Random, int], ControlEvent], most: int | None = None) -> Kind:
        return Kind(name, "control", FOLDED, lambda chance, number: Raw(encode(make(chance, number))), most=most)

    def hand_off(*moves: Move, until: int = seen) -> HandOff:
        return HandOff(moves, Cause.PROMOTE, (), until, BY, 0)

    def change(number: int, **changes: object) -> RulesChange:
        return RulesChange(json.dumps(rules | changes), f"{BY} {number}", number)

    return [
        Kind("random bytes", "control", FOLDED, lambda chance, _: Raw(noise(chance))),
        Kind("null", "control", FOLDED, lambda _, __: Raw(None)),
        Kind(
            "right head, random rest",
            "control",
            FOLDED,
            lambda chance, _: Raw(good[:HEAD_BYTES] + chance.randbytes(40)),
        ),
        event("Deployment without a name", lambda _, n: Deployment("", "", f"{n}", State.ACTIVE, BY, 0)),
        event(
            "Deployment with a name of 900 kB",
            lambda _, n: Deployment("m" * LARGE, f"{n}", f"{n}", State.ACTIVE, BY, 0),
            most=FEW,
        ),
        event("Deployment of a known version", lambda _, n: Deployment(*GHOST, f"{n}", State.ACTIVE, BY, -1)),
        event("Deployment retired unheard", lambda _, n: Deployment(f"m{n}", "1", "1", State.RETIRED, BY, 0)),
        event("Hand-off to nobody", lambda _, n: hand_off(Move("champion", "nobody", f"{n}"))),
        event("Hand-off that saw nothing", lambda _, __: hand_off(Move("champion", *GHOST), until=-(2**62))),
        event("Hand-off of nothing", lambda _, __: hand_off()),
        event("Hand-off of an alias of 900 kB", lambda _, __: hand_off(Move("a" * LARGE, *GHOST)), most=FEW),
        event("Hand-offs of ever new aliases", lambda _, n: hand_off(Move(f"alias-{n}", *GHOST))),
        event("Rules that are no JSON", lambda chance, _: RulesChange(noise(chance).hex(), BY, 0)),
        event("Rules of another width", lambda _, n: change(n, default=[0.5, 0.5])),
        event("Rules with impossible times", lambda _, n: change(n, deadline_ms=-n, max_deadline_ms=1 << 62)),
        event("Rules nested 10,000 deep", lambda _, __: RulesChange("[" * 10_000, BY, 0), most=FEW),
        event("Rules of 900 kB that do not hold", lambda _, __: change(0, expected=["!"] * (LARGE // 5)), most=FEW),
        event(
            "Rules of 900 kB that hold",
            lambda _, n: change(n, expected=[f"m{k:06}" for k in range(LARGE // 11)]),
            most=FEW,
        ),
        event("Rules of 64 steps, 900 kB", lambda _, n: change(n, schedule=_long_schedule()), most=FEW),
        event("Weights of NaN", lambda _, __: Weights(Quality.BEST, ("first",), ("1",), (math.nan,), BY, 0)),
        event("Weights side by side with nothing", lambda _, __: Weights(Quality.HEDGE, ("a",), (), (), BY, 0)),
        event(
            "Suspension of a forged version",
            lambda _, n: Suspension(
                0, *SERVED, suspended=True, missed=math.nan, failed=-1.0, requests=-n, by=BY, at_us=0
            ),
        ),
        event(
            "Suspension on ever new partitions",
            lambda _, n: Suspension(
                n % 1_100 - 20, *GHOST, suspended=True, missed=1.0, failed=0.0, requests=1, by=BY, at_us=0
            ),
        ),
        event("Shedding of NaN", lambda _, __: Shedding(0, math.nan, 0.0, BY, 0)),
        event("Shedding on ever new partitions", lambda _, n: Shedding(n % 1_100 + 4, 0.5, 0.5, BY, 0)),
        event("Rules change upon rules change", lambda _, n: change(n, reply_margin_ms=20 + n % 20), most=10_000),
    ]


def restored(endpoint: Endpoint, champion: Pair) -> Sequence[ControlEvent]:
    """What makes control serve again as at first, whatever was taken."""
    now = RulesChange(endpoint.rules.model_dump_json(), "loadtest", 0)
    back = HandOff((Move("champion", *champion),), Cause.ROLLBACK, (), 1 << 62, "loadtest", 0)
    return [now, replace(back)]


def _long_schedule() -> list[dict[str, object]]:
    names = [f"m{number:05}" for number in range(LARGE // MAX_STEPS // 11)]
    return [{"until_ms": step, "models": names} for step in range(1, MAX_STEPS)] + [
        {"models": ["champion", "challenger"]}
    ]
