"""What leaves the server, in which order, and what becomes of what cannot be delivered.

The log is in memory: a delivery report comes when `check` or `flush` asks for it, and not before.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from endpoints import DEADLINE_MS, endpoint, plan_of
from memory_log import FakeClock, MemoryLog, MemorySink, MemorySource
from rendezvous.log.records import TIMED_OUT, Delivered, Headers, LogError, Record
from rendezvous.messages import (
    DeadLetter,
    DeadLetterReason,
    Decisions,
    Reason,
    ReplyAddress,
    Request,
    Response,
)
from rendezvous.server.answering import answers
from rendezvous.server.intake import MAX_DEAD_BYTES, Fault, dead_letter
from rendezvous.server.outcomes import Verdicts
from rendezvous.server.outstanding import Address, Outstanding
from rendezvous.server.partition import Partition, Takeover
from rendezvous.server.publishing import LETTERS_BYTES, Publisher
from rendezvous.server.replies import MAX_PARKED, PARK_US
from rendezvous.wire import decode

NUMBER = 1
"""The partition in these tests."""
TOPICS = {
    "tests.requests": 2,
    "tests.scores": 2,
    "tests.decisions": 2,
    "tests.comparisons": 2,
    "tests.labels": 2,
    "tests.responses": 3,
    "tests.dead-letters": 2,
    "tests.responses-of-a-friend": 1,
    "replies.shop": 4,
    "elsewhere": 1,
}


def said(verdicts: Verdicts) -> list[Response]:
    """The answers of one tick."""
    return [decode(value, Response) for value in answers(verdicts, NUMBER)]


class Desk:
    """A publisher, one live partition, and the log they write to."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.log = MemoryLog(self.clock, TOPICS)
        self.sink = MemorySink(self.log)
        self.endpoint = endpoint(topics={"partitions": 2, "reply_prefixes": ["replies."]})
        self.plan = plan_of(self.endpoint)
        self.partition = Partition(self.plan, NUMBER, Takeover(0, 0, 0, 0, 0, {}))
        self.letters: list[DeadLetter] = []
        self.publisher = self.new(self.sink, self.sink)

    def new(self, answers: MemorySink, records: MemorySink) -> Publisher:
        """A publisher on these."""
        source = MemorySource(self.log, "server")
        return Publisher(self.endpoint, source, answers, records, self.letters.append, "topic-id")

    def ask(self, offset: int, reply: ReplyAddress | None = None) -> None:
        """A request arrives that is answered at once: by the default, for it cannot be scored."""
        now_us = self.clock()
        deadline_us = now_us + DEADLINE_MS * 1_000
        self.partition.request(Request(offset, now_us, deadline_us, f"r{offset}", reply, "too_large"), now_us)

    def tick(self) -> Verdicts:
        """What the core answers now; one tick, one batch."""
        (verdicts,) = self.partition.tick(self.clock())
        return verdicts

    def answer(self) -> None:
        """Send what is due."""
        self.publisher.answer(self.partition, self.tick())

    def written(self, topic: str, partition: int = NUMBER) -> list[Record]:
        """The records of one of the endpoint's topics."""
        return self.log.records[f"tests.{topic}", partition]

    def answers(self, topic: str = "tests.responses", partition: int = 0) -> list[Response]:
        """What an application sees."""
        return [decode(record.value, Response) for record in self.log.records[topic, partition]]

    def decisions(self) -> list[list[int]]:
        """The offsets of every decision."""
        return [decode(record.value, Decisions).offsets.tolist() for record in self.written("decisions")]

    def buried(self) -> list[DeadLetter]:
        """Every dead letter, in whichever partition."""
        return [decode(r.value, DeadLetter) for number in range(2) for r in self.written("dead-letters", number)]


class OneByOne(MemorySink):
    """Gives one report a call."""

    def serve(self) -> None:
        """Keep all but the first."""
        self._reports, later = self._reports[:1], self._reports[1:]
        super().serve()
        self._reports += later


