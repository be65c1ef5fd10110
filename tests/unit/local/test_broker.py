"""A broker that does not come up, played by a Java that only pretends."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from rendezvous.local.broker import running_broker
from rendezvous.local.failure import LocalStackError
from rendezvous.local.stack import running_stack
from rendezvous.local.storage import Found, look
from rendezvous.settings import environment

JAVA = """#!/bin/sh
case "$*" in
  -version) echo 'openjdk version "17.0.15" 2025-04-15' >&2 ;;
  *StorageTool*) echo "formatting as told"; exit {format_code} ;;
  *) echo "no space left on device"; exit {broker_code} ;;
esac
"""
MAVEN = """#!/bin/sh
for word; do case $word in -DoutputDirectory=*) touch "${word#*=}/kafka_2.13-4.3.1.jar"; esac; done
"""


@pytest.fixture
def pretended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment with a Maven and a Java of our own; the Java."""
    java = tmp_path / "java" / "bin" / "java"
    java.parent.mkdir(parents=True)
    for path, script in ((java, JAVA.format(format_code=0, broker_code=1)), (java.with_name("mvn"), MAVEN)):
        path.write_text(script)
        path.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "java"))
    monkeypatch.setenv("PATH", str(java.parent), prepend=os.pathsep)
    monkeypatch.setenv("RENDEZVOUS_CACHE", str(tmp_path / "cache"))
    return java


def start(folder: Path) -> str:
    """The message of a start that fails."""
    with (
        open(os.devnull) as lock,  # noqa: PTH123 - any file descriptor does
        pytest.raises(LocalStackError) as caught,
        running_broker(folder, None, lock.fileno(), lambda _: None),
    ):
        pass
    return str(caught.value)


@pytest.mark.usefixtures("pretended")
def test_a_broker_that_dies_shows_its_log(tmp_path: Path) -> None:
    """The message has the exit code, the last lines of the log and its path, and the ways out."""
    message = start(tmp_path / "kafka")
    for words in (
        "exit code 1",
        f"{tmp_path}/kafka/broker.log",
        "no space left on device",
        f"remove {tmp_path}/kafka",
        "docker compose up",
    ):
        assert words in message


def test_formatting_that_fails_is_told_and_mended(tmp_path: Path, pretended: Path) -> None:
    """The message shows what Kafka's tool said; what it left is known as half formatted."""
    pretended.write_text(JAVA.format(format_code=2, broker_code=1))
    message = start(tmp_path / "kafka")
    assert "could not be formatted (exit code 2)" in message
    assert "formatting as told" in message
    assert look(tmp_path / "kafka", "4.3.1") is Found.HALF


@pytest.mark.usefixtures("pretended")
def test_a_failed_fresh_start_keeps_its_logs(tmp_path: Path) -> None:
    """The files that the message names are there, although a fresh stack leaves nothing otherwise."""
    own = environment({"RENDEZVOUS_DATA": str(tmp_path / "data"), "REDIS_URL": ""})
    with (
        pytest.raises(LocalStackError, match=r"fresh/kafka/broker.log"),
        running_stack(own, report=lambda _: None, fresh=True),
    ):
        pass
    assert (tmp_path / "data" / "fresh" / "kafka" / "broker.log").exists()


@pytest.mark.usefixtures("pretended")
def test_a_taken_port_stops_everything_at_once(tmp_path: Path) -> None:
    """A given port that is taken is an error before anything starts."""
    said: list[str] = []
    own = environment({"RENDEZVOUS_DATA": str(tmp_path / "data")})
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(LocalStackError, match=f"Kafka: port {port}"),
            running_stack(own, report=said.append, kafka_port=port),
        ):
            pass
    assert said == []
