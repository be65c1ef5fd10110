"""From what happened to the figures of each fault, and the targets. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

from loadtest.driving.books import CLOCKS, Case, Recovery, counts, longest_gap_ms, within
from rendezvous.messages import Reason

EXACTLY_ONCE = "exactly_once"
WARM_UP, QUIET = "warm-up", "quiet"
"""Before the first fault: connections and caches settle; then what the machine does by itself, the control."""
STEADY_MS = 1_000.0
"""`first_second` asks for no more than this: what another process on the machine disturbs later is not in it."""
EXAMPLES = 20
"""Lost or answered twice: enough to see what they have in common."""
PREFERRED = frozenset({Reason.PREFERRED})


def clock_of(mode: str) -> str:
    """The clock that tells when an answer is one: in a transaction its append does not."""
    return "in_hand" if mode == EXACTLY_ONCE else "appended"


@dataclass(frozen=True, slots=True)
class Moment:
    """Something done to a process.

    bound_ms: the recovery that is promised after it, None where none is. since_first_miss: recovery counts from when
    the first request was due that missed its deadline, where what is done takes its time to disturb anybody (a process
    that starts, and joins seconds later).
    """

    name: str
    at_ms: float
    bound_ms: float | None = None
    since_first_miss: bool = False


@dataclass(slots=True)
class Fault:
    """One entry of the report: what was done and when; `notes` are facts to go with its figures."""

    name: str
    begun_ms: float
    moments: list[Moment] = field(default_factory=list)
    notes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class History:
    """One mode's run: what was done, what was sent, and what came of it."""

    mode: str
    deadline_ms: float
    partitions: int
    faults: Sequence[Fault]
    cases: Sequence[Case]
    started_ms: float
    ended_ms: float

    def window(self, number: int) -> tuple[float, float]:
        """When the requests of fault `number` were due.

        It begins a deadline before the fault, with the requests that were under way, and ends where the next begins.
        """
        begins = [float("-inf"), *(fault.begun_ms - self.deadline_ms for fault in self.faults[1:]), float("inf")]
        return begins[number], begins[number + 1]


def fault_figures(history: History, number: int) -> dict[str, Any]:
    """One fault's entry."""
    fault = history.faults[number]
    start_ms, end_ms = history.window(number)
    found = within(history.cases, start_ms, end_ms)
    by_partition = [[case for case in found if case.asked.partition == part] for part in range(history.partitions)]
    return {
        "fault": fault.name,
        "at_s": round((fault.begun_ms - history.started_ms) / 1e3, 2),
        **counts(found, history.deadline_ms),
        "recovery_ms": {name: _recoveries(history, fault, end_ms, name) for name in CLOCKS},
        "longest_gap_ms": _rounded([longest_gap_ms(part, fault.begun_ms) for part in by_partition]),
        "longest_gap_without_preferred_ms": _rounded(
            [longest_gap_ms(part, fault.begun_ms, PREFERRED) for part in by_partition]
        ),
        "examples": [_told(case) for case in found if case.lost or case.repeats][:EXAMPLES],
        **fault.notes,
    }


def _told(case: Case) -> dict[str, Any]:
    """One request that was lost or answered twice, and how long after it was due each answer was appended."""
    return {
        "partition": case.asked.partition,
        "offset": case.asked.offset,
        "answers": [
            {"reason": answer.reason.name.lower(), "after_ms": round(answer.appended_ms - case.asked.due_ms, 1)}
            for answer in case.answers
        ],
    }


def _recoveries(history: History, fault: Fault, end_ms: float, clock: str) -> list[dict[str, Any]]:
    """After each moment of a fault, until the next: of each partition, and of the worst."""
    begins = [moment.at_ms - history.deadline_ms for moment in fault.moments]
    entries = []
    for moment, (begin_ms, until_ms) in zip(fault.moments, pairwise([*begins, end_ms]), strict=True):
        found = within(history.cases, begin_ms, until_ms)
        by_partition = [[case for case in found if case.asked.partition == part] for part in range(history.partitions)]
        told = Recovery(history.deadline_ms, CLOCKS[clock], moment.since_first_miss)
        partitions = [told.after(moment.at_ms, part) for part in by_partition]
        first = [replace(told, steady_ms=STEADY_MS).after(moment.at_ms, part) for part in by_partition]
        entries.append(
            {
                "after": moment.name,
                "at_s": round((moment.at_ms - history.started_ms) / 1e3, 2),
                "partitions": _rounded(partitions),
                "worst": _worst(partitions),
                "first_second": _worst(first),
                "bound": None if moment.bound_ms is None else round(moment.bound_ms, 1),
                "since": "first miss" if moment.since_first_miss else "moment",
            }
        )
    return entries


def _worst(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(max(known), 1) if len(known) == len(values) else None


def _rounded(values: Sequence[float | None]) -> list[float | None]:
    return [None if value is None else round(value, 1) for value in values]


def mode_figures(history: History) -> dict[str, Any]:
    """One mode's entry: totals, and each fault."""
    return {
        "mode": history.mode,
        "seconds": round((history.ended_ms - history.started_ms) / 1e3, 1),
        "totals": counts(history.cases, history.deadline_ms),
        "faults": [fault_figures(history, number) for number in range(len(history.faults))],
    }


def most_other_cores(modes: Sequence[Mapping[str, Any]]) -> float | None:
    """Cores that other work kept busy in the quiet time of the most disturbed mode; None where nobody can say."""
    found = [fault.get("other_cores") for mode in modes for fault in mode["faults"]]
    return max((cores for cores in found if cores is not None), default=None)


def targets(mode: Mapping[str, Any], clock: str) -> list[dict[str, Any]]:
    """What is promised of one mode, each with its figure; recovery by `clock`."""
    totals, name = mode["totals"], mode["mode"]
    twice = totals["duplicates"] if name == EXACTLY_ONCE else totals["duplicates"] - totals["recognisable"]
    what = "duplicates" if name == EXACTLY_ONCE else "duplicates that are not recognisable"
    found = [_target(f"{name}: lost", totals["lost"], 0), _target(f"{name}: {what}", twice, 0)]
    for fault in mode["faults"]:
        found += [
            _target(f"{name}: {entry['after']}, ms", entry["worst"], entry["bound"])
            | {"first_second": entry["first_second"]}
            for entry in fault["recovery_ms"][clock]
            if entry["bound"] is not None
        ]
    return found


def _target(name: str, value: float | None, limit: float) -> dict[str, Any]:
    return {"name": name, "value": value, "limit": limit, "met": value is not None and value <= limit}
