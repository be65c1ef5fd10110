"""Every row of the table in storage.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from rendezvous.local.failure import LocalStackError
from rendezvous.local.storage import Found, Note, look, new_cluster_id, prepare, read_note, write_note

VERSION = "4.3.1"
SOUND = Note(VERSION, "cluster-a", formatted=True)


def left(folder: Path, note: Note | None, cluster_id: str | None = "cluster-a") -> Path:
    """Kafka's folder as an earlier run may have left it."""
    kafka = folder / "kafka"
    (kafka / "data").mkdir(parents=True)
    if note is not None:
        write_note(kafka, note)
    if cluster_id is not None:
        (kafka / "data" / "meta.properties").write_text(f"#\n#Sat Nov 21\nversion=1\ncluster.id={cluster_id}\n")
    return kafka


CASES = [
    (SOUND, "cluster-a", Found.SOUND),
    (Note("4.2.0", "cluster-a", formatted=True), "cluster-a", Found.OLDER),
    (Note("4.10.0", "cluster-a", formatted=True), "cluster-a", Found.NEWER),
    (Note(VERSION, "cluster-a", formatted=False), None, Found.HALF),
    (Note(VERSION, "cluster-a", formatted=False), "cluster-a", Found.HALF),
    (SOUND, None, Found.BROKEN),
    (SOUND, "cluster-b", Found.BROKEN),
    (None, "cluster-a", Found.FOREIGN),
]


@pytest.mark.parametrize(("note", "cluster_id", "found"), CASES)
def test_what_is_found(tmp_path: Path, note: Note | None, cluster_id: str | None, found: Found) -> None:
    """Each kind of left-over is told from the others."""
    assert look(left(tmp_path, note, cluster_id), VERSION) is found


@pytest.mark.parametrize("content", ["", "{", "[]", '{"kafka": "4.3.1"}'])
def test_a_note_that_cannot_be_read_is_none(tmp_path: Path, content: str) -> None:
    """A folder whose note is not ours is not ours."""
    kafka = left(tmp_path, None)
    (kafka / "rendezvous.json").write_text(content)
    assert read_note(kafka) is None
    assert look(kafka, VERSION) is Found.FOREIGN


def test_nothing_is_made_and_formatted(tmp_path: Path) -> None:
    """A folder that is not there is made without a word; an empty one is taken."""
    said: list[str] = []
    for _ in range(2):
        assert prepare(tmp_path / "kafka", VERSION, said.append)
    assert (tmp_path / "kafka").is_dir()
    assert said == []


def test_a_sound_one_is_reused(tmp_path: Path) -> None:
    """What is as it should be is used without a word."""
    said: list[str] = []
    assert not prepare(left(tmp_path, SOUND), VERSION, said.append)
    assert said == []


def test_an_older_one_is_taken_over(tmp_path: Path) -> None:
    """Kafka upgrades its own files; the user hears of it."""
    said: list[str] = []
    kafka = left(tmp_path, Note("4.2.0", "cluster-a", formatted=True))
    assert not prepare(kafka, VERSION, said.append)
    assert "older" in said[0]


def test_a_half_formatted_one_is_made_anew(tmp_path: Path) -> None:
    """Formatting that did not end has left nothing worth keeping."""
    said: list[str] = []
    kafka = left(tmp_path, Note(VERSION, "cluster-a", formatted=False))
    assert prepare(kafka, VERSION, said.append)
    assert list(kafka.iterdir()) == []
    assert "half formatted" in said[0]


@pytest.mark.parametrize(
    ("note", "cluster_id", "word"),
    [
        (Note("4.10.0", "cluster-a", formatted=True), "cluster-a", "newer"),
        (SOUND, "cluster-b", "meta.properties"),
        (SOUND, None, "meta.properties"),
    ],
)
def test_an_unusable_one_is_set_aside(tmp_path: Path, note: Note, cluster_id: str | None, word: str) -> None:
    """Records that somebody may want are kept under another name, never deleted."""
    said: list[str] = []
    (tmp_path / "kafka.set-aside-1").mkdir()
    kafka = left(tmp_path, note, cluster_id)
    assert prepare(kafka, VERSION, said.append)
    assert list(kafka.iterdir()) == []
    assert read_note(tmp_path / "kafka.set-aside-2") == note
    assert word in said[0]
    assert "kafka.set-aside-2" in said[0]


def test_what_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    """The message names the folder and what to do; nothing in it is touched."""
    kafka = left(tmp_path, None)
    with pytest.raises(LocalStackError, match=r"did not write(.|\n)*RENDEZVOUS_DATA"):
        prepare(kafka, VERSION, lambda _: None)
    assert (kafka / "data" / "meta.properties").exists()


def test_cluster_ids_are_no_options() -> None:
    """22 characters, never with a dash first: Kafka's tool would take that for an option."""
    ids = {new_cluster_id() for _ in range(500)}
    assert len(ids) == 500
    assert all(len(text) == 22 and not text.startswith("-") for text in ids)
