"""The monitor's core: the same findings whatever the order, the batches, the restarts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from types import MappingProxyType

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, roc_auc_score

from monitored import (
    CHALLENGER,
    CONTROL,
    LIMITS,
    MODELS,
    Row,
    Watched,
    batched,
    out_of_order,
    reference,
    settled,
    world,
)
from rendezvous.messages import Finding, Label, Status
from rendezvous.monitoring.findings import Accuracy, Alarm, AlarmKind, Span, Stage
from rendezvous.monitoring.limits import MonitoringLimits

REFERENCE = reference()
EVENTS = world(1)
BY_ROW = LIMITS.model_copy(update={"independent": True})
CAPPED = LIMITS.model_copy(update={"source_share": 0.79})
"""Some blocks have more labels of one of the two sources, some less."""


@cache
def at_once(limits: MonitoringLimits) -> list[str]:
    """What follows when all comes in order, as one batch."""
    return settled(Watched.fresh(REFERENCE, limits).run([EVENTS]))


def closed(findings: Sequence[Finding]) -> list[Accuracy]:
    """Closed records of blocks."""
    told = (one for one in findings if isinstance(one, Accuracy))
    return [one for one in told if one.span is Span.BLOCK and one.stage is Stage.CLOSED]


def test_a_world_has_something_to_say() -> None:
    """The scenario raises what it should: concept, input, score."""
    findings = Watched.fresh(REFERENCE).run([EVENTS])
    alarms = {(alarm.kind, alarm.subject) for alarm in findings if isinstance(alarm, Alarm)}
    assert (AlarmKind.CONCEPT, "brier") in alarms


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("limits", [LIMITS, BY_ROW, CAPPED], ids=["blocks", "rows", "capped"])
def test_any_order_of_arrival_gives_the_same(limits: MonitoringLimits, seed: int) -> None:
    """Shuffled within the lateness, in batches of any size, with restarts at random points: bit for bit the same."""
    chance = np.random.default_rng(seed)
    events = out_of_order(EVENTS, chance, limits.lateness)
    sizes = chance.integers(1, 300, 20).tolist()
    restarts = chance.integers(0, 20, 3).tolist()
    assert settled(Watched.fresh(REFERENCE, limits).run(batched(events, sizes), restarts)) == at_once(limits)


def test_the_three_ways_differ() -> None:
    """Row detectors speak where rows are independent, and a cap leaves out some labels, not all."""
    assert any("detector='row'" in one for one in at_once(BY_ROW))
    assert not any("detector='block/lower'" in one and "concept" in one for one in at_once(BY_ROW))
    watched = Watched.fresh(REFERENCE, CAPPED)
    labelled = sum(one.labelled for one in closed(watched.run([EVENTS])))
    assert 0 < watched.monitor.counts["quarantined_labels"] < labelled


def test_the_order_matters_beyond_the_lateness() -> None:
    """The test above can fail: events that come later than the lateness allows are missed by closed records."""
    chance = np.random.default_rng(0)
    events = out_of_order(EVENTS, chance, 100 * LIMITS.lateness)
    watched = Watched.fresh(REFERENCE)
    assert settled(watched.run(batched(events, [200] * 20))) != at_once(LIMITS)
    assert watched.monitor.counts["late_requests"] > 0


def test_provisional_records_carry_their_coverage_and_revisions_grow() -> None:
    """Of each block: provisional, then closed once, then corrected."""
    findings = Watched.fresh(REFERENCE).run(batched(EVENTS, [40] * 80))
    stages = [Stage.PROVISIONAL, Stage.CLOSED, Stage.CORRECTED]
    by_span: dict[tuple[str, str, int], list[Accuracy]] = {}
    for one in findings:
        if isinstance(one, Accuracy) and one.span is Span.BLOCK:
            by_span.setdefault((one.model, one.version, one.number), []).append(one)
    for records in by_span.values():
        assert [one.stage for one in records] == sorted((one.stage for one in records), key=stages.index)
        assert len({one.revision for one in records}) == len(records)
        assert [one.revision for one in records] == sorted(one.revision for one in records)
        assert [one.stage for one in records].count(Stage.CLOSED) == 1
        assert all(one.labelled + one.never <= one.requests for one in records)
    together = [one for records in by_span.values() for one in records]
    assert {one.stage for one in together} == set(stages)


def test_figures_are_those_of_the_rows_in_one_batch() -> None:
    """The closed record of a block against scikit-learn's figures of the same rows."""
    plain = [event for event in world(3, days=2, drift_from=99) if event[1] == "comparison"]
    rows = [event[2] for event in plain if isinstance(event[2], Row)]
    labels = [Label(row.request_id, float(row.outputs[0] > 0.3), row.asked_us + 1, "gate") for row in rows]
    told = Watched.fresh(REFERENCE).run([[*plain, *((label.observed_us, "label", label) for label in labels)]])
    for record in closed(told):
        place = MODELS.index((record.model, record.version))
        here = [
            (row.outputs[place], label.value)
            for row, label in zip(rows, labels, strict=True)
            if record.start_us <= row.asked_us < record.end_us and row.statuses[place] == Status.OK
        ]
        said, truth = np.array([one for one, _ in here]), np.array([value for _, value in here])
        figures = dict(zip(record.figures, record.values, strict=True))
        assert (record.requests, record.labelled) == (len(here), len(here))
        assert figures["brier"] == pytest.approx(brier_score_loss(truth, said), abs=1e-8)
        assert figures["auc"] == pytest.approx(roc_auc_score(truth, said), abs=2e-3)


def test_versions_that_are_retired_are_forgotten() -> None:
    """Their detectors, windows and contests go; the others' stay."""
    watched = Watched.fresh(REFERENCE)
    watched.run([EVENTS])
    before = len(watched.monitor.snapshot())
    assert b"forest" in watched.monitor.snapshot()
    versions = {pair: known for pair, known in CONTROL.versions.items() if pair != CHALLENGER}
    watched.monitor.controlled(replace(CONTROL, versions=MappingProxyType(versions)))
    saved = json.loads(watched.monitor.snapshot())["conclusions"]
    assert "forest" not in json.dumps(saved)
    assert len(watched.monitor.snapshot()) < before


def test_without_a_reference_there_are_figures_and_no_alarms() -> None:
    """And a reference of other blocks is none: the operator is told."""
    other = REFERENCE.model_copy(update={"window": 501})
    for known in (None, other):
        watched = Watched.fresh(known)
        findings = watched.run([EVENTS])
        assert not any(isinstance(one, Alarm) for one in findings)
        assert any(isinstance(one, Accuracy) for one in findings)
        assert len(watched.monitor.faults) == (0 if known is None else 3)


def test_who_is_quiet_is_closed_by_a_time_out() -> None:
    """Nobody asks any more: the shell says how late it is, and the block closes."""
    watched = Watched.fresh(REFERENCE)
    watched.feed([event for event in world(1, days=1) if event[1] == "comparison"])
    mark = watched.monitor.watermark_us
    assert mark is not None
    assert {one.number for one in closed(watched.monitor.conclude())} == {19675}
    watched.monitor.passed(mark + 2 * LIMITS.block)
    assert {one.number for one in closed(watched.monitor.conclude())} == {19676}
