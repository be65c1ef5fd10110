"""The archiver in memory: what it keeps, what it sends on, and what a death at any step leaves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import fsspec
import numpy as np
import pytest

from archiving import NAMES, ArchiveWorld, Died, Steps, offsets_of, play
from memory_log import MemorySource
from rendezvous.archive.feed import GATHER_US
from rendezvous.archive.files import Archive
from rendezvous.archive.names import ArchiveError, Held
from rendezvous.archive.tables import TABLES
from rendezvous.log import Committed, LogError, Record

BEFORE = "2013-01-05T10:00:00+00:00"
BEFORE_US = 1_357_380_000_000_000
FLOODS_US = 1_000_000_000_000, 1_000_100_000_000


def fill(world: ArchiveWorld, rounds: int = 12) -> None:
    """Requests, comparisons and labels of each partition; some are no requests, some do not decode."""
    for round_ in range(rounds):
        for number in range(world.counts["requests"]):
            offsets = [world.ask(number, asked=BEFORE) for _ in range(2)]
            world.ask(number, headers=False)
            world.ask(number, value=b"rubbish")
            world.compare(offsets, number)
        for number in range(world.counts["labels"]):
            world.label(f"r-{round_}", None if round_ % 2 else 1.0, BEFORE_US + round_, number)
        world.clock.advance_ms(50)


def test_everything_is_kept_as_it_was() -> None:
    """Requests byte for byte, comparisons one row a model, labels."""
    world = ArchiveWorld()
    fill(world)
    archiver = world.start()
    play(world, archiver)
    archiver.stop()
    on_log = [record for record in world.log.records[world.endpoint.topic("requests"), 0] if record.value]
    for row, record in zip(world.rows("requests"), on_log, strict=True):
        assert (row["offset"], row["key"], row["value"]) == (record.offset, record.key, record.value)
        assert [(header["name"], header["value"]) for header in row["headers"]] == list(record.headers)
        assert row["appended_us"] == record.timestamp_ms * 1_000
        assert row["request_id"] == dict(record.headers).get("ce_id", b"").decode() or row["request_id"] is None
        assert row["asked_us"] == (BEFORE_US if "ce_time" in dict(record.headers) else row["appended_us"])
    first = world.rows("comparisons")[:2]
    assert [(row["model"], row["version"], row["status"], row["won"]) for row in first] == [
        ("challenger", "c2", "ok", True),
        ("champion", "c1", "error", False),
    ]
    assert first[0]["outputs"] == [0.5]
    assert first[0]["reason"] == "fallback"
    assert len(world.rows("comparisons")) == 12 * 2 * 2
    assert [row["value"] for row in world.rows("labels")] == [1.0, None] * 6


def test_features_are_those_of_requests_that_models_saw() -> None:
    """Each once, at its asked time, numbers and coded texts; what is no request, unreadable or too large has none."""
    world = ArchiveWorld()
    fill(world, rounds=3)
    world.ask(value=world.codec.encode({"x": 1.0, "who": "w" * world.endpoint.request.max_bytes}))
    archiver = world.start()
    play(world, archiver)
    seen = {}
    for columns in world.features():
        assert columns.numeric == ("x",)
        assert columns.textual == ("who",)
        for row, offset in enumerate(columns.offsets.tolist()):
            seen[offset] = columns.numbers[row, 0], columns.categories[0][columns.codes[row, 0]], columns.asked_us[row]
    assert sorted(seen) == [0, 1, 4, 5, 8, 9]
    assert seen[4] == (np.float32(5.0), "who-2", BEFORE_US)


def everything(world: ArchiveWorld) -> dict[str, list[dict[str, object]]]:
    """What is archived; when comparisons closed and the like are the same in each world."""
    return {name: world.rows(name) for name in NAMES}


def story(*lives: int | None) -> tuple[ArchiveWorld, int]:
    """Two floods of records and an archiver that dies after so many steps, as does its successor; and how many died.

    The last of them lives, and ends in order.
    """
    world, steps, died = ArchiveWorld(label_partitions=2), [Steps(life) for life in lives], 0
    archiver = world.start(steps[0])
    for flood, rounds in enumerate((6, 2)):
        world.clock.now_us = FLOODS_US[flood]
        fill(world, rounds)
        while True:
            try:
                play(world, archiver, turns=5)
                if flood:
                    archiver.stop()
                break
            except Died:
                died += 1
                world.die()
                world.clock.advance_ms(6_000)
                archiver = world.start(steps[died] if died < len(steps) else None)
    return world, died


def assert_same(world: ArchiveWorld, expected: dict[str, list[dict[str, object]]], lives: object) -> None:
    """The archive is that of an undisturbed run, and each request's features were sent."""
    assert everything(world) == expected, lives
    wanted = {
        row["offset"] for row in expected["requests"] if row["request_id"] is not None and row["value"] != b"rubbish"
    }
    assert {offset for columns in world.features() for offset in columns.offsets.tolist()} == wanted, lives


