"""What became of each request, and the figures made of it. Pure.

Three clocks, all of one machine's wall time, in milliseconds since the epoch:

due        when the open loop was to send the request, whether or not anybody could take it
appended   LogAppendTime of the request, and of its answer: the broker's clock, on which the deadline runs
in hand    when a read_committed reader of the reply topic had the answer: the application's view. With transactions an
           answer is appended before it is committed, so there only this clock tells when it was one

acknowledged   the broker reported the request as delivered: from then on it is owed an answer
lost           acknowledged, and when everything has settled there is neither an answer on the reply topic nor a dead
               letter for it
duplicate      an answer after the first one to the same request, as a read_committed reader sees it;
               `recognisable` when it carries the same (partition, offset) as the request
late           answered more than the deadline after the request's append
late from due  answered more than the deadline after the request was due: late ones, and those that the broker took late
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from rendezvous.messages import Reason
from rendezvous.registry.state import Pair

Place = tuple[int, int]
"""A request's (partition, offset)."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request that was sent; `appended_ms` and `offset` are None when it never was in the log."""

    number: int
    partition: int
    due_ms: float
    acknowledged: bool
    offset: int | None = None
    appended_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer as the reader met it."""

    number: int
    place: Place
    reason: Reason
    appended_ms: float
    in_hand_ms: float
    pair: Pair = ("", "")
    """Who answered: model and version; empty for the default."""
    decided_ms: float = float("nan")
    """By the server's clock."""


Clock = Callable[[Answer], float]
CLOCKS: Mapping[str, Clock] = {
    "appended": lambda answer: answer.appended_ms,
    "in_hand": lambda answer: answer.in_hand_ms,
}


@dataclass(frozen=True, slots=True)
class Case:
    """One request with all that was said to it; `answers` in the order in which the reader met them."""

    asked: Asked
    answers: Sequence[Answer]
    buried: bool
    """Whether there is a dead letter about it."""

    @property
    def lost(self) -> bool:
        """See the head of this module."""
        return self.asked.acknowledged and not self.answers and not self.buried

    @property
    def repeats(self) -> int:
        """Answers after the first."""
        return max(len(self.answers) - 1, 0)

    @property
    def recognisable(self) -> int:
        """Repeats that name the request's own place, by which a reader drops them."""
        place = (self.asked.partition, self.asked.offset)
        return sum(answer.place == place for answer in self.answers[1:])

    def late(self, deadline_ms: float, clock: Clock) -> bool:
        """Whether its first answer came more than the deadline after its append."""
        if not self.answers or self.asked.appended_ms is None:
            return False
        return clock(self.answers[0]) - self.asked.appended_ms > deadline_ms

    def waited_ms(self, clock: Clock) -> float:
        """From due to the first answer; infinite without one."""
        return clock(self.answers[0]) - self.asked.due_ms if self.answers else float("inf")


def cases(asked: Iterable[Asked], answers: Iterable[Answer], buried: set[Place]) -> list[Case]:
    """Every request with its answers."""
    said: dict[int, list[Answer]] = {}
    for answer in answers:
        said.setdefault(answer.number, []).append(answer)
    return [
        Case(
            request,
            said.get(request.number, ()),
            buried=request.offset is not None and (request.partition, request.offset) in buried,
        )
        for request in asked
    ]


def within(found: Iterable[Case], start_ms: float, end_ms: float) -> list[Case]:
    """The requests that were due from `start_ms` on and before `end_ms`."""
    return [case for case in found if start_ms <= case.asked.due_ms < end_ms]


def counts(found: Sequence[Case], deadline_ms: float) -> dict[str, Any]:
    """How many were sent, answered, lost, answered twice, late; and the first answers' reasons."""
    reasons = Counter(case.answers[0].reason.name.lower() for case in found if case.answers)
    return {
        "sent": len(found),
        "acknowledged": sum(case.asked.acknowledged for case in found),
        "answered": sum(bool(case.answers) for case in found),
        "lost": sum(case.lost for case in found),
        "dead_letters": sum(case.buried for case in found),
        "duplicates": sum(case.repeats for case in found),
        "recognisable": sum(case.recognisable for case in found),
        "late": sum(case.late(deadline_ms, CLOCKS["appended"]) for case in found),
        "late_in_hand": sum(case.late(deadline_ms, CLOCKS["in_hand"]) for case in found),
        "late_from_due": sum(deadline_ms < case.waited_ms(CLOCKS["appended"]) < float("inf") for case in found),
        "reasons": dict(reasons.most_common()),
    }


@dataclass(frozen=True, slots=True)
class Recovery:
    """How recovery is told. `since_first_miss`: see `Moment`. `steady_ms`: for so long all must go well."""

    deadline_ms: float
    clock: Clock
    since_first_miss: bool = False
    steady_ms: float = float("inf")

    def after(self, struck_ms: float, found: Sequence[Case]) -> float | None:
        """How long what happened at `struck_ms` disturbed one partition; `found`: its requests in the order of due.

        From then to the *answer* of the first request from which on every request that is due within `steady_ms` (all,
        without it) is answered within the deadline from due. Not to its append: a request that was appended while
        nobody served, and still answered in time when somebody did, would make recovery look shorter by up to a
        deadline. From due and not from append: while a broker is down nothing is appended, and applications wait.

        0 when no request missed its deadline; None when it never came.
        """
        missed = [number for number, case in enumerate(found) if case.waited_ms(self.clock) > self.deadline_ms]
        if not missed:
            return 0.0
        if self.since_first_miss:
            struck_ms = max(struck_ms, found[missed[0]].asked.due_ms)
        for number, following in pairwise([*missed, len(found)]):
            if number + 1 == following:
                continue
            good = found[number + 1]
            if following == len(found) or found[following].asked.due_ms - good.asked.due_ms >= self.steady_ms:
                return max(self.clock(good.answers[0]) - struck_ms, 0.0)
        return None


def longest_gap_ms(found: Iterable[Case], start_ms: float, reasons: frozenset[Reason] = frozenset(Reason)) -> float:
    """The longest time without an answer's append (for one of these reasons), from `start_ms` on."""
    times = sorted(
        answer.appended_ms
        for case in found
        for answer in case.answers
        if answer.reason in reasons and answer.appended_ms >= start_ms
    )
    return max((after - before for before, after in pairwise([start_ms, *times])), default=0.0)
