"""The broker's classes as a file: recorded once, used afterwards, never in the way."""

from __future__ import annotations

from pathlib import Path

import pytest

from rendezvous.local.class_data import ClassData
from rendezvous.local.jars import Jars
from rendezvous.local.java import Java


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A node's folder."""
    path = tmp_path / "kafka"
    path.mkdir()
    return path


@pytest.fixture
def jars(tmp_path: Path) -> Jars:
    """A folder for jars."""
    path = tmp_path / "jars"
    path.mkdir()
    return Jars(path, "4.3.1")


def classes(jars: Jars, folder: Path, build: str = "b17") -> ClassData:
    """What a broker starts with."""
    return ClassData(jars, Java(Path("java"), 17, build), folder)


def test_recorded_by_the_first_and_used_by_the_second(jars: Jars, folder: Path) -> None:
    """The first broker records into its own folder; from its end on, others map the file beside the jars."""
    first = classes(jars, folder)
    assert first.recording
    assert first.options == []
    assert first.broker_options[0] == f"-XX:ArchiveClassesAtExit={folder / 'classes.jsa'}"
    (folder / "classes.jsa").write_bytes(b"classes")
    first.keep(pytest.fail)
    second = classes(jars, folder)
    assert not second.recording
    assert second.options == second.broker_options
    assert second.options[0] == f"-XX:SharedArchiveFile={jars.folder / 'classes-b17.jsa'}"
    assert [path.name for path in jars.folder.iterdir()] == ["classes-b17.jsa"]
    assert list(folder.iterdir()) == []


def test_each_java_has_its_own(jars: Jars, folder: Path) -> None:
    """Another build of Java would not take it, so it records again."""
    (jars.folder / "classes-b17.jsa").write_bytes(b"classes")
    assert not classes(jars, folder).recording
    assert classes(jars, folder, "b21").recording


def test_a_broker_that_was_killed_leaves_none(jars: Jars, folder: Path) -> None:
    """Without a clean end there is nothing to keep; half a file of an earlier one is not taken for it."""
    (folder / "classes.jsa").write_bytes(b"half")
    first = classes(jars, folder)
    first.keep(pytest.fail)
    assert list(jars.folder.iterdir()) == []


def test_a_cache_that_cannot_be_written_is_told(jars: Jars, folder: Path) -> None:
    """The next broker starts without; that is worth a line, not an error."""
    first = classes(jars, folder)
    (folder / "classes.jsa").write_bytes(b"classes")
    jars.folder.rmdir()
    said: list[str] = []
    first.keep(said.append)
    assert "cannot be kept" in said[0]
