"""The ledger against a dict: what may be committed, and from where a successor must read to miss nothing.

A position is never too late: every record that speaks of a request at or after the committed one stands at or after
it. Nor is it earlier than that needs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from rendezvous.messages import Int64s
from rendezvous.server.ledger import Ledger, Owes, Resume

TOPIC = "topic-id"
BOTH = Owes.DECISION | Owes.COMPARISON


def offsets_of(*numbers: int) -> Int64s:
    """A column of offsets, or of positions."""
    return np.array(numbers, np.int64)


def score(ledger: Ledger, record: int, *offsets: int) -> None:
    """The scores record at this position was read; it speaks of these offsets."""
    ledger.scored(offsets_of(*offsets), offsets_of(*[record] * len(offsets)))
    ledger.read_scores(record + 1)


def positions(ledger: Ledger) -> tuple[int, int, int]:
    """Committable, and where to read scores and decisions from."""
    resume = ledger.resume(TOPIC)
    return ledger.committable, resume.scores, resume.decisions


# ---------------------------------------------------------------------------------------------------- what is done


def test_nothing_was_seen() -> None:
    """A new ledger stands where it was told to start."""
    ledger = Ledger(5, 7, 9)
    assert positions(ledger) == (5, 7, 9)
    assert ledger.position == 5
    assert ledger.resume(TOPIC).topic == TOPIC


def test_done_when_all_debts_are_paid() -> None:
    """A request is done when the last of its deliveries is reported, in whatever order."""
    ledger = Ledger(0, 0, 0)
    ledger.opened(0, BOTH | Owes.DEAD_LETTER)
    ledger.settled(offsets_of(0), Owes.DEAD_LETTER)
    ledger.settled(offsets_of(0), Owes.COMPARISON)
    assert ledger.committable == 0
    ledger.decided(offsets_of(0), 3)
    assert ledger.committable == 1


def test_the_oldest_holds_back_the_others() -> None:
    """Requests that are done wait for those before them.

    0 open, 1 done, 4 done, 5 open: commit 0; then 0 done: commit 5
    """
    ledger = Ledger(0, 0, 0)
    for offset in (0, 1, 4, 5):
        ledger.opened(offset, Owes.DECISION)
    ledger.decided(offsets_of(1, 4), 0)
    assert ledger.committable == 0
    ledger.decided(offsets_of(0), 1)
    assert ledger.committable == 5


def test_one_more_debt() -> None:
    """A request that is still pending may come to owe another delivery; its neighbours do not."""
    ledger = Ledger(0, 0, 0)
    ledger.opened(0, BOTH)
    ledger.opened(1, BOTH)
    ledger.decided(offsets_of(0, 1), 0)
    ledger.owe(offsets_of(0), Owes.DEAD_LETTER)
    ledger.settled(offsets_of(0, 1), Owes.COMPARISON)
    assert ledger.committable == 0
    ledger.settled(offsets_of(0), Owes.DEAD_LETTER)
    assert ledger.committable == 2


def test_a_debt_of_the_done_is_nobodys() -> None:
    """Reports about requests that are done, or were never seen, change nothing but the position of decisions."""
    ledger = Ledger(10, 0, 0)
    ledger.opened(10, BOTH)
    ledger.decided(offsets_of(3, 9, 11, 10 + Ledger.FIRST_SPAN), 4)
    ledger.settled(offsets_of(3, 9, 11, 10 + Ledger.FIRST_SPAN), BOTH)
    assert ledger.committable == 10
    ledger.opened(11, BOTH)
    ledger.decided(offsets_of(10), 5)
    ledger.settled(offsets_of(10), Owes.COMPARISON)
    assert ledger.committable == 11


def test_a_gap_is_passed_with_the_next_request() -> None:
    """When nothing is pending, what lies before the next request is done: the log has nothing there."""
    ledger = Ledger(0, 0, 0)
    ledger.opened(10**12, Owes.DECISION)
    assert ledger.committable == 10**12
    assert ledger.position == 10**12 + 1


# ----------------------------------------------------------------------------------------------- where to resume


def test_the_first_record_about_an_open_request() -> None:
    """Scores resume at the first record that speaks of an open request, not at the last, nor at the end."""
    ledger = Ledger(0, 0, 0)
    for offset in range(3):
        ledger.opened(offset, Owes.DECISION)
    score(ledger, 4, 0)
    score(ledger, 5, 1, 2)
    score(ledger, 6, 1)
    assert ledger.resume(TOPIC).scores == 4
    ledger.decided(offsets_of(0), 0)
    assert ledger.resume(TOPIC).scores == 5
    ledger.decided(offsets_of(1, 2), 1)
    assert ledger.resume(TOPIC).scores == 7


def test_several_records_at_once() -> None:
    """Records that were read in one turn count each for itself, the first one about a request stands."""
    ledger = Ledger(0, 0, 0)
    ledger.opened(0, Owes.DECISION)
    ledger.opened(1, Owes.DECISION)
    ledger.scored(offsets_of(1, 0, 1), offsets_of(6, 7, 8))
    ledger.read_scores(9)
    assert ledger.resume(TOPIC).scores == 6
    ledger.decided(offsets_of(1), 0)
    assert ledger.resume(TOPIC).scores == 6, "0 holds back the commit, and 1 lies after it"
    ledger.decided(offsets_of(0), 1)
    assert ledger.resume(TOPIC).scores == 9


def test_scores_before_their_request() -> None:
    """A record that speaks of a request to come is remembered, beyond the first ring's length too."""
    ledger = Ledger(0, 0, 0)
    early = 3 * Ledger.FIRST_SPAN
    score(ledger, 4, early)
    score(ledger, 5, 0)
    ledger.opened(0, Owes.DECISION)
    ledger.decided(offsets_of(0), 0)
    assert positions(ledger) == (1, 4, 1)
    ledger.opened(early, Owes.DECISION)
    assert positions(ledger) == (early, 4, 1)
    ledger.decided(offsets_of(early), 1)
    assert positions(ledger) == (early + 1, 6, 2)


