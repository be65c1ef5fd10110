"""Records of the scores topic on their way to the mailboxes: those of one turn together, and nobody too loud."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from rendezvous.log.records import Record
from rendezvous.messages import Scores
from rendezvous.registry.state import Control
from rendezvous.server.arrivals import Tally
from rendezvous.server.flooding import Floods
from rendezvous.server.intake import Fault, Intake
from rendezvous.server.partition import Partition


class Heard(NamedTuple):
    """What one turn's records came to.

    tallies: for each partition what became of its rows, and the messages. faults: records that are none. shut: records
    that were not read, by their writer; flooding: writers that are shut out from now on. passed: rows of versions that
    are not compared here, by model: retired, or not heard of yet.
    """

    tallies: list[tuple[Partition, Tally, list[Scores]]]
    faults: list[tuple[Record, Fault]]
    shut: dict[bytes, int]
    flooding: frozenset[bytes]
    passed: dict[str, int]


class Hearing:
    """Reads scores records against control. Scores are put together since NumPy's price is by the call, not the row."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._floods = Floods()
        self._control: Control | None = None
        self._writers: frozenset[bytes] = frozenset()

    def hear(
        self, records: Sequence[Record], partitions: Mapping[int, Partition], control: Control, now_us: int
    ) -> Heard:
        """Take records of owned partitions in, in the order of the log."""
        if control is not self._control:
            self._control, self._writers = control, frozenset("/".join(pair).encode() for pair in control.versions)
        heard = Heard([], [], {}, self._floods.turn(now_us), {})
        batches: dict[int, list[tuple[Scores, int, bytes | None]]] = {}
        for record in records:
            writer = self._floods.shuts(record.key, self._writers)
            if writer is not None:
                heard.shut[writer] = heard.shut.get(writer, 0) + 1
                continue
            said = self._intake.scores(record, control.versions)
            if isinstance(said, Fault):
                self._floods.useless(record.key, self._writers)
                heard.faults.append((record, said))
            else:
                batches.setdefault(record.partition, []).append((said, record.offset, record.key))
        for number, batch in batches.items():
            partition = partitions[number]
            tally = partition.scores([(said, offset) for said, offset, _ in batch], now_us)
            self._note_useless(partition, tally, batch)
            for said, _, _ in batch:
                if (said.model, said.version) not in partition.plan.column_of:
                    heard.passed[said.model] = heard.passed.get(said.model, 0) + len(said.offsets)
            heard.tallies.append((partition, tally, [said for said, _, _ in batch]))
        return heard

    def _note_useless(
        self, partition: Partition, tally: Tally, batch: Sequence[tuple[Scores, int, bytes | None]]
    ) -> None:
        """Of each version's records in this turn, as many are of use at most as rows were kept."""
        kept = dict(zip(partition.plan.axis, tally.kept, strict=False))
        for said, _, key in batch:
            pair = said.model, said.version
            if kept.get(pair, 0) > 0:
                kept[pair] -= 1
            else:
                self._floods.useless(key, self._writers)
