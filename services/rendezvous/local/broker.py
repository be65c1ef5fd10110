"""One Kafka node (KRaft, broker and controller in one) that is ready when a record went in and came out."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rendezvous.local.class_data import RECORDING_GRACE_S, ClassData
from rendezvous.local.failure import LocalStackError, tail
from rendezvous.local.jars import Jars, fetch_jars
from rendezvous.local.java import Java, find_java
from rendezvous.local.kafka_settings import JVM_OPTIONS, TOOL_OPTIONS, log4j_properties, server_properties
from rendezvous.local.ports import LOOPBACK, free_port, listening
from rendezvous.local.process import GRACE_S, GuardedProcess, Reachable
from rendezvous.local.storage import Note, new_cluster_id, prepare, read_note, write_note
from rendezvous.log import LogError, probe

Report = Callable[[str], None]

START_TIMEOUT_S = 90.0
"""Three seconds on two quiet cores; a machine that tests many things at once gets thirty times that."""

LOOK_AGAIN_S = 0.02


@dataclass(frozen=True, slots=True)
class Node:
    """What a node is made of and where it lives."""

    java: Java
    jars: Jars
    folder: Path
    classes: ClassData

    def command(self, options: tuple[str, ...], classes: list[str], *program: str) -> list[str]:
        """A JVM on Kafka's jars; native libraries unpack under the node's folder, so that none stays in /tmp."""
        temporary = f"-Djava.io.tmpdir={self.folder / 'tmp'}"
        return [str(self.java.path), *options, *classes, temporary, "-cp", self.jars.classpath, *program]


@contextlib.contextmanager
def running_broker(folder: Path, port: int | None, lock_fd: int, report: Report) -> Iterator[Reachable]:
    """Run a node whose files are in `folder`, on `port` of loopback or a free one.

    `lock_fd` stays open in the broker, so that the stack's lock lasts as long as it does.

    Raises:
        LocalStackError: Java or the jars are missing, or it did not become ready; its log's end is in the message.
    """
    begun = time.monotonic()
    java = find_java(os.environ)
    jars = fetch_jars(os.environ, report)
    fresh = prepare(folder, jars.version, report)
    port = port or free_port()
    node = Node(java, jars, folder, ClassData(jars, java, folder))
    _write_settings(folder, port)
    if fresh:
        _format(node)
    else:
        _note_version(node)
    report(f"kafka: starting {jars.version} on Java {java.version}, log in {folder / 'broker.log'}")
    with contextlib.ExitStack() as undo:
        undo.callback(node.classes.keep, report)
        process = undo.enter_context(_start(node, lock_fd))
        broker = Reachable(f"{LOOPBACK}:{port}", process)
        _await(process, port, folder)
        report(f"kafka ready on {broker.address} after {time.monotonic() - begun:.1f} s")
        if node.classes.recording:
            undo.callback(
                report, "kafka: stopping; it writes down its classes, so that its next start is faster (once)"
            )
        yield broker


def _write_settings(folder: Path, port: int) -> None:
    (folder / "server.properties").write_text(server_properties(port, _other_port(port)))
    (folder / "log4j2.properties").write_text(log4j_properties())
    shutil.rmtree(folder / "tmp", ignore_errors=True)
    (folder / "tmp").mkdir()


def _other_port(port: int) -> int:
    while (other := free_port()) == port:
        pass
    return other


def _format(node: Node) -> None:
    """A second JVM, 0.6 s: writing meta.properties ourselves would copy what only Kafka's tool knows."""
    note = Note(node.jars.version, new_cluster_id(), formatted=False)
    write_note(node.folder, note)
    tool = ("kafka.tools.StorageTool", "format", "--standalone", "-t", note.cluster_id, "-c", "server.properties")
    log = node.folder / "format.log"
    command = node.command(TOOL_OPTIONS, node.classes.options, *tool)
    with GuardedProcess.start(command, log=log, folder=node.folder) as process:
        with contextlib.suppress(TimeoutError):
            process.wait(START_TIMEOUT_S)
        code = process.poll()
    if code != 0:
        raise LocalStackError(f"Kafka's storage could not be formatted (exit code {code}).\n{tail(log)}")
    write_note(node.folder, Note(note.kafka, note.cluster_id, formatted=True))


def _note_version(node: Node) -> None:
    """From here on the files may be of this Kafka, whatever they were."""
    note = read_note(node.folder)
    if note is not None and note.kafka != node.jars.version:
        write_note(node.folder, Note(node.jars.version, note.cluster_id, formatted=True))


def _start(node: Node, lock_fd: int) -> GuardedProcess:
    return GuardedProcess.start(
        node.command(JVM_OPTIONS, node.classes.broker_options, "kafka.Kafka", "server.properties"),
        log=node.folder / "broker.log",
        folder=node.folder,
        grace_s=RECORDING_GRACE_S if node.classes.recording else GRACE_S,
        keep_fds=(lock_fd,),
    )


def _await(process: GuardedProcess, port: int, folder: Path) -> None:
    give_up = time.monotonic() + START_TIMEOUT_S
    while not listening(port):
        if (code := process.poll()) is not None:
            raise _failed(f"Kafka ended while it started (exit code {code})", folder)
        if time.monotonic() > give_up:
            raise _failed(f"Kafka opened no port within {START_TIMEOUT_S:g} s", folder)
        time.sleep(LOOK_AGAIN_S)
    try:
        probe(f"{LOOPBACK}:{port}", max(1.0, give_up - time.monotonic()))
    except LogError as error:
        raise _failed(f"Kafka started, but does not work: {error}", folder) from error


def _failed(problem: str, folder: Path) -> LocalStackError:
    return LocalStackError(
        f"{problem}.\n{tail(folder / 'broker.log')}\nWays out:\n"
        f"  - if its files are damaged: remove {folder} to start empty\n"
        "  - docker compose up: the same brokers from official images\n"
        "  - an existing cluster: KAFKA_BOOTSTRAP_SERVERS=host:port"
    )
