"""Training tables: which rows, with which labels, and the same ones again."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest

from archiving import ArchiveWorld, play
from rendezvous.archive.command import save, told
from rendezvous.archive.dataset import Dataset, build
from rendezvous.archive.manifest import Manifest, Positions
from rendezvous.archive.names import ArchiveError

HOUR_US = 3_600_000_000
START_US = 1_357_380_000_000_000  # 2013-01-05T10:00Z


def at(hours: float) -> str:
    """ce_time so many hours after the start."""
    stamp = np.datetime64(START_US + round(hours * HOUR_US), "us")
    return f"{stamp}+00:00"


def us(hours: float) -> int:
    """The same as a number."""
    return START_US + round(hours * HOUR_US)


def archived(world: ArchiveWorld) -> None:
    """Everything that stands on the log is in files."""
    archiver = world.start()
    play(world, archiver)
    archiver.stop()


def table(world: ArchiveWorld, first: float, last: float, as_of: float, positions: Positions | None = None) -> Dataset:
    """A training table; hours after the start, labels take two hours."""
    return build(
        world.endpoint,
        world.archive,
        us(first),
        us(last),
        us(as_of),
        label_delay_us=2 * HOUR_US,
        positions=positions,
    )


@pytest.fixture
def world() -> ArchiveWorld:
    """Ten requests, one an hour, each labelled an hour later by its parity."""
    world = ArchiveWorld(rows=3, label_partitions=2)
    for hour in range(10):
        world.ask(asked=at(hour))
        world.label(f"r-{hour + 1}", float(hour % 2), us(hour + 1), hour % 2)
    return world


def test_the_window_is_of_asked_times(world: ArchiveWorld) -> None:
    """From is in it, to is not; in the order in which they were asked; features as models get them."""
    archived(world)
    made = table(world, 2, 5, 100)
    assert made.table.column("request_id").to_pylist() == ["r-3", "r-4", "r-5"]
    assert made.table.column("label").to_pylist() == [0.0, 1.0, 0.0]
    assert made.table.column("asked_us").to_pylist() == [us(2), us(3), us(4)]
    assert made.table.column("observed_us").to_pylist() == [us(3), us(4), us(5)]
    assert made.table.column("x").to_pylist() == [3.0, 4.0, 5.0]
    assert made.table.column("x").type == "float"
    assert made.table.column("who").to_pylist() == ["who-0", "who-1", "who-2"]
    assert made.manifest.coverage == 1.0
    assert table(world, 9, 10, 100).table.column("request_id").to_pylist() == ["r-10"]
    assert table(world, 0, 1 / HOUR_US, 100).table.column("request_id").to_pylist() == ["r-1"]


def test_nothing_that_was_observed_later(world: ArchiveWorld) -> None:
    """The label as it was known then, and no request of the future; a correction is seen by later tables alone."""
    world.label("r-3", 1.0, us(20), 1)
    archived(world)
    before, after = table(world, 0, 10, 19.9), table(world, 0, 10, 20)
    assert before.table.column("label").to_pylist()[2] == 0.0
    assert after.table.column("label").to_pylist()[2] == 1.0
    assert after.table.column("observed_us").to_pylist()[2] == us(20)
    assert (before.manifest.superseded, after.manifest.superseded, after.manifest.contradicted) == (0, 1, 1)
    assert table(world, 0, 10, 5).manifest.requests == 6


def test_the_young_are_left_out_whole(world: ArchiveWorld) -> None:
    """At hour 5 the request of hour 3 is two hours old and mature; that of hour 4 is labelled, and too young."""
    archived(world)
    made = table(world, 0, 10, 5)
    assert made.table.column("request_id").to_pylist() == ["r-1", "r-2", "r-3", "r-4"]
    assert (made.manifest.immature, made.manifest.immature_labelled) == (2, 1)


def test_the_last_observation_stands_whatever_the_order(world: ArchiveWorld) -> None:
    """An older observation that comes later changes nothing; one that says never drops the request."""
    world.label("r-1", 1.0, us(3), 1)
    world.label("r-1", 0.0, us(2), 0)
    world.label("r-2", None, us(4), 0)
    world.ask(asked=at(1.5))
    archived(world)
    made = table(world, 0, 4, 100)
    assert made.table.column("request_id").to_pylist() == ["r-1", "r-3", "r-4"]
    assert made.table.column("label").to_pylist() == [1.0, 0.0, 1.0]
    manifest = made.manifest
    assert (manifest.requests, manifest.labelled, manifest.never, manifest.unlabelled) == (5, 3, 1, 1)
    assert manifest.coverage == pytest.approx(0.6)


def test_of_two_observed_at_once_the_larger_stands(world: ArchiveWorld) -> None:
    """Whichever came first; "never" is less than any value. So does the monitor."""
    for request, values in ((1, (1.0, 0.0)), (3, (0.0, 1.0)), (5, (None, 0.0)), (7, (0.0, None))):
        for value in values:
            world.label(f"r-{request}", value, us(30), request % 4 // 2)
    archived(world)
    labels = dict(
        zip(*(table(world, 0, 10, 100).table.column(c).to_pylist() for c in ("request_id", "label")), strict=True)
    )
    assert [labels[f"r-{request}"] for request in (1, 3, 5, 7)] == [1.0, 1.0, 0.0, 0.0]


def test_what_models_did_not_see_is_no_row(world: ArchiveWorld) -> None:
    """Rubbish, what is too large, and what is no request: counted."""
    for value in (b"rubbish", world.codec.encode({"x": None, "who": "w" * 2_000})):
        world.ask(asked=at(1), value=value)
        world.label(f"r-{world.asked}", 1.0, us(2))
    world.ask(headers=False)
    archived(world)
    made = table(world, 0, 10, 100)
    assert made.manifest.rows == 10
    assert (made.manifest.labelled, made.manifest.unreadable) == (12, 2)


def test_missing_features_are_as_models_get_them(world: ArchiveWorld) -> None:
    """NaN, never null: training and serving see the same."""
    world.ask(asked=at(0), value=world.codec.encode({"x": None, "who": ""}))
    world.label("r-11", 1.0, us(1))
    archived(world)
    row = table(world, 0, 1, 100).table.slice(1).to_pylist()[0]
    assert np.isnan(row["x"])
    assert row["who"] == ""


def test_the_hash_is_of_the_content(world: ArchiveWorld) -> None:
    """However it came into files; another label is another hash."""
    archived(world)
    other = ArchiveWorld(label_partitions=2)
    for records in (3, 10):
        other.log.records.update({place: found[:records] for place, found in world.log.records.items()})
        archived(other)
    first, second = table(world, 0, 10, 100), table(other, 0, 10, 100)
    assert first.manifest.files != second.manifest.files
    assert first.manifest.sha256 == second.manifest.sha256
    world.label("r-1", 1.0, us(50))
    archived(world)
    assert table(world, 0, 10, 100).manifest.sha256 != first.manifest.sha256


def test_the_hash_knows_one_nan() -> None:
    """Whatever its bits: a writer in another language has others."""
    hashes = set()
    for bits in (0x7FC00000, 0x7FC00001, 0xFFC00000):
        other = ArchiveWorld()
        (nan,) = struct.unpack("<f", struct.pack("<I", bits))
        other.ask(asked=at(0), value=other.codec.encode({"x": nan, "who": "a"}))
        other.label("r-1", 1.0, us(1))
        archived(other)
        hashes.add(table(other, 0, 1, 100).manifest.sha256)
    assert len(hashes) == 1


def test_positions_bring_the_same_rows_again(world: ArchiveWorld) -> None:
    """A manifest pins what was archived then: what came later, about earlier times too, changes nothing."""
    archived(world)
    first = table(world, 0, 10, 100)
    world.label("r-1", 1.0, us(50))
    world.ask(asked=at(1))
    world.label("r-11", 1.0, us(2))
    archived(world)
    again = table(world, 0, 10, 100, positions=first.manifest.positions)
    assert again.manifest == first.manifest
    assert table(world, 0, 10, 100).manifest.rows == 11
    within = table(world, 0, 10, 100, positions={"requests": {0: 4}, "labels": {0: 5, 1: 5}})
    assert within.table.column("request_id").to_pylist() == ["r-1", "r-2", "r-3", "r-4"]
    with pytest.raises(ArchiveError, match="12 is asked for"):
        table(world, 0, 10, 100, positions={"requests": {0: 12}, "labels": {}})


def test_a_second_request_of_one_id_is_a_row(world: ArchiveWorld) -> None:
    """As the contract says; counted."""
    world.asked = 0
    world.ask(asked=at(0.5))
    archived(world)
    made = table(world, 0, 1, 100)
    assert made.table.column("request_id").to_pylist() == ["r-1", "r-1"]
    assert made.manifest.repeated_ids == 1


def test_an_archive_without_requests_is_said() -> None:
    """With what to do."""
    with pytest.raises(ArchiveError, match="rendezvous run archiver"):
        table(ArchiveWorld(), 0, 1, 2)


def test_no_rows_are_a_table_too(world: ArchiveWorld) -> None:
    """Of the same columns."""
    archived(world)
    full, empty = table(world, 0, 10, 100), table(world, 50, 60, 100)
    assert empty.table.schema == full.table.schema
    assert (empty.manifest.rows, empty.manifest.coverage, empty.manifest.delay_p99_us) == (0, 0.0, -1)


def test_what_is_written(world: ArchiveWorld, tmp_path: Path) -> None:
    """The table, and its manifest beside it, which reads back; the same bytes each time."""
    archived(world)
    made = table(world, 0, 10, 100)
    files = [tmp_path / name for name in ("a.parquet", "b.parquet")]
    for file in files:
        save(made, file)
    assert files[0].read_bytes() == files[1].read_bytes()
    assert pyarrow.parquet.read_table(files[0]) == made.table
    beside = (tmp_path / "a.json").read_text()
    assert Manifest.model_validate_json(beside) == made.manifest
    assert json.loads(beside)["positions"] == {"requests": {"0": 10}, "labels": {"0": 5, "1": 5}}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "a.parquet", "b.json", "b.parquet"]
    assert told(made.manifest)[0].startswith("10 rows, 2013-01-05 10:00:00Z to 2013-01-05 20:00:00Z")


def test_a_label_delay_that_is_too_short_is_said(world: ArchiveWorld) -> None:
    """By what the rows themselves show."""
    world.label("r-5", 1.0, us(60))
    archived(world)
    assert any("Set [monitoring] label_delay" in line for line in told(table(world, 0, 10, 200).manifest))
