"""The outbox of `exactly_once = true`: each partition's answers, decisions, comparisons, letters and offsets together.

One transactional producer a partition. A *bundle* holds whatever became due while the one before it was being
committed, and the group's position after it. The ledger settles when a record joins a bundle: bundles are committed
in their order, so a position holds as soon as its bundle does. Until then all that the partition believes of itself is
a guess; when its producer is lost, the partition is taken over again from the last commit, as by a successor. So it is
when a predecessor's decisions stood open (see `recovery`) and our first bundle, which gives them its end, is aborted.

What it promises, one answer and one decision for each request, holds for readers that are read_committed. A comparison
may repeat at a take-over, as in the other mode: mailboxes close in any order, positions move in one. And a dead reply
topic stalls others of its partition:
the bundle waits until the client gives the record up (8 s), is aborted, and is tried again with dead letters in place
of the answers to that topic. For DEAD_US after that they are refused at once.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import NamedTuple

from rendezvous.log.records import Bundle, Committed, Outcome, Outgoing, Source, Start, Transactor
from rendezvous.messages import Comparisons, DeadLetter, Message
from rendezvous.server.answering import answers
from rendezvous.server.outbox import committed, position
from rendezvous.server.outcomes import Verdicts
from rendezvous.server.outstanding import Address
from rendezvous.server.partition import Partition
from rendezvous.server.replies import (
    FOREVER_US,
    NEVER_US,
    PARK_US,
    Addressed,
    Parking,
    Refusal,
    Replies,
)
from rendezvous.settings import Endpoint
from rendezvous.wire import encode

DEAD_US = 30_000_000
"""How long a reply topic that aborted a transaction is believed dead; as long as the other mode's client tries."""
LOOK_S = 0.002
"""Between two looks, while a stop waits for bundles."""
CLOSE_EVERY_US = 250_000
"""Each partition that a bundle writes to costs a request, and the broker a look whether it takes part: 3 to 15 ms."""
OUTCOME_US = 2_000
"""The longest wait for what comes, while a bundle is under way."""

_logger = logging.getLogger(__name__)


class _Item(NamedTuple):
    """A record of a bundle; `letter`, what is written instead if its topic takes nothing (answers only)."""

    outgoing: Outgoing
    letter: Callable[[Refusal], DeadLetter] | None


class _Desk:
    """One partition's bundles: the one under way, and the one that gathers."""

    def __init__(self, transactor: Transactor, *, unended: bool) -> None:
        self.transactor = transactor
        self.unended = unended
        """Whether a predecessor's decisions have no end (see `recovery`): they get that of our first bundle, which must
        therefore have decisions, too."""
        self.lost = False
        """Whether its partition must be taken over again: nothing is sent for this one any more."""
        self.decisions = -1
        """Where the decisions about what is open begin, at the latest; -1 before our first."""
        self.handed: list[_Item] = []
        self.gathered: list[_Item] = []
        self.sent: Bundle | None = None
        self.offered: Committed | None = None


