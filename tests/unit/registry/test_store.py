"""Versions on disk: kept whole, once, and never changed."""

from __future__ import annotations

import shutil
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from homes import write_home
from loadtest.plain import write_model
from registers import AUTHOR, control_after
from rendezvous.registry.changes import change_of_state, deployment
from rendezvous.registry.events import State
from rendezvous.registry.naming import RegistryError
from rendezvous.registry.state import Control
from rendezvous.registry.store import deployed_version, folder_of, store, stored
from rendezvous.scoring.card import REFERENCE_FILE, CardError, load_card, write_card
from rendezvous.settings import Endpoint


@pytest.fixture
def of(tmp_path: Path) -> Endpoint:
    """An endpoint whose models have been trained, and none deployed."""
    return write_home(tmp_path)


def deployed(of: Endpoint, model: str = "quick") -> Control:
    """Control after the deployment of one model."""
    card = store(of, model)
    return control_after(deployment(Control(), of, {(model, card.version): card.sha256}, AUTHOR).events)


def test_a_version_is_the_workbenchs_artefact_and_card(of: Endpoint) -> None:
    """Both, byte for byte, in a folder that others may read, and nothing beside it."""
    card = store(of, "quick")
    folder = folder_of(of, ("quick", card.version))
    assert sorted(path.name for path in folder.iterdir()) == ["card.json", "model.py"]
    for name in ("card.json", "model.py"):
        assert (folder / name).read_bytes() == (of.folder / "quick" / name).read_bytes()
    assert folder.stat().st_mode & 0o777 == 0o755
    assert [path.name for path in folder.parent.iterdir()] == [card.version]


def test_a_versions_reference_goes_with_it(of: Endpoint) -> None:
    """What the monitor compares with is a part of the version."""
    workbench = of.folder / "quick"
    (workbench / REFERENCE_FILE).write_bytes(b"{}")
    known = load_card(workbench).model_copy(update={"reference_sha256": sha256(b"{}").hexdigest()})
    write_card(workbench, known)
    folder = folder_of(of, ("quick", store(of, "quick").version))
    assert sorted(path.name for path in folder.iterdir()) == ["card.json", "model.py", "reference.json"]


def test_what_is_kept_stays_as_it_is(of: Endpoint) -> None:
    """A card that was written again for the same artefact does not replace the first."""
    folder = folder_of(of, ("quick", store(of, "quick").version))
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}
    card = of.folder / "quick" / "card.json"
    card.write_text(card.read_text().replace('"notes": ""', '"notes": "again"'))
    store(of, "quick")
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()} == before


def test_a_new_artefact_is_another_version(of: Endpoint) -> None:
    """Beside the old one."""
    first = store(of, "quick").version
    write_model(of, "quick", "def score(columns):\n    return columns['x'] * 2\n")
    second = store(of, "quick").version
    assert first != second
    assert {path.name for path in folder_of(of, ("quick", first)).parent.iterdir()} == {first, second}


def test_a_workbench_that_does_not_hold_together_is_not_kept(of: Endpoint) -> None:
    """The artefact changed after its card was written: nothing is written."""
    (of.folder / "quick" / "model.py").write_text("def score(columns):\n    return 0\n")
    with pytest.raises(CardError, match="changed since its card was written"):
        store(of, "quick")
    assert not (of.folder / "quick" / "versions").exists()


def test_another_models_card_is_not_kept(of: Endpoint) -> None:
    """A folder that was copied and not trained."""
    shutil.rmtree(of.folder / "slow")
    shutil.copytree(of.folder / "quick", of.folder / "slow")
    with pytest.raises(CardError, match=r"the card is of endpoint and model \('h-\w+', 'quick'\), expected"):
        store(of, "slow")


def test_training_that_goes_on_while_it_is_copied_leaves_no_version(
    of: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new artefact and card between the look and the copy."""
    copyfile = shutil.copyfile

    def swapped(source: Path, target: Path) -> None:
        monkeypatch.setattr(shutil, "copyfile", copyfile)
        write_model(of, "quick", "def score(columns):\n    return columns['x'] * 3\n")
        copyfile(source, target)

    monkeypatch.setattr(shutil, "copyfile", swapped)
    with pytest.raises(RegistryError, match=r"quick: changed while it was copied"):
        store(of, "quick")
    assert list((of.folder / "quick" / "versions").iterdir()) == []
    assert store(of, "quick").sha256 == load_card(of.folder / "quick").sha256


def test_a_version_that_was_changed_is_refused(of: Endpoint) -> None:
    """By whoever would store or run it; the message says what to remove."""
    control = deployed(of)
    (pair,) = control.versions
    (folder_of(of, pair) / "model.py").write_text("def score(columns):\n    return 0\n")
    for attempt in (lambda: store(of, "quick"), lambda: deployed_version(of, control, "quick")):
        with pytest.raises(RegistryError, match=rf"{'/'.join(pair)} is damaged: .* remove {folder_of(of, pair)}"):
            attempt()


def test_a_version_must_be_the_one_that_control_knows(of: Endpoint) -> None:
    """An artefact and a card that fit one another, and not what was deployed."""
    control = deployed(of)
    (pair,) = control.versions
    other = sha256(b"another").hexdigest()
    with pytest.raises(RegistryError, match=rf"holds another artefact: sha256 {pair[1]}…, deployed was {other[:12]}…"):
        stored(of, pair, other)


def test_what_is_deployed_can_be_run_by_any_of_its_names(of: Endpoint) -> None:
    """Model, version and alias lead to the same folder."""
    control = deployed(of)
    (pair,) = control.versions
    for name in ("quick", "/".join(pair), "champion"):
        assert deployed_version(of, control, name) == (pair, folder_of(of, pair))


def test_what_is_not_deployed_is_not_run(of: Endpoint) -> None:
    """The message says what to run."""
    with pytest.raises(RegistryError, match=r"slow is not deployed; .* `rendezvous models deploy`"):
        deployed_version(of, deployed(of), "slow")


def test_what_rests_is_started_and_what_is_retired_is_not(of: Endpoint) -> None:
    """A scorer that was paused and died comes back, to rest on."""
    control = deployed(of)
    (pair,) = control.versions
    paused = control_after(change_of_state(control, pair, State.PAUSED, AUTHOR), control)
    assert deployed_version(of, paused, "/".join(pair)) == (pair, folder_of(of, pair))
    gone = replace(paused, versions={pair: replace(paused.versions[pair], state=State.RETIRED)})
    with pytest.raises(RegistryError, match=rf"{'/'.join(pair)} is retired: `rendezvous models list` shows"):
        deployed_version(of, gone, "/".join(pair))


def test_a_version_that_is_kept_elsewhere(of: Endpoint) -> None:
    """Deployed from another machine: the message says how to have it here."""
    control = deployed(of)
    (pair,) = control.versions
    shutil.rmtree(folder_of(of, pair))
    with pytest.raises(
        RegistryError, match=rf"does not exist: .* `rendezvous models deploy quick --endpoint {of.name}`"
    ):
        deployed_version(of, control, "quick")


def test_a_folder_that_cannot_be_written(of: Endpoint) -> None:
    """A file where versions would be."""
    (of.folder / "quick" / "versions").write_text("")
    with pytest.raises(RegistryError, match="cannot be written"):
        store(of, "quick")
