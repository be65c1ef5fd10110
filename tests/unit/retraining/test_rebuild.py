"""A version is made again from its card, or it is said what is missing, changed or different."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rendezvous.archive.files import Archive
from rendezvous.archive.names import Held
from rendezvous.cli import main
from rendezvous.registry.naming import RegistryError
from rendezvous.registry.state import Pair
from rendezvous.retraining.archived import FromArchive
from rendezvous.retraining.events import Outcome
from rendezvous.retraining.job import run_job
from rendezvous.retraining.rebuild import DIFFERENT, SAME, Desk, named_version
from rendezvous.retraining.sources import SourceError
from rendezvous.retraining.tables import TableError
from rendezvous.scoring.card import CARD_FILE, load_card
from rendezvous.wire import Codec

from .conftest import DAY_US, ROWS_A_DAY, START_US, Bench, event, make_bench

SLICED = '[[retraining.acceptance.limits]]\nmetric = "auc"\nat_least = 0.5\nslice = {place = "here"}'


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A version of the first 25 days, its training table beside it."""
    bench = make_bench(tmp_path_factory.mktemp("made"))
    bench.settings(acceptance=SLICED)
    assert bench.run(event("made", until_day=25)).outcome is Outcome.REGISTERED
    asked = bench.table["asked_us"].to_numpy()
    pq.write_table(bench.table.filter(asked < START_US + 25 * DAY_US), bench.home / "table.parquet")
    pq.write_table(bench.table.filter(asked >= START_US + 30 * DAY_US), bench.home / "later.parquet")
    return bench


@pytest.fixture
def home(made: Bench, tmp_path: Path) -> Bench:
    """A copy of it, to be damaged."""
    shutil.copytree(made.home, tmp_path / "home")
    return Bench(tmp_path / "home", made.table)


def folder_in(bench: Bench) -> Path:
    """Of its version."""
    (folder,) = bench.versions()
    return folder


def rebuild(bench: Bench, data: str | None = "table.parquet", score: str | None = None) -> tuple[int, list[str]]:
    """The exit code, and what was said."""
    lines: list[str] = []
    desk = Desk(bench.endpoint, Archive(str(bench.home / "archive"), "toy"), lines.append)
    pair: Pair = ("first", folder_in(bench).name)
    paths = (None if name is None else bench.home / name for name in (data, score))
    code = desk.rebuild(pair, *paths)
    return code, lines


def test_a_version_is_made_again_byte_for_byte(made: Bench) -> None:
    """Of a table with the same content, in the same environment; scored on other days, by slice."""
    code, lines = rebuild(made, score="later.parquet")
    assert code == SAME
    assert f"rebuilt: byte for byte {folder_in(made) / 'model.onnx'}" in lines
    assert not [line for line in lines if line.startswith("differs")]
    whole, here = (line for line in lines if line.startswith("scored on"))
    assert "all rows, 600 rows: auc 0.8" in whole
    assert "place=here" in here


def test_other_data_is_refused(home: Bench) -> None:
    """Days that it was not trained on; none of an archive; a file that is not there."""
    with pytest.raises(TableError, match="it is other data"):
        rebuild(home, "later.parquet")
    with pytest.raises(RegistryError, match="not of an archive: give it with --data FILE"):
        rebuild(home, None)
    with pytest.raises(TableError, match="cannot be read"):
        rebuild(home, "nowhere.parquet")


def test_code_that_changed_is_refused(home: Bench) -> None:
    """What is kept with the version is what ran."""
    path = folder_in(home) / "code/fit.py"
    path.write_text(path.read_text() + "\n")
    with pytest.raises(SourceError, match=r"\['fit.py'\] changed since they were kept"):
        rebuild(home)
    path.unlink()
    with pytest.raises(SourceError, match="not readable"):
        rebuild(home)


def test_the_code_of_today_does_not_matter(home: Bench) -> None:
    """The model's folder has moved on."""
    (home.home / "models/toy/first/fit.py").write_text("raise SystemExit(1)\n")
    assert rebuild(home)[0] == SAME


def rewrite(bench: Bench, **changes: object) -> None:
    """Change fields of the card."""
    path = folder_in(bench) / CARD_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_another_environment_is_told(home: Bench) -> None:
    """Python, a package of another version, one that is not installed."""
    card = json.loads((folder_in(home) / CARD_FILE).read_text())
    card["history"]["environment"]["python"] = "3.9.1"
    rewrite(home, packages={"numpy": "1.0", "gone": "2"}, history=card["history"])
    code, lines = rebuild(home)
    assert code == SAME
    told = [line for line in lines if line.startswith("differs from the card")]
    assert [line.partition(", was ")[2] for line in told] == ["3.9.1", "1.0", "2"]
    assert "gone is not installed" in told[2]