@pytest.mark.parametrize("gap", [5, Ledger.FIRST_SPAN - 1, Ledger.FIRST_SPAN, 10**12])
def test_scores_of_a_gap_are_forgotten(gap: int) -> None:
    """A record about offsets that turn out to be no requests holds back nothing."""
    ledger = Ledger(0, 0, 0)
    score(ledger, 4, 0, 3)
    score(ledger, 5, Ledger.FIRST_SPAN - 1)
    ledger.opened(gap, Owes.DECISION)
    scores = 5 if gap < Ledger.FIRST_SPAN else 6
    assert positions(ledger) == (gap, scores, 0)


def test_the_first_decision_about_an_open_request() -> None:
    """Decisions resume at the first that speaks of a request which is not compared yet."""
    ledger = Ledger(0, 0, 0)
    for offset in range(3):
        ledger.opened(offset, BOTH)
    ledger.decided(offsets_of(1), 3)
    ledger.decided(offsets_of(0, 2), 4)
    assert positions(ledger) == (0, 0, 3)
    ledger.settled(offsets_of(0), Owes.COMPARISON)
    assert positions(ledger) == (1, 0, 3)
    ledger.settled(offsets_of(1), Owes.COMPARISON)
    assert positions(ledger) == (2, 0, 4)
    ledger.settled(offsets_of(2), Owes.COMPARISON)
    assert positions(ledger) == (3, 0, 5)


def test_growth_keeps_everything() -> None:
    """One pending request and thousands after it: all debts and positions are as they were."""
    ledger = Ledger(0, 0, 0)
    many = range(0, 5 * Ledger.FIRST_SPAN, 2)
    for offset in many:
        score(ledger, offset + 100, offset)
        ledger.opened(offset, BOTH)
        ledger.decided(offsets_of(offset), offset + 200)
    assert positions(ledger) == (0, 100, 200)
    for offset in many:
        assert positions(ledger) == (offset, offset + 100, offset + 200)
        ledger.settled(offsets_of(offset), Owes.COMPARISON)
    assert positions(ledger) == (many[-1] + 1, many[-1] + 101, many[-1] + 201)


# ---------------------------------------------------------------------------------------------------- against a dict


