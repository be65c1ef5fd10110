"""Who is passed by, and who is trusted again: seconds of requests, one after the other.

Ten requests a second close one second after their append, and are judged then. Limits of these tests: half missed or
half failed, of 20 requests at least, in 4 s; trusted again after 10 s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from random import Random

import numpy as np
import pytest

from rendezvous.messages import Comparisons, Reason, Status
from rendezvous.registry.state import Pair
from rendezvous.server.watching import MAX_WINDOWS, Judgement, Watch
from rendezvous.settings import FallbackLimits

S_US = 1_000_000
NOON_US = 1_700_000_000_000_000
A, B, C = ("a", "1"), ("b", "1"), ("c", "1")
END_US = 80_000
ENDS = {A: END_US, B: 2 * END_US, C: 3 * END_US}
LIMITS = FallbackLimits(missed=0.5, failed=0.5, requests=20, window_s=4.0, recover_s=10.0)
RATE = 10

Said = tuple[Status, int]
"""A status, and the latency in µs."""
WELL: Said = (Status.OK, 10_000)
SILENT: Said = (Status.NONE, -1)
BROKEN: Said = (Status.ERROR, 5_000)
SHED: Said = (Status.SHED, 5_000)


class Story:
    """A watch, and control that reads every judgement back at once, unless it is deaf."""

    def __init__(self, limits: FallbackLimits = LIMITS, ends: Mapping[Pair, int] = ENDS) -> None:
        self.watch = Watch(limits)
        self.ends = ends
        self.at_s = 0.0
        self.suspended: set[Pair] = set()
        self.resting: set[Pair] = set()
        self.deaf = False
        self.changes: list[tuple[float, Pair, bool]] = []
        self.close({}, 0)

    @property
    def now_us(self) -> int:
        """The time now."""
        return NOON_US + round(self.at_s * S_US)

    def close(
        self, said: Mapping[Pair, Said | Sequence[Said]], rows: int = RATE, reason: Reason = Reason.PREFERRED
    ) -> None:
        """So many requests close; who says nothing else is well."""
        cells = [[_cell(said.get(pair, WELL), row) for pair in self.ends] for row in range(rows)]
        shape = rows, len(self.ends)
        self.watch.saw(
            Comparisons(
                closed_us=self.now_us,
                models=tuple(model for model, _ in self.ends),
                versions=tuple(version for _, version in self.ends),
                offsets=np.arange(rows),
                request_ids=("r",) * rows,
                appended_us=np.full(rows, self.now_us - S_US),
                winners=np.zeros(rows, np.int16),
                reasons=np.full(rows, reason, np.uint8),
                statuses=np.array([[s for s, _ in row] for row in cells], np.uint8).reshape(shape),
                latencies_us=np.array([[us for _, us in row] for row in cells], np.int32).reshape(shape),
                outputs=np.zeros((*shape, 1), np.float32),
                asked_us=np.full(rows, self.now_us - S_US),
            ),
            self.ends,
            self.now_us,
        )

    def judge(self) -> list[Judgement]:
        """Judge now, and obey."""
        judgements = self.watch.judge(self.suspended.__contains__, self.resting.__contains__, self.now_us)
        for judgement in judgements:
            assert judgement.suspended != (judgement.pair in self.suspended)
            self.changes.append((self.at_s, judgement.pair, judgement.suspended))
            if not self.deaf:
                (self.suspended.add if judgement.suspended else self.suspended.discard)(judgement.pair)
        return judgements

    def live(self, seconds: int, said: Mapping[Pair, Said | Sequence[Said]] | None = None, rows: int = RATE) -> None:
        """Seconds pass, with so many requests in each."""
        for _ in range(seconds):
            self.at_s += 1
            if rows:
                self.close(said or {}, rows)
            self.judge()


def _cell(said: Said | Sequence[Said], row: int) -> Said:
    return said[row % len(said)] if isinstance(said[0], tuple) else said  # type: ignore[return-value]


# ------------------------------------------------------------------------------------------------------- passed by


@pytest.mark.parametrize("said", [SILENT, BROKEN, (Status.NONFINITE, 1), (Status.EXPIRED, 1), (Status.OK, END_US)])
def test_over_a_limit_while_another_is_well(said: Said) -> None:
    """No score, a failure, or a score that comes when the step ends: passed by, with what was seen of it."""
    story = Story()
    story.live(4)
    story.live(3, {A: said})
    ((at_s, pair, suspended),) = story.changes
    assert (pair, suspended) == (A, True)
    assert at_s > 5, "two of four seconds are half"


def test_what_was_seen() -> None:
    """A judgement tells the shares of what was looked at."""
    story = Story()
    story.at_s = 2
    story.close({A: [SILENT, SILENT, SILENT, BROKEN]}, 40)
    (judgement,) = story.judge()
    assert judgement == Judgement(A, suspended=True, missed=0.75, failed=0.25, requests=40)


def test_a_step_that_is_longer() -> None:
    """Each version is measured by the end of its own first step."""
    story = Story()
    story.live(10, {A: (Status.OK, END_US - 1), B: (Status.OK, END_US), C: (Status.OK, 2 * END_US)})
    assert story.changes == []


def test_nobody_is_passed_by_when_nobody_is_well() -> None:
    """A server that stood still, or a topic that nobody could write to, is no model's fault."""
    story = Story()
    story.live(30, dict.fromkeys(ENDS, SILENT))
    assert story.changes == []


