"""Writes the recordings of the newest versions that are missing: `python tests/record.py`.

A recording is what was on the wire once, and what it must decode to for ever (test_recorded.py). One that exists is
never written again: when a schema grows, its message gets a recording of the next version beside the older ones.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np

from endpoints import FEATURES
from rendezvous.envelope import read_envelope, write_envelope
from rendezvous.messages import (
    Comparisons,
    DeadLetter,
    DeadLetterReason,
    Decisions,
    Envelope,
    FeatureColumns,
    Label,
    Message,
    Reason,
    ReplyAddress,
    Response,
    Scores,
    Status,
)
from rendezvous.monitoring.findings import Accuracy, Alarm, AlarmKind, Contest, Drift, DriftKind, Span, Stage
from rendezvous.registry.events import (
    Cause,
    Deployment,
    HandOff,
    Move,
    Quality,
    Rule,
    RulesChange,
    Ruling,
    Shedding,
    State,
    Suspension,
    Verdict,
    Weights,
)
from rendezvous.retraining.events import Outcome, Retrained, RetrainEvent
from rendezvous.rules import Rules, Step
from rendezvous.wire import Codec, contract_folder, encode

FOLDER = Path(__file__).parent / "recorded"
NOW_US = 1_357_016_400_123_456
"""2013-01-01 05:00 UTC and a bit: every digit down to the microsecond is told apart."""
RULES = Rules(
    schedule=(
        Step(models=("champion",), until_ms=80),
        Step(models=("champion", "challenger"), until_ms=120, policy="split", weights={"champion": 3, "challenger": 1}),
        Step(models=("champion", "challenger", "baseline"), policy="median"),
    ),
    expected=("champion", "challenger"),
    default=(0.25,),
    deadline_ms=250,
    max_deadline_ms=2_000,
    reply_margin_ms=20,
)

EXAMPLES: dict[type[Message], Sequence[Message]] = {
    Scores: (
        Scores(
            model="champion",
            version="0123456789ab",
            taken_us=NOW_US,
            scored_us=NOW_US + 4_567,
            offsets=np.array([7, 8, 2**40], np.int64),
            statuses=np.array([Status.OK, Status.INVALID, Status.OK], np.uint8),
            outputs=np.array([[0.7, -1.5], [0.0, 0.0], [3.4e38, 1e-45]], np.float32),
        ),
    ),
    Response: (
        Response(
            request_id="f-Ω-1",
            partition=3,
            offset=2**40,
            model="champion",
            version="0123456789ab",
            reason=Reason.PREFERRED,
            output=(0.5, 0.25),
            missing=("challenger", "baseline"),
            slack_ms=169.5,
            decided_us=NOW_US,
        ),
        Response(
            request_id="together",
            partition=0,
            offset=2**40,
            model="",
            version="",
            reason=Reason.COMBINED,
            output=(0.5,),
            missing=("baseline",),
            slack_ms=0.0,
            decided_us=NOW_US,
        ),
        Response(
            request_id="",
            partition=0,
            offset=0,
            model="",
            version="",
            reason=Reason.REJECTED,
            output=(0.25,),
            missing=(),
            slack_ms=-0.5,
            decided_us=NOW_US,
        ),
    ),
    Decisions: (
        Decisions(
            decided_us=NOW_US,
            policy="ba9876543210",
            models=("champion", "baseline"),
            versions=("0123456789ab", "b1"),
            offsets=np.array([7, 9, 2**40], np.int64),
            winners=np.array([1, -1, -1], np.int16),
            reasons=np.array([Reason.FALLBACK, Reason.EXPIRED, Reason.COMBINED], np.uint8),
            arrived=np.array([0b10, 0b01, 0b11], np.uint64),
            slacks_us=np.array([20_000, -3, 0], np.int64),
            outputs=np.array([[0.7], [0.25], [0.5]], np.float32),
            control=41,
            steps=np.array([1, 0, 2], np.uint8),
            draws=np.array([0.0, 0.5, 1 - 2**-24], np.float32),
            propensities=np.array([0.25, 1.0, 1.0], np.float32),
        ),
    ),
    Comparisons: (
        Comparisons(
            closed_us=NOW_US,
            models=("champion", "baseline"),
            versions=("0123456789ab", "b1"),
            offsets=np.array([7, 9], np.int64),
            request_ids=("f-Ω-1", ""),
            appended_us=np.array([NOW_US - 5_000_000, NOW_US - 4_000_000], np.int64),
            winners=np.array([1, -1], np.int16),
            reasons=np.array([Reason.FALLBACK, Reason.DEFAULT], np.uint8),
            statuses=np.array([[Status.OK, Status.OK], [Status.NONE, Status.ERROR]], np.uint8),
            latencies_us=np.array([[310_000, 1_200], [-1, 2_000]], np.int32),
            outputs=np.array([[[0.75], [0.7]], [[0.0], [0.0]]], np.float32),
            asked_us=np.array([NOW_US - 6_000_000, -1], np.int64),
        ),
    ),
    FeatureColumns: (
        FeatureColumns(
            offsets=np.array([7, 9], np.int64),
            asked_us=np.array([NOW_US - 6_000_000, NOW_US], np.int64),
            numeric=("x",),
            numbers=np.array([[0.5], [-3.4e38]], np.float32),
            textual=("who", "where"),
            categories=(("Zoë", ""), ()),
            codes=np.array([[0, -1], [1, -1]], np.int32),
        ),
    ),
    Label: (
        Label(request_id="f-Ω-1", value=0.1, observed_us=NOW_US, source="arrivals"),
        Label(request_id="f-2", value=None, observed_us=NOW_US, source="cancellations"),
    ),
    DeadLetter: (
        DeadLetter(
            reason=DeadLetterReason.UNKNOWN_SCHEMA,
            detail="no released features schema has the head c301",
            topic="tests.requests",
            partition=1,
            offset=2**40,
            appended_us=NOW_US,
            written_us=NOW_US + 1_000,
            headers=(("ce_id", b"f-1"), ("x", b"\x00\xff"), ("x", b"")),
            key=b"\x00key",
            value=b"\xc3\x01garbage",
            size_bytes=9,
        ),
        DeadLetter(
            reason=DeadLetterReason.REPLY_REFUSED,
            detail="",
            topic="tests.requests",
            partition=0,
            offset=0,
            appended_us=-1,
            written_us=NOW_US,
            headers=(),
            key=None,
            value=b"",
            size_bytes=0,
        ),
    ),
    Deployment: tuple(
        Deployment("champion", "0123456789ab", "0123456789ab" + 52 * "f", state, "ada@ops-1", NOW_US) for state in State
    ),
    HandOff: (
        HandOff(
            moves=(Move("champion", "trees", "0123456789ab"), Move("previous", "trees", "b1")),
            cause=Cause.PROMOTE,
            skipped=("coverage: .97, less than .99", "fresh_s: Ω"),
            seen=41,
            by="ada@ops-1",
            at_us=NOW_US,
        ),
        HandOff((Move("baseline", "logistic", "b1"),), Cause.DEPLOY, (), 0, "", NOW_US),
        HandOff((Move("champion", "trees", "b1"),), Cause.ROLLBACK, (), 2**40, "", NOW_US),
    ),
    RulesChange: (RulesChange(RULES.model_dump_json(), "ada@ops-1", NOW_US),),
    Weights: (
        Weights(Quality.HEDGE, ("trees", "trees"), ("0123456789ab", "b1"), (0.75, 0.25), "monitor", NOW_US),
        Weights(Quality.BEST, (), (), (), "monitor", NOW_US),
    ),
    Suspension: tuple(
        Suspension(3, "trees", "0123456789ab", suspended, missed, 0.125, 2**31 - 1, "server-1", NOW_US)
        for suspended, missed in ((True, 0.625), (False, 0.0))
    ),
    Shedding: (Shedding(3, 1.0, 0.125, "server-1", NOW_US),),
    Verdict: tuple(
        Verdict("trees", "0123456789ab", rule, ruling, '{"brier": -0.01}', "retrainer", NOW_US)
        for rule, ruling in (
            (Rule.REFRESH, Ruling.PROMOTED),
            (Rule.REPLACE, Ruling.PROPOSED),
            (Rule.REPLACE, Ruling.REJECTED),
            (Rule.HARM, Ruling.ROLLED_BACK),
        )
    ),
    Accuracy: tuple(
        Accuracy(
            model="trees",
            version="0123456789ab",
            span=span,
            number=15_706,
            revision=revision,
            stage=stage,
            start_us=NOW_US - 86_400_000_000,
            end_us=NOW_US,
            requests=905,
            labelled=880,
            never=20,
            delay_p50_us=10_000_000_000,
            delay_p99_us=-1,
            watermark_us=NOW_US,
            figures=("auc", "brier"),
            values=(0.75, 0.125),
        )
        for revision, (span, stage) in enumerate(
            ((Span.BLOCK, Stage.PROVISIONAL), (Span.COUNT, Stage.CLOSED), (Span.BLOCK, Stage.CORRECTED))
        )
    ),
    Drift: tuple(
        Drift(kind, "", "", 4, NOW_US - 1, NOW_US, 1_000, ("x", "who"), (0.5, -0.001), (0.0, 0.75), (True, False))
        for kind in DriftKind
    ),
    Alarm: tuple(
        Alarm(kind, "brier", "trees", "b1", "block_sr", 15_706, NOW_US, 201.5, 200.0, ("x",)) for kind in AlarmKind
    ),
    Contest: (
        Contest(
            model="trees",
            version="b1",
            champion_model="trees",
            champion_version="0123456789ab",
            number=15_706,
            at_us=NOW_US,
            blocks=12,
            labelled=9_000,
            better=21.5,
            worse=0.5,
            brier=-0.0125,
            brier_low=-0.02,
            brier_high=-0.005,
            log_loss=-0.03,
            auc=0.02,
            auc_low=0.01,
            auc_high=0.03,
            mae=-1.5,
            mae_low=-2.0,
            mae_high=-1.0,
            champion_mae=12.5,
            wins=5_000,
            losses=4_000,
        ),
    ),
    RetrainEvent: (
        RetrainEvent(
            key="trees-15706-concept",
            model="trees",
            version="0123456789ab",
            causes=("concept", "floor"),
            evidence='{"auc": [0.61, 0.6]}',
            reason="",
            from_us=NOW_US - 86_400_000_000,
            until_us=NOW_US,
            as_of_us=NOW_US,
            positions=(41, 2**40),
            unknown=("labels of the last 8 h",),
            by="retrainer",
            at_us=NOW_US,
        ),
    ),
    Retrained: tuple(
        Retrained("trees-15706-concept", outcome, "trees", version, reasons, NOW_US, NOW_US + 1, "retrainer")
        for outcome, version, reasons in (
            (Outcome.REGISTERED, "0123456789ab", ()),
            (Outcome.REFUSED, "", ("auc: .61, less than .65",)),
            (Outcome.FAILED, "", ("Ω",)),
        )
    ),
}
REQUESTS: Sequence[tuple[Sequence[tuple[str, bytes]], dict[str, object]]] = (
    (
        write_envelope(Envelope("f-Ω-1", "gate", 200, ReplyAddress("tests.responses", 2, b"\x00\x01\xff"))),
        {"x": 0.5, "who": "Zoë"},
    ),
    ([("ce_id", b"bare")], {"x": None, "who": ""}),
)


def name_of(kind: type[Message]) -> str:
    """The name of a message's .avsc and of its recording."""
    return re.sub(r"(?<!^)(?=[A-Z])", "-", kind.__name__).lower()