@dataclass
class Book:
    """The ledger of a patient clerk: every debt, and every record with what it speaks of."""

    position: int
    scores_position: int
    decisions_position: int
    owed: dict[int, Owes] = field(default_factory=dict)
    scores: list[tuple[int, int]] = field(default_factory=list)
    decisions: list[tuple[int, int]] = field(default_factory=list)

    @property
    def pending(self) -> list[int]:
        """Requests with debts."""
        return [offset for offset, owes in self.owed.items() if owes]

    @property
    def committable(self) -> int:
        """The first of them, or where the next one is awaited."""
        return min(self.pending, default=self.position)

    @property
    def resume(self) -> tuple[int, int]:
        """The first records that speak of anything from there on, or where reading has come to."""
        first = self.committable
        scores = (record for offset, record in self.scores if offset >= first)
        decisions = (record for offset, record in self.decisions if offset >= first)
        return min([self.scores_position, *scores]), min([self.decisions_position, *decisions])

    def settle(self, offsets: Iterable[int], what: Owes) -> None:
        """Deliveries are reported."""
        for offset in offsets:
            if offset in self.owed:
                self.owed[offset] &= ~what


some_debts = st.sampled_from([BOTH, BOTH, BOTH | Owes.DEAD_LETTER, Owes.DECISION, Owes.DEAD_LETTER])
places = st.lists(st.integers(0, 12), min_size=1, max_size=6, unique=True)
"""Of requests that were seen, counted from the newest, or from the first that is pending."""
gaps = st.sampled_from([0] * 8 + [1, 2, 7, 100, 1_023, 1_024, 1_025, 5_000])


class LedgerAndBook(RuleBasedStateMachine):
    """The same events for both, and after each the same positions."""

    @initialize(position=st.sampled_from([0, 3, 1_023, 10**12]), start=st.integers(0, 3))
    def begin(self, position: int, start: int) -> None:
        """Both start where a predecessor stopped."""
        self.ledger = Ledger(position, start, start + 1)
        self.book = Book(position, start, start + 1)

    @rule(gap=gaps, owes=some_debts)
    def open(self, gap: int, owes: Owes) -> None:
        """A request is taken up, now and then behind a gap."""
        offset = self.book.position + gap
        self.ledger.opened(offset, owes)
        self.book.owed[offset] = owes
        self.book.position = offset + 1

    @rule(records=st.lists(places, min_size=1, max_size=3), beyond=st.sampled_from([0, 3, 12, 2_000]))
    def score(self, records: list[list[int]], beyond: int) -> None:
        """Scores records are read that speak of open requests, of done ones, of none, and of some to come."""
        pairs = []
        for places_said in records:
            said = {self.book.position + beyond - place for place in places_said}
            pairs += [(offset, self.book.scores_position) for offset in sorted(said) if offset >= 0]
            self.book.scores_position += 1
        self.ledger.scored(
            offsets_of(*(offset for offset, _ in pairs)), offsets_of(*(position for _, position in pairs))
        )
        self.ledger.read_scores(self.book.scores_position)
        # what is said about a request after it was done is of no use to anyone
        self.book.scores += [pair for pair in pairs if pair[0] >= self.book.committable]

    @rule(places_decided=places, skipped=st.integers(0, 2))
    def decide(self, places_decided: list[int], skipped: int) -> None:
        """A decision's delivery is reported; the log may hold a marker before it."""
        offsets = self._seen(places_decided)
        record = self.book.decisions_position + skipped
        self.ledger.decided(offsets_of(*offsets), record)
        self.book.decisions += [(offset, record) for offset in offsets if offset >= self.book.committable]
        self.book.decisions_position = record + 1
        self.book.settle(offsets, Owes.DECISION)

    @rule(places_settled=places, what=st.sampled_from([Owes.COMPARISON, Owes.COMPARISON, Owes.DEAD_LETTER]))
    def settle(self, places_settled: list[int], what: Owes) -> None:
        """The delivery of comparisons or dead letters is reported."""
        offsets = self._seen(places_settled)
        self.ledger.settled(offsets_of(*offsets), what)
        self.book.settle(offsets, what)

    @rule(places_owing=places)
    def owe(self, places_owing: list[int]) -> None:
        """Pending requests come to owe a dead letter."""
        pending = [offset for offset in self._seen(places_owing) if self.book.owed[offset]]
        self.ledger.owe(offsets_of(*pending), Owes.DEAD_LETTER)
        for offset in pending:
            self.book.owed[offset] |= Owes.DEAD_LETTER

    @rule()
    def settle_the_first(self) -> None:
        """All that holds back the commit is reported at once."""
        offsets = sorted(self.book.pending)[:3]
        self.ledger.settled(offsets_of(*offsets), BOTH | Owes.DEAD_LETTER)
        self.book.settle(offsets, BOTH | Owes.DEAD_LETTER)

    def _seen(self, numbers: Sequence[int]) -> list[int]:
        seen = list(self.book.owed)
        return sorted({seen[-1 - number] for number in numbers if number < len(seen)})

    @invariant()
    def same_positions(self) -> None:
        """Committable, newest, and where to resume."""
        resume = self.ledger.resume(TOPIC)
        assert self.ledger.committable == self.book.committable
        assert self.ledger.position == self.book.position
        assert (resume.scores, resume.decisions) == self.book.resume