class TransactionalOutbox:
    """See `Outbox`.

    Args:
        endpoint: whose topics it writes to.
        source: the member of the group.
        partitions: how many partitions a reply topic has, None while that is not known.
        transactor: makes the producer of a transactional id, and fences its predecessor.
        on_letter: told of each dead letter.
        topic_id: of the requests topic.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        source: Source,
        partitions: Callable[[str], int | None],
        transactor: Callable[[str], Transactor],
        on_letter: Callable[[DeadLetter], None],
        topic_id: str,
    ) -> None:
        self._name = endpoint.name
        self._source = source
        self._transactor = transactor
        self._on_letter = on_letter
        self._topic_id = topic_id
        names = ("requests", "decisions", "comparisons", "dead-letters")
        self._topics = {name: endpoint.topic(name) for name in names}
        self._replies = Replies(endpoint, partitions)
        self._parking = Parking(self._replies)
        self._desks: dict[int, _Desk] = {}
        self._dead: dict[str, int] = {}

    @property
    def undelivered(self) -> int:
        """See `Outbox.undelivered`."""
        return self._parking.parked + sum(len(desk.handed) + len(desk.gathered) for desk in self._desks.values())

    @property
    def patience_us(self) -> int:
        """See `Outbox.patience_us`: no answer can be read before its bundle's outcome, nor is the next one sent."""
        moves = any(desk.sent is not None or self._ready(desk) for desk in self._desks.values())
        return OUTCOME_US if moves or self._parking.parked else FOREVER_US

    @property
    def close_every_us(self) -> int:
        """See `Outbox.close_every_us`."""
        return CLOSE_EVERY_US

    def fence(self, number: int) -> Transactor:
        """See `Outbox.fence`: what the predecessor left open is aborted; this waits for the cluster."""
        return self._transactor(f"{self._name}-{number}")

    def gained(self, number: int, by: Transactor | None, *, unended: bool) -> None:
        """See `Outbox.gained`."""
        if by is None:
            raise ValueError(f"partition {number} was not fenced")
        self._desks[number] = _Desk(by, unended=unended)

    def entitled(self, partitions: Iterable[Partition]) -> bool:
        """See `Outbox.entitled`: asked with what is committed already, for what is not is a guess.

        A transaction of a member that is none could not be committed, but it would disturb the new owner's.
        """
        topic = self._topics["requests"]
        held = {partition.number: committed(self._source, topic, partition.number) for partition in partitions}
        return self._source.still_member(topic, held)

    # ------------------------------------------------------------------------------------------------- what is due

    def answer(self, partition: Partition, verdicts: Verdicts) -> None:
        """See `Outbox.answer`."""
        for ready in self._parking.take(partition, verdicts):
            self._add_answers(ready)

    def _add_answers(self, ready: Addressed) -> None:
        partition, verdicts, addresses = ready
        decided_us = verdicts.decisions.decided_us
        values = answers(verdicts, partition.number)
        for request, value, address in zip(verdicts.requests, values, addresses, strict=True):
            target = self._alive(address, decided_us)
            letter = partial(self._replies.letter, request, partition.number, decided_us)
            if isinstance(target, Refusal):
                self.letter(letter(target), None)
            else:
                headers = self._replies.headers(request, partition.number)
                outgoing = Outgoing(target.topic, target.partition, value, headers)
                self._desks[partition.number].gathered.append(_Item(outgoing, letter))
        desk = self._own(partition, "decisions", verdicts.decisions)
        if desk.decisions < 0:
            desk.decisions = partition.resume(self._topic_id).decisions
        partition.decided(verdicts.decisions.offsets, desk.decisions)

    def _alive(self, address: Address | Refusal, now_us: int) -> Address | Refusal:
        if self._dead and isinstance(address, Address):
            if now_us < self._dead.get(address.topic, 0):
                return Refusal(f"{address.topic} aborted a transaction: nothing is sent there for a while")
            self._dead.pop(address.topic, None)
        return address

    def compare(self, partition: Partition, comparisons: Comparisons) -> None:
        """See `Outbox.compare`."""
        self._own(partition, "comparisons", comparisons)
        partition.compared(comparisons.offsets)

    def letter(self, letter: DeadLetter, partition: Partition | None) -> None:
        """See `Outbox.letter`: it goes with the bundle of its own partition."""
        self._desks[letter.partition].gathered.append(self._buried(letter))
        if partition is not None:
            partition.buried(letter.offset)

    def _buried(self, letter: DeadLetter) -> _Item:
        self._on_letter(letter)
        return _Item(Outgoing(self._topics["dead-letters"], None, encode(letter)), None)

    def _own(self, partition: Partition, topic: str, message: Message) -> _Desk:
        desk = self._desks[partition.number]
        desk.gathered.append(_Item(Outgoing(self._topics[topic], partition.number, encode(message)), None))
        return desk

    # -------------------------------------------------------------------------------------------------- what leaves

    def turn(self, partitions: Mapping[int, Partition], now_us: int) -> list[int]:
        """See `Outbox.turn`."""
        for ready in self._parking.due(now_us):
            self._add_answers(ready)
        return [number for number, partition in partitions.items() if not self._turn(partition, now_us)]

    def _turn(self, partition: Partition, now_us: int) -> bool:
        """Whether a partition's producer is well."""
        desk = self._desks[partition.number]
        outcome = None if desk.lost else desk.transactor.outcome()
        if outcome is not None:
            where = f"{self._topics['requests']}-{partition.number}"
            if outcome.lost:
                _logger.warning("%s: its producer is lost: %s", where, outcome.lost)
                desk.lost = True
            else:
                self._settle(desk, outcome, now_us)
                if desk.unended and not outcome.done:
                    _logger.warning("%s: what a predecessor left open was aborted with a bundle of ours", where)
                    desk.lost = True
                desk.unended = False
        if desk.lost:
            return False
        if not desk.transactor.busy:
            if desk.sent is not None:
                desk.transactor.hand_over(desk.sent)
            elif self._ready(desk):
                self._send(desk, partition)
        return True

    def _ready(self, desk: _Desk) -> bool:
        """Whether there is a bundle to send: a predecessor's decisions must get their end with decisions of ours."""
        if not desk.unended:
            return bool(desk.gathered)
        return any(item.outgoing.topic == self._topics["decisions"] for item in desk.gathered)

    def _settle(self, desk: _Desk, outcome: Outcome, now_us: int) -> None:
        if outcome.done:
            desk.handed, desk.sent = [], None
            desk.decisions = outcome.ends.get(self._topics["decisions"], desk.decisions)
            return
        ours = {item.outgoing.topic for item in desk.handed if item.letter is None}
        refused = {} if ours & outcome.refused.keys() else outcome.refused  # else it is not the topic, but the cluster
        for topic in refused:
            self._dead[topic] = now_us + DEAD_US
        desk.handed = [self._instead(item, refused) for item in desk.handed]
        if desk.sent is not None:
            desk.sent = desk.sent._replace(records=[item.outgoing for item in desk.handed])

    def _instead(self, item: _Item, refused: Mapping[str, str]) -> _Item:
        reason = refused.get(item.outgoing.topic)
        if reason is None or item.letter is None:
            return item
        return self._buried(item.letter(Refusal(f"{item.outgoing.topic}: {reason}")))

    def _send(self, desk: _Desk, partition: Partition) -> None:
        offered = position(partition, self._topic_id)
        start = Start(self._topics["requests"], partition.number, offered.offset)
        desk.offered = offered
        desk.handed, desk.gathered = desk.gathered, []
        desk.sent = Bundle([item.outgoing for item in desk.handed], start, offered.metadata)
        desk.transactor.hand_over(desk.sent)

    def commit(self, partitions: Iterable[Partition]) -> None:
        """See `Outbox.commit`: a bundle without records, where the position moved and nothing else is to be sent."""
        for partition in partitions:
            desk = self._desks[partition.number]
            idle = desk.sent is None and not desk.unended and not desk.lost
            if idle and partition.committable > 0 and desk.offered != position(partition, self._topic_id):
                self._send(desk, partition)

    def finish(self, partitions: Mapping[int, Partition], timeout_s: float) -> None:
        """See `Outbox.finish`; a bundle that cannot be committed meanwhile is the successor's to make again."""
        begun_s = time.monotonic()
        while time.monotonic() - begun_s < timeout_s:
            lost = self.turn(partitions, FOREVER_US if time.monotonic() - begun_s > PARK_US / 1e6 else NEVER_US)
            well = [partition for number, partition in partitions.items() if number not in lost]
            self.commit(well)
            if not self._parking.parked and all(self._desks[p.number].sent is None for p in well):
                break
            time.sleep(LOOK_S)

    def gone(self, partition: Partition) -> None:
        """See `Outbox.gone`: what gathers for it is thrown away, and a bundle under way may yet be committed."""
        self._parking.forget(partition)
        self._desks.pop(partition.number).transactor.close()
