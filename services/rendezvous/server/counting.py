"""What a server did, as its metrics tell it."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection

import numpy as np

from rendezvous.messages import Comparisons, DeadLetter, Reason
from rendezvous.registry.state import Control
from rendezvous.server.hearing import Heard
from rendezvous.server.outcomes import Verdicts
from rendezvous.server.partition import Partition
from rendezvous.server.watching import BY_SCHEDULE
from rendezvous.telemetry import ServerMetrics

_logger = logging.getLogger(__name__)


def count_answers(metrics: ServerMetrics, verdicts: Verdicts) -> None:
    """Who answered and why, how long it took, and what was left."""
    decisions = verdicts.decisions
    counts = Counter(zip(decisions.winners.tolist(), decisions.reasons.tolist(), strict=True))
    for (winner, reason), count in counts.items():
        nobody = "several" if reason == Reason.COMBINED else "default"
        metrics.answered(decisions.models[winner] if winner >= 0 else nobody, reason, count)
    metrics.slack.observe_all(decisions.slacks_us / 1e6)
    appended_us = np.array([request.appended_us for request in verdicts.requests], np.int64)
    metrics.latency.observe_all((decisions.decided_us - appended_us) / 1e6)
    if late := int(np.count_nonzero(decisions.slacks_us < 0)):
        metrics.late.inc(late)


def count_comparisons(metrics: ServerMetrics, partition: Partition, comparisons: Comparisons) -> None:
    """What became of each version's scores, and when they came: of requests that models had their chance with."""
    chance = BY_SCHEDULE[comparisons.reasons]
    if not chance.any():
        return
    pairs = tuple(zip(comparisons.models, comparisons.versions, strict=True))
    metrics.judged(pairs, comparisons.statuses[chance], comparisons.latencies_us[chance], partition.plan.watched)


def count_scores(metrics: ServerMetrics, heard: Heard) -> None:
    """What became of rows of scores, and who was not read."""
    for partition, tally, messages in heard.tallies:
        metrics.tally(partition.plan.models, tally.by_fate(), messages)
    for model, count in heard.passed.items():
        metrics.scores.labels(model, "passed").inc(count)
    for writer, count in heard.shut.items():
        metrics.shut_out.labels(_name(writer)).inc(count)
    for writer in heard.flooding:
        _logger.warning("scores of %s are of no use, and too many: not read for a second", _name(writer))


def count_letter(metrics: ServerMetrics, letter: DeadLetter) -> None:
    """A dead letter, and what it is about."""
    metrics.buried(letter.reason)
    _logger.info(
        "dead letter: %s %s-%d@%d: %s", letter.reason, letter.topic, letter.partition, letter.offset, letter.detail
    )


def _name(writer: bytes) -> str:
    """Writers are deployed versions, or strangers all together: not a label that an outsider chooses."""
    return writer.decode() or "stranger"


def show_partitions(metrics: ServerMetrics, owned: Collection[Partition], under_way: int, control: Control) -> None:
    """What is owned now, who is passed by there, and who rests; and how far control was read.

    under_way: partitions that are ours and not taken up yet.
    """
    metrics.control.set(control.position)
    metrics.in_flight.set(sum(partition.in_flight for partition in owned))
    metrics.room.set(sum(partition.plan.capacity for partition in owned))
    metrics.arrears.set(sum(partition.arrears.count for partition in owned))
    metrics.partitions.labels("live").set(sum(partition.live for partition in owned))
    metrics.partitions.labels("held").set(under_way + sum(not partition.live for partition in owned))
    numbers = [partition.number for partition in owned]
    passed_by = Counter(model for number in numbers for model, _ in control.suspended.get(number, ()))
    for model in {model for model, _ in control.versions}:
        metrics.suspended.labels(model).set(passed_by[model])
    shed = [control.shedding[number] for number in numbers if number in control.shedding]
    metrics.shed.labels("candidates").set(max((said.candidates for said in shed), default=0.0))
    metrics.shed.labels("challengers").set(max((said.challengers for said in shed), default=0.0))
