"""The Makefile and the lock files that it installs from."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = (ROOT / "services" / "requirements.lock", ROOT / "tests" / "requirements.lock")
OUTER = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "REQUESTS", "RATE", "REPORT", "ARGS", "PYTHON")
"""What `make test` itself hands down."""


def make(*arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run make as from a shell of its own."""
    environment = {name: value for name, value in os.environ.items() if name not in OUTER}
    command = [shutil.which("make") or "make", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)  # noqa: S603


def pins(lock: Path) -> dict[str, set[str]]:
    """Name -> versions of a lock file; a package may have one for each Python.

    Fails when an entry is not `name==version`, perhaps a marker, and one hash or more.
    """
    found: dict[str, set[str]] = {}
    for entry in lock.read_text().replace("\\\n", " ").splitlines():
        requirement, *hashes = entry.split("--hash=")
        parts = re.fullmatch(r"([a-z0-9-]+)==([0-9a-z.!]+)(?: ; .+)?", requirement.strip())
        assert parts is not None, entry
        assert hashes, entry
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", digest.strip()) for digest in hashes), entry
        found.setdefault(parts[1], set()).add(parts[2])
    return found


def names(requirements: list[str]) -> set[str]:
    """The distributions' names without versions."""
    return {re.split(r"[^A-Za-z0-9_.-]", requirement)[0].lower().replace("_", "-") for requirement in requirements}


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        ([], "demo"),
        (["REQUESTS=5", "RATE=2", "REPORT=x.json"], "demo --requests 5 --rate 2 --report x.json"),
        (["RATE=2"], "demo --rate 2"),
    ],
    ids=["none", "all", "one"],
)
def test_demo_passes_its_arguments_through(arguments: list[str], command: str) -> None:
    """Each is handed on when it was given, and only then."""
    assert f".venv/bin/rendezvous {command}" in make("-n", "demo", *arguments).stdout.splitlines()


def test_year_passes_its_report_through() -> None:
    """It is the demo in another length."""
    assert ".venv/bin/rendezvous demo --year" in make("-n", "year").stdout.splitlines()
    assert ".venv/bin/rendezvous demo --year --report x.json" in make("-n", "year", "REPORT=x.json").stdout.splitlines()


def test_help_is_the_default_and_names_every_target() -> None:
    """A line for each, with more than its name."""
    phony = re.search(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert phony is not None
    targets = phony[1].split()
    assert {"demo", "year", "test", "check", "up", "lock", "clean"} <= set(targets)
    helped = make()
    assert helped.returncode == 0
    for target in targets:
        assert re.search(rf"^make {target} +\w.+", helped.stdout, re.MULTILINE), target


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with the Makefile and as little else as it needs to make a virtual environment."""
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "requirements.lock").touch()
    (tmp_path / "pyproject.toml").touch()
    shutil.copy(ROOT / "Makefile", tmp_path)
    return tmp_path


def stand_in(folder: Path, version: str, installs: int) -> Path:
    """A Python of `version` whose environments' pip ends with exit code `installs`."""
    python = folder / "python"
    python.write_text(
        f"#!/bin/sh\n[ $1 = -c ] && echo {version} && exit\n"
        f"mkdir -p .venv/bin; printf '#!/bin/sh\\nexit {installs}\\n' > .venv/bin/python; chmod +x .venv/bin/python\n"
    )
    python.chmod(0o755)
    return python


def test_a_python_that_does_not_fit_is_named_with_the_ways_out(checkout: Path) -> None:
    """The message says what was found, what is needed, and how to name another."""
    python = stand_in(checkout, "3.9.18", installs=0)
    made = make("check", f"PYTHON={python}", folder=checkout)
    assert made.returncode != 0
    assert f"{python} is 3.9.18" in made.stderr
    assert "3.11, 3.12 or 3.13" in made.stderr
    assert "make PYTHON=" in made.stderr
    assert not (checkout / ".venv").exists()


@pytest.mark.parametrize("installs", [0, 1])
def test_only_an_install_that_succeeded_is_taken_for_done(checkout: Path, installs: int) -> None:
    """A failed one leaves no stamp, so that the next make begins it again."""
    python = stand_in(checkout, "3.12.1", installs)
    made = make(".venv/.installed", f"PYTHON={python}", folder=checkout)
    assert made.returncode == (2 if installs else 0), made.stderr
    assert {path.name for path in (checkout / ".venv").glob(".*")} == (set() if installs else {".locked", ".installed"})


def test_locks_carry_hashes_and_no_addresses() -> None:
    """Every entry is a pinned version with hashes, and nothing says where it is downloaded."""
    for lock in LOCKS:
        assert len(pins(lock)) > 20
        assert "://" not in lock.read_text()
        assert "index" not in lock.read_text()


def test_locks_hold_every_dependency_of_the_project() -> None:
    """Dependencies and extras are in the services' lock; tests add the development tools, at the same versions."""
    document = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project = document["project"]
    services, tests = map(pins, LOCKS)
    assert names(project["dependencies"]) <= services.keys()
    for extra in project["optional-dependencies"].values():
        assert names(extra) <= services.keys()
    assert names(document["dependency-groups"]["dev"]) | names(document["build-system"]["requires"]) <= tests.keys()
    assert services == {name: tests[name] for name in services}
