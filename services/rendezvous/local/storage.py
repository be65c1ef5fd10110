"""Kafka's folder under the data folder: what is found there, and what is done about it.

Found     How it is told                                                          Done
EMPTY     not there, or nothing in it                                             format
SOUND     ours, of this Kafka, formatted; the cluster id is the one we noted      reuse
OLDER     as SOUND, of an older Kafka                                             reuse: Kafka upgrades itself
NEWER     as SOUND, of a newer Kafka, whose files this one may not read           set aside, format
HALF      ours, but formatting did not end                                        remove (it holds no record), format
BROKEN    ours and formatted once, but meta.properties is gone or another's       set aside, format
FOREIGN   something without our note                                              refuse
"""

from __future__ import annotations

import base64
import json
import shutil
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import Enum, auto
from pathlib import Path

from rendezvous.local.failure import LocalStackError

NOTE = "rendezvous.json"
DATA = "data"


class Found(Enum):
    """What is in the folder (see the table)."""

    EMPTY = auto()
    SOUND = auto()
    OLDER = auto()
    NEWER = auto()
    HALF = auto()
    BROKEN = auto()
    FOREIGN = auto()


@dataclass(frozen=True, slots=True)
class Note:
    """What we write beside Kafka's files, before and after formatting."""

    kafka: str
    cluster_id: str
    formatted: bool


def look(folder: Path, version: str) -> Found:
    """What is in `folder`, for a Kafka of `version`."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return Found.EMPTY
    note = read_note(folder)
    if note is None:
        return Found.FOREIGN
    if not note.formatted:
        return Found.HALF
    if _cluster_id(folder) != note.cluster_id:
        return Found.BROKEN
    if note.kafka == version:
        return Found.SOUND
    return Found.OLDER if _numbers(note.kafka) < _numbers(version) else Found.NEWER


def prepare(folder: Path, version: str, report: Callable[[str], None]) -> bool:
    """Make `folder` usable, with a word about anything that is not as it should be; whether it has to be formatted.

    Raises:
        LocalStackError: it holds what this stack did not write.
    """
    found = look(folder, version)
    if found is Found.FOREIGN:
        raise LocalStackError(
            f"{folder} holds something that this stack did not write, so it is left alone.\nWays out:\n"
            "  - move it away, or remove it if nobody needs it\n"
            "  - set RENDEZVOUS_DATA to another folder"
        )
    if found is Found.HALF:
        report(f"kafka: {folder} was left half formatted by a start that did not end; it is made anew")
        shutil.rmtree(folder)
    elif found is Found.OLDER:
        report(f"kafka: {folder} is of an older Kafka, which {version} takes over")
    elif found in (Found.NEWER, Found.BROKEN):
        why = "is of a newer Kafka" if found is Found.NEWER else "has lost or changed its meta.properties"
        report(f"kafka: {folder} {why}; it is kept as {_set_aside(folder)}, and an empty one is made")
    folder.mkdir(parents=True, exist_ok=True)
    return found not in (Found.SOUND, Found.OLDER)


def read_note(folder: Path) -> Note | None:
    """Our note in `folder`, if there is one that can be read."""
    try:
        return Note(**json.loads((folder / NOTE).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def write_note(folder: Path, note: Note) -> None:
    """Put our note into `folder`, in one step."""
    temporary = folder / f"{NOTE}.new"
    temporary.write_text(json.dumps(asdict(note)))
    temporary.replace(folder / NOTE)


def new_cluster_id() -> str:
    """16 random bytes as Kafka spells them; never with a dash first, which its tool would take for an option."""
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not text.startswith("-"):
            return text


def _cluster_id(folder: Path) -> str | None:
    try:
        lines = (folder / DATA / "meta.properties").read_text(errors="replace").splitlines()
    except OSError:
        return None
    return next((line.partition("=")[2].strip() for line in lines if line.startswith("cluster.id=")), None)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def _set_aside(folder: Path) -> Path:
    number = 1
    while (target := folder.with_name(f"{folder.name}.set-aside-{number}")).exists():
        number += 1
    return folder.rename(target)