def test_a_death_at_any_step_changes_nothing() -> None:
    """Each offset is in exactly one file, whatever step was the last."""
    expected = everything(story(None)[0])
    steps, died = 0, 1
    while died:
        world, died = story(steps)
        assert_same(world, expected, steps)
        steps += 1
    assert steps > 80


def test_two_deaths_one_after_the_other() -> None:
    """A successor may die at any step of taking over too."""
    expected = everything(story(None)[0])
    for first in range(5, 60, 18):
        for second in range(0, 30, 5):
            world, died = story(first, second)
            assert died == 2
            assert_same(world, expected, (first, second))


def test_records_of_an_earlier_assignment_do_not_follow_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A partition is lost and gained in one poll, which still gives what was fetched before: nothing is left out."""
    world = ArchiveWorld()
    fill(world, rounds=3)
    fetched = world.log.records[world.endpoint.topic("requests"), 0][6:]
    poll = MemorySource.poll

    def late(source: MemorySource, max_records: int, timeout_s: float) -> list[Record]:
        found = poll(source, max_records, timeout_s)
        if source is world.sources[0] and late_ones:
            found = late_ones.pop()
        return found

    late_ones = [fetched]
    monkeypatch.setattr(MemorySource, "poll", late)
    archiver = world.start()
    play(world, archiver)
    archiver.stop()
    assert offsets_of(world.rows("requests")) == [(0, offset) for offset in range(12)]


def test_a_restart_sends_little_twice() -> None:
    """What the group has committed is not sent again, though it is in no file yet."""
    world = ArchiveWorld(rows=1_000, age="1h")
    fill(world, rounds=4)
    archiver = world.start()
    play(world, archiver)
    assert world.rows("requests") == []
    world.die()
    successor = world.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rendezvous.archive.service.MAX_RECORDS", 3)
        play(world, successor, turns=8)
    successor.stop()
    sent = Counter(offset for columns in world.features() for offset in columns.offsets.tolist())
    assert set(sent.values()) == {1}
    assert len(world.rows("requests")) == 16


def test_a_commit_about_another_topic_is_no_use() -> None:
    """Positions of a topic that was made anew would hide features."""
    world = ArchiveWorld()
    fill(world, rounds=2)
    world.log.commits["tests.archiver", world.endpoint.topic("requests"), 0] = Committed(6, "another-id")
    archiver = world.start()
    play(world, archiver)
    assert sum(len(columns.offsets) for columns in world.features()) == 4


def test_who_was_expelled_writes_nothing() -> None:
    """A frozen process finds that it is no member: what it read is in its successor's files alone."""
    world = ArchiveWorld(rows=1_000)
    fill(world, rounds=2)
    frozen = world.start()
    frozen.turn(0)
    frozen.turn(0)
    world.log.expel("tests.archiver", world.sources[0])
    world.clock.advance_ms(2_000)
    successor = world.start()
    play(world, successor)
    fill(world, rounds=1)
    frozen.turn(0)  # it hears of its end at the next
    play(world, successor)
    successor.stop()
    assert offsets_of(world.rows("requests")) == [(0, offset) for offset in range(12)]


def test_gaps_of_the_log_are_no_gaps_of_the_archive() -> None:
    """Transaction markers: the next file begins where the last one ended."""
    world = ArchiveWorld(rows=2)
    for _ in range(5):
        world.ask()
        world.log.skip(world.endpoint.topic("requests"), 0, 3 * world.asked)
        archiver = world.start()
        play(world, archiver)
        world.die()
    assert [row["offset"] for row in world.rows("requests")] == [0, 3, 6, 9, 12]
    (chain,) = world.archive.files("requests").values()
    assert [(held.first, held.last) for held in chain] == [(0, 2), (3, 5), (6, 8), (9, 11), (12, 14)]


def test_files_reach_to_the_end_of_a_log_that_ends_without_a_record() -> None:
    """Whoever waits for the archive knows no more than the log's end."""
    world = ArchiveWorld()
    archiver = world.start()
    play(world, archiver)
    for name in NAMES:
        world.log.skip(world.endpoint.topic(name), 0, 3)
    play(world, archiver)
    for name in NAMES:
        (chain,) = world.archive.files(name).values()
        assert [(held.first, held.last) for held in chain] == [(0, 2)]
        assert world.rows(name) == []


def test_days_are_folders() -> None:
    """A file has the day on which its first record was appended, and ends with that day."""
    world = ArchiveWorld(rows=100, age="1h")
    world.clock.now_us = 1_700_000_000_000_000  # 14 November 2023, 22:13
    archiver = world.start()
    for _ in range(3):
        world.ask()
        world.clock.advance_ms(3_600_000)
    play(world, archiver, turns=2)
    archiver.stop()
    (chain,) = world.archive.files("requests").values()
    assert [(held.path.split("/")[-2], held.first, held.last) for held in chain] == [
        ("day=2023-11-14", 0, 1),
        ("day=2023-11-15", 2, 2),
    ]


