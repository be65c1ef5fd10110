"""The roster's table, cell by cell, and its pauses."""

from __future__ import annotations

import random

from rendezvous.crew.roster import FIRST_PAUSE_S, LONGEST_PAUSE_S, WELL_S, Deeds, Roster

OLD, NEW = ("trees", "v1"), ("trees", "v2")
NONE = Deeds((), ())


def test_who_is_wanted_is_started_once() -> None:
    """A version without a process is started; one that runs is left alone."""
    roster = Roster()
    assert roster.deeds([OLD, NEW], 0.0) == Deeds((OLD, NEW), ())
    roster.started(OLD, 0.0)
    assert roster.deeds([OLD, NEW], 0.0) == Deeds((NEW,), ())
    roster.started(NEW, 0.0)
    assert roster.deeds([OLD, NEW], 1e6) == NONE


def test_who_is_no_longer_wanted_is_stopped_and_then_forgotten() -> None:
    """It is stopped as long as its process runs; wanted again, it begins without its failures."""
    roster = Roster()
    roster.started(OLD, 0.0)
    roster.ended(OLD, 1.0)
    roster.started(OLD, 2.0)
    assert roster.deeds([], 3.0) == Deeds((), (OLD,))
    roster.ended(OLD, 3.0)
    assert roster.deeds([], 3.0) == NONE
    assert roster.deeds([OLD], 3.0) == Deeds((OLD,), ())


def test_who_ended_is_started_again_after_a_pause_that_doubles() -> None:
    """Not before; the pause has a bound, and is short again for one that ran well."""
    roster, now_s, pauses = Roster(), 0.0, []
    for _ in range(12):
        assert roster.deeds([OLD], now_s) == Deeds((OLD,), ())
        roster.started(OLD, now_s)
        pauses.append(roster.ended(OLD, now_s))
        assert roster.deeds([OLD], now_s + pauses[-1] * 0.999) == NONE
        now_s += pauses[-1]
    assert pauses[:3] == [FIRST_PAUSE_S, 2 * FIRST_PAUSE_S, 4 * FIRST_PAUSE_S]
    assert pauses[-1] == LONGEST_PAUSE_S
    roster.started(OLD, now_s)
    assert roster.ended(OLD, now_s + WELL_S) == FIRST_PAUSE_S


def test_processes_come_to_agree_with_what_is_wanted_whatever_happened_before() -> None:
    """After any history, once nothing changes or fails any more, exactly the wanted ones run."""
    for seed in range(50):
        chance = random.Random(seed)  # noqa: S311 - a simulation
        roster, running, now_s = Roster(), set[tuple[str, str]](), 0.0
        names = [("m", str(number)) for number in range(5)]
        wanted: list[tuple[str, str]] = []
        for step in range(60):
            calm = step >= 40
            now_s += LONGEST_PAUSE_S if calm else chance.expovariate(1.0)
            if not calm:
                wanted = chance.sample(names, chance.randrange(6))
                for pair in [pair for pair in sorted(running) if chance.random() < 0.3]:
                    running.remove(pair)
                    roster.ended(pair, now_s)
            deeds = roster.deeds(wanted, now_s)
            assert not running & set(deeds.start), "nobody is started twice"
            assert set(deeds.stop) == running - set(wanted)
            for pair in deeds.start:
                roster.started(pair, now_s)
            for pair in deeds.stop:
                roster.ended(pair, now_s)
            running = (running | set(deeds.start)) - set(deeds.stop)
        assert running == set(wanted), seed
