"""What control says, made ready for one partition's mailbox: versions as columns, steps as masks, times in µs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from rendezvous.messages import Floats, Int64s
from rendezvous.registry.events import Quality, State
from rendezvous.registry.shedding import resting
from rendezvous.registry.state import Control, Pair
from rendezvous.rules import MAX_WEIGHT, Rules, Step
from rendezvous.server.policies import POLICIES, Policy, fault_of
from rendezvous.settings import Endpoint, SettingsError

MS_US = 1_000
FAR_US = 1 << 62
"""Later than any deadline."""
Axis: TypeAlias = tuple[Pair, ...]
"""The model axis of a mailbox: column i speaks of pair i."""


@dataclass(frozen=True)
class PlannedStep:
    """A step of the schedule: until_us from the append (None: the deadline less the margin), and who may answer.

    pairs in the order of preference; columns: int64 [models], their places on the axis; mask: the same as bits;
    weights: float64 [models], NaN where none is known.
    """

    until_us: int | None
    pairs: Axis
    columns: Int64s
    mask: np.uint64
    policy: Policy
    weights: NDArray[np.float64]


@dataclass(frozen=True)
class Plan:
    """Who is compared (the model axis), who answers when, and how long things may take.

    deployed: the versions that control named when the plan was made; a mailbox's axis may have others beside them.
    expected: bits of those whose reports close a mailbox early; 0 for everybody who is alive. watched: for each pair
    that the rules schedule and that is active, suspended or not, the end of its first step in µs from the append.
    suspended: who is passed by on this partition. resting: bits of those that leave out all of it under load: nobody
    waits for them. first: whom the rules would rather have than all others, suspended
    or not; None when that depends on the request. policy is a hash of what decides an answer besides scores, control
    how far control had been read.
    """

    axis: Axis
    deployed: Axis
    steps: tuple[PlannedStep, ...]
    default: Floats
    deadline_us: int
    max_deadline_us: int
    margin_us: int
    close_us: int
    silent_us: int
    behind_us: int
    capacity: int
    expected: int
    watched: Mapping[Pair, int]
    suspended: frozenset[Pair]
    resting: int
    first: Pair | None
    policy: str
    control: int

    @property
    def width(self) -> int:
        """Numbers in an answer."""
        return len(self.default)

    @cached_property
    def models(self) -> tuple[str, ...]:
        """Names along the axis."""
        return tuple(model for model, _ in self.axis)

    @cached_property
    def versions(self) -> tuple[str, ...]:
        """Versions along the axis."""
        return tuple(version for _, version in self.axis)

    @cached_property
    def column_of(self) -> Mapping[Pair, int]:
        """(model, version) to its place on the model axis."""
        return {pair: column for column, pair in enumerate(self.axis)}

    @cached_property
    def scheduled(self) -> int:
        """Bits of all the models that may answer."""
        return int(np.bitwise_or.reduce([step.mask for step in self.steps]))

    @cached_property
    def waits_us(self) -> int:
        """How long after its append a request that nobody has scored cannot be answered; -FAR_US where that depends."""
        step = self.steps[0]
        if not len(step.columns) or step.policy.weights not in {"none", "best"}:
            return -FAR_US  # a policy with weights passes on who has none, whether they can still come or not
        return FAR_US if step.until_us is None else step.until_us

    @cached_property
    def first_choice(self) -> int | None:
        """The column whose answer is `preferred`, whenever it comes; -1 for nobody's, None when the draw decides."""
        return None if self.first is None else self.column_of.get(self.first, -1)

    def rests(self, pair: Pair) -> bool:
        """Whether a version leaves out all of this partition."""
        column = self.column_of.get(pair, -1)
        return column >= 0 and bool(self.resting >> column & 1)

    def changes(self, before: Plan) -> bool:
        """Whether it differs from what is in force in more than how far control has been read."""
        return (self.policy, self.watched, self.suspended, self._times()) != (
            before.policy,
            before.watched,
            before.suspended,
            before._times(),
        ) or self.axis != before.axis

    def _times(self) -> tuple[int, ...]:
        return self.deadline_us, self.max_deadline_us, self.margin_us, self.close_us, self.expected, self.resting

    def on(self, axis: Axis) -> Plan:
        """The same plan in the columns of another axis; who is not on it cannot answer."""
        if axis == self.axis:
            return self
        steps = tuple(_placed(step, axis) for step in self.steps)
        expected, resting = (
            _bits(axis.index(self.axis[column]) for column in set_bits(mask) if self.axis[column] in axis)
            for mask in (self.expected, self.resting)
        )
        return replace(self, axis=axis, steps=steps, expected=expected, resting=resting)


