"""What is poured, and how it is accounted for."""

from __future__ import annotations

import json
import random

import pytest

from endpoints import endpoint
from loadtest.driving.home import FEATURES
from loadtest.hostile.books import Phase, figures
from loadtest.hostile.control import control_kinds
from loadtest.hostile.kind import ANSWERED, FOLDED, IGNORED, Kind, Raw, counts
from loadtest.hostile.requests import request_kinds
from loadtest.hostile.scores import scores, scores_kinds
from rendezvous.messages import DeadLetterReason

RECORDS = 100_000
ENDPOINT = endpoint(features_schema=json.dumps(FEATURES))
KINDS = [*request_kinds(ENDPOINT, scores([0])), *scores_kinds({}), *control_kinds(ENDPOINT)]
MADE = 3
KAFKA_TAKES = 1_040_000


def test_there_are_as_many_as_were_asked_for() -> None:
    """And hardly more; of large ones never more than they may be."""
    numbers = counts(KINDS, RECORDS)
    assert RECORDS <= sum(numbers) <= RECORDS + len(KINDS)
    assert all(kind.most in {None, number} for kind, number in zip(KINDS, numbers, strict=True))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.topic}, {kind.name}")
def test_every_kind_can_be_made(kind: Kind) -> None:
    """The same again with the same seed, no larger than Kafka takes, and for a reason that there is."""
    first, again = ([kind.make(random.Random(1), number) for number in range(MADE)] for _ in range(2))  # noqa: S311 - reproducible
    assert first == again
    assert all(len(raw.value or b"") < KAFKA_TAKES for raw in first)
    reasons = {value for name, value in vars(DeadLetterReason).items() if name.isupper()}
    assert kind.right in {*reasons, ANSWERED, IGNORED, FOLDED}


def entry(kind: Kind, sent: int, letters: dict[int, list[str]], **grown: float) -> dict[str, object]:
    """The figures of a kind whose records stand at 0, 1, ..."""
    places = [(kind.topic, 0, offset) for offset in range(sent)]
    phase = Phase(kind, sent, 0.0, 1_000.0, grown, 1.0, places=places)
    said = {(kind.topic, 0, offset): reasons for offset, reasons in letters.items()}
    return figures(phase, said, {}, [], 500.0, 0.0)


def test_what_left_no_trace_is_told() -> None:
    """Neither a letter, nor counted; a letter with another reason is wrong, a second one is told apart."""
    kind = Kind("junk", "scores", "unreadable", lambda *_: Raw(b""))
    letters = {0: ["unreadable"], 1: ["unreadable", "unreadable"], 2: ["no_id"]}
    found = entry(kind, 10, letters, shut_out_records_total=3.0)
    assert (found["unaccounted"], found["wrong"], found["twice"], found["shut_out"]) == (4, 1, 1, 3)


def test_rows_count_by_the_record() -> None:
    """When a record has several."""
    kind = Kind("rows", "scores", IGNORED, lambda *_: Raw(b""), rows=2)
    found = entry(kind, 5, {}, **{"scores_total/ghost/unknown": 6.0, "scores_total/ghost/late": 2.0})
    assert (found["unaccounted"], found["rows"]) == (1, {"late": 2, "unknown": 6})
