"""Which Java runs the broker."""

from __future__ import annotations

from pathlib import Path

import pytest

from rendezvous.local.failure import LocalStackError
from rendezvous.local.java import find_java, parse_version

JAVA_8 = """openjdk version "1.8.0_392"
OpenJDK Runtime Environment (Temurin)(build 1.8.0_392-b08)
OpenJDK 64-Bit Server VM (Temurin)(build 25.392-b08, mixed mode)
"""
JAVA_11 = """openjdk version "11.0.22" 2024-01-16
OpenJDK Runtime Environment (build 11.0.22+7-post-Debian-1deb11u1)
OpenJDK 64-Bit Server VM (build 11.0.22+7-post-Debian-1deb11u1, mixed mode, sharing)
"""
JAVA_17 = """openjdk version "17.0.15" 2025-04-15
OpenJDK Runtime Environment (build 17.0.15+6-Debian-1deb12u1)
OpenJDK 64-Bit Server VM (build 17.0.15+6-Debian-1deb12u1, mixed mode, sharing)
"""
JAVA_21 = """java version "21" 2023-09-19 LTS
Java(TM) SE Runtime Environment (build 21+35-LTS-2513)
Java HotSpot(TM) 64-Bit Server VM (build 21+35-LTS-2513, mixed mode, sharing)
"""
JAVA_25_EA = """openjdk version "25-ea" 2025-09-16
OpenJDK Runtime Environment (build 25-ea+36-3489)
OpenJDK 64-Bit Server VM (build 25-ea+36-3489, mixed mode, sharing)
"""
WITH_OPTIONS = "Picked up JAVA_TOOL_OPTIONS: -Duser.version=1 -Dx=version\n" + JAVA_17


@pytest.mark.parametrize(
    ("said", "version"),
    [(JAVA_8, 8), (JAVA_11, 11), (JAVA_17, 17), (JAVA_21, 21), (JAVA_25_EA, 25), (WITH_OPTIONS, 17), ("", None)],
)
def test_version_is_read_from_what_java_says(said: str, version: int | None) -> None:
    """The feature release is found in the outputs of every kind of Java, and in nothing else."""
    assert parse_version(said) == version


def fake_java(folder: Path, said: str, code: int = 0) -> Path:
    """A program that answers as some Java does."""
    path = folder / "bin" / "java"
    path.parent.mkdir(parents=True)
    path.write_text(f"#!/bin/sh\ncat >&2 <<'END'\n{said}END\nexit {code}\n")
    path.chmod(0o755)
    return path


def test_java_home_comes_before_path(tmp_path: Path) -> None:
    """JAVA_HOME's Java is taken although another one is on PATH."""
    home = fake_java(tmp_path / "home", JAVA_21)
    other = fake_java(tmp_path / "other", JAVA_17)
    found = find_java({"JAVA_HOME": str(tmp_path / "home"), "PATH": str(other.parent)})
    assert (found.path, found.version) == (home, 21)


def test_path_is_searched_without_java_home(tmp_path: Path) -> None:
    """An empty JAVA_HOME is no JAVA_HOME."""
    path = fake_java(tmp_path, JAVA_17)
    assert find_java({"JAVA_HOME": "", "PATH": str(path.parent)}).path == path


def test_builds_differ(tmp_path: Path) -> None:
    """Two Javas never share a class archive."""
    one = fake_java(tmp_path / "one", JAVA_17)
    two = fake_java(tmp_path / "two", JAVA_17.replace("17.0.15+6", "17.0.16+8"))
    builds = {find_java({"PATH": str(path.parent)}).build for path in (one, two)}
    assert len(builds) == 2


def test_java_home_that_points_nowhere_is_named(tmp_path: Path) -> None:
    """A wrong JAVA_HOME is an error of its own, although PATH would have one."""
    path = fake_java(tmp_path, JAVA_17)
    with pytest.raises(LocalStackError, match=r"JAVA_HOME=/nowhere points nowhere.*unset it"):
        find_java({"JAVA_HOME": "/nowhere", "PATH": str(path.parent)})


def test_no_java_names_every_way_out(tmp_path: Path) -> None:
    """Without Java the message names packages, docker compose and an existing cluster."""
    with pytest.raises(LocalStackError) as caught:
        find_java({"PATH": str(tmp_path)})
    for way in ("default-jre-headless", "brew install", "docker compose up", "KAFKA_BOOTSTRAP_SERVERS"):
        assert way in str(caught.value)


def test_an_old_java_is_refused(tmp_path: Path) -> None:
    """The message names the Java that was found, its version and the one that is needed."""
    path = fake_java(tmp_path, JAVA_11)
    with pytest.raises(LocalStackError, match=rf"{path} \(from PATH\) is Java 11; Kafka needs 17"):
        find_java({"PATH": str(path.parent)})


def test_a_java_that_only_points_elsewhere_is_refused(tmp_path: Path) -> None:
    """The stub that macOS puts on PATH is no Java."""
    path = fake_java(tmp_path, "The operation couldn't be completed. Unable to locate a Java Runtime.\n", code=1)
    with pytest.raises(LocalStackError, match=r"no working Java.*Unable to locate"):
        find_java({"PATH": str(path.parent)})


def test_something_else_named_java_is_refused(tmp_path: Path) -> None:
    """A program that does not say a version is not started as a broker."""
    path = fake_java(tmp_path, "hello\n")
    with pytest.raises(LocalStackError, match="does not say which Java"):
        find_java({"PATH": str(path.parent)})


def test_a_java_that_cannot_be_run_is_refused(tmp_path: Path) -> None:
    """One of another architecture, say."""
    path = fake_java(tmp_path, JAVA_17)
    path.write_bytes(b"\x7fELF not really")
    with pytest.raises(LocalStackError, match="cannot be run"):
        find_java({"PATH": str(path.parent)})
