"""Training data out of the archive: it is waited for, and not for ever."""

from __future__ import annotations

from pathlib import Path

import pytest

from found import retraining_endpoint
from rendezvous.archive.files import Archive
from rendezvous.retraining import archived
from rendezvous.retraining.archived import FromArchive
from rendezvous.scoring.card import Span
from rendezvous.settings import SettingsError

SPAN = Span(from_us=0, until_us=1, as_of_us=2)


def build_of(folder: Path, wanted: dict[str, dict[int, int]], lines: list[str]) -> FromArchive:
    """From an archive with nothing in it."""
    of = retraining_endpoint()
    of = of.model_copy(update={"archive": of.archive.model_copy(update={"age": 0})})
    return FromArchive(of, Archive(str(folder), of.name), wanted, lines.append)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of a second instead of a minute."""
    monkeypatch.setattr(archived, "MARGIN_US", 100_000)
    monkeypatch.setattr(archived, "LOOK_S", 0.01)


def test_an_archive_that_stays_behind(tmp_path: Path) -> None:
    """It is said once that it is waited for; then what is missing, and who should have written it."""
    lines: list[str] = []
    build = build_of(tmp_path, {"requests": {0: 7, 1: 0}, "labels": {0: 3}}, lines)
    with pytest.raises(SettingsError, match=r"requests-0 is written down to 0, wanted is 7; labels-0 .* archiver"):
        build(SPAN, tmp_path / "data.parquet")
    behind = "requests-0 is written down to 0, wanted is 7; labels-0 is written down to 0, wanted is 3"
    assert lines == [f"waiting for the archive: {behind}"]


def test_what_is_wrong_with_an_archive_is_told(tmp_path: Path) -> None:
    """A job's outcome carries it."""
    with pytest.raises(SettingsError, match="has no requests of tests"):
        build_of(tmp_path, {"requests": {0: 0}}, [])(SPAN, tmp_path / "data.parquet")


def test_it_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until nothing is missing; the table and its manifest are written then."""
    looks = iter([["requests-0 is behind"], ["requests-0 is behind"], []])
    monkeypatch.setattr(FromArchive, "_behind", lambda _: next(looks))
    with pytest.raises(SettingsError, match="has no requests"):
        build_of(tmp_path, {}, [])(SPAN, tmp_path / "data.parquet")
    assert next(looks, None) is None
