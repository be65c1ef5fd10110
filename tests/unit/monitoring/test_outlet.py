"""Findings on their way out: each once, also behind a process that died."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from memory_log import MemoryLog, MemorySink
from rendezvous.log import LogError, Record
from rendezvous.messages import Finding
from rendezvous.monitoring.findings import Accuracy, Alarm, AlarmKind, Contest, Drift, DriftKind, Span, Stage
from rendezvous.monitoring.outlet import Outlet, identity_of
from rendezvous.wire import decode_any, encode

KINDS = (Accuracy, Drift, Alarm, Contest)
TOPICS: dict[type, str] = {Accuracy: "accuracy", Contest: "accuracy", Drift: "drift", Alarm: "drift"}
ACCURACY = Accuracy("m", "1", Span.BLOCK, 7, 0, Stage.PROVISIONAL, 10, 20, 5, 4, 1, 2, 3, 15, ("auc",), (0.5,))
DRIFT = Drift(DriftKind.INPUT, "", "", 7, 10, 20, 5, ("x",), (0.1,), (0.2,), (False,))
ALARM = Alarm(AlarmKind.CONCEPT, "brier", "m", "1", "sr", 7, 20, 9.0, 8.0, ())
CONTEST = Contest("m", "2", "m", "1", 7, 20, 3, 40, 1.0, 1.0, *(0.0,) * 11, 1, 2)
FINDINGS: tuple[Finding, ...] = (ACCURACY, DRIFT, ALARM, CONTEST)


def log() -> MemoryLog:
    """The two topics."""
    return MemoryLog(lambda: 0, {"accuracy": 1, "drift": 1})


def outlet(of: MemoryLog, starts: dict[tuple[str, int], int] | None = None) -> Outlet:
    """One that goes on from there."""
    made = Outlet(MemorySink(of), TOPICS)

    def read(topic: str, partition: int, start: int) -> Iterable[Record]:
        return [record for record in of.records[topic, partition] if record.offset >= start]

    made.begin(starts or {}, read)
    return made


def test_a_finding_goes_to_its_topic() -> None:
    """And the outlet knows where each ends."""
    of = log()
    made = outlet(of)
    assert all(made.write(finding) for finding in FINDINGS)
    assert made.flush() == {("accuracy", 0): 2, ("drift", 0): 2}
    written = [
        decode_any(record.value, KINDS) for part in (("accuracy", 0), ("drift", 0)) for record in of.records[part]
    ]
    assert written == [ACCURACY, CONTEST, DRIFT, ALARM]


def test_what_stands_there_is_not_written_again() -> None:
    """Behind the checkpoint's positions alone: as often as it stands there, and whatever else does."""
    of = log()
    outlet(of).write(ACCURACY)
    of.append("accuracy", 0, b"rubbish")
    of.append("accuracy", 0, encode(CONTEST))
    successor = outlet(of)
    assert not successor.write(ACCURACY)
    assert successor.write(ACCURACY)
    assert not successor.write(CONTEST)
    assert outlet(of, {("accuracy", 0): 99}).write(CONTEST)
    assert outlet(of, {("accuracy", 0): 99}).flush()["accuracy", 0] == 99


def test_a_third_process_knows_what_the_second_had_not_come_to() -> None:
    """Positions go no further than what was concluded: beyond stands what the first one wrote, and may come again."""
    of = log()
    first = outlet(of)
    for number in range(4):
        first.write(replace(ACCURACY, number=number))
    second = outlet(of)
    assert second.flush()["accuracy", 0] == 0
    assert not second.write(replace(ACCURACY, number=0))
    kept = second.flush()
    assert kept == {("accuracy", 0): 1, ("drift", 0): 0}
    third = outlet(of, kept)
    assert not any(third.write(replace(ACCURACY, number=number)) for number in range(1, 4))
    assert third.flush()["accuracy", 0] == 4
    assert third.write(replace(ACCURACY, number=4))


@pytest.mark.parametrize("finding", FINDINGS)
def test_findings_of_other_spans_and_subjects_are_others(finding: Finding) -> None:
    """And one that says something else of the same is a repeat."""
    assert identity_of(replace(finding, version="9")) != identity_of(finding)
    assert identity_of(replace(finding, number=8)) != identity_of(finding)
    assert len({identity_of(one) for one in FINDINGS}) == len(FINDINGS)
    said_otherwise: dict[type, Finding] = {
        Accuracy: replace(ACCURACY, values=(0.6,)),
        Drift: replace(DRIFT, effects=(0.7,)),
        Alarm: replace(ALARM, value=10.0),
        Contest: replace(CONTEST, better=30.0),
    }
    assert identity_of(said_otherwise[type(finding)]) == identity_of(finding)
    assert identity_of(replace(ACCURACY, revision=1)) != identity_of(ACCURACY)


def test_what_cannot_be_delivered_is_an_error() -> None:
    """A checkpoint must not cover it."""
    sink = MemorySink(log())
    sink.broken.add("accuracy")
    made = Outlet(sink, TOPICS)
    made.write(ACCURACY)
    with pytest.raises(LogError, match="accuracy: broken"):
        made.flush()