class OneFails(MemorySink):
    """The answer about one request, of several that are sent together, is not delivered."""

    def send(
        self,
        topic: str,
        value: bytes,
        *,
        partition: int | None = None,
        key: bytes | None = None,
        headers: Headers = (),
        delivered: Delivered | None = None,
    ) -> None:
        """See `Sink.send`."""
        self.broken = {topic} if decode(value, Response).offset == 1 else set()
        super().send(topic, value, partition=partition, key=key, headers=headers, delivered=delivered)


# -------------------------------------------------------------------------------------------------------- the order


def test_a_decision_follows_the_answers_reports() -> None:
    """Nothing is decided in the log before every answer of the tick was reported delivered; then once, in place."""
    desk = Desk()
    for offset in (0, 1, 2):
        desk.ask(offset)
    desk.answer()
    assert [answer.offset for answer in desk.answers()] == [0, 1, 2]
    assert desk.decisions() == []
    assert desk.publisher.undelivered == 3
    desk.publisher.turn({}, desk.clock())
    assert desk.decisions() == [[0, 1, 2]]
    assert desk.written("decisions", 0) == []
    desk.publisher.turn({}, desk.clock())
    desk.publisher.turn({}, desk.clock())
    assert desk.decisions() == [[0, 1, 2]]
    assert desk.publisher.undelivered == 0


def test_a_decision_waits_for_the_last_report() -> None:
    """Reports that come one by one: only the last one lets the decision out."""
    desk = Desk()

    class OneByOne(MemorySink):
        """Gives one report a call."""

        def serve(self) -> None:
            """Keep all but the first."""
            self._reports, later = self._reports[:1], self._reports[1:]
            super().serve()
            self._reports += later

    desk.sink = OneByOne(desk.log)
    desk.publisher = desk.new(desk.sink, MemorySink(desk.log))
    for offset in (0, 1, 2):
        desk.ask(offset)
    desk.answer()
    for _ in range(2):
        desk.publisher.turn({}, desk.clock())
        assert desk.decisions() == []
    desk.publisher.turn({}, desk.clock())
    assert desk.decisions() == [[0, 1, 2]]


def test_a_flush_ends_with_everything_in_the_log() -> None:
    """Answers, the decisions that follow them, and their reports."""
    desk = Desk()
    desk.ask(0)
    desk.answer()
    desk.publisher.finish({}, 1.0)
    assert desk.decisions() == [[0]]
    assert desk.publisher.undelivered == 0


def test_a_request_is_done_when_decision_and_comparison_are_delivered() -> None:
    """Not when they are sent: what may be committed moves with the reports."""
    desk = Desk()
    desk.ask(0)
    desk.answer()
    desk.publisher.finish({}, 1.0)
    assert desk.partition.committable == 0
    desk.clock.advance_ms(10_000)
    for comparisons in desk.partition.close(desk.clock()):
        desk.publisher.compare(desk.partition, comparisons)
    assert len(desk.written("comparisons")) == 1
    assert desk.partition.committable == 0
    desk.publisher.turn({}, desk.clock())
    assert desk.partition.committable == 1


# -------------------------------------------------------------------------------------------------------- an answer


def test_an_answer_says_who_why_and_what_was_missing() -> None:
    """By the champion; the candidate's score had arrived too, the other two of the schedule are missing."""
    desk = Desk()
    decisions = Decisions(
        decided_us=5_000,
        policy=desk.plan.policy,
        models=desk.plan.models,
        versions=desk.plan.versions,
        offsets=np.array([7], np.int64),
        winners=np.array([0], np.int16),
        reasons=np.array([Reason.PREFERRED], np.uint8),
        arrived=np.array([0b1001], np.uint64),
        slacks_us=np.array([-1_500], np.int64),
        outputs=np.array([[0.5]], np.float32),
        control=desk.plan.control,
        steps=np.zeros(1, np.uint8),
        draws=np.zeros(1, np.float32),
        propensities=np.ones(1, np.float32),
    )
    verdicts = Verdicts(decisions, (Request(7, 0, 3_500, "r7", None),), desk.plan.scheduled)
    (answer,) = said(verdicts)
    assert answer == Response(
        request_id="r7",
        partition=NUMBER,
        offset=7,
        model="champion",
        version="c1",
        reason=Reason.PREFERRED,
        output=(0.5,),
        missing=("challenger", "baseline"),
        slack_ms=-1.5,
        decided_us=5_000,
    )


