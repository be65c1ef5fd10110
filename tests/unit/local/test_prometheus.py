"""A Prometheus beside `rendezvous up`: where it is taken from, what it is told, and what is said without one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest

from rendezvous import cli
from rendezvous.local.failure import LocalStackError
from rendezvous.local.ports import LOOPBACK
from rendezvous.local.process import GuardedProcess
from rendezvous.local.prometheus import (
    configuration,
    find_prometheus,
    rules_folder,
    running_prometheus,
    write_targets,
)
from rendezvous.local.services import RunningService
from rendezvous.settings import environment


def program(folder: Path, script: str) -> str:
    """A `prometheus` that does something else."""
    path = folder / "prometheus"
    path.write_text(script)
    path.chmod(0o755)
    return str(path)


def test_it_is_the_one_on_path(tmp_path: Path) -> None:
    """Or there is none."""
    assert find_prometheus({"PATH": str(tmp_path)}) is None
    path = program(tmp_path, "#!/bin/sh\n")
    assert find_prometheus({"PATH": str(tmp_path)}) == path


def test_targets_have_the_labels_that_rules_group_by(tmp_path: Path) -> None:
    """One group for each service; written whole, so that Prometheus never reads a half."""
    process = GuardedProcess.start(["true"], log=tmp_path / "log")
    process.stop()
    services = {name: RunningService(name, process, port, tmp_path) for name, port in (("server", 1), ("monitor", 2))}
    write_targets(tmp_path / "targets", "flights", services)
    (path,) = (tmp_path / "targets").iterdir()
    assert json.loads(path.read_text()) == [
        {"targets": [f"{LOOPBACK}:{port}"], "labels": {"endpoint": "flights", "service": name}}
        for name, port in (("server", 1), ("monitor", 2))
    ]


def test_prometheus_takes_what_it_is_told(tmp_path: Path) -> None:
    """As promtool reads it, rules included."""
    if shutil.which("promtool") is None:
        pytest.skip("no promtool on PATH: apt-get install prometheus")
    (tmp_path / "none.json").write_text("[]")
    settings = tmp_path / "prometheus.yml"
    settings.write_text(configuration(tmp_path))
    done = subprocess.run(  # noqa: S603 - Prometheus's own tool
        ["promtool", "check", "config", str(settings)],  # noqa: S607 - of PATH, on purpose
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert min(path.name for path in rules_folder().iterdir()) in done.stdout


def test_one_that_dies_shows_its_log(tmp_path: Path) -> None:
    """The message has the exit code, and the last lines of the log."""
    executable = program(tmp_path, "#!/bin/sh\necho out of luck\nexit 3\n")
    with (
        pytest.raises(LocalStackError, match=r"exit code 3(.|\n)*out of luck"),
        running_prometheus(executable, tmp_path / "data", tmp_path, lambda _: None),
    ):
        pass


@pytest.mark.parametrize("there", [True, False])
def test_what_runs_does_not_need_it(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    there: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """Without one, or with one that does not work, `up` says so, and where the targets are, and goes on."""
    if there:
        program(tmp_path, "#!/bin/sh\necho out of luck\nexit 3\n")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/bin" if there else str(tmp_path))
    with ExitStack() as stack:
        cli._watch(stack, environment({"RENDEZVOUS_DATA": str(tmp_path / "data")}), tmp_path / "targets")  # noqa: SLF001 - its own
    said = capsys.readouterr().out
    assert ("out of luck" in said) if there else ("apt-get install prometheus" in said)
    assert there or str(tmp_path / "targets") in said