def test_the_last_one_stays() -> None:
    """Who is well but passed by is nobody's substitute."""
    story = Story()
    story.live(6, {A: SILENT, B: SILENT})
    assert story.suspended == {A, B}
    story.live(6, {C: SILENT})
    assert story.suspended == {A, B}


def test_one_that_rests_is_no_substitute() -> None:
    """However well it was until it was told to rest: under load that left nobody to answer."""
    story = Story(ends={A: END_US, B: END_US})
    story.live(4)
    story.resting.add(B)
    story.live(3, {A: SILENT, B: (Status.SHED, -1)})
    assert story.changes == []
    story.resting.clear()
    story.live(1, {A: SILENT})
    assert [(pair, suspended) for _, pair, suspended in story.changes] == [(A, True)]


def test_not_quite_well_is_no_substitute() -> None:
    """Well is under half a limit: who misses a third is neither passed by nor good enough for others."""
    story = Story(ends={A: END_US, B: END_US})
    story.live(10, {A: SILENT, B: [SILENT, WELL, WELL]})
    assert story.changes == []


@pytest.mark.parametrize("reason", [Reason.EXPIRED, Reason.REJECTED, Reason.OVERLOADED])
def test_requests_that_no_model_had_a_chance_with(reason: Reason) -> None:
    """They say nothing of anybody."""
    story = Story()
    for _ in range(10):
        story.at_s += 1
        story.close({A: SILENT}, reason=reason)
        story.close({}, rows=3)
        story.judge()
    assert story.changes == []


def test_what_was_shed_does_not_count() -> None:
    """Neither as missed nor as well: one request in ten that was not shed is looked at."""
    story = Story()
    story.live(3, {A: [SHED] * 9 + [SILENT]})
    assert story.changes == []
    story.live(17, {A: [SHED] * 9 + [SILENT]})
    assert story.suspended == {A}


@pytest.mark.parametrize("status", [Status.INVALID, Status.UNREADABLE])
def test_a_request_that_cannot_be_scored_is_its_own_fault(status: Status) -> None:
    """The model has said so in time."""
    story = Story()
    story.live(20, {A: (status, 5_000)})
    assert story.changes == []


# ----------------------------------------------------------------------------------------------- how much, how long


def test_few_requests() -> None:
    """Under the number that is asked for nothing is concluded; a slow trickle adds up."""
    story = Story()
    story.live(19, {A: SILENT}, rows=1)
    assert story.changes == []
    story.live(4, {A: SILENT}, rows=1)
    assert story.suspended == {A}


def test_a_trickle_that_is_too_slow() -> None:
    """What is older than MAX_WINDOWS is forgotten, whether anything closes or not."""
    story = Story()
    story.live(19, {A: SILENT}, rows=1)
    story.live(round(LIMITS.window_s * MAX_WINDOWS) + 1, rows=0)
    story.live(1, {A: SILENT}, rows=5)
    assert story.changes == []


def test_a_gap_in_traffic_proves_nothing() -> None:
    """Who is passed by is not trusted again because nobody asked for a while."""
    story = Story()
    story.live(6, {A: SILENT})
    story.live(3_600, rows=0)
    assert story.suspended == {A}


def test_old_merits_do_not_count() -> None:
    """With enough requests only the window is looked at: an hour of good answers buys no second hour."""
    story = Story()
    story.live(3_600, rows=2)
    story.live(6, {A: SILENT})
    assert story.suspended == {A}


# ------------------------------------------------------------------------------------------------- whose requests


def test_requests_from_before_the_watch() -> None:
    """What was appended before a version was scheduled, un-paused or taken over is not held against it."""
    story = Story(ends={B: END_US})
    story.live(10)
    story.ends = {A: END_US, B: END_US}
    story.live(1, {A: SILENT}, rows=100)
    assert story.changes == []
    story.live(5, {A: SILENT})
    assert story.suspended == {A}


def test_who_is_gone_is_forgotten() -> None:
    """A version that is no longer scheduled is not judged, and comes back without a past."""
    story = Story()
    story.live(1, {A: SILENT})
    story.ends = {B: END_US, C: END_US}
    story.live(20)
    story.ends = ENDS
    story.live(2, {A: SILENT})
    assert story.changes == []


