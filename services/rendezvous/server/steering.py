"""Control and one server: what it follows, and what it has to say there about its own partitions. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from rendezvous.log.records import Record
from rendezvous.messages import Decisions
from rendezvous.registry.events import ControlEvent, Shedding, Suspension
from rendezvous.registry.fold import MAX_EVENT_BYTES
from rendezvous.registry.state import Control
from rendezvous.server.following import followed
from rendezvous.server.load import LEVELS, Load, level_of
from rendezvous.server.partition import Partition
from rendezvous.server.plan import Plan, plan_for
from rendezvous.server.watching import Judgement
from rendezvous.settings import Endpoint

MAX_NEWS = 100
"""Records of control followed in one turn: each takes about 0.1 ms, so answers that are due wait for some 10 ms."""
MAX_WAITING_BYTES = 16 * 1024 * 1024
"""Of control that waits for its turn: some 100,000 events. What is more is followed at once, and answers wait."""


class Steering:
    """Holds control as it was read, and how hard each owned partition is pressed.

    by: who this server is, in what it says on control.

    Raises:
        SettingsError: control holds no rules that can be followed.
    """

    def __init__(self, endpoint: Endpoint, records: Iterable[Record], by: str) -> None:
        self._endpoint = endpoint
        self._by = by
        self._loads: dict[int, Load] = {}
        self._waiting: deque[Record] = deque()
        self._waiting_bytes = 0
        self.control, _ = followed(endpoint, Control(), records)
        plan_for(endpoint, self.control, 0)

    def follow(self, records: Iterable[Record]) -> list[str]:
        """Read on, a little at a time; returns what was refused. In force is what `plan` says from now on."""
        for record in records:
            kept = record._replace(value=record.value[: MAX_EVENT_BYTES + 1])  # one that is larger is refused unread
            self._waiting.append(kept)
            self._waiting_bytes += len(kept.value)
        news: list[Record] = []
        while self._waiting and (len(news) < MAX_NEWS or self._waiting_bytes > MAX_WAITING_BYTES):
            news.append(self._waiting.popleft())
            self._waiting_bytes -= len(news[-1].value)
        self.control, refusals = followed(self._endpoint, self.control, news)
        return refusals

    @property
    def behind(self) -> bool:
        """Whether some of control was handed over and waits for the next turn."""
        return bool(self._waiting)

    def plan(self, number: int) -> Plan:
        """The plan of a partition as control stands."""
        return plan_for(self._endpoint, self.control, number)

    def gained(self, number: int) -> Plan:
        """A partition is owned from now on; who rests there, rests on until it is calm."""
        said = self.control.shedding.get(number)
        self._loads[number] = Load(0 if said is None else level_of(said.candidates, said.challengers))
        return self.plan(number)

    def gone(self, number: int) -> None:
        """A partition is someone else's."""
        self._loads.pop(number, None)

    def answered(self, partition: Partition, decisions: Decisions) -> None:
        """A partition's requests were answered."""
        load = self._loads.get(partition.number)
        if load is not None:
            load.answered(decisions, partition.plan.margin_us, partition.plan.deadline_us)

    def skipped(self, number: int, count: int, now_us: int) -> None:
        """A partition left so many requests for later."""
        load = self._loads.get(number)
        if load is not None:
            load.skipped(count, now_us)

    def say(self, partitions: Iterable[Partition], now_us: int) -> list[ControlEvent]:
        """Who is passed by or trusted again, and who rests or works again; in force once it is read back."""
        events: list[ControlEvent] = []
        for partition in partitions:
            events += [self._suspension(partition.number, judged, now_us) for judged in partition.judge(now_us)]
            level = self._loads[partition.number].change(now_us) if partition.live else None
            if level is not None:
                candidates, challengers = LEVELS[level]
                events.append(Shedding(partition.number, candidates, challengers, self._by, now_us))
        return events

    def _suspension(self, number: int, judged: Judgement, now_us: int) -> Suspension:
        return Suspension(
            partition=number,
            model=judged.pair[0],
            version=judged.pair[1],
            suspended=judged.suspended,
            missed=judged.missed,
            failed=judged.failed,
            requests=judged.requests,
            by=self._by,
            at_us=now_us,
        )