def version_of(name: str) -> int:
    """The version that is written now: one more than there are older schemas beside it."""
    return 1 + len(list(contract_folder().glob(f"{name}.*.avsc")))


def path_of(name: str, version: int | None = None) -> Path:
    """Where a recording is: the newest, or that of a version."""
    return FOLDER / f"{name}.{version or version_of(name)}.json"


def plain(value: object) -> object:
    """A field's value in JSON: bytes as hex, a column as its type and nested lists, an enum as its name."""
    if isinstance(value, np.ndarray):
        return {"type": value.dtype.name, "values": value.tolist()}
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    if isinstance(value, Enum):
        return value.name.lower()
    if isinstance(value, Move):
        return asdict(value)
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    return value


def plain_envelope(envelope: Envelope) -> dict[str, object]:
    """An envelope's fields in JSON."""
    reply = envelope.reply
    return {name: plain(value) for name, value in envelope._replace(reply=None)._asdict().items()} | {
        "reply": None if reply is None else {name: plain(value) for name, value in reply._asdict().items()}
    }


def recording(kind: type[Message]) -> dict[str, Any]:
    """The bytes and fields of a message's examples."""
    return {
        "message": name_of(kind),
        "version": version_of(name_of(kind)),
        "recordings": [
            {
                "bytes": encode(message).hex(),
                "fields": {field.name: plain(getattr(message, field.name)) for field in fields(message)},
            }
            for message in EXAMPLES[kind]
        ],
    }


def request_recording() -> dict[str, Any]:
    """The headers and values of requests, with the features schema of that time."""
    return {
        "message": "request",
        "version": version_of("request"),
        "features_schema": FEATURES,
        "recordings": [
            {
                "headers": [[name, value.hex()] for name, value in headers],
                "envelope": plain_envelope(read_envelope(headers)),
                "bytes": Codec(FEATURES).encode(features).hex(),
                "features": features,
            }
            for headers, features in REQUESTS
        ],
    }


MAKERS: dict[str, Callable[[], dict[str, Any]]] = {
    "request": request_recording,
    **{name_of(kind): partial(recording, kind) for kind in get_args(Message)},
}


def write_missing(folder: Path = FOLDER) -> list[Path]:
    """Write the recordings that are not there; returns their paths."""
    written = []
    for name, make in MAKERS.items():
        path = folder / path_of(name).name
        if not path.exists():
            path.write_text(json.dumps(make(), indent=1, ensure_ascii=False, allow_nan=False) + "\n")
            written.append(path)
    return written


if __name__ == "__main__":
    for new in write_missing():
        print(new)  # noqa: T201 - this is a command