def test_a_default_names_no_model() -> None:
    """Nobody answered: empty names, all of the schedule missing."""
    desk = Desk()
    desk.ask(5)
    desk.clock.advance_ms(10)
    (answer,) = said(desk.tick())
    assert (answer.model, answer.version, answer.reason) == ("", "", Reason.REJECTED)
    assert answer.output == (0.25,)
    assert answer.missing == ("champion", "challenger", "baseline")
    assert answer.slack_ms == DEADLINE_MS - 10


def test_an_answers_headers() -> None:
    """CloudEvents of the server's own, named by the request's place, and the application's correlation id."""
    desk = Desk()
    desk.ask(5, ReplyAddress("", None, b"\x00\xff"))
    desk.answer()
    (record,) = desk.written("responses", 0)
    assert dict(record.headers) == {
        "kafka_correlationId": b"\x00\xff",
        "ce_id": b"1-5",
        "ce_specversion": b"1.0",
        "ce_type": b"rendezvous.response",
        "ce_source": b"rendezvous/tests",
        "content-type": b"application/avro",
    }
    assert len(record.headers) == 6
    assert record.key is None


def test_without_a_reply_address_the_id_comes_back() -> None:
    """On the endpoint's own reply topic."""
    desk = Desk()
    desk.ask(5)
    desk.answer()
    (record,) = desk.written("responses", 0)
    assert dict(record.headers)["kafka_correlationId"] == b"r5"


@pytest.mark.parametrize(
    ("topic", "partition"),
    [
        ("", None),
        ("", 2),
        ("tests.responses", 1),
        ("tests.responses-of-a-friend", 0),
        ("replies.shop", 3),
        ("replies.shop", None),
    ],
)
def test_an_answer_goes_where_the_application_asks(topic: str, partition: int | None) -> None:
    """To an allowed topic, to the partition it names; to none in particular without one."""
    desk = Desk()
    desk.ask(0, ReplyAddress(topic, partition, b"c"))
    desk.answer()
    assert len(desk.answers(topic or "tests.responses", partition or 0)) == 1
    assert desk.buried() == []


# ---------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("topic", "partition", "words"),
    [
        ("tests.requests", None, "not allowed"),
        ("tests.scores", None, "not allowed"),
        ("tests.labels", None, "not allowed"),
        ("tests.decisions", 0, "not allowed"),
        ("tests.comparisons", None, "not allowed"),
        ("tests.dead-letters", None, "not allowed"),
        ("elsewhere", None, "topics.reply_prefixes"),
        ("tests.", None, "tests.responses, replies."),
        ("Replies.shop", None, "not allowed"),
        ("replies", None, "not allowed"),
        ("replies.gone", None, "does not exist"),
        ("tests.responses.gone", 0, "does not exist"),
        ("replies.shop", 4, "has 4 partitions, the request asks for number 4"),
        ("", 3, "has 3 partitions"),
        ("tests.responses", 2**31 - 1, "has 3 partitions"),
    ],
)
def test_a_reply_address_that_cannot_be_is_refused(topic: str, partition: int | None, words: str) -> None:
    """Internal topics, other prefixes, missing topics, partitions out of range: a letter, and the decision goes out."""
    desk = Desk()
    desk.ask(0, ReplyAddress(topic, partition, b"c"))
    before = {place: len(records) for place, records in desk.log.records.items()}
    desk.answer()
    (letter,) = desk.buried()
    assert (letter.reason, letter.offset, letter.partition) == (DeadLetterReason.REPLY_REFUSED, 0, NUMBER)
    assert letter.topic == "tests.requests"
    assert words in letter.detail
    assert [letter.reason for letter in desk.letters] == [DeadLetterReason.REPLY_REFUSED]
    desk.publisher.finish({}, 1.0)
    assert desk.decisions() == [[0]]
    changed = {place[0] for place, records in desk.log.records.items() if len(records) != before.get(place, 0)}
    assert changed == {"tests.dead-letters", "tests.decisions"}


