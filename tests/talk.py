"""What chance says on control: deployments, hand-offs, suspensions, weights and rules, refused ones and rubbish."""

from __future__ import annotations

import json
from random import Random
from typing import Any

from endpoints import VERSIONS, genesis
from memory_log import MemoryLog
from rendezvous.registry.events import (
    Cause,
    ControlEvent,
    Deployment,
    HandOff,
    Move,
    Quality,
    RulesChange,
    State,
    Suspension,
    Weights,
)
from rendezvous.registry.state import Control, Pair
from rendezvous.server.following import followed
from rendezvous.server.policies import POLICIES
from rendezvous.settings import Endpoint
from rendezvous.wire import encode

LEAST_DEPLOYED = 2


class Talk:
    """Writes to control, and knows how it stood after each of its records.

    steps_ms: where a step may end.
    """

    def __init__(self, endpoint: Endpoint, log: MemoryLog, chance: Random, steps_ms: tuple[int, int, int]) -> None:
        self.endpoint = endpoint
        self.log = log
        self.chance = chance
        self.steps_ms = steps_ms
        self.controls: dict[int, Control] = {0: Control()}
        self.control = Control()
        self.deployments = 0
        for event in genesis(endpoint):
            self._tell(encode(event))
        self._tell(encode(HandOff((Move("first", "champion", "c1"),), Cause.DEPLOY, (), 99, "tests", 0)))

    def change(self) -> None:
        """One event on control: a good one, one that is refused, or rubbish."""
        self.follow()
        kinds = (self._hand_off, self._deploy, self._retire, self._pause, self._suspend, self._weigh, self._rules)
        kind = self.chance.choice((*kinds, self._rules, None))
        self._tell(b"rubbish" if kind is None else encode(kind()))

    def _tell(self, value: bytes) -> None:
        self.log.append(self.endpoint.topic("control"), 0, value)
        self.follow()

    def follow(self) -> None:
        """Control as it stood after each of its records, those that servers wrote as well."""
        for record in self.log.records[self.endpoint.topic("control"), 0][self.control.position :]:
            self.control, _ = followed(self.endpoint, self.control, [record])
            self.controls[self.control.position] = self.control

    def _one_version(self) -> Pair:
        return self.chance.choice(self.control.deployed)

    def _hand_off(self) -> ControlEvent:
        model, version = self._one_version()
        seen = self.control.position - self.chance.choice((0, 0, 0, 5))
        return HandOff((Move("first", model, version),), Cause.PROMOTE, (), seen, "tests", 0)

    def _deploy(self) -> ControlEvent:
        self.deployments += 1
        model, version = self.chance.choice(tuple(VERSIONS)), f"v{self.deployments}"
        return Deployment(model, version, f"{model}-{version}", State.ACTIVE, "tests", 0)

    def _retire(self) -> ControlEvent:
        few = len(self.control.deployed) <= LEAST_DEPLOYED
        return self._deployment(State.PAUSED if few else State.RETIRED, self._one_version())

    def _pause(self) -> ControlEvent:
        pair = self._one_version()
        paused = self.control.versions[pair].state is State.PAUSED
        return self._deployment(State.ACTIVE if paused else State.PAUSED, pair)

    def _deployment(self, state: State, pair: Pair) -> ControlEvent:
        return Deployment(*pair, self.control.versions[pair].sha256, state, "tests", 0)

    def _suspend(self) -> ControlEvent:
        pair, number = self._one_version(), self.chance.randrange(self.endpoint.topics.partitions)
        suspended = pair not in self.control.suspended.get(number, ())
        return Suspension(number, *pair, suspended, 0.5, 0.5, 50, "another server", 0)

    def _weigh(self) -> ControlEvent:
        pairs = self.control.deployed
        values = tuple(self.chance.choice((0.0, 0.25, 1.0)) for _ in pairs)
        models, versions = zip(*pairs, strict=True)
        return Weights(self.chance.choice(tuple(Quality)), models, versions, values, "tests", 0)

    def _rules(self) -> ControlEvent:
        schedule: list[dict[str, Any]] = []
        first, second, usual = self.steps_ms
        for until_ms in self.chance.choice(((None,), (usual, None), (usual, None), (first, second, None))):
            names = self.chance.sample(("first", *VERSIONS), self.chance.randint(1, 3))
            policy = self.chance.choice((*POLICIES, "prefer", "guess" if self.chance.random() < 0.2 else "split"))
            weights = dict.fromkeys(names, 1.0) if policy == "split" else {}
            schedule.append({"models": names, "policy": policy, "until_ms": until_ms, "weights": weights})
        rules = self.endpoint.rules.model_dump(mode="json") | {
            "schedule": schedule,
            "default": [self.chance.choice((0.25, 0.125))],
            "expected": self.chance.choice(((), ("first",))),
        }
        return RulesChange(json.dumps(rules), "tests", 0)  # which may not hold
