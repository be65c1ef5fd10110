"""What a sample is about: the area of the innermost frame that a table names. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from loadtest.profile.stacks import Frame, Stack

REST = "the rest of the loop"
"""What no table names: the turn itself, how long it may wait, whether it is ready."""
READING = "waiting for records, and the client's fetch queue"
TAKING = "records out of the client's messages"
COUNTING = "counting metrics"
COMMITS = "commits"

Table: TypeAlias = Mapping[tuple[str, str], str]
"""(file, function) to area; a function "" stands for all of the file or folder that are not named themselves."""

SERVER: Table = {
    ("rendezvous/log/reading.py", "waiting"): READING,
    ("rendezvous/log/member.py", "KafkaSource.poll"): TAKING,
    ("rendezvous/server/service.py", "Service._take_request"): "intake of requests",
    ("rendezvous/server/service.py", "Service._hear"): "hearing scores",
    ("rendezvous/server/partition.py", "Partition.tick"): "looking and choosing",
    ("rendezvous/server/publishing.py", "Publisher.answer"): "answers: handed to the client",
    ("rendezvous/server/publishing.py", "Publisher._send"): "answers: handed to the client",
    ("rendezvous/server/answering.py", ""): "answers: encoded",
    ("rendezvous/log/sink.py", "KafkaSink.serve"): "delivery reports",
    ("rendezvous/server/publishing.py", "Publisher._decide"): "decisions",
    ("rendezvous/server/service.py", "Service._close"): "closing, comparisons",
    ("rendezvous/server/steering.py", "Steering.answered"): "watching the load",
    ("rendezvous/server/counting.py", ""): COUNTING,
    ("rendezvous/telemetry/", ""): COUNTING,
    ("prometheus_client/", ""): COUNTING,
    ("rendezvous/server/publishing.py", "Publisher.commit"): COMMITS,
}
SCORER: Table = {
    ("rendezvous/log/reading.py", "waiting"): READING,
    ("rendezvous/log/member.py", "KafkaSource.poll"): TAKING,
    ("rendezvous/scoring/batch.py", "take_up"): "taking up: headers, what is worth scoring",
    ("rendezvous/wire.py", "Codec.decode"): "decoding requests",
    ("rendezvous/scoring/columns.py", ""): "columns",
    ("rendezvous/scoring/batch.py", "score"): "statuses",
    ("rendezvous/scoring/models.py", ""): "model",
    ("rendezvous/scoring/service.py", "Scorer._send"): "scores: encoded, handed to the client",
    ("rendezvous/log/sink.py", "KafkaSink.serve"): "delivery reports",
    ("rendezvous/scoring/service.py", "Scorer._count"): COUNTING,
    ("rendezvous/telemetry/", ""): COUNTING,
    ("prometheus_client/", ""): COUNTING,
    ("rendezvous/scoring/seat.py", "Seat.commit"): COMMITS,
}


def area_of(frames: Sequence[Frame], table: Table) -> str:
    """Of the innermost frame that the table names."""
    return next((area for frame in reversed(frames) if (area := _named(frame, table))), REST)


def _named(frame: Frame, table: Table) -> str | None:
    name = frame.name.partition(".<locals>")[0]
    folder = frame.file.rpartition("/")[0] + "/"
    keys = (frame.file, name), (frame.file, ""), (folder, "")
    return next((table[key] for key in keys if key in table), None)


def samples(stacks: Iterable[Stack], table: Table) -> dict[str, int]:
    """How many each area has, in the table's order, the rest last."""
    found = dict.fromkeys([*table.values(), REST], 0)
    for stack in stacks:
        found[area_of(stack.frames, table)] += stack.count
    return found