def test_what_the_log_deleted_is_said() -> None:
    """Without a word of the operator it is an error; with it an empty file stands for what is lost."""
    world = ArchiveWorld()
    world.ask()
    play(world, world.start())
    world.die()
    topic = world.endpoint.topic("requests")
    for _ in range(4):
        world.ask()
    del world.log.records[topic, 0][:3]
    low = {(topic, 0): 3}

    def bounds(source: object, name: str, number: int) -> tuple[int, int]:
        del source
        return low.get((name, number), 0), world.log.end(name, number)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("memory_log.MemorySource.bounds", bounds)
        archiver = world.start()
        with pytest.raises(ArchiveError, match=r"ends at 1, the log begins at 3.*--accept-loss"):
            archiver.turn(0)
        world.die()
        play(world, world.start(accept_loss=True))
    (chain,) = world.archive.files("requests").values()
    assert [(held.first, held.last, held.lost) for held in chain] == [(0, 0, False), (1, 2, True), (3, 4, False)]


def test_a_log_that_is_shorter_than_its_archive_is_said() -> None:
    """Another cluster, or a log that lost records."""
    world = ArchiveWorld()
    fill(world, rounds=2)
    play(world, world.start())
    world.die()
    world.log.records.clear()
    with pytest.raises(ArchiveError, match=r"the archive ends at 8, the log at 0"):
        world.start().turn(0)


def test_an_archive_of_other_topics_is_refused() -> None:
    """A topic that was made anew has other ids."""
    world = ArchiveWorld()
    world.archive.identify({"requests": "a"})
    world.archive.identify({"requests": "a"})
    with pytest.raises(ArchiveError, match="made anew"):
        world.archive.identify({"requests": "b"})


def test_a_frozen_writers_file_never_appears() -> None:
    """It was frozen between its question to the group and the rename: its successor has cleared what it wrote."""
    world = ArchiveWorld()
    fill(world, rounds=3)
    frozen = world.start()

    def frozen_here(*_: object) -> bool:
        world.die()
        play(world, world.start())
        return True

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("memory_log.MemorySource.still_member", once(frozen_here))
        with pytest.raises(ArchiveError, match="could not be written"):
            play(world, frozen)
    assert offsets_of(world.rows("requests")) == [(0, offset) for offset in range(12)]


def once(act: Callable[..., bool]) -> Callable[..., bool]:
    """The first call is `act`; later ones say yes."""
    calls = iter([act])

    def call(*arguments: object) -> bool:
        return next(calls, lambda *_: True)(*arguments)

    return call


def test_a_full_disk_is_said() -> None:
    """And what was on it stays as it was."""
    world = ArchiveWorld()
    fill(world, rounds=3)
    archiver = world.start()

    def full(*_: object, **__: object) -> object:
        raise OSError(28, "No space left on device")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pyarrow.parquet.write_table", full)
        with pytest.raises(ArchiveError, match=r"tests\.\w+-0-.* could not be written .*No space left"):
            play(world, archiver)
    world.die()
    play(world, world.start())
    assert offsets_of(world.rows("requests")) == [(0, offset) for offset in range(12)]


def test_features_that_are_not_delivered_stop_it() -> None:
    """No file of requests is written before their features are on the log."""
    world = ArchiveWorld()
    fill(world, rounds=3)
    archiver = world.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "memory_log.MemorySink.send", lambda *_, delivered, **__: delivered("Broker: Policy violation", -1)
        )
        with pytest.raises(LogError, match=r"features: Broker: Policy violation: stopping; a restart sends again"):
            play(world, archiver)
    assert world.rows("requests") == []


def test_features_go_out_within_a_moment() -> None:
    """What waits is gathered for GATHER_US, then sent as one record."""
    world = ArchiveWorld(rows=1_000, age="1h")
    archiver = world.start()
    archiver.turn(0)
    for _ in range(4):
        world.ask()
        archiver.turn(0)
        world.clock.advance_ms(10)
    assert world.features() == []
    world.clock.advance_ms(10)
    archiver.turn(0)
    assert [columns.offsets.tolist() for columns in world.features()] == [[0, 1, 2, 3]]
    assert GATHER_US == 50_000


def test_labels_that_do_not_decode_are_passed(caplog: pytest.LogCaptureFixture) -> None:
    """Counted, said, and covered by the file that they would be in."""
    world = ArchiveWorld()
    world.log.append(world.endpoint.topic("labels"), 0, b"rubbish")
    world.label("r-1", 1.0, 1)
    play(world, world.start())
    assert offsets_of(world.rows("labels")) == [(0, 1)]
    assert "labels-0@0: not archived" in caplog.text
    (chain,) = world.archive.files("labels").values()
    assert [(held.first, held.last) for held in chain] == [(0, 1)]


def test_a_strange_file_is_said() -> None:
    """Also one of another endpoint."""
    world = ArchiveWorld()
    held = Held("others.requests", 0, 0, 1, "")
    other = Archive(world.url, "others")
    other.write(held, 0, TABLES["requests"]([]), lambda: True)
    files = fsspec.filesystem("memory")
    ((path,),) = ([file.path for file in chain] for chain in other.files("requests").values())
    files.cp_file(path, path.replace("/others/", "/tests/"))
    with pytest.raises(ArchiveError, match=r"belong to another archive"):
        world.archive.files("requests")
