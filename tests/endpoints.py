"""A small endpoint for tests: one number in, P(yes) out, three scheduled models and a candidate."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rendezvous.registry.events import ControlEvent, Deployment, RulesChange, State
from rendezvous.registry.state import Control, after
from rendezvous.server.plan import Plan, plan_for
from rendezvous.settings import Endpoint, Feature

FEATURES = json.dumps(
    {
        "type": "record",
        "name": "Features",
        "namespace": "rendezvous.tests",
        "fields": [{"name": "x", "type": ["null", "float"], "default": None}, {"name": "who", "type": "string"}],
    }
)
VERSIONS = {"champion": "c1", "challenger": "c2", "baseline": "b1", "candidate": "n1"}

STEP_MS = 300
DEADLINE_MS = 900
MARGIN_MS = 100
CLOSE_MS = 2_500
"""Long enough for a real broker on a busy machine to keep the scenarios' order of events."""


def endpoint(name: str = "tests", **changes: object) -> Endpoint:
    """The test endpoint, with top-level parts replaced."""
    document: dict[str, Any] = {
        "name": name,
        "description": "an endpoint for tests",
        "request": {
            "deadline_ms": DEADLINE_MS,
            "max_deadline_ms": 2_000,
            "reply_margin_ms": MARGIN_MS,
            "max_bytes": 1_000,
        },
        "output": {"kind": "binary", "names": ["yes"], "default": [0.25]},
        "schedule": [
            {"until_ms": STEP_MS, "models": ["champion"]},
            {"models": ["champion", "challenger", "baseline"]},
        ],
        "models": {model: {} for model in VERSIONS},
        "mailbox": {"close_ms": CLOSE_MS, "silent_ms": 1_000, "capacity": 1_024},
        "folder": Path("/nonexistent"),
        "features": [
            Feature(name="x", type="float", nullable=True),
            Feature(name="who", type="string", nullable=False),
        ],
        "features_schema": FEATURES,
    }
    return Endpoint.model_validate(document | changes)


def genesis(of: Endpoint, versions: Mapping[str, str] = VERSIONS) -> list[ControlEvent]:
    """What a first deployment writes to control: each model's version, then the rules."""
    deployments = [
        Deployment(model, version, sha256=f"{model}-{version}", state=State.ACTIVE, by="tests", at_us=0)
        for model, version in versions.items()
    ]
    return [*deployments, RulesChange(of.rules.model_dump_json(), by="tests", at_us=0)]


def control_of(*events: ControlEvent) -> Control:
    """Control after these events, which it must take."""
    control = Control()
    for event in events:
        control = after(control, event, control.position)
        assert control.refusal is None, control.refusal
    return control


def plan_of(of: Endpoint, versions: Mapping[str, str] = VERSIONS) -> Plan:
    """The plan of a partition after the first deployment."""
    return plan_for(of, control_of(*genesis(of, versions)), 0)
