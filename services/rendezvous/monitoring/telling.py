"""What the monitor knows, as the records that go out. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from math import nan
from typing import NamedTuple

import numpy as np

from rendezvous.monitoring.blocks import Calendar
from rendezvous.monitoring.contest import LOSSES
from rendezvous.monitoring.contest import Contest as Contested
from rendezvous.monitoring.findings import Accuracy, Contest, Drift, DriftKind, Span, Stage
from rendezvous.monitoring.sheets import Sheet
from rendezvous.monitoring.shifts import Finding
from rendezvous.monitoring.traffic import ModelTraffic, Traffic
from rendezvous.monitoring.waiting import Pair
from rendezvous.monitoring.windows import CountWindow
from rendezvous.replay.bootstrapping import LEAST_BLOCKS, Interval

MS_US = 1_000
LATENCIES = {"p50": 0.5, "p99": 0.99}
NOBODY: Pair = ("", "")


class Of(NamedTuple):
    """What a drift record is about: a window, by its number, its times and its rows."""

    number: int
    start_us: int
    end_us: int
    rows: int


def accuracy(
    pair: Pair, number: int, revision: int, stage: Stage, requests: int, sheet: Sheet, calendar: Calendar, mark_us: int
) -> Accuracy:
    """How a version did on one block."""
    tally = sheet.tallies.get(pair) or sheet.judging.tally()
    figures = tally.figures()
    return Accuracy(
        *pair,
        Span.BLOCK,
        number,
        revision,
        stage,
        calendar.start_us(number),
        calendar.end_us(number),
        requests,
        tally.rows,
        sheet.never.get(pair, 0),
        sheet.delays.quantile_us(0.5),
        sheet.delays.quantile_us(0.99),
        mark_us,
        tuple(figures),
        tuple(figures.values()),
    )


def counted(pair: Pair, window: CountWindow, calendar: Calendar, mark_us: int) -> Accuracy:
    """How a version did on so many labelled requests."""
    figures = window.tally.figures()
    return Accuracy(
        *pair,
        Span.COUNT,
        window.number,
        0,
        Stage.CLOSED,
        calendar.start_us(window.first),
        calendar.end_us(window.last),
        window.requests,
        window.tally.rows,
        window.never,
        window.delays.quantile_us(0.5),
        window.delays.quantile_us(0.99),
        mark_us,
        tuple(figures),
        tuple(figures.values()),
    )


def drift(kind: DriftKind, pair: Pair, of: Of, findings: Sequence[Finding], moved: Sequence[bool]) -> Drift:
    """A window against a reference; moved runs beside the findings."""
    return Drift(
        kind,
        *pair,
        *of,
        tuple(finding.name for finding in findings),
        tuple(finding.effect for finding in findings),
        tuple(finding.p for finding in findings),
        tuple(moved),
    )


def between_models(of: Of, traffic: Traffic) -> list[Drift]:
    """What needs no reference: latency, misses, the difference to the canary, disagreement."""
    told = []
    for pair, mine in traffic.models.items():
        told.append(_plain(DriftKind.LATENCY, pair, of, _latencies(mine)))
        told.append(_plain(DriftKind.MISS, pair, of, {"miss": 1 - mine.scored / mine.requests}))
        gaps = {"/".join(other): gap.mean for other, gap in mine.gaps.items()}
        told.append(_plain(DriftKind.DISAGREEMENT, pair, of, gaps))
        if traffic.canary is not None and traffic.canary in mine.gaps:
            told.append(_plain(DriftKind.CANARY, pair, of, {pair[0]: mine.gaps[traffic.canary].mean}))
    return [record for record in told if record.subjects]


def _latencies(mine: ModelTraffic) -> dict[str, float]:
    return {
        name: mine.latencies.quantile_us(share) / MS_US for name, share in LATENCIES.items() if mine.latencies.total
    }


def _plain(kind: DriftKind, pair: Pair, of: Of, sizes: dict[str, float]) -> Drift:
    count = len(sizes)
    return Drift(kind, *pair, *of, tuple(sizes), tuple(sizes.values()), (nan,) * count, (False,) * count)


def compared(
    pair: Pair, champion: Pair, number: int, at_us: int, found: Contested, chance: np.random.Generator
) -> Contest:
    """A version against the champion, up to a block; what is not defined for this kind of output is NaN."""
    first, *_ = LOSSES[found.kind]
    figures = (*LOSSES[found.kind], *(("auc",) if found.kind == "binary" else ()))
    enough = len(found.blocks) >= LEAST_BLOCKS
    differences = {
        figure: found.difference(figure, chance) if enough else Interval(found.value(figure), nan, nan)
        for figure in figures
    }
    nobody = Interval(nan, nan, nan)
    brier, auc, mae = (differences.get(name, nobody) for name in ("brier", "auc", "mae"))
    return Contest(
        *pair,
        *champion,
        number,
        at_us,
        len(found.blocks),
        found.rows,
        found.e_values[f"{first}_better"],
        found.e_values[f"{first}_worse"],
        *(brier.value, brier.low, brier.high),
        differences.get("log_loss", nobody).value,
        *(auc.value, auc.low, auc.high),
        *(mae.value, mae.low, mae.high),
        found.champion_loss("mae") if "mae" in figures else nan,
        found.wins,
        found.losses,
    )
