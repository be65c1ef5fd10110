"""Kafka's jars, through a Maven that only pretends."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from rendezvous.local.failure import LocalStackError
from rendezvous.local.jars import cache_folder, fetch_jars, pom_path

FETCHES = """#!/bin/sh
echo run >> "$0.runs"
for word; do case $word in -DoutputDirectory=*) out=${word#*=};; esac; done
touch "$out/kafka_2.13-4.3.1.jar" "$out/kafka-clients-4.3.1.jar"
"""
FAILS = """#!/bin/sh
echo '[ERROR] Could not transfer artifact org.apache.kafka:kafka_2.13:pom:4.3.1: Unknown host'
exit 1
"""


def variables(folder: Path, script: str | None) -> dict[str, str]:
    """An environment with a cache of its own, and with a `mvn` if there is a script for it."""
    programs = folder / "bin"
    programs.mkdir()
    if script is not None:
        (programs / "mvn").write_text(script)
        (programs / "mvn").chmod(0o755)
    return {"PATH": str(programs), "RENDEZVOUS_CACHE": str(folder / "cache")}


def runs(folder: Path) -> int:
    """How often the pretended Maven ran."""
    return len((folder / "bin" / "mvn.runs").read_text().splitlines())


def test_the_pom_is_the_checkouts() -> None:
    """The pom that names the broker is found and pins one version of it."""
    assert "<artifactId>kafka_2.13</artifactId>" in pom_path().read_text()


def test_cache_folder() -> None:
    """RENDEZVOUS_CACHE comes first, then XDG_CACHE_HOME, then the home folder."""
    assert cache_folder({"RENDEZVOUS_CACHE": "/a", "XDG_CACHE_HOME": "/b"}) == Path("/a")
    assert cache_folder({"XDG_CACHE_HOME": "/b"}) == Path("/b/rendezvous")
    assert cache_folder({}) == Path.home() / ".cache" / "rendezvous"


def test_jars_are_fetched_once(tmp_path: Path) -> None:
    """The second start takes them from the cache, without Maven, and says nothing."""
    environment = variables(tmp_path, FETCHES)
    said: list[str] = []
    first = fetch_jars(environment, said.append)
    assert first.version == "4.3.1"
    assert fetch_jars(environment, said.append) == first
    assert (runs(tmp_path), len(said)) == (1, 1)
    assert list((tmp_path / "cache").glob("filling-*")) == []


def test_classpath_is_sorted(tmp_path: Path) -> None:
    """The jars come in the same order each time, as shared classes want it."""
    jars = fetch_jars(variables(tmp_path, FETCHES), lambda _: None)
    names = [Path(part).name for part in jars.classpath.split(":")]
    assert names == ["kafka-clients-4.3.1.jar", "kafka_2.13-4.3.1.jar"]


def test_two_at_once_fetch_once(tmp_path: Path) -> None:
    """The second waits for the first and finds what it needs."""
    environment = variables(tmp_path, FETCHES)
    threads = [threading.Thread(target=fetch_jars, args=(environment, lambda _: None)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert runs(tmp_path) == 1


def test_what_a_killed_run_left_is_swept(tmp_path: Path) -> None:
    """Half-filled folders never become the cache, and do not stay."""
    environment = variables(tmp_path, FETCHES)
    left = tmp_path / "cache" / "filling-abc"
    left.mkdir(parents=True)
    fetch_jars(environment, lambda _: None)
    assert not left.exists()


def test_no_maven(tmp_path: Path) -> None:
    """Without Maven and with an empty cache the message names the package and the other ways."""
    with pytest.raises(LocalStackError) as caught:
        fetch_jars(variables(tmp_path, None), lambda _: None)
    for way in ("no mvn on PATH", "apt-get install maven", "docker compose up", "KAFKA_BOOTSTRAP_SERVERS"):
        assert way in str(caught.value)


def test_maven_fails(tmp_path: Path) -> None:
    """Maven's own words are in the message, and nothing half done in the cache."""
    environment = variables(tmp_path, FAILS)
    with pytest.raises(LocalStackError, match=r"exit code 1(.|\n)*Unknown host(.|\n)*with a network"):
        fetch_jars(environment, lambda _: None)
    assert sorted(path.name for path in (tmp_path / "cache").iterdir()) == ["fetch.lock", "maven.log"]


def test_maven_fetches_something_else(tmp_path: Path) -> None:
    """A Maven that ends well without a broker is not believed."""
    with pytest.raises(LocalStackError, match="no kafka_"):
        fetch_jars(variables(tmp_path, "#!/bin/sh\n"), lambda _: None)


def test_cache_that_cannot_be_written(tmp_path: Path) -> None:
    """The message names the cache and the variable that moves it."""
    environment = variables(tmp_path, FETCHES)
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(LocalStackError, match="Set RENDEZVOUS_CACHE"):
        fetch_jars(environment, lambda _: None)
