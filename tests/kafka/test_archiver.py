"""The archiver as a process on a real broker: killed again and again, joined by another, started wrongly."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from confluent_kafka import Producer

from homes import Home, Services, sample, services_of, until
from rendezvous.archive.files import Archive
from rendezvous.archive.names import Held
from rendezvous.archive.tables import TABLES
from rendezvous.envelope import write_envelope
from rendezvous.local.services import RunningService
from rendezvous.local.stack import Addresses
from rendezvous.log import KafkaSink, Record, bounds_of, read_to_end
from rendezvous.messages import Comparisons, Envelope, FeatureColumns, Label, Reason, Status
from rendezvous.settings import load_endpoint
from rendezvous.wire import Codec, decode, encode

pytestmark = pytest.mark.kafka

PARTITIONS = 2
LIMITS = '\n[archive]\nrows = 300\nage = "1s"\n'


@pytest.fixture
def services(stack: Addresses, tmp_path: Path) -> Iterator[Services]:
    """An endpoint of two partitions whose archive has small files."""
    home = Home.make(tmp_path, stack.kafka, PARTITIONS)
    document = home.endpoint.folder / "endpoint.toml"
    document.write_text(document.read_text() + LIMITS)
    with services_of(Home(tmp_path, stack.kafka, load_endpoint(home.endpoint.name, tmp_path))) as services:
        yield services


def archive_of(home: Home) -> Archive:
    """The archive, as its readers open it."""
    return Archive(str(home.folder / ".local" / "archive"), home.endpoint.name)


class Flood:
    """Requests, comparisons and labels, written by a thread until it is told to stop."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._sink = KafkaSink(home.kafka)
        self._codec = Codec(home.endpoint.features_schema)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        """Everything is delivered then."""
        self._stopping.set()
        self._thread.join()
        assert self._sink.flush(10.0) == 0

    def _run(self) -> None:
        number = 0
        while not self._stopping.wait(0.01):
            for _ in range(10):
                self._put(number)
                number += 1
            self._sink.serve()

    def _put(self, number: int) -> None:
        topic, partition, name = self._home.endpoint.topic, number % PARTITIONS, f"r-{number}"
        value = self._codec.encode({"x": float(number), "slow_ms": 0.0, "who": f"w-{number % 5}"})
        headers = write_envelope(Envelope(name, "tests", None, None))
        self._sink.send(topic("requests"), value, partition=partition, key=b"k", headers=headers)
        self._sink.send(topic("labels"), encode(Label(name, 1.0, number, "tests")), partition=partition)
        self._sink.send(topic("comparisons"), encode(comparisons(number)), partition=partition)


def comparisons(offset: int) -> Comparisons:
    """About one request, by one model."""
    return Comparisons(
        closed_us=1,
        models=("quick",),
        versions=("v",),
        offsets=np.array([offset], np.int64),
        request_ids=(f"r-{offset}",),
        appended_us=np.array([1], np.int64),
        winners=np.array([0], np.int16),
        reasons=np.array([Reason.PREFERRED], np.uint8),
        statuses=np.array([[Status.OK]], np.uint8),
        latencies_us=np.array([[1]], np.int32),
        outputs=np.array([[[0.5]]], np.float32),
        asked_us=np.array([1], np.int64),
    )


def in_transactions(home: Home) -> None:
    """A request and its label in a transaction that is aborted, and in one that is not: the log ends with markers."""
    producer = Producer({"bootstrap.servers": home.kafka, "transactional.id": home.endpoint.name, "linger.ms": 0})
    producer.init_transactions(20)
    value = Codec(home.endpoint.features_schema).encode({"x": 1.0, "slow_ms": 0.0, "who": "w"})
    for name, end in (("aborted", producer.abort_transaction), ("committed", producer.commit_transaction)):
        producer.begin_transaction()
        headers: list[tuple[str, str | bytes | None]] = [*write_envelope(Envelope(name, "tests", None, None))]
        producer.produce(home.endpoint.topic("requests"), value, partition=0, headers=headers)
        producer.produce(home.endpoint.topic("labels"), encode(Label(name, 1.0, 1, "tests")), partition=0)
        producer.flush(20)
        end(20)