def test_another_model_is_told(home: Bench) -> None:
    """Other parameters, as if the environment had made a difference: predictions are compared, and are too far off."""
    history = json.loads((folder_in(home) / CARD_FILE).read_text())["history"]
    rewrite(home, history=history | {"given": {"mode": "noise"}})
    code, lines = rebuild(home)
    assert code == DIFFERENT
    assert any("other bytes; predictions differ by at most" in line and "more than" in line for line in lines)


def test_what_no_job_has_made_says_what_to_do(home: Bench) -> None:
    """A card without a history, as training scripts write them."""
    rewrite(home, history=None)
    with pytest.raises(RegistryError, match=r"its card has no history, .*models/toy/train.py"):
        rebuild(home)


def test_a_version_has_a_name(made: Bench) -> None:
    """With its model or without; another one says which there are."""
    folder = folder_in(made)
    for text in (folder.name, f"first/{folder.name}"):
        assert named_version(made.endpoint, text) == ("first", folder.name)
    with pytest.raises(RegistryError, match=f"nobody is not kept here; versions below .*: first/{folder.name}"):
        named_version(made.endpoint, "nobody")
    assert load_card(folder).version == folder.name


def archived(bench: Bench) -> Archive:
    """The first 25 days as an archiver would have written them: requests, and a label an hour after each."""
    archive = Archive(str(bench.home / "archive"), "toy")
    rows = bench.table.slice(0, 25 * ROWS_A_DAY).to_pylist()
    codec = Codec(bench.endpoint.features_schema)
    asked = [row["asked_us"] for row in rows]
    requests: dict[str, list[Any]] = {
        "asked_us": asked,
        "request_id": [f"r{number}" for number in range(len(rows))],
        "value": [codec.encode({name: row[name] for name in ("place", "x", "z")}) for row in rows],
    }
    write(archive, "requests", 0, requests)
    told = [us + 3_600_000_000 for us in asked]
    labels = {
        "request_id": requests["request_id"],
        "value": [row["label"] for row in rows],
        "observed_us": told,
        "source": ["gate"] * len(rows),
    }
    write(archive, "labels", 0, labels)
    return archive


def write(archive: Archive, name: str, first: int, columns: dict[str, list[Any]]) -> None:
    """One file of a topic, from an offset on."""
    rows = len(next(iter(columns.values())))
    offsets = range(first, first + rows)
    table = pa.table({"partition": pa.array([0] * rows, pa.int32()), "offset": offsets, **columns})
    held = Held(f"toy.{name}", 0, first, first + rows - 1, "")
    assert archive.write(held, 15_000, table, lambda: True)


def test_an_archive_gives_the_same_rows_for_ever(tmp_path: Path) -> None:
    """The card has how far the archive went: a label that was archived later, about the same time, changes nothing."""
    bench = make_bench(tmp_path)
    archive = archived(bench)
    around = replace(bench.around, build=FromArchive(bench.endpoint, archive, {}, bench.lines.append))
    outcome = run_job(bench.endpoint, event("archived", until_day=25), None, around)
    assert outcome.outcome is Outcome.REGISTERED, outcome.reasons
    history = load_card(folder_in(bench)).history
    assert history is not None
    assert history.manifest is not None
    assert history.manifest["rows"] == 25 * ROWS_A_DAY
    assert rebuild(bench, None)[0] == SAME
    late: dict[str, list[Any]] = {
        "request_id": ["r0", "r1"],
        "value": [0.5, None],
        "observed_us": [START_US + DAY_US] * 2,
        "source": ["gate"] * 2,
    }
    write(archive, "labels", 25 * ROWS_A_DAY, late)
    code, lines = rebuild(bench, None)
    assert code == SAME
    assert any("byte for byte" in line for line in lines)


def test_the_command_says_what_cannot_be(
    made: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A version that is not kept here: one sentence, and exit code 2."""
    monkeypatch.setenv("RENDEZVOUS_HOME", str(made.home))
    monkeypatch.setenv("RENDEZVOUS_DATA", str(made.home))
    assert main(["rebuild", "nobody", "--endpoint", "toy"]) == 2
    assert "nobody is not kept here" in capsys.readouterr().err
    assert main(["rebuild", folder_in(made).name, "--endpoint", "toy"]) == 2
    assert "give it with --data FILE" in capsys.readouterr().err
