"""One order of append times, however and whenever partitions were fetched."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest

from rendezvous.log import Record
from rendezvous.monitoring.merging import SLACK_S, TICK_MS, Due, Fetched, Merge, Part, Place

TOPICS = ("control", "features", "labels")
PARTS = (("control", 0), ("features", 0), ("features", 1), ("labels", 0), ("labels", 1))


def record(part: Part, offset: int, time_ms: int) -> Record:
    """A record of one byte."""
    return Record(*part, offset, time_ms, None, b"x", ())


def fetched(*records: Record, since: int | None = None, reached: int | None = None) -> Fetched:
    """What a fetch brought."""
    return Fetched(records, since, records[-1].offset + 1 if reached is None else reached)


def merge_of(*parts: Part, places: dict[Part, Place] | None = None) -> Merge:
    """An order of some partitions."""
    merge = Merge(TOPICS, places or {})
    merge.assign(parts)
    return merge


def ordered(records: Iterable[Record]) -> list[tuple[int, list[Record]]]:
    """Ticks with their records, as they should be."""
    ticks: dict[int, list[Record]] = {}
    for one in sorted(records, key=lambda one: (one.timestamp_ms, TOPICS.index(one.topic), one.partition, one.offset)):
        ticks.setdefault(one.timestamp_ms // TICK_MS, []).append(one)
    return sorted(ticks.items())


@dataclass
class World:
    """Brokers with one clock, a fetcher that takes what it likes, and looks whose answers are late."""

    dice: random.Random
    now_s: float = 0.0
    log: dict[Part, list[Record]] = field(default_factory=lambda: {part: [] for part in PARTS})
    ends: dict[Part, int] = field(default_factory=lambda: dict.fromkeys(PARTS, 0))
    read: dict[Part, int] = field(default_factory=lambda: dict.fromkeys(PARTS, 0))
    looks: list[tuple[float, dict[Part, int]]] = field(default_factory=list)

    def append(self) -> None:
        """A record, or a transaction's marker."""
        part = self.dice.choice(PARTS)
        if self.dice.random() < 0.9:
            self.log[part].append(record(part, self.ends[part], int(self.now_s * 1e3)))
        self.ends[part] += 1

    def fetch(self, merge: Merge, part: Part, most: int) -> None:
        """Some of what is there of a partition, markers passed by."""
        since = self.read[part]
        records = [one for one in self.log[part] if one.offset >= since][:most]
        reached = records[-1].offset + 1 if len(records) == most else self.ends[part]
        if reached > since:
            self.read[part] = reached
            merge.add(part, Fetched(records, since, reached), self.now_s)

    def answer(self, merge: Merge) -> None:
        """What was asked some time ago."""
        if self.looks:
            began_s, ends = self.looks.pop(0)
            merge.ends(ends, began_s)


def run(seed: int) -> tuple[World, list[Due]]:
    """Some seconds of everything, then silence until all has gone on."""
    world, taken = World(random.Random(seed)), []  # noqa: S311 - a seed, no secret
    merge = merge_of(*PARTS)
    for turn in range(1_500):
        world.now_s += world.dice.expovariate(100.0)
        quiet = turn > 900
        if not quiet and world.dice.random() < 0.3:
            world.append()
        if world.dice.random() < 0.3:
            world.fetch(merge, world.dice.choice(PARTS), world.dice.randint(1, 5))
        if world.dice.random() < 0.1:
            world.looks.append((world.now_s, dict(world.ends)))
        if world.dice.random() < 0.2:
            world.answer(merge)
        while (due := merge.take(world.dice.randint(1, 9))) is not None:
            taken.append(due)
        if (through_s := merge.through_s) is not None:
            there = {one for log in world.log.values() for one in log if one.timestamp_ms < through_s * 1e3 - 1}
            assert there <= {one for due in taken for one in due.records}
    assert not merge.waits
    assert merge.through_s is not None
    assert merge.complete
    return world, taken


@pytest.mark.parametrize("seed", range(20))
def test_the_order_is_that_of_the_log(seed: int) -> None:
    """Ticks and what is in them follow from append times, not from how they were fetched."""
    world, taken = run(seed)
    ticks: list[list[Record]] = [[]]
    for due in taken:
        ticks[-1] += due.records
        if due.over:
            ticks.append([])
    assert ticks.pop() == []
    assert ticks == [records for _, records in ordered(one for part in PARTS for one in world.log[part])]


def test_a_record_waits_for_a_partition_that_may_hold_an_earlier_one() -> None:
    """Until its end, asked for after the record came and a little longer, was read."""
    merge = merge_of(("features", 0), ("labels", 0))
    merge.add(("labels", 0), fetched(record(("labels", 0), 0, 5)), 1.0)
    assert merge.take(9) is None
    merge.ends({("features", 0): 0, ("labels", 0): 1}, 1.0 + SLACK_S - 0.01)
    assert merge.take(9) is None
    merge.ends({("features", 0): 1, ("labels", 0): 1}, 1.0 + SLACK_S)
    assert merge.take(9) is None  # one is there that was not fetched
    early = record(("features", 0), 0, 4)
    merge.add(("features", 0), fetched(early), 2.0)
    due = merge.take(9)
    assert due is not None
    assert [one.timestamp_ms for one in due.records] == [4, 5]


def test_of_one_millisecond_topics_have_their_order() -> None:
    """What was seen comes before what was true."""
    merge = merge_of(("features", 0), ("labels", 0))
    for part in (("labels", 0), ("features", 0)):
        merge.add(part, fetched(record(part, 0, 5)), 1.0)
    due = merge.take(1)
    assert due is not None
    assert due.records[0].topic == "features"


def test_a_tick_is_over_when_its_second_has_passed_everywhere() -> None:
    """In a quiet log nothing later says so."""
    merge = merge_of(("labels", 0))
    merge.add(("labels", 0), fetched(record(("labels", 0), 0, 5)), 1.0)
    due = merge.take(9)
    assert due is not None
    assert not due.over
    merge.ends({("labels", 0): 1}, 1.0 + TICK_MS / 1e3 + SLACK_S - 0.01)
    assert merge.take(9) is None
    assert merge.waits
    merge.ends({("labels", 0): 1}, 1.0 + TICK_MS / 1e3 + SLACK_S)
    assert merge.take(9) == Due([], over=True)
    assert not merge.waits


def test_what_was_done_before_is_left_out() -> None:
    """Kafka's positions lag behind the checkpoint's."""
    part = ("labels", 0)
    merge = merge_of(part, places={part: Place(2, 1_500)})
    merge.add(part, fetched(*(record(part, offset, 1_000 + offset) for offset in range(4))), 1.0)
    due = merge.take(9)
    assert due is not None
    assert [one.offset for one in due.records] == [2, 3]
    assert merge.places == {part: Place(4, 1_500)}  # the clock had gone back: the largest counts


def test_a_fetch_that_got_lost_is_found_out() -> None:
    """Nothing may be passed over."""
    part = ("labels", 0)
    merge = merge_of(part)
    merge.add(part, fetched(record(part, 0, 5), since=0), 1.0)
    with pytest.raises(ValueError, match=r"labels-0: nothing came of 1\.\.6"):
        merge.add(part, fetched(record(part, 7, 5), since=7), 1.0)
