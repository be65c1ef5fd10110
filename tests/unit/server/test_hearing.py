"""Scores records of one turn: to their mailboxes, to dead letters, or not read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from endpoints import FEATURES, VERSIONS, control_of, endpoint, genesis, plan_of
from rendezvous.log.records import Record
from rendezvous.messages import DeadLetterReason, Request, Scores, Status
from rendezvous.registry.events import Deployment, State
from rendezvous.registry.state import after
from rendezvous.server.flooding import STRANGERS, USELESS_RECORDS, WINDOW_US
from rendezvous.server.hearing import Heard, Hearing
from rendezvous.server.intake import Intake
from rendezvous.server.partition import Partition, Takeover
from rendezvous.server.plan import plan_for
from rendezvous.wire import Codec, encode

ENDPOINT = endpoint()
CONTROL = control_of(*genesis(ENDPOINT))


class Ear:
    """A hearing, one live partition with request 0 open, and the position of the next scores record."""

    def __init__(self) -> None:
        self.hearing = Hearing(Intake(Codec(FEATURES), 1_000, 1))
        self.partition = Partition(plan_of(ENDPOINT), 0, Takeover(0, 0, 0, 0, 0, {}))
        self.partition.request(Request(0, 0, 900_000, "r0", None), 0)
        self.position = 0

    def record(self, model: str = "champion", offset: int = 0, key: bytes | None = None, version: str = "") -> Record:
        """What a scorer writes."""
        scores = Scores(
            model=model,
            version=version or VERSIONS.get(model, "1"),
            taken_us=1,
            scored_us=2,
            offsets=np.array([offset], np.int64),
            statuses=np.array([Status.OK], np.uint8),
            outputs=np.array([[0.5]], np.float32),
        )
        self.position += 1
        return Record("tests.scores", 0, self.position - 1, 0, key, encode(scores), ())

    def hear(self, records: Sequence[Record], at_us: int = 0) -> Heard:
        """One turn."""
        return self.hearing.hear(records, {0: self.partition}, CONTROL, at_us)


def test_rows_of_one_turn_are_told_together() -> None:
    """What became of them, by model, with the messages."""
    ear = Ear()
    heard = ear.hear([ear.record(), ear.record("rule-less", version="x"), ear.record("baseline"), ear.record()])
    ((partition, tally, messages),) = heard.tallies
    assert partition is ear.partition
    assert (tally.kept, tally.duplicate) == ([1, 0, 1, 0], [1, 0, 0, 0])
    assert [said.model for said in messages] == ["champion", "baseline", "champion"]
    ((record, fault),) = heard.faults
    assert (record.offset, fault.reason) == (1, DeadLetterReason.UNREGISTERED_MODEL)


def test_whoever_repeats_itself_without_end_is_not_read() -> None:
    """The first one counts; after a window of repeats its records are passed, and others are heard."""
    ear = Ear()
    loud = b"champion/c1"
    ear.hear([], WINDOW_US)
    ear.hear([ear.record(key=loud) for _ in range(USELESS_RECORDS + 2)], WINDOW_US)
    heard = ear.hear([ear.record(key=loud), ear.record("baseline", key=b"baseline/b1")], 2 * WINDOW_US)
    assert (heard.flooding, heard.shut) == (frozenset({loud}), {loud: 1})
    assert [said.model for _, _, messages in heard.tallies for said in messages] == ["baseline"]


def test_what_is_of_use_never_shuts_anybody_out() -> None:
    """However many records it takes."""
    ear = Ear()
    for offset in range(1, 2 * USELESS_RECORDS):
        ear.partition.request(Request(offset, 0, 900_000, "r", None), 0)
    ear.hear([], WINDOW_US)
    ear.hear([ear.record(offset=n, key=b"champion/c1") for n in range(2 * USELESS_RECORDS)], WINDOW_US)
    heard = ear.hear([ear.record(key=b"champion/c1")], 2 * WINDOW_US)
    assert (heard.flooding, heard.shut) == (frozenset(), {})


def test_rubbish_without_end_is_a_flood_of_strangers() -> None:
    """Each that is read is a fault; the rest stands in the log and is counted."""
    ear = Ear()
    rubbish = Record("tests.scores", 0, 0, 0, None, b"rubbish", ())
    ear.hear([], WINDOW_US)
    assert len(ear.hear([rubbish] * (USELESS_RECORDS + 1), WINDOW_US).faults) == USELESS_RECORDS + 1
    heard = ear.hear([rubbish] * 10, 2 * WINDOW_US)
    assert (heard.flooding, heard.shut, heard.faults) == (frozenset({STRANGERS}), {STRANGERS: 10}, [])


def test_a_flood_is_not_read_to_the_end_of_its_window() -> None:
    """What one window can bring would keep answers waiting for seconds."""
    ear = Ear()
    rubbish = Record("tests.scores", 0, 0, 0, None, b"rubbish", ())
    heard = ear.hear([rubbish] * (10 * USELESS_RECORDS), WINDOW_US)
    assert len(heard.faults) == USELESS_RECORDS + 1
    assert heard.shut == {STRANGERS: 9 * USELESS_RECORDS - 1}


def test_rows_of_a_retired_version_are_told() -> None:
    """It was deployed once: no fault, and no use."""
    ear = Ear()
    retired = Deployment("candidate", "n1", "candidate-n1", State.RETIRED, by="tests", at_us=0)
    plan = plan_for(ENDPOINT, after(CONTROL, retired, CONTROL.position), 0)
    ear.partition = Partition(plan, 0, Takeover(0, 0, 0, 0, 0, {}))
    heard = ear.hear([ear.record("candidate"), ear.record("champion")])
    assert (heard.faults, heard.passed) == ([], {"candidate": 1})
