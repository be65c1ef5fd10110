"""What `rendezvous retrain list` prints, as lines of plain text."""

from __future__ import annotations

from rendezvous.monitoring.findings import AlarmKind
from rendezvous.registry.shown import NONE, in_columns, moment
from rendezvous.retraining.episodes import Episode, episodes, under_way
from rendezvous.retraining.events import Outcome
from rendezvous.retraining.ledger import Ledger
from rendezvous.retraining.limits import RetrainingLimits
from rendezvous.retraining.triggers import budget, look, new_labels

HEADINGS = ("EVENT", "AT", "CAUSES", "BY", "OUTCOME", "VERSION", "VERDICT", "OVER", "JOINED")


def listing(ledger: Ledger, limits: RetrainingLimits) -> list[str]:
    """Every event in a line with what came of it; then how things stand. Times are event time."""
    found = episodes(ledger, limits.model)
    lines = in_columns([HEADINGS, *(_row(ledger, episode) for episode in found)])
    for episode in found:
        lines += _words(ledger, episode)
    return [*lines, *_standing(ledger, limits)]


def _row(ledger: Ledger, episode: Episode) -> tuple[str, ...]:
    event = episode.event
    outcome = ledger.outcomes.get(event.key)
    verdict = None if episode.candidate is None else ledger.verdicts.get(episode.candidate)
    return (
        event.key,
        moment(event.at_us),
        ", ".join(event.causes),
        event.by,
        "under way" if outcome is None else str(outcome.outcome),
        NONE if episode.candidate is None else episode.candidate[1],
        NONE if verdict is None else f"{verdict.rule}: {verdict.ruling}",
        NONE if episode.ended_us is None else moment(episode.ended_us),
        str(_joined(ledger, episode)),
    )


def _joined(ledger: Ledger, episode: Episode) -> int:
    """Alarms about the champion since the event, which led to no other one."""
    until_us = ledger.watermark_us if episode.ended_us is None else episode.ended_us
    champion = episode.event.model, episode.event.version
    return len(ledger.alarms_about(champion, AlarmKind.CONCEPT, episode.event.at_us, until_us))


def _words(ledger: Ledger, episode: Episode) -> list[str]:
    """What people and jobs said, and what the event does not know."""
    event = episode.event
    outcome = ledger.outcomes.get(event.key)
    said = [f"asked for: {event.reason}"] if event.reason else []
    said += [f"not known: {what}" for what in event.unknown]
    if outcome is not None and outcome.outcome is not Outcome.REGISTERED:
        said += [f"{outcome.outcome}: {reason}" for reason in outcome.reasons]
    return [f"{event.key}: {line}" for line in said]


def _standing(ledger: Ledger, limits: RetrainingLimits) -> list[str]:
    rounds = ledger.rounds
    if ledger.champion is None or not rounds:
        return ["nothing has been concluded yet: no closed block has been heard of, or nobody is the champion"]
    now_us = rounds[-1]
    labels = f"{new_labels(ledger, limits, now_us)} new labels, {limits.new_labels} are needed"
    left = ", ".join(f"{left} of {limit} events in {span}" for span, limit, left in budget(ledger, limits, now_us))
    lines = [f"at the closing of {moment(now_us)}: {labels}; budget left: {left}"]
    episode = under_way(ledger, limits.model)
    if episode is not None:
        waits = "its job" if episode.candidate is None else f"the verdict on {'/'.join(episode.candidate)}"
        return [*lines, f"episode {episode.event.key} is under way: waiting for {waits}"]
    found = look(ledger, limits, ledger.champion, now_us, None)
    holds = ", ".join(one.cause for one in found.causes) or "no rule"
    held = f"; held back by {'; '.join(found.held_by)}" if found.causes and found.held_by else ""
    return [*lines, f"no episode is under way; {holds} holds{held}"]