def test_internal_topics_stay_internal_under_any_prefix() -> None:
    """Not even an owner who allows everything lets an application write scores through the server."""
    desk = Desk()
    desk.endpoint = endpoint(topics={"partitions": 2, "reply_prefixes": ["tests."]})
    desk.publisher = desk.new(desk.sink, desk.sink)
    for offset, name in enumerate(("requests", "scores", "labels", "decisions", "comparisons", "dead-letters")):
        desk.ask(offset, ReplyAddress(f"tests.{name}", None, b"c"))
    desk.answer()
    assert len(desk.buried()) == 6


def test_one_refusal_holds_up_no_other() -> None:
    """The others of the tick are answered, and all are decided together."""
    desk = Desk()
    for offset, topic in enumerate(("tests.responses", "elsewhere", "replies.shop")):
        desk.ask(offset, ReplyAddress(topic, 0, b"c"))
    desk.answer()
    desk.publisher.finish({}, 1.0)
    assert [answer.offset for answer in desk.answers() + desk.answers("replies.shop")] == [0, 2]
    assert desk.decisions() == [[0, 1, 2]]


# ---------------------------------------------------------------------------------------------------------- failures


def test_an_answer_that_cannot_be_delivered_is_a_letter() -> None:
    """Its reply topic is the application's: the server goes on, and the decision still goes out, after the report."""
    desk = Desk()
    desk.sink.broken.add("replies.shop")
    desk.ask(0, ReplyAddress("replies.shop", 0, b"c"))
    desk.ask(1)
    desk.answer()
    assert desk.buried() == []
    desk.publisher.turn({}, desk.clock())
    (letter,) = desk.buried()
    assert (letter.reason, letter.offset) == (DeadLetterReason.REPLY_REFUSED, 0)
    assert "replies.shop: broken" in letter.detail
    assert desk.decisions() == [[0, 1]]
    desk.publisher.turn({}, desk.clock())
    assert desk.publisher.undelivered == 0


@pytest.mark.parametrize("name", ["decisions", "comparisons", "dead-letters"])
def test_a_record_of_ours_that_cannot_be_delivered_stops_the_service(name: str) -> None:
    """`check` raises, names the topic, and says that nothing is lost: what it was about stays uncommitted."""
    desk = Desk()
    desk.sink.broken.add(f"tests.{name}")
    desk.ask(0)
    desk.answer()
    desk.publisher.finish({}, 1.0)
    desk.clock.advance_ms(10_000)
    for comparisons in desk.partition.close(desk.clock()):
        desk.publisher.compare(desk.partition, comparisons)
    desk.partition.dead_letter(1)
    lost = Record("tests.requests", NUMBER, 1, 0, None, b"", ())
    desk.publisher.letter(dead_letter(lost, Fault("no_id", "d"), desk.clock()), desk.partition)
    desk.sink.serve()
    with pytest.raises(LogError, match=rf"tests\.{name}: broken: stopping; .* loses nothing"):
        desk.publisher.turn({}, desk.clock())
    assert desk.partition.committable == (1 if name == "dead-letters" else 0)
    with pytest.raises(LogError):
        desk.publisher.turn({}, desk.clock())


def test_the_first_failure_is_the_one_that_is_told() -> None:
    """What follows from it does not hide it."""
    desk = Desk()
    desk.sink.broken |= {"tests.decisions", "tests.dead-letters"}
    desk.ask(0)
    desk.answer()
    desk.publisher.finish({}, 1.0)
    letter = dead_letter(Record("tests.scores", NUMBER, 1, 0, None, b"", ()), Fault("unreadable", "d"), 1)
    desk.publisher.letter(letter, None)
    with pytest.raises(LogError, match=r"tests\.decisions"):
        desk.publisher.turn({}, desk.clock())


# ------------------------------------------------------------------------------------------------------- dead letters


