"""The local stack with its real brokers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from rendezvous.local.lock import StackLock
from rendezvous.local.ports import listening
from rendezvous.local.process import GuardedProcess
from rendezvous.local.stack import Addresses, LocalStackError, running_stack
from rendezvous.log import KafkaSink, Topic, create_topics, describe_topics, read_to_end
from rendezvous.settings import Environment, environment

pytestmark = pytest.mark.kafka

PATIENCE_S = 60.0
"""A first broker writes down its classes before it ends, on a machine that may be busy."""

UP = """
import sys, time
from rendezvous.local.stack import running_stack
from rendezvous.settings import environment
with running_stack(environment({"RENDEZVOUS_DATA": sys.argv[1]}), report=lambda line: None) as addresses:
    print(addresses.kafka, addresses.redis, flush=True)
    time.sleep(600)
"""


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that another process does."""
    give_up = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up, "it did not happen"
        time.sleep(0.02)


def own(data: Path, kafka: str = "", redis_url: str = "") -> Environment:
    """An environment of nobody else's."""
    return environment({"RENDEZVOUS_DATA": str(data), "KAFKA_BOOTSTRAP_SERVERS": kafka, "REDIS_URL": redis_url})


@pytest.fixture
def topic(stack: Addresses) -> str:
    """A topic of the test's own."""
    name = f"test.stack.{uuid.uuid4().hex[:12]}"
    create_topics(stack.kafka, [Topic(name, 1, {})])
    return name


def test_a_record_goes_in_and_comes_out(stack: Addresses, topic: str) -> None:
    """What is produced is consumed, with its header and its offset."""
    sink = KafkaSink(stack.kafka)
    sink.send(topic, b"value", partition=0, headers=[("name", b"header")])
    assert sink.flush(10.0) == 0
    (record,) = read_to_end(stack.kafka, topic, 0, 0)
    assert (record.value, record.offset, list(record.headers)) == (b"value", 0, [("name", b"header")])


def test_a_value_goes_in_and_comes_out(stack: Addresses) -> None:
    """What is set is got."""
    with redis.Redis.from_url(stack.redis) as client:
        client.set("test.stack", b"value", ex=60)
        assert client.get("test.stack") == b"value"


def test_topics_are_not_created_by_mistake(stack: Addresses) -> None:
    """Producing to a topic that is not there creates none."""
    name = f"test.mistyped.{uuid.uuid4().hex[:12]}"
    sink = KafkaSink(stack.kafka)
    until(lambda: sink.partitions(name) == 0)
    assert describe_topics(stack.kafka, [name], []) == {}


def test_brokers_that_are_named_are_used(stack: Addresses, tmp_path: Path) -> None:
    """With both addresses given nothing is started, and nothing is written."""
    with running_stack(own(tmp_path / "data", stack.kafka, stack.redis), report=lambda _: None) as addresses:
        assert addresses == stack
    assert not (tmp_path / "data").exists()


def test_one_broker_may_be_named_and_the_other_started(stack: Addresses, tmp_path: Path) -> None:
    """Each address counts on its own."""
    said: list[str] = []
    with running_stack(own(tmp_path, stack.kafka), report=said.append, fresh=True) as addresses:
        assert addresses.kafka == stack.kafka
        assert addresses.redis != stack.redis
        assert (tmp_path / "fresh" / "redis").is_dir()
    assert [line.split()[:2] for line in said] == [["kafka:", "using"], ["redis", "ready"]]
    assert [path.name for path in tmp_path.iterdir()] == ["stack.lock"]


def test_a_named_redis_that_does_not_answer(tmp_path: Path) -> None:
    """The message names the variable, the address without its password, and what to do."""
    with (
        pytest.raises(LocalStackError, match=r"REDIS_URL=redis://127.0.0.1:1/0 does not work(.|\n)*unset it") as caught,
        running_stack(own(tmp_path, redis_url="redis://:secret@127.0.0.1:1/0"), report=lambda _: None),
    ):
        pass
    assert "secret" not in str(caught.value)


def test_a_guarded_process_freezes_alone(tmp_path: Path) -> None:
    """SIGSTOP of the command's pid freezes it and not its guard; SIGCONT lets it go on; stop ends it."""
    log = tmp_path / "log"
    script = "import time\nwhile True: print('x', flush=True); time.sleep(0.01)"
    with GuardedProcess.start([sys.executable, "-I", "-S", "-c", script], log=log) as process:
        until(lambda: log.stat().st_size > 0)
        os.kill(process.pid, signal.SIGSTOP)
        time.sleep(0.05)  # a write that was under way
        frozen = log.stat().st_size
        time.sleep(0.1)
        assert log.stat().st_size == frozen
        os.kill(process.pid, signal.SIGCONT)
        until(lambda: log.stat().st_size > frozen)
    assert process.returncode == -signal.SIGTERM


def processes_in(folder: Path) -> list[str]:
    """The commands of all processes whose working folder is in `folder` (Linux; elsewhere the lock has to tell)."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "cwd").readlink().is_relative_to(folder):
                found.append((entry / "cmdline").read_text().replace("\0", " "))
        except OSError:  # it has ended, or is somebody else's
            continue
    return found


def is_free(data: Path) -> bool:
    """Whether nobody holds the lock of a data folder."""
    lock = StackLock(data / "stack.lock")
    try:
        lock.take(wait_s=0.0)
    except LocalStackError:
        return False
    else:
        lock.write(None)
        return True
    finally:
        os.close(lock.fd)


def test_one_stack_a_folder_and_a_killed_one_leaves_nothing(tmp_path: Path) -> None:
    """A second start is refused while the first lives; SIGKILL of the first frees all, and its records are kept."""
    with subprocess.Popen([sys.executable, "-c", UP, str(tmp_path)], stdout=subprocess.PIPE, text=True) as first:  # noqa: S603 - ours
        try:
            assert first.stdout is not None
            kafka, redis_url = first.stdout.readline().split()
            create_topics(kafka, [Topic("test.survives", 1, {})])
            with pytest.raises(LocalStackError) as caught, running_stack(own(tmp_path), report=lambda _: None):
                pass
            assert f"in process {first.pid}: Kafka on {kafka}, Redis on {redis_url}." in str(caught.value)
            if sys.platform == "linux":
                assert len(processes_in(tmp_path)) == 4  # two brokers, two guards
        finally:
            first.kill()
    until(lambda: is_free(tmp_path))
    assert processes_in(tmp_path) == []
    assert not listening(int(kafka.partition(":")[2]))
    with running_stack(own(tmp_path), report=lambda _: None) as again:
        assert list(describe_topics(again.kafka, ["test.survives"], [])) == ["test.survives"]
    assert processes_in(tmp_path) == []
    assert is_free(tmp_path)
