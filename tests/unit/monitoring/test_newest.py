"""The newest findings, and the gauges that show them."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from rendezvous.monitoring.findings import Accuracy, Alarm, AlarmKind, Contest, Drift, DriftKind, Span, Stage
from rendezvous.monitoring.newest import CONCEPT_BLOCKS, Newest
from rendezvous.monitoring.showing import show
from rendezvous.telemetry import MonitorMetrics, Telemetry

CHAMPION, OTHER = ("trees", "t1"), ("forest", "f1")


def accuracy(number: int, revision: int = 0, stage: Stage = Stage.CLOSED, value: float = 0.7) -> Accuracy:
    """The champion's figures on a block of 100 requests, 10 of which never get a label."""
    start_us, end_us = number * 1_000_000, (number + 1) * 1_000_000
    about = (
        *CHAMPION,
        Span.BLOCK,
        number,
        revision,
        stage,
        start_us,
        end_us,
        100,
        45,
        10,
        2_000_000,
        5_000_000,
        end_us,
    )
    return Accuracy(*about, ("auc", "r2"), (value, math.nan))


def drift(number: int, *, moved: bool, kind: DriftKind = DriftKind.INPUT) -> Drift:
    """A window, of which one feature may have moved."""
    return Drift(kind, "", "", number, 0, 1, 500, ("temp", "dewp"), (0.3, 0.0), (0.0, 0.9), (moved, False))


def alarm(number: int, kind: AlarmKind = AlarmKind.CONCEPT, subject: str = "brier") -> Alarm:
    """About the champion, or about inputs."""
    pair = ("", "") if kind in (AlarmKind.INPUT, AlarmKind.QUALITY) else CHAMPION
    return Alarm(kind, subject, *pair, "block/higher", number, number * 1_000_000, 30.0, 20.0, ())


def contest(better: float, champion: tuple[str, str] = CHAMPION) -> Contest:
    """Of the other version."""
    return Contest(
        *OTHER, *champion, 3, 3, 10, 900, better, 1.0, *(-0.01,) * 3, 0.0, *(math.nan,) * 3, *(math.nan,) * 4, 5, 4
    )


class Page:
    """What is shown of some findings."""

    def __init__(self, *findings: Accuracy | Drift | Alarm | Contest) -> None:
        self._telemetry = Telemetry()
        newest = Newest()
        for finding in findings:
            newest.hear(finding)
        newest.retain({CHAMPION, OTHER}, CHAMPION)
        show(newest, CHAMPION, MonitorMetrics(self._telemetry.registry))

    def value(self, name: str, **labels: str) -> float | None:
        """One sample."""
        return self._telemetry.registry.get_sample_value(f"rendezvous_monitor_{name}", labels)


WHO = {"model": "trees", "version": "t1"}


def test_figures_are_of_the_newest_block_by_stage() -> None:
    """A corrected block replaces the closed one; an older block does not; what is no number is not shown."""
    page = Page(
        accuracy(2, 9, Stage.CORRECTED, 0.72), accuracy(2, 8), accuracy(1), accuracy(3, 1, Stage.PROVISIONAL, 0.5)
    )
    assert page.value("accuracy", metric="auc", stage="closed", **WHO) == 0.72
    assert page.value("accuracy", metric="auc", stage="provisional", **WHO) == 0.5
    assert page.value("accuracy", metric="r2", stage="closed", **WHO) is None
    assert page.value("accuracy_block_end_timestamp_seconds", stage="closed") == 3
    assert page.value("label_coverage_ratio", stage="closed", **WHO) == 0.5
    assert page.value("label_delay_seconds", quantile="0.99") == 5


def test_drift_has_value_limit_and_whether_it_moved() -> None:
    """By kind and feature, of the newest window."""
    page = Page(drift(1, moved=False), drift(2, moved=True))
    about = {"kind": "input", "subject": "temp", "model": "", "version": ""}
    assert page.value("drift", **about) == 0.3
    assert page.value("drift_moved", **about) == 1
    assert page.value("drift_limit", kind="input") == 0.1


@pytest.mark.parametrize("moved", [True, False])
def test_an_input_alarm_lasts_until_its_subject_is_back(moved: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """The newest window tells."""
    page = Page(drift(1, moved=True), alarm(1, AlarmKind.INPUT, "temp"), drift(2, moved=moved))
    about = {"kind": "input", "subject": "temp", "model": "", "version": ""}
    assert page.value("alarm_active", **about) == float(moved)
    assert page.value("alarm_threshold", **about) == 20


def test_an_alarm_about_the_data_is_of_any_of_its_kinds() -> None:
    """Missing, out of range, unseen."""
    page = Page(drift(2, moved=True, kind=DriftKind.UNSEEN), alarm(2, AlarmKind.QUALITY, "temp"))
    assert page.value("alarm_active", kind="quality", subject="temp", model="", version="") == 1


@pytest.mark.parametrize(("blocks", "active"), [(CONCEPT_BLOCKS - 1, 1), (CONCEPT_BLOCKS, 0)])
def test_a_concept_alarm_lasts_for_some_blocks(blocks: int, active: float) -> None:
    """It would come again while there is evidence."""
    page = Page(alarm(5), accuracy(5 + blocks))
    assert page.value("alarm_active", kind="concept", subject="brier", **WHO) == active


def test_evidence_is_a_logarithm_of_the_contest_with_the_champion() -> None:
    """One with somebody who is not the champion any more is none."""
    page = Page(contest(1_000.0))
    who = {"model": "forest", "version": "f1"}
    assert page.value("evidence_log10", direction="better", **who) == pytest.approx(3)
    assert page.value("contest_difference", metric="brier", bound="low", **who) == -0.01
    assert page.value("contest_difference", metric="auc", bound="value", **who) is None
    assert Page(contest(1_000.0, ("trees", "t0"))).value("evidence_log10", direction="better", **who) is None


def test_of_a_retired_version_nothing_is_left() -> None:
    """Its series end."""
    gone = replace(accuracy(3), version="t0")
    assert Page(gone).value("accuracy", metric="auc", stage="closed", model="trees", version="t0") is None


def test_disagreement_is_with_the_champion() -> None:
    """Between each and each it would be as many series as the square of the versions."""
    others = ("trees/t1", "rule/r1")
    said = Drift(DriftKind.DISAGREEMENT, *OTHER, 1, 0, 1, 500, others, (0.2, 0.4), (math.nan,) * 2, (False,) * 2)
    page = Page(said)
    about = {"kind": "disagreement", "model": "forest", "version": "f1"}
    assert page.value("drift", subject="champion", **about) == 0.2
    assert page.value("drift", subject="rule/r1", **about) is None


def test_latency_is_in_seconds() -> None:
    """Findings have it in milliseconds."""
    said = Drift(DriftKind.LATENCY, *OTHER, 1, 0, 1, 500, ("p50", "p99"), (20.0, 80.0), (math.nan,) * 2, (False,) * 2)
    assert Page(said).value("model_latency_seconds", model="forest", version="f1", quantile="0.99") == 0.08