def test_a_letter_is_counted_by_reason_and_settles_its_debt() -> None:
    """The offset of a record that is no request is done once its letter is delivered."""
    desk = Desk()
    desk.partition.dead_letter(0)
    found = Record("tests.requests", NUMBER, 0, 5, None, b"v", ())
    desk.publisher.letter(dead_letter(found, Fault("no_id", "d"), desk.clock()), desk.partition)
    assert [letter.reason for letter in desk.letters] == ["no_id"]
    assert desk.partition.committable == 0
    desk.publisher.turn({}, desk.clock())
    assert desk.partition.committable == 1
    (letter,) = desk.buried()
    assert (letter.reason, letter.value) == ("no_id", b"v")


def test_a_letter_about_scores_is_nobodys_debt() -> None:
    """It settles nothing of a partition's requests."""
    desk = Desk()
    desk.ask(0)
    letter = dead_letter(Record("tests.scores", NUMBER, 0, 5, None, b"v", ()), Fault("unreadable", "d"), 1)
    desk.publisher.letter(letter, None)
    desk.publisher.turn({}, desk.clock())
    assert desk.partition.committable == 0
    assert [found.topic for found in desk.buried()] == ["tests.scores"]


# ---------------------------------------------------------------------------- topics nobody has heard of, or that stall


def test_an_answer_to_an_unknown_topic_holds_up_nobody() -> None:
    """While it is not known whether its topic is there, the others of its tick leave and are decided."""
    desk = Desk()
    desk.sink.unknown.add("replies.shop")
    desk.ask(0, ReplyAddress("replies.shop", 0, b"c"))
    desk.ask(1)
    desk.answer()
    desk.publisher.turn({}, desk.clock())
    assert [answer.offset for answer in desk.answers()] == [1]
    assert desk.decisions() == [[1]]
    assert desk.publisher.undelivered == 1


def test_parked_answers_leave_in_order_once_their_topic_is_known() -> None:
    """Each with a decision of its own, and none overtakes another of its topic."""
    desk = Desk()
    desk.sink.unknown.add("replies.shop")
    for offset in (0, 1):
        desk.ask(offset, ReplyAddress("replies.shop", 0, b"c"))
        desk.answer()
    desk.sink.unknown.clear()
    desk.ask(2, ReplyAddress("replies.shop", 0, b"c"))
    desk.answer()
    assert desk.answers("replies.shop") == []
    for _ in range(3):
        desk.publisher.turn({}, desk.clock())
    assert [answer.offset for answer in desk.answers("replies.shop")] == [0, 1, 2]
    assert desk.decisions() == [[0], [1], [2]]
    assert desk.publisher.undelivered == 0


def test_a_topic_that_stays_unknown_is_refused() -> None:
    """After PARK_US, and not before, the answer is a dead letter and its request is decided."""
    desk = Desk()
    desk.sink.unknown.add("replies.shop")
    desk.ask(0, ReplyAddress("replies.shop", 0, b"c"))
    desk.answer()
    desk.clock.advance_ms(PARK_US / 1e3 - 1)
    desk.publisher.turn({}, desk.clock())
    assert desk.buried() == []
    desk.clock.advance_ms(1)
    for _ in range(2):
        desk.publisher.turn({}, desk.clock())
    (letter,) = desk.buried()
    assert letter.reason == DeadLetterReason.REPLY_REFUSED
    assert "'replies.shop' exists is not known after 1 s" in letter.detail
    assert desk.decisions() == [[0]]


def test_so_many_answers_are_parked_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """What finds no room is refused at once."""
    monkeypatch.setattr("rendezvous.server.replies.MAX_PARKED", 2)
    assert MAX_PARKED > 2
    desk = Desk()
    desk.sink.unknown.add("replies.shop")
    for offset in range(3):
        desk.ask(offset, ReplyAddress("replies.shop", 0, b"c"))
    desk.answer()
    assert [letter.offset for letter in desk.buried()] == [2]
    desk.sink.unknown.clear()
    desk.publisher.finish({}, 1.0)
    assert [answer.offset for answer in desk.answers("replies.shop")] == [0, 1]


