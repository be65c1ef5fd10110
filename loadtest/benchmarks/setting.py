"""A server's surroundings without a server: a plan of so many models, requests, scores."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from rendezvous.envelope import write_envelope
from rendezvous.log import Headers
from rendezvous.messages import Envelope, ReplyAddress, Request, Scores, Status
from rendezvous.registry.events import ControlEvent, Deployment, RulesChange, State
from rendezvous.registry.state import Control, after
from rendezvous.server.plan import Plan, plan_for
from rendezvous.settings import Endpoint, Feature

NUMBERS = tuple(f"number_{index}" for index in range(15))
TEXTS = tuple(f"text_{index}" for index in range(5))
NOON_US = 1_700_000_000_000_000
DEADLINE_MS = 500
DEADLINE_US = DEADLINE_MS * 1_000
FEATURES = json.dumps(
    {
        "type": "record",
        "name": "Features",
        "namespace": "rendezvous.bench",
        "fields": [
            *({"name": name, "type": "float"} for name in NUMBERS),
            *({"name": name, "type": "string"} for name in TEXTS),
        ],
    }
)
ROW: dict[str, object] = dict.fromkeys(NUMBERS, 0.5) | dict.fromkeys(TEXTS, "some text")


def endpoint(models: int) -> Endpoint:
    """Twenty features, so many models, the first three of which may answer."""
    names = [f"model_{number:02d}" for number in range(models)]
    return Endpoint.model_validate(
        {
            "name": "bench",
            "description": "an endpoint for benchmarks",
            "request": {"deadline_ms": DEADLINE_MS, "max_deadline_ms": 2_000, "reply_margin_ms": 40},
            "output": {"kind": "binary", "names": ["yes"], "default": [0.25]},
            "schedule": [{"until_ms": 160, "models": names[:1]}, {"models": names[:3]}],
            "models": {name: {} for name in names},
            "folder": Path("/nonexistent"),
            "features": [
                *(Feature(name=name, type="float", nullable=False) for name in NUMBERS),
                *(Feature(name=name, type="string", nullable=False) for name in TEXTS),
            ],
            "features_schema": FEATURES,
        }
    )


def plan(models: int) -> Plan:
    """After the first deployment; versions are called v."""
    of, control = endpoint(models), Control()
    genesis: list[ControlEvent] = [
        *(Deployment(name, "v", f"sha of {name}", State.ACTIVE, "bench", 0) for name in of.models),
        RulesChange(of.rules.model_dump_json(), "bench", 0),
    ]
    for event in genesis:
        control = after(control, event, control.position)
    return plan_for(of, control, 0)


def headers(number: int) -> Headers:
    """Of a request, as the Client writes them."""
    reply = ReplyAddress("bench.responses", 0, number.to_bytes(16, "big"))
    return write_envelope(Envelope(f"f3b1c5d0-0000-4000-8000-{number:012x}", "bench", DEADLINE_MS, reply))


def requests(first: int, count: int) -> list[Request]:
    """As the intake gives them."""
    reply = ReplyAddress("bench.responses", 0, b"0123456789abcdef")
    return [
        Request(offset, NOON_US, NOON_US + DEADLINE_US, f"f3b1c5d0-0000-4000-8000-{offset:012x}", reply)
        for offset in range(first, first + count)
    ]


def scores(model: str, first: int, count: int) -> Scores:
    """A model's micro-batch."""
    return Scores(
        model=model,
        version="v",
        taken_us=NOON_US,
        scored_us=NOON_US + 1_000,
        offsets=np.arange(first, first + count, dtype=np.int64),
        statuses=np.full(count, Status.OK, np.uint8),
        outputs=np.full((count, 1), 0.5, np.float32),
    )
