"""What a log promises: records, group members (`Source`), producers (`Sink`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias

Headers: TypeAlias = Sequence[tuple[str, bytes]]
Delivered: TypeAlias = Callable[[str | None, int], None]
"""Called once a record's fate is known: (None, its offset), or (what went wrong, -1)."""

AllDelivered: TypeAlias = Callable[[Mapping[int, str]], None]
"""Called once the fate of all records of a parcel is known: what went wrong, by the record's place among them."""

TIMED_OUT = "nothing was acknowledged in time"
"""What `Delivered` is told when nobody refused the record, and nobody took it."""


END = -1
"""Of a `Start`: where the partition ends when the log hears of it, as Kafka's protocol numbers it."""


class LogError(Exception):
    """The log refused or failed; the message says what, where, and what to do."""


class Record(NamedTuple):
    """One record as it stands in the log."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes
    headers: Headers


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as it should be, or as it is; replication: copies of each partition, -1 for the broker's default."""

    name: str
    partitions: int
    config: Mapping[str, str]
    id: str = ""
    replication: int = -1


class Start(NamedTuple):
    """Where to begin reading a partition."""

    topic: str
    partition: int
    offset: int


class Committed(NamedTuple):
    """What a group has committed for a partition."""

    offset: int
    metadata: str


class Outgoing(NamedTuple):
    """A record that is to be written."""

    topic: str
    partition: int | None
    value: bytes
    headers: Headers = ()


class Bundle(NamedTuple):
    """What becomes true together: records, and the group's position in one partition."""

    records: Sequence[Outgoing]
    start: Start
    metadata: str


class Outcome(NamedTuple):
    """What became of a bundle.

    done: all of it is in the log, and `ends` says for each topic written to where its last record ends. Otherwise
    nothing of it is; the same bundle may be tried again, without what `refused` (topic, reason) names. lost: this
    producer can do nothing any more, and which of its last bundles are in the log only the log knows.
    """

    done: bool
    ends: Mapping[str, int]
    refused: Mapping[str, str]
    lost: str = ""


class Transactor(Protocol):
    """A transactional producer: bundles one after the other, each whole or not at all. Making one fences the last."""

    busy: bool
    """A bundle is under way."""

    def hand_over(self, bundle: Bundle) -> None:
        """Begin to commit a bundle; only when not busy."""

    def outcome(self) -> Outcome | None:
        """What became of the bundle, once it is known; told once, and not asked again when it is lost."""

    def close(self) -> None:
        """Make no further attempt; does not wait."""


class Owner(Protocol):
    """Who is told of a group's rebalances, from inside `Source.poll`."""

    def assigned(self, partitions: Sequence[int]) -> list[Start]:
        """Partitions were gained: say what to read from where; what is not said now can be with `Source.reread`."""

    def revoked(self, partitions: Sequence[int], *, lost: bool) -> list[tuple[str, int]]:
        """Partitions go away (`lost`: they are already someone else's): say what to stop reading."""


class Reader(Protocol):
    """Reads one partition outside any group."""

    def poll(self, max_records: int, timeout_s: float) -> list[Record]:
        """Wait for the first record, take whatever else is there."""

    def ends(self) -> Mapping[tuple[str, int], int]:
        """For each partition whose end was met: the position there."""

    def close(self) -> None:
        """Stop reading."""


class Source(Protocol):
    """A member of a consumer group."""

    def subscribe(self, topic: str, owner: Owner) -> None:
        """Join the group for `topic`; `owner` decides what is read."""

    def poll(self, max_records: int, timeout_s: float) -> list[Record]:
        """Wait for the first record, take whatever else is there, never wait to fill."""

    def ends(self) -> Mapping[tuple[str, int], int]:
        """For each partition whose end was met: the position there."""

    def committed(self, topic: str, partition: int) -> Committed | None:
        """What this group last committed."""

    def commit(self, topic: str, partition: int, committed: Committed, *, wait: bool) -> None:
        """Commit a position and its metadata."""

    def still_member(self, topic: str, held: Mapping[int, Committed]) -> bool:
        """Prove to the group that this member still has these partitions, by committing their positions; may wait."""

    def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """The first offset and the position after the last."""

    def position_at(self, topic: str, partition: int, timestamp_ms: int) -> int:
        """The first offset with at least this timestamp, or the end."""

    def read(self, topic: str, partition: int, start: int, *, uncommitted: bool = False) -> Iterator[Record]:
        """Records from `start` to the end as it is now, outside the group; without `uncommitted` committed ones."""

    def read_open(self, topic: str, partition: int, start: int) -> Iterator[Record]:
        """Records from `start` to the end as it is now that `read` leaves out, since their transaction is not over."""

    def reread(self, starts: Sequence[Start]) -> None:
        """Read partitions from these positions on, whether they are read already or not."""

    def end(self, topic: str, partition: int) -> int:
        """The position after the last record of a partition that is read, as its last fetch told it; at once.

        -1 before the first one.
        """

    def beside(self, topic: str, partition: int, start: int) -> Reader:
        """Read a partition from another position too, whatever transactions become of; outside the group."""

    def cease(self, places: Sequence[tuple[str, int]]) -> None:
        """Read partitions no more, until `reread`; they stay this member's. What is not polled yet is dropped."""

    def detach(self) -> None:
        """Begin to leave the group; what is given away by that is read on, from where it is, until `close`."""

    def close(self) -> None:
        """Leave the group at once."""


class Sink(Protocol):
    """A producer."""

    def send(
        self,
        topic: str,
        value: bytes,
        *,
        partition: int | None = None,
        key: bytes | None = None,
        headers: Headers = (),
        delivered: Delivered | None = None,
    ) -> None:
        """Hand a record over; `delivered` is called from `serve` or `flush`.

        Raises:
            LogError: it cannot be sent: too large, a partition that is not there, no room for it.
        """

    def send_all(
        self,
        topic: str,
        records: Sequence[tuple[bytes, Headers]],
        *,
        partition: int | None = None,
        delivered: AllDelivered,
    ) -> None:
        """Hand over records for one destination, one at least: half the price of as many `send`.

        One that cannot be sent does not hinder the others; `delivered` hears of it.
        """

    def partitions(self, topic: str) -> int | None:
        """How many partitions a topic has, at once: 0 when there is none, None while that is not known."""

    def serve(self) -> None:
        """Run the callbacks that are due."""

    def flush(self, timeout_s: float) -> int:
        """Wait until everything is delivered; returns how many records are not."""
