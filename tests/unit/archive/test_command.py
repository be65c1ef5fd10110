"""`rendezvous dataset` as a person types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from homes import write_home
from rendezvous.archive.files import Archive
from rendezvous.archive.names import Held
from rendezvous.archive.tables import Asked, Labelled, labels_table, requests_table
from rendezvous.cli import main
from rendezvous.log import Record
from rendezvous.messages import Label
from rendezvous.settings import Endpoint
from rendezvous.wire import Codec

START_US = 1_357_380_000_000_000  # 2013-01-05T10:00Z
MINUTE_US = 60_000_000
WINDOW = ["--from", "2013-01-05T10:00", "--to", "2013-01-05T11:00", "--as-of", "2013-01-06T10:00"]


@pytest.fixture
def endpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Endpoint:
    """An endpoint with three archived requests, a minute apart, two of them labelled."""
    endpoint = write_home(tmp_path)
    monkeypatch.setenv("RENDEZVOUS_HOME", str(tmp_path))
    monkeypatch.setenv("RENDEZVOUS_ARCHIVE", str(tmp_path / "kept"))
    codec, archive = Codec(endpoint.features_schema), Archive(str(tmp_path / "kept"), endpoint.name)
    value = codec.encode({"x": 0.5, "slow_ms": 0.0, "who": "a"})
    asked = [
        Asked(Record(endpoint.topic("requests"), 0, i, 0, None, value, ()), f"r-{i}", START_US + i * MINUTE_US)
        for i in range(3)
    ]
    labels = [
        Labelled(Record(endpoint.topic("labels"), 0, i, 0, None, b"", ()), Label(f"r-{i}", 1.0, START_US, "tests"))
        for i in range(2)
    ]
    archive.write(Held(endpoint.topic("requests"), 0, 0, 2, ""), 0, requests_table(asked), lambda: True)
    archive.write(Held(endpoint.topic("labels"), 0, 0, 1, ""), 0, labels_table(labels), lambda: True)
    return endpoint


def dataset(endpoint: Endpoint, *arguments: str) -> int:
    """Run it; returns the exit code."""
    return main(["dataset", "--endpoint", endpoint.name, *arguments])


def test_a_table_and_the_same_again(endpoint: Endpoint, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It says rows and hash; --like a manifest gives the same bytes, and 1 where they are not what it says."""
    first, again = tmp_path / "first.parquet", tmp_path / "again.parquet"
    assert dataset(endpoint, *WINDOW, "--out", str(first)) == 0
    said = capsys.readouterr().out.splitlines()
    manifest = json.loads((tmp_path / "first.json").read_text())
    assert said[0].startswith("2 rows, 2013-01-05 10:00:00Z")
    assert said[1] == f"sha256 {manifest['sha256']}"
    assert "1 without a label; coverage 66.7%" in said[2]
    assert dataset(endpoint, "--like", str(tmp_path / "first.json"), "--out", str(again)) == 0
    assert first.read_bytes() == again.read_bytes()
    (tmp_path / "other.json").write_text(json.dumps(manifest | {"sha256": "0" * 64}))
    assert dataset(endpoint, "--like", str(tmp_path / "other.json"), "--out", str(again)) == 1
    assert "sha256 differs" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--from", "2013-01-05T10:00", "--out", "x.parquet"], "--from and --to say which"),
        (["--from", "2013-01-05", "--to", "2013-01-05", "--out", "x.parquet"], "is not before --to"),
        (["--from", "yesterday", "--to", "2013-01-05", "--out", "x.parquet"], "--from 'yesterday' is neither"),
        ([*WINDOW, "--label-delay", "long", "--out", "x.parquet"], "--label-delay 'long' is no duration"),
        ([*WINDOW, "--out", "x.json"], "call the table FILE.parquet"),
        ([*WINDOW, "--out", "no/such/folder/x.parquet"], "cannot be written"),
        (["--like", "none.json", "--out", "x.parquet"], "no manifest of a training table"),
    ],
)
def test_what_is_wrong_is_said(
    endpoint: Endpoint, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One message, exit code 2, and no file."""
    assert dataset(endpoint, *arguments) == 2
    assert said in capsys.readouterr().err
    assert not Path("x.parquet").exists()


def test_an_archive_with_a_missing_file_is_said(endpoint: Endpoint, capsys: pytest.CaptureFixture[str]) -> None:
    """A table of what is left would be wrong without a sign of it."""
    archive = Archive(str(endpoint.folder.parents[1] / "kept"), endpoint.name)
    archive.write(Held(endpoint.topic("requests"), 0, 7, 9, ""), 0, requests_table([]), lambda: True)
    assert dataset(endpoint, *WINDOW, "--out", "x.parquet") == 2
    assert "offsets 3 to 6 are in no file" in capsys.readouterr().err