# ---------------------------------------------------------------------------------------------------- trusted again


def test_trusted_again() -> None:
    """After it has been well for `recover_s`, counted from when the window shows it."""
    story = Story()
    story.live(2, {A: SILENT})
    fell_s = story.changes[0][0]
    story.live(40)
    (_, _, _), (rose_s, pair, suspended) = story.changes
    assert (pair, suspended) == (A, False)
    assert LIMITS.recover_s <= rose_s - fell_s <= LIMITS.recover_s + LIMITS.window_s + 3


def test_a_bad_spell_begins_the_wait_anew() -> None:
    """Well for nine of ten seconds is not well for ten."""
    story = Story()
    story.live(6, {A: SILENT})
    for _ in range(5):
        story.live(9)
        story.live(2, {A: SILENT})
    assert len(story.changes) == 1


def test_each_relapse_doubles_the_wait() -> None:
    """10, 20, 40 s."""
    story = Story()
    waits = []
    for _ in range(3):
        while A not in story.suspended:
            story.live(1, {A: SILENT})
        fell_s = story.at_s
        while A in story.suspended:
            story.live(1)
        waits.append(story.at_s - fell_s)
    for wait_s, least_s in zip(waits, (10, 20, 40), strict=True):
        assert least_s <= wait_s <= least_s + 8


def test_long_good_behaviour_is_rewarded() -> None:
    """After four times its next wait without a relapse the doubling begins anew."""
    story = Story()
    story.live(6, {A: SILENT})
    story.live(20)
    assert story.suspended == set()
    story.live(4 * 20 + 5)
    story.live(6, {A: SILENT})
    fell_s = story.at_s
    while A in story.suspended:
        story.live(1)
    assert story.at_s - fell_s < 18


def test_a_suspension_of_a_predecessors() -> None:
    """A new owner finds it on control, and lifts it in the same way."""
    story = Story()
    story.suspended.add(A)
    story.live(9)
    assert story.suspended == {A}
    story.live(4)
    assert story.suspended == set()


# ------------------------------------------------------------------------------------------------- told, and read back


def test_what_is_told_once_is_not_told_again_while_it_is_on_its_way() -> None:
    """Control is read back a little later; a change counts as one relapse all the same."""
    story = Story()
    story.deaf = True
    story.live(9, {A: SILENT})
    assert len(story.changes) == 1
    story.deaf, story.suspended = False, {A}
    fell_s = story.at_s
    while A in story.suspended:
        story.live(1)
    assert story.at_s - fell_s <= LIMITS.recover_s + 8, "the wait has not doubled"


def test_what_control_refused_is_told_again() -> None:
    """But not before `recover_s`."""
    story = Story()
    story.deaf = True
    story.live(40, {A: SILENT})
    times_s = [at_s for at_s, _, _ in story.changes]
    assert len(times_s) > 1
    assert min(np.diff(times_s)) >= LIMITS.recover_s


# ------------------------------------------------------------------------------------------------------ never flaps


@pytest.mark.parametrize("seed", range(60))
def test_it_never_flaps(seed: int) -> None:
    """Whatever closes, whenever: a suspension lasts `recover_s` at least, and one version is always left.

    So two changes of a version that go the same way are `recover_s` apart, and more after each relapse.
    """
    chance = Random(seed)  # noqa: S311 - a story, no secret
    story = Story()
    for _ in range(150):
        mood = {
            pair: chance.choice((WELL, WELL, SILENT, BROKEN, [WELL, SILENT], [WELL, WELL, BROKEN])) for pair in ENDS
        }
        rows = chance.choice((0, 1, 10, 40))
        for _ in range(chance.choice((1, 3, 8))):
            story.at_s += chance.choice((0.05, 0.3, 1.0))
            if rows:
                story.close(mood, rows)
            story.judge()
            assert story.suspended != set(ENDS), "somebody is left"
    for pair in ENDS:
        turns = [(at_s, suspended) for at_s, changed, suspended in story.changes if changed == pair]
        assert [suspended for _, suspended in turns] == [turn % 2 == 0 for turn in range(len(turns))]
        for (fell_s, fell), (rose_s, _) in pairwise(turns):
            assert not fell or rose_s - fell_s >= LIMITS.recover_s


def test_the_stories_above_have_changes() -> None:
    """A model that comes and goes every 15 s is passed by, trusted, and passed by for longer and longer."""
    story = Story()
    for _ in range(40):
        story.live(15)
        story.live(8, {A: SILENT})
    falls = [at_s for at_s, _, suspended in story.changes if suspended]
    assert 2 <= len(falls) <= 8
