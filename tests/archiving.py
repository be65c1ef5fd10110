"""An archiver in memory: log, files and clock are the test's, and it can die between any two steps."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import fsspec
import numpy as np
from prometheus_client import CollectorRegistry

from endpoints import endpoint
from memory_log import FakeClock, MemoryLog, MemorySink, MemorySource
from rendezvous.archive.beginning import Topics
from rendezvous.archive.files import Archive
from rendezvous.archive.service import Archiver, Ways, group_of
from rendezvous.archive.tables import TABLES
from rendezvous.envelope import write_envelope
from rendezvous.log import Record, Start
from rendezvous.messages import Comparisons, Envelope, FeatureColumns, Label, Reason, Status
from rendezvous.settings import Endpoint
from rendezvous.telemetry import ArchiverMetrics
from rendezvous.wire import Codec, decode, encode

MODELS = ("champion", "challenger")


class Died(BaseException):
    """The process ends here."""


class Steps:
    """Counts steps that others can see, and ends the process before one of them."""

    def __init__(self, last: int | None = None) -> None:
        self.left = last
        self.taken = 0

    def step(self) -> None:
        """One more."""
        if self.left is not None and self.taken >= self.left:
            raise Died
        self.taken += 1


def stepping(thing: Any, names: Sequence[str], steps: Steps) -> Any:  # noqa: ANN401 - stands for anything
    """The same thing, each of these calls being a step."""

    class Stepping:
        def __getattr__(self, name: str) -> object:
            found = getattr(thing, name)
            if name not in names:
                return found

            def call(*arguments: object, **named: object) -> object:
                steps.step()
                return found(*arguments, **named)

            return call

    return Stepping()


class MemoryReader:
    """Reads given partitions of the memory log."""

    def __init__(self, log: MemoryLog, starts: Sequence[Start]) -> None:
        self._log = log
        self._positions = {start[:2]: start.offset for start in starts}
        self._polled = False

    def poll(self, max_records: int, timeout_s: float) -> list[Record]:
        """What is there."""
        del timeout_s
        self._polled = True
        found: list[Record] = []
        for place, position in self._positions.items():
            waiting = [r for r in self._log.records[place] if r.offset >= position and r.value]
            found += waiting[: max_records - len(found)]
            self._positions[place] = waiting[-1].offset + 1 if waiting else position
        return found

    def ends(self) -> dict[tuple[str, int], int]:
        """All that was polled to."""
        return {place: self._log.end(*place) for place in self._positions if self._polled}

    def close(self) -> None:
        """No more."""


class ArchiveWorld:
    """An endpoint's log, its archive, and archivers that come and go."""

    def __init__(self, partitions: int = 1, label_partitions: int = 1, **limits: object) -> None:
        self.endpoint: Endpoint = endpoint(
            archive={"rows": 7, "age": 1_000_000, **limits}, monitoring={"time": "ce_time"}
        )
        self.clock = FakeClock()
        self.counts = dict.fromkeys(("requests", "comparisons", "features"), partitions) | {"labels": label_partitions}
        self.log = MemoryLog(self.clock, {self.endpoint.topic(name): n for name, n in self.counts.items()})
        self.url = f"memory://{uuid.uuid4().hex}"
        self.codec = Codec(self.endpoint.features_schema)
        self.sources: list[MemorySource] = []
        self.asked = 0

    # ---------------------------------------------------------------------------------------------- what is on the log

    def ask(self, number: int = 0, *, asked: str = "", value: bytes | None = None, headers: bool = True) -> int:
        """One request; returns its offset."""
        self.asked += 1
        envelope = write_envelope(Envelope(f"r-{self.asked}", "tests", None, None))
        told = [("ce_time", asked.encode())] if asked else []
        row = {"x": float(self.asked), "who": f"who-{self.asked % 3}"}
        return self.log.append(
            self.endpoint.topic("requests"),
            number,
            self.codec.encode(row) if value is None else value,
            [*envelope, *told] if headers else [],
            key=f"k-{self.asked}".encode(),
        )

    def compare(self, offsets: Sequence[int], number: int = 0) -> None:
        """A comparisons record about these requests."""
        rows = len(offsets)
        said = Comparisons(
            closed_us=self.clock(),
            models=MODELS,
            versions=("c1", "c2"),
            offsets=np.array(offsets, np.int64),
            request_ids=tuple(f"r-{number}-{offset}" for offset in offsets),
            appended_us=np.full(rows, self.clock(), np.int64),
            winners=np.full(rows, 1, np.int16),
            reasons=np.full(rows, Reason.FALLBACK, np.uint8),
            statuses=np.tile(np.array([Status.ERROR, Status.OK], np.uint8), (rows, 1)),
            latencies_us=np.tile(np.array([-1, 2_000], np.int32), (rows, 1)),
            outputs=np.tile(np.array([[0.0], [0.5]], np.float32), (rows, 1, 1)),
            asked_us=np.full(rows, self.clock(), np.int64),
        )
        self.log.append(self.endpoint.topic("comparisons"), number, encode(said))

    def label(self, request_id: str, value: float | None, observed_us: int, number: int = 0) -> None:
        """A label."""
        self.log.append(self.endpoint.topic("labels"), number, encode(Label(request_id, value, observed_us, "tests")))

    # -------------------------------------------------------------------------------------------------- archivers

    @property
    def archive(self) -> Archive:
        """The archive as whoever reads it opens it."""
        return Archive(self.url, self.endpoint.name)

    def start(self, steps: Steps | None = None, *, accept_loss: bool = False) -> Archiver:
        """A process; every call of it that others can see is a step."""
        steps = steps or Steps()
        archive = self.archive
        files = fsspec.filesystem("memory")
        archive._files = stepping(  # noqa: SLF001 - the place where it meets the world
            files, ("open", "mv", "rm", "makedirs", "find", "exists"), steps
        )
        source = MemorySource(self.log, group_of(self.endpoint))
        self.sources.append(source)
        return Archiver(
            self.endpoint,
            Topics(self.counts["requests"], self.counts["labels"], "the-id"),
            Ways(
                stepping(source, ("poll", "commit", "committed", "still_member", "bounds"), steps),
                lambda starts: stepping(MemoryReader(self.log, starts), ("poll",), steps),
                stepping(MemorySink(self.log), ("send", "serve", "flush"), steps),
            ),
            archive,
            self.clock,
            ArchiverMetrics(CollectorRegistry()),
            accept_loss=accept_loss,
        )

    def die(self) -> None:
        """The last process is dead: its session has ended."""
        self.log.leave(group_of(self.endpoint), self.sources[-1])

    # ------------------------------------------------------------------------------------------------- what is archived

    def rows(self, name: str) -> list[dict[str, Any]]:
        """All rows of a topic's files, by partition and offset."""
        found: list[dict[str, Any]] = []
        for chain in self.archive.files(name).values():
            for held in chain:
                if held.lost:
                    continue
                found += self.archive.read(held, TABLES[name]([]).column_names).to_pylist()
        return sorted(found, key=lambda row: (row["partition"], row["offset"], row.get("model", "")))

    def features(self, number: int = 0) -> list[FeatureColumns]:
        """What is on the features' topic."""
        return [decode(r.value, FeatureColumns) for r in self.log.records[self.endpoint.topic("features"), number]]


def offsets_of(rows: Sequence[dict[str, Any]]) -> list[tuple[int, int]]:
    """(partition, offset) of each row."""
    return [(row["partition"], row["offset"]) for row in rows]


def play(world: ArchiveWorld, archiver: Archiver, turns: int = 6) -> None:
    """Turn with time passing."""
    for _ in range(turns):
        archiver.turn(0)
        world.clock.advance_ms(300)


NAMES = tuple(TABLES)
