"""How hard a partition is pressed: levels go up under pressure, and down again when it is calm."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rendezvous.messages import Decisions, Reason
from rendezvous.server.load import CALM_US, FEWEST, LEVELS, WINDOW_US, Load, level_of

MARGIN_US, DEADLINE_US = 20_000, 250_000
SECOND_US = 1_000_000


def decisions(at_us: int, count: int, reason: Reason = Reason.PREFERRED, slack_us: int = 200_000) -> Decisions:
    """Some answers of one tick, all alike."""
    return Decisions(
        decided_us=at_us,
        policy="",
        models=("m",),
        versions=("1",),
        offsets=np.arange(count),
        winners=np.zeros(count, np.int16),
        reasons=np.full(count, reason, np.uint8),
        arrived=np.zeros(count, np.uint64),
        slacks_us=np.full(count, slack_us, np.int64),
        outputs=np.zeros((count, 1), np.float32),
        control=0,
        steps=np.zeros(count, np.uint8),
        draws=np.zeros(count, np.float32),
        propensities=np.ones(count, np.float32),
    )


class Gauge:
    """A load, fed twice a second; `levels` are the changes, with the second of each."""

    def __init__(self, level: int = 0) -> None:
        self.load = Load(level)
        self.now_us = 0
        self.levels: list[tuple[float, int]] = []

    def run(
        self,
        seconds: float,
        count: int = 100,
        reason: Reason = Reason.PREFERRED,
        slack_us: int = 200_000,
        well: int = 0,
    ) -> None:
        """So many answers a half second, all alike, and so many more that were given in time."""
        for _ in range(round(seconds * 2)):
            if count:
                self.load.answered(decisions(self.now_us, count, reason, slack_us), MARGIN_US, DEADLINE_US)
            if well:
                self.load.answered(decisions(self.now_us, well), MARGIN_US, DEADLINE_US)
            level = self.load.change(self.now_us)
            if level is not None:
                self.levels.append((self.now_us / SECOND_US, level))
            self.now_us += SECOND_US // 2


def test_a_calm_partition_leaves_nothing_out() -> None:
    """Nor one where a fallback answers, or a few answers are late."""
    gauge = Gauge()
    gauge.run(10)
    gauge.run(10, reason=Reason.FALLBACK)
    assert gauge.levels == []


def test_candidates_rest_first_then_challengers() -> None:
    """One level after the other, and not before what the last one did is to be seen."""
    gauge = Gauge()
    gauge.run(20, reason=Reason.DEFAULT, well=100)
    assert [level for _, level in gauge.levels] == [1, 2, 3, 4]
    seconds = [second for second, _ in gauge.levels]
    assert min(b - a for a, b in itertools.pairwise(seconds)) >= WINDOW_US / SECOND_US
    assert [LEVELS[level] for level in (0, 1, 2)] == [(0.0, 0.0), (0.5, 0.0), (1.0, 0.0)]


def test_most_answers_lost_is_no_time_for_small_steps() -> None:
    """All candidates rest, then all challengers; what was half a step goes on to its end."""
    gauge = Gauge()
    gauge.run(20, reason=Reason.EXPIRED, well=99)
    assert [level for _, level in gauge.levels] == [2, 4]
    halfway = Gauge(level=1)
    halfway.run(20, reason=Reason.EXPIRED, well=99)
    assert [level for _, level in halfway.levels] == [2, 4]


def test_answers_in_the_last_part_of_their_time_are_pressure_too() -> None:
    """Before the first default is given."""
    gauge = Gauge()
    gauge.run(3, slack_us=MARGIN_US + DEADLINE_US // 10 - 1, well=900)
    assert gauge.levels[0][1] == 1
    calm = Gauge()
    calm.run(3, slack_us=MARGIN_US + DEADLINE_US // 10)
    assert calm.levels == []


def test_the_levels_come_down_one_by_one_when_it_is_calm() -> None:
    """Each after a while, so that it does not go to and fro."""
    gauge = Gauge(level=2)
    gauge.run(60)
    assert [level for _, level in gauge.levels] == [1, 0]
    assert gauge.levels[0][0] >= CALM_US / SECOND_US
    assert gauge.levels[1][0] - gauge.levels[0][0] >= CALM_US / SECOND_US


def test_what_is_skipped_is_lost_for_now() -> None:
    """Those that are answered in time must not hide it."""
    load = Load()
    load.answered(decisions(0, FEWEST), MARGIN_US, DEADLINE_US)
    load.skipped(FEWEST + 1, 0)
    assert load.change(1) == 2


def test_without_requests_it_is_calm() -> None:
    """A partition that nobody asks any more is let go too."""
    gauge = Gauge()
    gauge.run(4, reason=Reason.OVERLOADED)
    gauge.run(60, count=0)
    assert gauge.load.level == 0


def test_a_few_answers_conclude_nothing() -> None:
    """Fewer than FEWEST in the window."""
    gauge = Gauge()
    gauge.run(30, count=FEWEST // 10, reason=Reason.DEFAULT)
    assert gauge.levels == []


def test_rejected_requests_are_no_pressure() -> None:
    """They are the application's fault."""
    gauge = Gauge()
    gauge.run(30, reason=Reason.REJECTED, slack_us=0)
    assert gauge.levels == []


@given(st.lists(st.tuples(st.integers(0, 40), st.sampled_from([Reason.PREFERRED, Reason.DEFAULT])), max_size=30))
def test_it_never_goes_to_and_fro(spells: list[tuple[int, Reason]]) -> None:
    """Whatever happens: changes are a window apart, downward ones ten seconds and by one level, within bounds."""
    gauge = Gauge()
    for seconds, reason in spells:
        gauge.run(seconds, reason=reason)
    before_s, before = -WINDOW_US / SECOND_US, 0
    for second, level in gauge.levels:
        assert level - before in {-1, 1, 2}
        assert 0 <= level < len(LEVELS)
        assert second - before_s >= (CALM_US if level < before else WINDOW_US) / SECOND_US
        before_s, before = second, level


def test_a_level_is_known_again_by_its_shares() -> None:
    """A successor goes on where its predecessor was; shares that no level has are taken for the next higher one."""
    assert [level_of(*shares) for shares in LEVELS] == list(range(len(LEVELS)))
    assert level_of(0.7, 0.0) == 2
    assert level_of(1.0, 2.0) == len(LEVELS) - 1