TestLedgerAndBook = LedgerAndBook.TestCase
TestLedgerAndBook.settings = settings(max_examples=150, stateful_step_count=50)


# ---------------------------------------------------------------------------------------------- commit metadata


@given(st.builds(Resume, st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1), st.text()))
def test_metadata_comes_back(resume: Resume) -> None:
    """What is committed is what a successor reads, in one line."""
    assert Resume.parse(resume.text()) == resume
    assert "\n" not in resume.text()


HOSTILE = {
    "nothing": "",
    "no JSON": "scores=1",
    "another tool's": '{"offset": 7, "host": "x"}',
    "a list": "[1, 2]",
    "a number": "7",
    "null": "null",
    "a field missing": '{"scores": 1, "decisions": 2}',
    "a null position": '{"scores": null, "decisions": 2, "topic": "t"}',
    "words": '{"scores": "many", "decisions": 2, "topic": "t"}',
    "a list for a position": '{"scores": [1], "decisions": 2, "topic": "t"}',
    "not a number": '{"scores": NaN, "decisions": 2, "topic": "t"}',
    "infinity": '{"scores": 1e999, "decisions": 2, "topic": "t"}',
    "minus infinity": '{"scores": 1, "decisions": -Infinity, "topic": "t"}',
    "too many digits": '{"scores": ' + "1" * 4_500 + ', "decisions": 2, "topic": "t"}',
    "depth": "[" * 4_000,
    "deep objects": '{"a":' * 4_000,
    "zeros": "\0" * 10,
    "a lone surrogate": '"\ud800',
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_metadata_that_is_not_ours(text: str) -> None:
    """Whatever else stands there is None: a partition is taken over by time, and the server does not fall over."""
    assert Resume.parse(text) is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
near_misses = st.fixed_dictionaries({"scores": json_values, "decisions": json_values, "topic": json_values})


@given(st.text() | json_values.map(json.dumps) | near_misses.map(json.dumps))
def test_any_metadata_is_ours_or_not(text: str) -> None:
    """Any text gives None, or positions that travel on as they are."""
    resume = Resume.parse(text)
    assert resume is None or Resume.parse(resume.text()) == resume


@pytest.mark.parametrize("pending", [False, True])
def test_what_is_skipped_is_not_waited_for(pending: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """Nor what a score or a decision says of it."""
    ledger = Ledger(0, 0, 0)
    ledger.opened(0, Owes.DECISION)
    score(ledger, 3, 5)
    if not pending:
        ledger.decided(offsets_of(0), 1)
    ledger.skip(5_000)
    assert ledger.position == 5_000
    assert ledger.committable == (0 if pending else 5_000)
    ledger.opened(5_001, Owes.DECISION)
    ledger.decided(offsets_of(0, 7), 2)
    assert ledger.committable == 5_001
    assert ledger.resume(TOPIC).scores == 4
    ledger.decided(offsets_of(5_001), 3)
    assert positions(ledger) == (5_002, 4, 4)
