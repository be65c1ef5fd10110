"""The newest findings as gauges."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TypeAlias

from rendezvous.monitoring.drifting import LIMITS
from rendezvous.monitoring.findings import Contest, Drift, DriftKind, Stage
from rendezvous.monitoring.newest import QUALITY, Newest
from rendezvous.registry.state import Pair
from rendezvous.telemetry import MonitorMetrics

US_S = 1e-6
MS_S = 1e-3
QUANTILES = {"p50": "0.5", "p99": "0.99"}
LIMIT_OF = {
    str(DriftKind.INPUT): LIMITS.psi,
    str(DriftKind.SCORE): LIMITS.psi,
    **{str(kind): LIMITS.rate for kind in QUALITY},
}

Rows: TypeAlias = Mapping[tuple[str, ...], float]


def show(newest: Newest, champion: Pair | None, metrics: MonitorMetrics) -> None:
    """All gauges anew."""
    show_accuracy(newest, metrics)
    show_drift(newest, champion, metrics)
    show_alarms(newest, metrics)
    show_contests(newest, metrics)


def show_accuracy(newest: Newest, metrics: MonitorMetrics) -> None:
    """Figures by version and stage, what they rest on, and how long labels took."""
    said = {(*pair, str(stage)): one for (pair, stage), one in newest.accuracy.items()}
    metrics.accuracy.show(
        {
            (model, version, name, stage): value
            for (model, version, stage), one in said.items()
            for name, value in zip(one.figures, one.values, strict=True)
            if not math.isnan(value)
        }
    )
    metrics.labelled.show({key: float(one.labelled) for key, one in said.items()})
    metrics.coverage.show(
        {key: one.labelled / (one.requests - one.never) for key, one in said.items() if one.requests > one.never}
    )
    blocks = {stage: newest.newest_block(stage) for stage in (Stage.PROVISIONAL, Stage.CLOSED)}
    metrics.block_end.show({(str(stage),): one.end_us * US_S for stage, one in blocks.items() if one is not None})
    closed = blocks[Stage.CLOSED]
    if closed is not None and closed.delay_p50_us >= 0:
        metrics.label_delay.show({("0.5",): closed.delay_p50_us * US_S, ("0.99",): closed.delay_p99_us * US_S})


def show_drift(newest: Newest, champion: Pair | None, metrics: MonitorMetrics) -> None:
    """Moves by kind and subject; latencies and misses by version."""
    effects: dict[tuple[str, ...], float] = {}
    flags: dict[tuple[str, ...], float] = {}
    latencies: dict[tuple[str, ...], float] = {}
    misses: dict[tuple[str, ...], float] = {}
    for (kind, pair), one in newest.drift.items():
        if kind is DriftKind.LATENCY:
            latencies |= {(*pair, QUANTILES[name]): value * MS_S for name, value, _ in _of(one)}
        elif kind is DriftKind.MISS:
            misses[pair] = one.effects[0]
        else:
            # between each and each they would be as many as the square of the versions
            told = {"/".join(champion)} if kind is DriftKind.DISAGREEMENT and champion is not None else None
            for name, value, flagged in _of(one):
                if (kind is not DriftKind.DISAGREEMENT or (told and name in told)) and not math.isnan(value):
                    key = str(kind), "champion" if told else name, *pair
                    effects[key] = value
                    flags |= {key: float(flagged)} if str(kind) in LIMIT_OF else {}
    metrics.drift.show(effects)
    metrics.flagged.show(flags)
    metrics.limit.show({(kind,): limit for kind, limit in LIMIT_OF.items()})
    metrics.model_latency.show(latencies)
    metrics.missing_scores.show(misses)


def _of(one: Drift) -> Iterator[tuple[str, float, bool]]:
    return zip(one.subjects, one.effects, one.flagged, strict=True)


def show_alarms(newest: Newest, metrics: MonitorMetrics) -> None:
    """The last alarm of each subject, and whether it holds."""
    said = {(str(kind), subject, *pair): one for (kind, subject, pair), one in newest.alarms.items()}
    metrics.in_alarm.show({key: float(newest.active(one)) for key, one in said.items()})
    metrics.alarm_value.show({key: one.value for key, one in said.items()})
    metrics.alarm_limit.show({key: one.threshold for key, one in said.items()})
    metrics.alarm_at.show({key: one.at_us * US_S for key, one in said.items()})


def show_contests(newest: Newest, metrics: MonitorMetrics) -> None:
    """Evidence of each version against the champion, and how far they are apart."""
    said = newest.contests
    metrics.evidence.show(
        {
            (*pair, direction): math.log10(max(value, math.ulp(0.0)))
            for pair, one in said.items()
            for direction, value in (("better", one.better), ("worse", one.worse))
        }
    )
    metrics.difference.show(
        {
            (*pair, metric, bound): value
            for pair, one in said.items()
            for metric, bound, value in _differences(one)
            if not math.isnan(value)
        }
    )
    metrics.contest_labelled.show({pair: float(one.labelled) for pair, one in said.items()})
    metrics.contest_blocks.show({pair: float(one.blocks) for pair, one in said.items()})


def _differences(one: Contest) -> Iterator[tuple[str, str, float]]:
    yield "log_loss", "value", one.log_loss
    for metric, bounds in (
        ("brier", (one.brier, one.brier_low, one.brier_high)),
        ("auc", (one.auc, one.auc_low, one.auc_high)),
        ("mae", (one.mae, one.mae_low, one.mae_high)),
    ):
        yield from zip((metric,) * len(bounds), ("value", "low", "high"), bounds, strict=True)
