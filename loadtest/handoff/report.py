"""From what happened to the figures of each window, and the targets. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from loadtest.driving.books import CLOCKS, Case, counts, within
from loadtest.handoff.scored import Numbers, Scored, coverage, longest_gap, percentiles
from rendezvous.messages import Reason
from rendezvous.registry.events import ControlEvent, HandOff, Suspension
from rendezvous.registry.naming import written
from rendezvous.registry.state import Pair

QUIET, WARM_UP = "quiet", "warm-up"
PROMOTE, ROLLBACK, DEPLOY, PROMOTE_NEW = "promote", "rollback", "deploy", "promote new version"
FROZEN, FALLEN_BACK, THAWED = "champion frozen", "fallen back", "champion back"
SWITCHES = (PROMOTE, ROLLBACK, PROMOTE_NEW)
BY_DEFAULT = "default"
AROUND_MS = (-1_000.0, 3_000.0)
"""What is told in tenths of a second around a switch: a scorer changes its role a second after it."""
BIN_MS = 100.0
SWITCH_MS = 1_000.0
"""A choice: from control to the first answer by whom it names; a loop's turn and a fetch are some milliseconds."""
HALF_TIME = 0.5
"""A champion that is passed by is not waited for when nearly all answers come in less than half of its step."""
EXAMPLES = 20


@dataclass(slots=True)
class Window:
    """A stretch of the run, from `begun_ms` until the next begins; `notes` are facts to go with its figures.

    command_ms: when the command began and ended, where there is one.
    """

    name: str
    begun_ms: float
    notes: dict[str, Any] = field(default_factory=dict)
    command_ms: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """An event on control, and when it was appended."""

    at_ms: float
    event: ControlEvent


@dataclass(frozen=True, slots=True)
class History:
    """The run: what was done, what control says of it, what was sent, and what came of it."""

    deadline_ms: float
    step_ms: float
    windows: Sequence[Window]
    control: Sequence[Written]
    cases: Sequence[Case]
    scored: Mapping[Pair, Scored]
    ended_ms: float

    @property
    def started_ms(self) -> float:
        """When the first window began."""
        return self.windows[0].begun_ms

    def span(self, number: int) -> tuple[float, float]:
        """When the requests of window `number` were due."""
        ends = [*(window.begun_ms for window in self.windows[1:]), self.ended_ms]
        return self.windows[number].begun_ms, ends[number]

    def appended_ms(self) -> Numbers:
        """When each request was appended, by offset; NaN where that is unknown."""
        offsets = [case.asked.offset for case in self.cases if case.asked.offset is not None]
        found = np.full(max(offsets, default=-1) + 1, np.nan)
        for case in self.cases:
            if case.asked.offset is not None and case.asked.appended_ms is not None:
                found[case.asked.offset] = case.asked.appended_ms
        return found


def who(case: Case) -> str:
    """Who gave a request's first answer."""
    if not case.answers:
        return "nobody"
    return written(case.answers[0].pair) if any(case.answers[0].pair) else BY_DEFAULT


def latencies(found: Sequence[Case]) -> dict[str, float | None]:
    """From due to the first answer in hand."""
    waited = [case.waited_ms(CLOCKS["in_hand"]) for case in found]
    return percentiles(np.array([value for value in waited if value < float("inf")]))


def window_figures(history: History, number: int) -> dict[str, Any]:
    """One window's entry."""
    window = history.windows[number]
    begin_ms, end_ms = history.span(number)
    found = within(history.cases, begin_ms, end_ms)
    appended = history.appended_ms()
    entry = {
        "window": window.name,
        "at_s": round((begin_ms - history.started_ms) / 1e3, 2),
        "seconds": round((end_ms - begin_ms) / 1e3, 2),
        **counts(found, history.deadline_ms),
        "latency_ms": latencies(found),
        "answered_by": dict(Counter(who(case) for case in found).most_common()),
        "scores": {
            written(pair): coverage(version, appended, begin_ms, end_ms, history.step_ms)
            for pair, version in history.scored.items()
        },
        **window.notes,
    }
    if window.command_ms is not None:
        entry["command_ms"] = round(window.command_ms[1] - window.command_ms[0], 1)
    if window.name in SWITCHES:
        entry["switch"] = switch_figures(history, number)
    if window.name == FROZEN:
        entry["freeze"] = freeze_figures(history, number)
    return entry


def _moved(history: History, number: int, alias: str) -> Written | None:
    """The first hand-off of an alias on control in a window."""
    begin_ms, end_ms = history.span(number)
    for record in history.control:
        moves = record.event.moves if isinstance(record.event, HandOff) else ()
        if begin_ms <= record.at_ms < end_ms and any(move.alias == alias for move in moves):
            return record
    return None


def switch_figures(history: History, number: int) -> dict[str, Any] | None:
    """How a hand-off of the champion took effect; None when control has none.

    effect_ms: from its record on control to the first answer by the new champion. last_of_former_ms: to the last by
    the former one. gaps_ms: each one's longest time without a score in the seconds after the record, in which its
    scorer changes its role. All by the broker's clock.
    """
    record = _moved(history, number, "champion")
    if record is None or not isinstance(record.event, HandOff):
        return None
    (move,) = (move for move in record.event.moves if move.alias == "champion")
    new = (move.model, move.version)
    begin_ms, end_ms = history.span(number)
    found = within(history.cases, begin_ms, end_ms)
    before = Counter(case.answers[0].pair for case in found if case.answers and case.asked.due_ms < record.at_ms)
    former = before.most_common(1)[0][0] if before else ("", "")
    by = {
        pair: [case.answers[0].appended_ms for case in found if case.answers and case.answers[0].pair == pair]
        for pair in (new, former)
    }
    window = history.windows[number]
    return {
        "new": written(new),
        "former": written(former),
        "record_after_command_ms": None if window.command_ms is None else round(record.at_ms - window.command_ms[0], 1),
        "effect_ms": round(min(by[new]) - record.at_ms, 1) if by[new] else None,
        "last_of_former_ms": round(max(by[former]) - record.at_ms, 1) if by[former] else None,
        "gaps_ms": {
            written(pair): round(longest_gap(version.at_ms, record.at_ms, record.at_ms + AROUND_MS[1])[0], 1)
            for pair, version in history.scored.items()
            if pair in by
        },
        "around": around(found, record.at_ms),
        "late": [
            {"due_ms": round(case.asked.due_ms - record.at_ms, 1), "by": who(case)}
            for case in found
            if case.late(history.deadline_ms, CLOCKS["appended"])
        ][:EXAMPLES],
    }