def logged(home: Home, name: str) -> list[Record]:
    """All records of a topic, as the archiver reads them."""
    topic = home.endpoint.topic(name)
    return [
        record
        for number in range(PARTITIONS)
        for record in read_to_end(home.kafka, topic, number, 0, uncommitted=name == "requests")
    ]


def chains(home: Home, name: str) -> dict[int, tuple[Held, ...]]:
    """The files of a topic; none while nothing is archived."""
    return archive_of(home).files(name)


def complete(home: Home) -> bool:
    """Whether files reach to the end of the log."""
    return all(
        (chains(home, name).get(number) or (Held(name, number, 0, -1, ""),))[-1].end == high
        for name in TABLES
        for number, (_, high) in bounds_of(home.kafka, home.endpoint.topic(name)).items()
    )


def writes(services: Services, *names: str) -> None:
    """Wait until each of these has written a few files more."""
    for name in names:
        service = services[name]
        wanted = sample(service, "rendezvous_archiver_files_total") + 4
        until(partial(_has_written, service, wanted), f"{name} writes; see {service.log}")


def _has_written(service: RunningService, files: float) -> bool:
    return sample(service, "rendezvous_archiver_files_total") >= files


def rows_of(home: Home, name: str) -> list[dict[str, object]]:
    """All rows of a topic's files."""
    archive = archive_of(home)
    return [
        row
        for chain in chains(home, name).values()
        for held in chain
        for row in archive.read(held, TABLES[name]([]).column_names).to_pylist()
    ]


def test_killed_again_and_again(services: Services) -> None:
    """Alone, as one of two, and both: each record stands in exactly one file, and each request's features were sent.

    Files reach to the log's end, which is a transaction's; what was aborted is there of requests alone, as for models.
    """
    home = services.home
    flood = Flood(home)
    services.ready("archiver")
    writes(services, "archiver")
    services.signal("archiver", signal.SIGKILL)
    services.ready("archiver", "archiver-2")
    writes(services, "archiver", "archiver-2")
    services.signal("archiver", signal.SIGKILL)
    writes(services, "archiver-2")
    services.signal("archiver-2", signal.SIGKILL)
    flood.stop()
    in_transactions(home)
    services.ready("archiver")
    until(lambda: complete(home), "everything is in files")
    assert Counter(
        (row["partition"], row["offset"], row["key"], row["value"]) for row in rows_of(home, "requests")
    ) == (Counter((record.partition, record.offset, record.key, record.value) for record in logged(home, "requests")))
    for name, column in (("labels", "offset"), ("comparisons", "position")):
        assert Counter((row["partition"], row[column]) for row in rows_of(home, name)) == Counter(
            record[1:3] for record in logged(home, name)
        )
    names = {label["request_id"] for label in rows_of(home, "labels")}
    assert "committed" in names
    assert "aborted" not in names
    sent = {
        (record.partition, offset)
        for record in logged(home, "features")
        for offset in decode(record.value, FeatureColumns).offsets.tolist()
    }
    assert sent == {record[1:3] for record in logged(home, "requests")}


def test_an_archive_that_does_not_fit_is_a_word(services: Services) -> None:
    """Files that end beyond the log: another cluster's. One message, exit code 2."""
    home = services.home
    held = Held(home.endpoint.topic("requests"), 0, 0, 99, "")
    archive_of(home).write(held, 0, TABLES["requests"]([]), lambda: True)
    ended = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "rendezvous", "run", "archiver", "--endpoint", home.endpoint.name],
        env=os.environ | {"KAFKA_BOOTSTRAP_SERVERS": home.kafka, "RENDEZVOUS_HOME": str(home.folder)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode == 2
    assert "the archive ends at 100, the log at 0" in ended.stderr.splitlines()[-1]