def test_a_flush_does_not_wait_for_ever_to_know_a_topic(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is parked when a server stops is refused after a while, and the others are finished."""
    monkeypatch.setattr("rendezvous.server.publishing.PARK_US", 30_000)
    desk = Desk()
    desk.sink.unknown.add("replies.shop")
    desk.ask(0, ReplyAddress("replies.shop", 0, b"c"))
    desk.answer()
    desk.publisher.finish({}, 1.0)
    assert [letter.offset for letter in desk.buried()] == [0]
    assert desk.decisions() == [[0]]


def test_a_destination_that_takes_nothing_is_given_only_so_much(monkeypatch: pytest.MonkeyPatch) -> None:
    """By records: beyond them its answers are dead letters; others, another partition too, are answered."""
    monkeypatch.setattr(Outstanding, "RECORDS", 3)
    desk = Desk()
    desk.sink.silent.add("replies.shop")
    for offset in range(5):
        desk.ask(offset, ReplyAddress("replies.shop", 0, b"c"))
    desk.ask(5, ReplyAddress("replies.shop", 1, b"c"))
    desk.ask(6)
    desk.answer()
    assert [letter.offset for letter in desk.buried()] == [3, 4]
    assert "3 answers" in desk.buried()[0].detail
    assert [answer.offset for answer in desk.answers()] == [6]


@pytest.mark.parametrize(("bound", "value"), [("BYTES", 400), ("ALL_RECORDS", 2), ("ALL_BYTES", 400)])
def test_bounds_of_what_is_outstanding(bound: str, value: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """By bytes, and over all destinations; what is reported makes room again."""
    monkeypatch.setattr(Outstanding, bound, value)
    desk = Desk()
    for offset in range(4):
        desk.ask(offset)
    desk.answer()
    sent = len(desk.answers())
    assert 0 < sent < 4
    assert len(desk.buried()) == 4 - sent
    desk.publisher.finish({}, 1.0)
    desk.ask(4)
    desk.answer()
    assert desk.answers()[-1].offset == 4


def test_one_of_those_sent_together_fails() -> None:
    """Its letter is about it, and the decision about all of them waits for that."""
    desk = Desk()
    answers_sink = OneFails(desk.log)
    desk.publisher = desk.new(answers_sink, desk.sink)
    for offset in range(3):
        desk.ask(offset, ReplyAddress("replies.shop", 0, b"c"))
    desk.answer()
    answers_sink.serve()
    assert [answer.offset for answer in desk.answers("replies.shop")] == [0, 2]
    assert [letter.offset for letter in desk.buried()] == [1]
    assert desk.decisions() == []
    desk.publisher.finish({}, 1.0)
    assert desk.decisions() == [[0, 1, 2]]
    assert desk.publisher.undelivered == 0


def test_one_of_our_own_topic_that_nobody_takes_stops_the_server() -> None:
    """The others are there, and nothing is decided: a successor answers all of them again."""
    desk = Desk()
    sink = OneFails(desk.log)
    sink.failure = TIMED_OUT
    desk.publisher = desk.new(sink, desk.sink)
    for offset in range(3):
        desk.ask(offset)
    desk.answer()
    with pytest.raises(LogError, match=TIMED_OUT):
        desk.publisher.turn({}, desk.clock())
    assert [answer.offset for answer in desk.answers()] == [0, 2]
    assert (desk.decisions(), desk.buried()) == ([], [])


@given(
    before=st.lists(st.integers(1, 300), max_size=4),
    others=st.lists(st.integers(1, 300), max_size=4),
    sizes=st.lists(st.integers(1, 300), max_size=8),
)
def test_room_is_what_one_after_the_other_would_find(before: list[int], others: list[int], sizes: list[int]) -> None:
    """Answers together are as many as would find room one after the other, until the first that finds none."""
    bounds = {"RECORDS": 5, "BYTES": 700, "ALL_RECORDS": 8, "ALL_BYTES": 1_200}
    here, there = Address("here", 0), Address("there", None)
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name, value in bounds.items():
            monkeypatch.setattr(Outstanding, name, value)
        together = Outstanding()
        for address, under_way in ((here, before), (there, others)):
            for size in under_way:
                together.add(address, 1, size)
        count, own, everywhere = len(before), sum(before), sum(before) + sum(others)
        expected = 0
        for size in sizes:
            own, everywhere = own + size, everywhere + size
            if count + expected >= bounds["RECORDS"] or count + len(others) + expected >= bounds["ALL_RECORDS"]:
                break
            if own > bounds["BYTES"] or everywhere > bounds["ALL_BYTES"]:
                break
            expected += 1
        assert together.room(here, sizes) == expected


def test_an_answer_that_cannot_be_sent_is_a_letter() -> None:
    """A topic that shrank between two looks, or takes no record of that size, does not end the server."""
    desk = Desk()
    desk.sink.refused.add("replies.shop")
    desk.ask(0, ReplyAddress("replies.shop", 3, b"c"))
    desk.ask(1)
    desk.answer()
    desk.publisher.finish({}, 1.0)
    assert [letter.offset for letter in desk.buried()] == [0]
    assert [answer.offset for answer in desk.answers()] == [1]
    assert desk.decisions() == [[0, 1]]


def test_a_decision_waits_for_the_letter_of_a_refused_answer() -> None:
    """Were it in the log first, a crash would lose the letter: a successor answers nothing that is decided."""
    desk = Desk()
    records = OneByOne(desk.log)
    desk.publisher = desk.new(desk.sink, records)
    desk.ask(0, ReplyAddress("elsewhere", 0, b"c"))
    desk.answer()
    desk.sink.serve()
    assert (len(desk.buried()), desk.decisions()) == (1, [])
    assert desk.partition.committable == 0
    desk.publisher.turn({}, desk.clock())
    assert desk.decisions() == [[0]]


def test_what_is_parked_for_a_partition_that_is_gone_is_forgotten() -> None:
    """Its successor answers."""
    desk = Desk()
    desk.sink.unknown.add("replies.shop")
    desk.ask(0, ReplyAddress("replies.shop", 0, b"c"))
    desk.answer()
    desk.publisher.gone(desk.partition)
    desk.sink.unknown.clear()
    desk.publisher.finish({}, 1.0)
    assert desk.answers("replies.shop") == []
    assert desk.publisher.undelivered == 0


def test_answers_of_a_partition_that_is_gone_are_decided() -> None:
    """Their reports come after the loss, as after an outage: a successor that reads of it leaves them alone."""
    desk = Desk()
    desk.ask(0)
    desk.answer()
    desk.publisher.gone(desk.partition)
    desk.publisher.finish({}, 1.0)
    assert (len(desk.answers()), desk.decisions()) == (1, [[0]])


def test_a_cluster_that_takes_no_answers_stops_the_service() -> None:
    """On our own reply topic no application is to blame: whoever is started next answers again."""
    desk = Desk()
    desk.sink.broken.add("tests.responses")
    desk.sink.failure = TIMED_OUT
    desk.ask(0)
    desk.answer()
    with pytest.raises(LogError, match=r"tests\.responses: nothing was acknowledged in time: stopping"):
        desk.publisher.turn({}, desk.clock())
    assert (desk.buried(), desk.decisions()) == ([], [])


def test_letters_that_nobody_takes_go_without_their_records() -> None:
    """They say why and where all the same, and as soon as the others have arrived they are whole again."""
    desk = Desk()
    record = Record("tests.scores", NUMBER, 7, 0, b"key", bytes(MAX_DEAD_BYTES), [("header", b"x")])
    letter = dead_letter(record, Fault(DeadLetterReason.UNREADABLE, "damaged"), 0)
    whole = LETTERS_BYTES // MAX_DEAD_BYTES
    for _ in range(whole + 10):
        desk.publisher.letter(letter, None)
    desk.sink.flush(0)
    desk.publisher.letter(letter, None)
    desk.sink.flush(0)
    letters = desk.buried()
    without = [found for found in letters if not found.value]
    assert 10 <= len(without) <= 11
    assert (without[0].key, without[0].headers, without[0].size_bytes) == (None, (), MAX_DEAD_BYTES)
    assert {(found.reason, found.topic, found.offset) for found in letters} == {("unreadable", "tests.scores", 7)}
    assert len(letters) - len(without) >= whole