def around(found: Sequence[Case], at_ms: float) -> list[dict[str, Any]]:
    """Tenths of a second around a moment, by when requests were due: who answered, and the latencies."""
    entries = []
    for begin_ms in np.arange(*AROUND_MS, BIN_MS).tolist():
        part = within(found, at_ms + begin_ms, at_ms + begin_ms + BIN_MS)
        says = Counter(f"{who(case)} {case.answers[0].reason.name.lower()}" for case in part if case.answers)
        entries.append({"from_ms": begin_ms, "latency_ms": latencies(part), "answers": dict(says.most_common())})
    return entries


def freeze_figures(history: History, number: int) -> dict[str, Any]:
    """Of a frozen champion: until the server passed it by, and the answers before that and after."""
    begin_ms, end_ms = history.span(number)
    fallen_ms = next(
        (
            record.at_ms
            for record in history.control
            if isinstance(record.event, Suspension) and record.event.suspended and record.at_ms >= begin_ms
        ),
        None,
    )
    found = within(history.cases, begin_ms, end_ms if fallen_ms is None else fallen_ms)
    after = [] if fallen_ms is None else within(history.cases, fallen_ms, history.span(number + 1)[1])
    calm = within(history.cases, *history.span(number - 1))
    return {
        "fallback_after_ms": None if fallen_ms is None else round(fallen_ms - begin_ms, 1),
        "step_ms": history.step_ms,
        "before": {"latency_ms": latencies(calm)},
        "first_request": {"latency_ms": latencies(found[:1])["max"], "by": who(found[0]) if found else None},
        "at_step_end": _told(found),
        "after_fallback": _told(after),
    }


def _told(found: Sequence[Case]) -> dict[str, Any]:
    return {
        "requests": len(found),
        "latency_ms": latencies(found),
        "answered_by": dict(Counter(who(case) for case in found).most_common()),
        "defaults": sum(bool(case.answers) and case.answers[0].reason is Reason.DEFAULT for case in found),
    }


def figures(history: History) -> list[dict[str, Any]]:
    """Every window's entry; those with an act beside the quiet one before, whose count is scaled to as many requests.

    What is late because of an act is the difference.
    """
    entries = [window_figures(history, number) for number in range(len(history.windows))]
    calm: dict[str, Any] | None = None
    for entry in entries:
        if entry["window"] == QUIET:
            calm = entry
        elif calm is not None:
            expected = calm["late"] * entry["sent"] / max(calm["sent"], 1)
            entry["late_in_quiet"] = round(expected, 2)
            entry["late_because_of_it"] = round(entry["late"] - expected, 2)
    return entries


def targets(entries: Sequence[Mapping[str, Any]], totals: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What is promised, each with its figure; `totals` of the whole run."""
    found = [_target("lost", totals["lost"], 0), _target("answered twice", totals["duplicates"], 0)]
    for entry in entries:
        name = entry["window"]
        if "late_because_of_it" in entry:
            found.append(_target(f"{name}: late because of it", entry["late_because_of_it"], 0))
        if name in SWITCHES:
            effect = None if entry["switch"] is None else entry["switch"]["effect_ms"]
            found.append(_target(f"{name}: control to first answer, ms", effect, SWITCH_MS))
        if name == FROZEN:
            found += _of_freeze(entry["freeze"])
    return found + _as_fast(entries)


def _of_freeze(freeze: Mapping[str, Any]) -> list[dict[str, Any]]:
    calm_ms = freeze["before"]["latency_ms"]["p99"] or 0.0
    end_ms = freeze["step_ms"] + calm_ms
    return [
        _target("frozen: the first request after it, ms: step's end + quiet p99", _waited(freeze), round(end_ms, 1)),
        _target("frozen: p50 ms: step's end + quiet p99", freeze["at_step_end"]["latency_ms"]["p50"], round(end_ms, 1)),
        _target("frozen: default answers", freeze["at_step_end"]["defaults"], 0),
        _target(
            "after the fallback: p99 ms: half the step",
            freeze["after_fallback"]["latency_ms"]["p99"],
            HALF_TIME * freeze["step_ms"],
        ),
        _target("after the fallback: default answers", freeze["after_fallback"]["defaults"], 0),
    ]


def _waited(freeze: Mapping[str, Any]) -> float | None:
    value: float | None = freeze["first_request"]["latency_ms"]
    return value


def _as_fast(entries: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rollback's command beside the promotion's."""
    took = {entry["window"]: entry["command_ms"] for entry in entries if "command_ms" in entry}
    if PROMOTE not in took:
        return []
    return [_target("rollback's command, ms: no longer than the promotion's", took.get(ROLLBACK), took[PROMOTE])]


def _target(name: str, value: float | None, limit: float) -> dict[str, Any]:
    return {"name": name, "value": value, "limit": limit, "met": value is not None and value <= limit}