def plan_for(endpoint: Endpoint, control: Control, partition: int) -> Plan:
    """The plan of one partition as control stands.

    Raises:
        SettingsError: control has no rules yet, or rules that this server does not know how to follow.
    """
    rules = control.rules
    if rules is None:
        raise SettingsError(
            f"{endpoint.topic('control')} holds no rules: "
            f"run `rendezvous models deploy --endpoint {endpoint.name}` first"
        )
    check_rules(endpoint, rules)
    axis, suspended = control.deployed, control.suspended.get(partition, frozenset())
    at_rest = resting(control, partition)
    steps = _steps(rules, control, axis, suspended | at_rest)
    if at_rest and not any(step.pairs for step in steps):  # those who are passed by score too, and may be in time
        steps = _steps(rules, control, axis, at_rest)
    expected = [pair for name in rules.expected if (pair := control.resolve(name)) is not None]
    return Plan(
        axis=axis,
        deployed=axis,
        steps=steps,
        default=np.array(rules.default, np.float32),
        deadline_us=rules.deadline_ms * MS_US,
        max_deadline_us=rules.max_deadline_ms * MS_US,
        margin_us=rules.reply_margin_ms * MS_US,
        close_us=max(endpoint.mailbox.close_ms, rules.max_deadline_ms) * MS_US,
        silent_us=endpoint.mailbox.silent_ms * MS_US,
        behind_us=endpoint.mailbox.behind_ms * MS_US,
        capacity=endpoint.mailbox.capacity,
        expected=_bits(axis.index(pair) for pair in expected),
        watched=_watched(control, rules),
        suspended=suspended,
        resting=_bits(axis.index(pair) for pair in at_rest),
        first=_first(control, rules.schedule[0]),
        policy=_hash(steps, rules.default, rules.reply_margin_ms),
        control=control.position,
    )


def check_rules(endpoint: Endpoint, rules: Rules) -> None:
    """See that rules can be followed: cheap, since whoever reads control must do so for each that ever stood there.

    Raises:
        SettingsError: this server does not know how to follow them.
    """
    topic = endpoint.topic("control")
    if len(rules.default) != len(endpoint.output.default):
        raise SettingsError(
            f"{topic}: the default has {len(rules.default)} numbers, the endpoint's output "
            f"{len(endpoint.output.default)}: an endpoint cannot change its width"
        )
    for number, step in enumerate(rules.schedule, start=1):
        if fault := fault_of(step.policy, endpoint.output.kind, weighted=bool(step.weights)):
            raise SettingsError(f"{topic}: schedule step {number}: {fault}")


def _steps(rules: Rules, control: Control, axis: Axis, passed_by: frozenset[Pair]) -> tuple[PlannedStep, ...]:
    """The rules' steps with those who can answer now; a step that nobody is left in is passed by, but for the last."""
    steps = []
    for step in rules.schedule:
        named: dict[Pair, float] = {}
        for name in step.models:
            pair = control.resolve(name)
            if pair is not None and pair not in passed_by and control.versions[pair].state is State.ACTIVE:
                named[pair] = named.get(pair, 0.0) + step.weights.get(name, 0.0)
        if named or step.until_ms is None:
            steps.append(_planned(step, named, control, axis))
    return tuple(steps)


def _planned(step: Step, named: Mapping[Pair, float], control: Control, axis: Axis) -> PlannedStep:
    """named: who can answer, and the document's weight for it."""
    policy = POLICIES[step.policy]
    if policy.weights in {"best", "hedge"}:
        known = control.weights.get(Quality(policy.weights), {})
        weights = [known.get(pair, np.nan) for pair in named]
    else:
        weights = list(named.values()) if step.weights else [np.nan] * len(named)
    finite = np.array([weight if np.isfinite(weight) else np.nan for weight in weights], np.float64)
    unplaced = PlannedStep(
        until_us=None if step.until_ms is None else step.until_ms * MS_US,
        pairs=tuple(named),
        columns=np.empty(0, np.int64),
        mask=np.uint64(0),
        policy=policy,
        weights=finite if policy.weights == "best" else np.clip(finite, 0.0, MAX_WEIGHT),
    )
    return _placed(unplaced, axis)


def _placed(step: PlannedStep, axis: Axis) -> PlannedStep:
    """The step in the columns of an axis, without those who are not on it."""
    kept = [place for place, pair in enumerate(step.pairs) if pair in axis]
    pairs = tuple(step.pairs[place] for place in kept)
    columns = [axis.index(pair) for pair in pairs]
    return replace(
        step,
        pairs=pairs,
        columns=np.array(columns, np.int64),
        mask=np.uint64(_bits(columns)),
        weights=step.weights[kept],
    )


def _first(control: Control, step: Step) -> Pair | None:
    """Whom a step's policy takes when all of its models have answered; None when that depends on the request."""
    named = {pair: name for name in step.models if (pair := control.resolve(name)) is not None}
    policy = POLICIES[step.policy]
    if not named or policy.patient or policy.weights == "required":
        return None
    if policy.weights == "none":
        return next(iter(named))
    known = control.weights.get(Quality.BEST, {})
    return max(named, key=lambda pair: known.get(pair, -np.inf))


def _watched(control: Control, rules: Rules) -> dict[Pair, int]:
    end_ms = rules.deadline_ms - rules.reply_margin_ms
    watched: dict[Pair, int] = {}
    for step in rules.schedule:
        for name in step.models:
            pair = control.resolve(name)
            if pair is not None and control.versions[pair].state is State.ACTIVE:
                watched.setdefault(pair, (end_ms if step.until_ms is None else step.until_ms) * MS_US)
    return watched


def _bits(columns: Iterable[int]) -> int:
    return sum(1 << column for column in set(columns))


def set_bits(mask: int) -> list[int]:
    """The places of a mask's bits, the lowest first."""
    return [column for column in range(mask.bit_length()) if mask >> column & 1]


def _hash(steps: Sequence[PlannedStep], default: Sequence[float], margin_ms: int) -> str:
    """Twelve hex digits of what decides an answer besides the scores."""
    names = {id(policy): name for name, policy in POLICIES.items()}
    what = {
        "steps": [[s.until_us, s.pairs, names[id(s.policy)], [repr(w) for w in s.weights.tolist()]] for s in steps],
        "default": list(default),
        "margin_ms": margin_ms,
    }
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:12]
