"""A version is kept whole or not at all, wherever the process that keeps it is killed."""

from __future__ import annotations

import json
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from rendezvous.registry import store as store_module
from rendezvous.registry.naming import RegistryError
from rendezvous.registry.store import keep
from rendezvous.scoring.card import CardError, load_card, write_card

from .conftest import Bench, card_of

KEEPER = """
import json, os, shutil, signal, sys
from pathlib import Path
from rendezvous.registry.store import keep
from rendezvous.settings import load_endpoint

home, made = Path(sys.argv[1]), Path(sys.argv[2])
endpoint = load_endpoint("toy", home)
versions = endpoint.folder / "first" / "versions"
found, number = [], 0
while not found or found[-1]["killed"]:
    shutil.rmtree(versions, ignore_errors=True)
    child = os.fork()
    if not child:
        left = number

        def hook(event, arguments):
            global left
            if event in {"open", "os.mkdir", "os.rename", "os.chmod", "os.remove", "os.rmdir", "shutil.copyfile"}:
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        keep(endpoint, made)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    whole = {path.name: sorted(p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_file())
             for path in versions.glob("[!.]*")}
    again = keep(endpoint, made).version
    found.append({"killed": os.WIFSIGNALED(status), "whole": whole, "again": again})
    number += 1
print(json.dumps(found))
"""


@pytest.fixture
def made(bench: Bench) -> Path:
    """A finished folder: artefact, card, and code."""
    folder = bench.home / "made"
    (folder / "code/deep").mkdir(parents=True)
    (folder / "model.onnx").write_bytes(b"graph")
    (folder / "code/deep/train.py").write_text("pass\n")
    write_card(folder, card_of(b"graph"))
    return folder


def test_a_version_is_whole_or_not_there_wherever_the_keeper_is_killed(bench: Bench, made: Path) -> None:
    """Killed at each of its steps in the file system; the next one keeps it all the same."""
    command = [sys.executable, "-c", KEEPER, str(bench.home), str(made)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    files = ["card.json", "code/deep/train.py", "model.onnx"]
    version = sha256(b"graph").hexdigest()[:12]
    assert len(found) > 10
    assert found[0]["whole"] == {}
    assert found[-1] == {"killed": False, "whole": {version: files}, "again": version}
    assert all(one["whole"] in ({}, {version: files}) and one["again"] == version for one in found)


def test_what_a_killed_process_left_is_swept(bench: Bench, made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once it is older than any copying takes; what is young may be somebody's."""
    versions = bench.home / "models/toy/first/versions"
    (versions / ".left").mkdir(parents=True)
    keep(bench.endpoint, made)
    assert (versions / ".left").exists()
    monkeypatch.setattr(store_module, "LEFT_S", -1.0)
    (made / "model.onnx").write_bytes(b"another")
    write_card(made, card_of(b"another"))
    keep(bench.endpoint, made)
    assert not (versions / ".left").exists()
    assert len(list(versions.iterdir())) == 2


def test_a_kept_version_stays_as_it_is(bench: Bench, made: Path) -> None:
    """The same artefact with another card changes nothing; a version that is not its card's is refused."""
    version = keep(bench.endpoint, made).version
    folder = bench.home / "models/toy/first/versions" / version
    before = (folder / "card.json").read_bytes()
    write_card(made, card_of(b"graph", notes="again"))
    assert keep(bench.endpoint, made).notes == ""
    assert (folder / "card.json").read_bytes() == before
    (folder / "model.onnx").write_bytes(b"damaged")
    with pytest.raises(RegistryError, match="is damaged"):
        keep(bench.endpoint, made)


def test_a_folder_that_is_no_version_is_not_kept(bench: Bench, made: Path) -> None:
    """Its card is missing, or does not fit its artefact."""
    (made / "model.onnx").write_bytes(b"other")
    with pytest.raises(CardError, match="changed since its card"):
        keep(bench.endpoint, made)
    (made / "card.json").unlink()
    with pytest.raises(CardError, match="no readable card"):
        keep(bench.endpoint, made)
    with pytest.raises(CardError):
        load_card(made)
    assert bench.versions() == []
