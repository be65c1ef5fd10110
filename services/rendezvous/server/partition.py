"""One partition that this server owns: its mailbox, its ledger, and whether it may answer yet.

Pure: events and `now` in, verdicts and comparisons out. A partition begins *held*: it takes in what its predecessor
left (requests, scores, decisions) and answers only what needs no score, until both logs have been read to where they
ended at the assignment. Then it is live for ever.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rendezvous.messages import Comparisons, Int64s, Reason, Request, Scores, Status
from rendezvous.server.arrears import MOST, Arrears, Backlog, Span
from rendezvous.server.arrivals import Arrivals, Tally
from rendezvous.server.ledger import Ledger, Owes, Resume
from rendezvous.server.mailbox import Decided, Mailbox
from rendezvous.server.outcomes import Verdicts, defaults
from rendezvous.server.plan import Plan
from rendezvous.server.policies import NOBODY
from rendezvous.server.watching import Judgement, Watch
from rendezvous.settings import FallbackLimits

FALLBACK = FallbackLimits()
BOTH = int(Owes.DECISION | Owes.COMPARISON)
"""A plain number: members of an enum are put together at the price of a microsecond each time."""


@dataclass(frozen=True, slots=True)
class Takeover:
    """What a new owner starts from.

    requests, scores, decisions: the positions to read from; requests_end, scores_end: where those logs ended;
    decided: what the predecessor decided about requests at or after `requests`, with the position of each decision;
    unended: whether some of that stands in a transaction without an end, which our first one gives it.
    """

    requests: int
    scores: int
    decisions: int
    requests_end: int
    scores_end: int
    decided: Mapping[int, tuple[Decided, int]]
    unended: bool = False


class Partition:
    """Takes what arrives for one partition; returns what is to be sent."""

    def __init__(self, plan: Plan, number: int, takeover: Takeover, fallback: FallbackLimits = FALLBACK) -> None:
        self.number = number
        self._mailbox = Mailbox(plan, takeover.requests)
        self._ledger = Ledger(takeover.requests, takeover.scores, takeover.decisions)
        self._decided = dict(takeover.decided)
        self._decided_from = takeover.decisions
        self._ends = (takeover.requests_end, takeover.scores_end)
        self._read = (takeover.requests, takeover.scores)
        self._live = False
        self.arrears = Arrears()
        self._backlog = Backlog()
        self._late: list[Request] = []
        self._squeezed: list[Comparisons] = []
        self._watch = Watch(fallback)
        self.read_to(*self._read)

    @property
    def live(self) -> bool:
        """Whether it may answer by what has arrived."""
        return self._live

    @property
    def in_flight(self) -> int:
        """Requests that hold a slot."""
        return self._mailbox.in_flight

    @property
    def next_due_us(self) -> int:
        """When the next answer falls due if nothing arrives."""
        return self._mailbox.next_due_us

    @property
    def committable(self) -> int:
        """All requests before this offset are done, and safe in the log."""
        oldest = self.arrears.oldest
        return self._ledger.committable if oldest is None else min(self._ledger.committable, oldest.start)

    @property
    def plan(self) -> Plan:
        """For requests that arrive from now on; its axis is the mailbox's."""
        return self._mailbox.plan

    def adopt(self, plan: Plan) -> None:
        """Requests that arrive from now on are answered by another plan."""
        before = self.plan.axis
        self._mailbox.adopt(plan)
        column_of = self.plan.column_of
        for offset, (known, record) in self._decided.items():
            winner = column_of.get(before[known.winner], NOBODY) if known.winner >= 0 else NOBODY
            self._decided[offset] = replace(known, winner=winner), record

    def resume(self, topic_id: str) -> Resume:
        """Where a successor must start reading scores and decisions."""
        resume = self._ledger.resume(topic_id)
        # decisions about requests that have not been read again yet: they need not stand in the requests' order
        unread = self._decided_from if self._decided else resume.decisions
        oldest = self.arrears.oldest
        skipped = unread if oldest is None else oldest.decisions
        return replace(resume, decisions=min(resume.decisions, unread, skipped))

    def read_to(self, requests: int, scores: int) -> None:
        """Both logs have been read up to these positions (their ends count, gaps and all)."""
        self._read = max(self._read[0], requests), max(self._read[1], scores)
        if not self._live and all(read >= end for read, end in zip(self._read, self._ends, strict=True)):
            self._live = True
            self._decided.clear()

    def request(self, request: Request, now_us: int, *, dead_letter: bool = False) -> None:
        """A request was read; `dead_letter`, its record is also being written to dead-letters."""
        offset = request.offset
        fits = self._mailbox.fits(offset)
        if not fits:
            self._squeezed += self._mailbox.close(now_us, squeeze=True)
            fits = self._mailbox.fits(offset)
        known = self._decided.pop(offset, None) if self._decided else None
        if not self._mailbox.request(request, now_us, None if known is None else known[0]):
            return
        owes = BOTH if fits else int(Owes.DECISION)
        self._ledger.opened(offset, owes | Owes.DEAD_LETTER if dead_letter else owes)
        if known is not None:
            self._ledger.decided(np.array([offset]), known[1])

    def dead_letter(self, offset: int) -> None:
        """A record that is no request was read; it is being written to dead-letters."""
        if offset >= self._ledger.position:
            self._ledger.opened(offset, Owes.DEAD_LETTER)

    def is_behind(self, newest: Request, end: int, now_us: int) -> bool:
        """Whether to skip what waits, up to `end`: this newest request of a turn is past half of its own time."""
        age_us, most_us = now_us - newest.appended_us, (newest.deadline_us - newest.appended_us) // 2
        oldest = self.arrears.oldest
        too_many = oldest is not None and end - oldest.start > MOST
        waits = self._live and end > newest.offset + 1 and not too_many
        return self._backlog.skips(age_us, most_us, self.plan.behind_us, now_us, waits=waits)

    def skip(self, position: int) -> int:
        """Requests before this position are left for later; returns how many offsets that is."""
        start = self._ledger.position
        if position <= start:
            return 0
        self.arrears.add(Span(start, position, self._ledger.resume("").decisions))
        self._ledger.skip(position)
        self._mailbox.skip(position)
        return position - start

    def returns(self, now_us: int) -> bool:
        """Whether there is something to be read again, and time for it."""
        return self.arrears.next is not None and self._backlog.calm(now_us)

    def late(self, offset: int, request: Request | None, *, dead_letter: bool) -> None:
        """A record was read again that was skipped; None if it is no request."""
        owes = 0 if request is None else int(Owes.DECISION)
        self.arrears.opened(offset, owes | Owes.DEAD_LETTER if dead_letter else owes)
        if request is not None:
            self._late.append(request)

    def returned(self, now_us: int) -> list[Verdicts]:
        """The answers to what was read again."""
        late, self._late = self._late, []
        return defaults(self.plan, [(request, Reason.OVERLOADED) for request in late], now_us) if late else []

    def scores(self, batch: Sequence[tuple[Scores, int]], now_us: int) -> Tally:
        """Scores were read, each with its record's position, in the order of the log.

        Those of versions that are not on the axis (retired a moment ago, or not heard of yet) are passed by.
        """
        self._ledger.read_scores(batch[-1][1] + 1)
        column_of = self.plan.column_of
        batch = [(scores, record) for scores, record in batch if (scores.model, scores.version) in column_of]
        if not batch:
            return Tally([], [], [], [])
        arrivals = Arrivals.of([scores for scores, _ in batch], column_of)
        if len(arrivals.offsets) == 1:
            offset = arrivals.offsets.item()
            if self._mailbox.accepts_one(offset):
                self._ledger.scored_one(offset, batch[0][1])
        else:
            records = np.repeat([record for _, record in batch], arrivals.rows)
            inside = self._mailbox.accepts(arrivals.offsets)
            self._ledger.scored(arrivals.offsets[inside], records[inside])
        return self._mailbox.scores(arrivals, now_us)

    def tick(self, now_us: int) -> list[Verdicts]:
        """The answers that are due."""
        return self._mailbox.tick(now_us, held=not self._live)

    def close(self, now_us: int) -> list[Comparisons]:
        """The comparisons of what is over."""
        squeezed, self._squeezed = self._squeezed, []
        closed = squeezed + (self._mailbox.close(now_us) if self._live else [])
        for comparisons in closed:
            self._watch.saw(comparisons, self.plan.watched, now_us)
        return closed

    def judge(self, now_us: int) -> list[Judgement]:
        """Which scheduled versions are to be passed by, or trusted again, from what has closed."""
        if not self._live:
            return []
        plan = self.plan
        return self._watch.judge(plan.suspended.__contains__, plan.rests, now_us)

    def unreadable(self, comparisons: Comparisons) -> Int64s:
        """Offsets whose value no model could read and one or more tried; each now owes a dead letter.

        What was rejected is in dead-letters already.
        """
        statuses = comparisons.statuses
        tried = (statuses == Status.UNREADABLE).any(axis=1) & ~(statuses == Status.OK).any(axis=1)
        offsets: Int64s = comparisons.offsets[tried & (comparisons.reasons != Reason.REJECTED)]
        self._ledger.owe(offsets, Owes.DEAD_LETTER)
        return offsets

    def decided(self, offsets: Int64s, record: int) -> None:
        """The decision about these offsets is in the log."""
        self._ledger.decided(offsets, record)
        self.arrears.settled(offsets, Owes.DECISION)

    def compared(self, offsets: Int64s) -> None:
        """The comparison of these offsets is in the log."""
        self._ledger.settled(offsets, Owes.COMPARISON)

    def buried(self, offset: int) -> None:
        """The dead letter about this offset is in the log."""
        self._ledger.settled(np.array([offset]), Owes.DEAD_LETTER)
        self.arrears.settled(np.array([offset]), Owes.DEAD_LETTER)
