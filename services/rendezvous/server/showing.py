"""What control and the endpoint's document say, as metrics: who answers, since when, and by which limits."""

from __future__ import annotations

import math
from collections import Counter

from rendezvous.registry.events import State
from rendezvous.registry.state import Control
from rendezvous.retraining.limits import ReplaceLimits, RetrainingLimits, RollbackLimits
from rendezvous.server.plan import Plan, plan_for
from rendezvous.settings import Endpoint
from rendezvous.telemetry import EndpointMetrics, RegistryMetrics

MS_S = 1e-3
US_S = 1e-6
MB = 1_000_000
RUNS = 2
"""Of a job besides its folds: on trial, and on everything."""


class Showing:
    """Shows the document once, and control whenever it has been read on."""

    def __init__(self, endpoint: Endpoint, registry: RegistryMetrics, limits: EndpointMetrics) -> None:
        self._endpoint = endpoint
        self._registry = registry
        self._limits = limits
        show_document(endpoint, limits)

    def control(self, control: Control) -> None:
        """What control says now; it holds rules that can be followed."""
        show_registry(control, plan_for(self._endpoint, control, 0), self._registry)
        show_rules(self._endpoint, control, self._limits)


def show_registry(control: Control, plan: Plan, metrics: RegistryMetrics) -> None:
    """Versions, aliases, hand-offs."""
    metrics.position.set(control.position)
    metrics.hand_offs.set(control.handed_off)
    metrics.policy.show({(plan.policy,): 1.0})
    metrics.alias.show({(alias, *pair): 1.0 for alias, pair in control.aliases.items()})
    there = {pair: control.versions[pair] for pair in control.deployed}
    metrics.version.show({(*pair, str(version.state)): 1.0 for pair, version in there.items()})
    metrics.deployed.show({pair: version.at_us * US_S for pair, version in there.items()})
    metrics.hand_off.show({(str(taken.hand_off.cause),): taken.hand_off.at_us * US_S for taken in control.hand_offs})
    metrics.verdict.show(
        {(*pair, str(said.rule), str(said.ruling)): said.at_us * US_S for pair, said in control.verdicts.items()}
    )
    metrics.weight.show(
        {
            (str(quality), *pair): value
            for quality, weights in control.weights.items()
            for pair, value in weights.items()
            if pair in there
        }
    )
    passed_by = Counter(pair for pairs in control.suspended.values() for pair in pairs)
    active = [pair for pair, version in there.items() if version.state is State.ACTIVE]
    metrics.suspended.show({pair: float(passed_by[pair]) for pair in active})


def show_rules(endpoint: Endpoint, control: Control, metrics: EndpointMetrics) -> None:
    """What is in force for requests that come now."""
    rules = control.rules or endpoint.rules
    metrics.deadline.set(rules.deadline_ms * MS_S)
    metrics.max_deadline.set(rules.max_deadline_ms * MS_S)
    metrics.margin.set(rules.reply_margin_ms * MS_S)
    last_ms = rules.deadline_ms - rules.reply_margin_ms
    ends_ms = [last_ms if step.until_ms is None else step.until_ms for step in rules.schedule]
    metrics.step.show(
        {
            (str(number), step.policy): end_ms * MS_S
            for number, (step, end_ms) in enumerate(zip(rules.schedule, ends_ms, strict=True), start=1)
        }
    )
    plan = plan_for(endpoint, control, 0)
    metrics.due.show({pair: due_us * US_S for pair, due_us in plan.watched.items()})


def show_document(endpoint: Endpoint, metrics: EndpointMetrics) -> None:
    """What only a restart changes."""
    metrics.missed.set(endpoint.fallback.missed)
    metrics.failed.set(endpoint.fallback.failed)
    metrics.capacity.set(endpoint.mailbox.capacity)
    metrics.partitions.set(endpoint.topics.partitions)
    metrics.close.set(endpoint.mailbox.close_ms * MS_S)
    metrics.block.set(endpoint.monitoring.block * US_S)
    metrics.label_delay.set(endpoint.monitoring.label_delay * US_S)
    metrics.lateness.set(endpoint.monitoring.lateness * US_S)
    metrics.run_length.set(endpoint.monitoring.run_length)
    metrics.archive_age.set(endpoint.archive.age * US_S)
    metrics.archive_bytes.set(endpoint.archive.bytes)
    metrics.coverage.set(endpoint.promotion.coverage)
    metrics.in_time.set(endpoint.promotion.in_time)
    replace, rollback = (
        (ReplaceLimits(), RollbackLimits())
        if endpoint.retraining is None
        else (endpoint.retraining.replace, endpoint.retraining.rollback)
    )
    metrics.e_value.show({("replace",): math.log10(replace.e_value), ("rollback",): math.log10(rollback.e_value)})
    if endpoint.retraining is not None:
        _show_retraining(endpoint.retraining, metrics)


def _show_retraining(limits: RetrainingLimits, metrics: EndpointMetrics) -> None:
    model = limits.model
    floors = limits.triggers.floors
    metrics.floor.show({(model, floor.metric, floor.worse): floor.value for floor in floors})
    metrics.new_labels.show({(model,): float(limits.new_labels)})
    metrics.budget.show({(model, "day"): float(limits.per_day), (model, "month"): float(limits.per_month)})
    metrics.cool_down.show({(model,): limits.cool_down * US_S})
    metrics.training_time.show({(model,): limits.training.time * (RUNS + limits.training.folds) * US_S})
    metrics.training_memory.show({(model,): float(limits.training.memory_mb * MB)})
