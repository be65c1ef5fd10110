"""Where the retrainer stands, as gauges: what it waits for, what is left of the budget, and what holds rules back."""

from __future__ import annotations

from collections.abc import Mapping

from rendezvous.registry.state import Pair
from rendezvous.retraining.episodes import Episode, under_way
from rendezvous.retraining.ledger import Ledger
from rendezvous.retraining.limits import RetrainingLimits
from rendezvous.retraining.triggers import Surroundings, budget, look, new_labels
from rendezvous.retraining.verdicts import rule_of
from rendezvous.telemetry import RetrainerMetrics

US_S = 1e-6
SPANS = {"24 hours": "day", "31 days": "month"}
"""Of a budget, as `retrain list` says it, and as a label."""
REASONS = {"cool-down": "cool_down", "budget": "budget", "new labels": "new_labels"}
WAITS = ("job", "verdict", "person")


def show(ledger: Ledger, limits: RetrainingLimits, around: Surroundings, metrics: RetrainerMetrics) -> None:
    """All gauges anew, as of the newest closing that was heard of."""
    show_jobs(ledger, limits, metrics)
    show_episode(ledger, limits, around.codes, metrics)
    rounds = ledger.rounds
    if rounds:
        show_rules(ledger, limits, rounds[-1], around, metrics)


def show_jobs(ledger: Ledger, limits: RetrainingLimits, metrics: RetrainerMetrics) -> None:
    """The newest event, and the newest job that ended."""
    model = limits.model
    events = ledger.events_of(model)
    metrics.last_event.show({(model,): events[-1].at_us * US_S} if events else {})
    ended = [ledger.outcomes[event.key] for event in events if event.key in ledger.outcomes]
    last = max(ended, key=lambda outcome: outcome.ended_us, default=None)
    if last is not None:
        metrics.last_job.show({(model, str(last.outcome)): last.ended_us * US_S})
        metrics.job_time.show({(model,): (last.ended_us - last.started_us) * US_S})


def show_episode(
    ledger: Ledger, limits: RetrainingLimits, codes: Mapping[Pair, str | None], metrics: RetrainerMetrics
) -> None:
    """What the episode under way waits for."""
    model, champion = limits.model, ledger.champion
    episode = under_way(ledger, model)
    waits = None if episode is None else _waits_for(ledger, episode)
    metrics.waits_for.show({(model, what): float(what == waits) for what in WAITS})
    candidate = None if episode is None else episode.candidate
    if candidate is None or champion is None:
        metrics.candidate.show({})
    else:
        rule = rule_of(ledger, limits, codes, candidate, champion)
        metrics.candidate.show({(*candidate, str(rule)): 1.0})


def _waits_for(ledger: Ledger, episode: Episode) -> str:
    if episode.candidate is None:
        return "job"
    return "person" if episode.candidate in ledger.verdicts else "verdict"


def show_rules(
    ledger: Ledger, limits: RetrainingLimits, at_us: int, around: Surroundings, metrics: RetrainerMetrics
) -> None:
    """Which rules hold at a closing, and what keeps them from leading to an event."""
    model, champion = limits.model, ledger.champion
    metrics.budget.show({(model, SPANS[span]): float(left) for span, _, left in budget(ledger, limits, at_us)})
    metrics.labels.show({(model,): float(new_labels(ledger, limits, at_us))})
    if champion is None:
        return
    found = look(ledger, limits, champion, at_us, around)
    metrics.holds.show({(model, one.cause): 1.0 for one in found.causes})
    held = {REASONS[said.partition(":")[0]] for said in found.held_by} if found.causes else set()
    metrics.held.show({(model, reason): float(reason in held) for reason in REASONS.values()})
