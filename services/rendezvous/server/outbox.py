"""What the service asks of whoever sends for it, in both modes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from rendezvous.log.records import Committed, Source, Transactor
from rendezvous.messages import Comparisons, DeadLetter
from rendezvous.server.outcomes import Verdicts
from rendezvous.server.partition import Partition


class Outbox(Protocol):
    """Sends what the core returns, and commits how far each partition is done."""

    @property
    def undelivered(self) -> int:
        """Records that were handed over and whose fate is not known."""

    @property
    def patience_us(self) -> int:
        """How long `turn` may wait for its next call: what is under way goes on in it."""

    def fence(self, number: int) -> Transactor | None:
        """A partition was assigned; called beside the loop, before anything of it is read.

        From here on nothing that a predecessor sent appears in the log any more, where this can be had. Returns what
        sends for this partition alone, if there is such a thing: for `gained`, or to be closed.
        """

    def gained(self, number: int, by: Transactor | None, *, unended: bool) -> None:
        """A partition is taken up; `by`: what `fence` returned for it; `unended`: see `Takeover`."""

    @property
    def close_every_us(self) -> int:
        """How often mailboxes are to be closed: comparisons are for the monitor, and larger records cost less."""

    def answer(self, partition: Partition, verdicts: Verdicts) -> None:
        """Send a tick's answers and its decision."""

    def compare(self, partition: Partition, comparisons: Comparisons) -> None:
        """Send the comparisons of closed mailboxes."""

    def letter(self, letter: DeadLetter, partition: Partition | None) -> None:
        """Send a dead letter; `partition` owes it for the letter's offset."""

    def turn(self, partitions: Mapping[int, Partition], now_us: int) -> list[int]:
        """Do what is due for these, by number; returns those to take over again: what was last sent is in doubt.

        Raises:
            LogError: a record of ours could not be delivered: a restart resumes from the last commit.
        """

    def commit(self, partitions: Iterable[Partition]) -> None:
        """Commit how far they are done, soon."""

    def finish(self, partitions: Mapping[int, Partition], timeout_s: float) -> None:
        """Wait for all that is under way, and commit."""

    def gone(self, partition: Partition) -> None:
        """A partition is not ours any more: begin nothing further of it."""

    def entitled(self, partitions: Iterable[Partition]) -> bool:
        """Whether a process that was frozen may send: the group says that these are still its own."""


def position(partition: Partition, topic_id: str) -> Committed:
    """How far a partition is done, and where its successor must start reading."""
    return Committed(partition.committable, partition.resume(topic_id).text())


def committed(source: Source, topic: str, number: int) -> Committed:
    """What the group has for a partition; before its first commit, the partition's beginning."""
    return source.committed(topic, number) or Committed(source.bounds(topic, number)[0], "")
