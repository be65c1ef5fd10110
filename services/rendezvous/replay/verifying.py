"""Decisions, decided again: what the log holds must give the same winner, reason and output. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rendezvous.messages import Int64s, Reason, Status
from rendezvous.replay.block import NEVER, Block, Repeat, Terms
from rendezvous.replay.deciding import WAITING, Again, decide_again
from rendezvous.replay.evidence import flags_of
from rendezvous.replay.history import History, HistoryError
from rendezvous.replay.tape import Found
from rendezvous.server.plan import MS_US, Plan

KINDS = ("policy", "draw", "deadline", "reason", "winner", "output", "step", "arrived", "propensity", "score")
"""What may differ, in the order in which a row's differences are told."""
OK = int(Status.OK)
UNDER_WAY_MS = 60_000
"""A request of the log's last minute may still be under way."""
MAX_COMBINATIONS = 64
"""Of scores that are not the first, tried for one decision."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One decision that replay does not reproduce."""

    partition: int
    offset: int
    kinds: tuple[str, ...]
    request_id: str
    record: int
    decided: Mapping[str, Any]
    replayed: Mapping[str, Any]
    scores: Mapping[str, str]
    plan: Plan


@dataclass(slots=True)
class Verdict:
    """What came of all of them.

    checked, agreeing: decisions. by_word: of those checked, the ones where only the decision itself says what had
    arrived (its server died before it compared). by_later_score: of those agreeing, the ones that hold only with a
    score that was not its version's first. differences: by kind; a row may have several. unchecked: why, and how many.
    """

    checked: int = 0
    agreeing: int = 0
    by_word: int = 0
    by_later_score: int = 0
    differences: Counter[str] = field(default_factory=Counter)
    unchecked: Counter[str] = field(default_factory=Counter)
    first: Difference | None = None

    @property
    def differing(self) -> int:
        """Decisions that are not reproduced."""
        return self.checked - self.agreeing

    def note(self, difference: Difference) -> None:
        """Keep the first by offset."""
        if self.first is None or (difference.partition, difference.offset) < (self.first.partition, self.first.offset):
            self.first = difference


def verify(block: Block, found: Found, history: History, partition: int, verdict: Verdict) -> None:
    """Check a block's decisions; counts and the first difference go into `verdict`."""
    asked, said = block.asked, block.said
    decided = said.decided_us != NEVER
    read = (asked.appended_us != NEVER) & ~asked.no_request
    gone = int(np.count_nonzero(decided & ~read))
    if gone:
        verdict.unchecked["their request cannot be read: deleted, or in a transaction that was aborted"] += gone
    undecided = np.flatnonzero(read & ~decided)
    if len(undecided):
        _count_undecided(block, undecided, found, verdict)
    rows = np.flatnonzero(decided & read)
    for number in np.unique(said.terms[rows]).tolist():
        some = rows[said.terms[rows] == number]
        terms = found.terms[number]
        try:
            plan = history.plan(terms.control, partition, terms.axis)
        except HistoryError as error:
            verdict.unchecked[str(error)] += len(some)
        else:
            _verify(block, found, plan, terms, partition, some, verdict)


def _count_undecided(block: Block, rows: Int64s, found: Found, verdict: Verdict) -> None:
    """Those whose deadline may lie ahead of what was read are under way."""
    late = block.asked.appended_us[rows] // MS_US < found.end_ms - UNDER_WAY_MS
    if late.any():
        verdict.unchecked["they have no decision in the log"] += int(np.count_nonzero(late))


def _verify(
    block: Block, found: Found, plan: Plan, terms: Terms, partition: int, rows: Int64s, verdict: Verdict
) -> None:
    gone = _scores_gone(block, plan, rows, found)
    if gone.any():
        verdict.unchecked["scores that they name were deleted"] += int(np.count_nonzero(gone))
        rows = rows[~gone]
    if not len(rows):
        return
    replayed = decide_again(block, plan, rows)
    differ = _differences(block, plan, terms, rows, replayed)
    wrong = np.logical_or.reduce(list(differ.values()))
    for at in np.flatnonzero(wrong).tolist():
        if _by_a_later_score(block, plan, terms, int(rows[at])):
            verdict.by_later_score += 1
            for flags in differ.values():
                flags[at] = wrong[at] = False
    verdict.checked += len(rows)
    verdict.agreeing += int(np.count_nonzero(~wrong))
    verdict.by_word += int(np.count_nonzero(replayed.by_word))
    for kind, flags in differ.items():
        if flags.any():
            verdict.differences[kind] += int(np.count_nonzero(flags))
    if wrong.any():
        at = int(np.argmax(wrong))
        kinds = tuple(kind for kind in KINDS if differ[kind][at])
        verdict.note(_told(block, plan, terms, partition, int(rows[at]), at, kinds, replayed))


def _by_a_later_score(block: Block, plan: Plan, terms: Terms, row: int) -> bool:
    """Whether a decision holds when other scores than its versions' first ones are taken.

    A mailbox misses a version's first score only where that spoke of a request beyond its window, or of one that was
    not there yet: a successor does not read so far back.
    """
    if row not in block.repeats:
        return False
    rows, scores = np.array([row]), block.scores
    first = [Repeat(c, int(scores.status[row, c]), scores.output[row, c].copy()) for c in range(len(block.axis))]
    by_column = [[kept, *(r for r in block.repeats[row] if r.column == kept.column)] for kept in first]
    for choice in islice(product(*by_column), 1, MAX_COMBINATIONS):
        _substitute(block, row, choice)
        differ = _differences(block, plan, terms, rows, decide_again(block, plan, rows))
        if not any(flags.any() for flags in differ.values()):
            return True
    _substitute(block, row, first)
    return False


def _substitute(block: Block, row: int, scores: Sequence[Repeat]) -> None:
    for score in scores:
        block.scores.status[row, score.column] = score.status
        block.scores.output[row, score.column] = score.output


def _scores_gone(block: Block, plan: Plan, rows: Int64s, found: Found) -> NDArray[np.bool_]:
    """Rows that name a score which retention has taken."""
    unfounded = _unfounded(block, plan, rows).any(axis=1)
    old: NDArray[np.bool_] = block.asked.appended_us[rows] // MS_US < found.scores_from_ms
    return unfounded & old


def _unfounded(block: Block, plan: Plan, rows: Int64s) -> NDArray[np.bool_]:
    """The decision says that it had arrived, and the log has no usable score: bool [rows, models]."""
    places = block.places(plan.axis)
    status = block.scores.status[rows[:, None], places]
    unfounded: NDArray[np.bool_] = flags_of(block.said.arrived[rows], len(plan.axis)) & (status != OK)
    return unfounded


def _differences(block: Block, plan: Plan, terms: Terms, rows: Int64s, replayed: Again) -> dict[str, NDArray[np.bool_]]:
    said = block.said
    outputs = said.outputs[rows].view(np.uint32) != replayed.outputs.view(np.uint32)
    return {
        "policy": np.full(len(rows), terms.policy != plan.policy),
        "draw": said.draws[rows] != block.asked.draw[rows],
        "deadline": said.decided_us[rows] + said.slacks_us[rows] != replayed.deadline_us,
        "reason": said.reasons[rows] != replayed.reasons,
        "winner": said.winners[rows] != replayed.winners,
        "output": np.logical_or.reduce(outputs, axis=1),
        "step": said.steps[rows] != replayed.steps,
        "arrived": said.arrived[rows] != replayed.arrived,
        "propensity": said.propensities[rows] != replayed.propensities,
        "score": _unfounded(block, plan, rows).any(axis=1),
    }


def _told(
    block: Block,
    plan: Plan,
    terms: Terms,
    partition: int,
    row: int,
    at: int,
    kinds: tuple[str, ...],
    replayed: Again,
) -> Difference:
    said, asked = block.said, block.asked
    slack_us = int(replayed.deadline_us[at] - said.decided_us[row])
    return Difference(
        partition=partition,
        offset=block.first + row,
        kinds=kinds,
        request_id=asked.request_id[row],
        record=int(said.record[row]),
        decided=_facts(said, row, plan, terms.policy, int(said.slacks_us[row]), float(said.draws[row])),
        replayed=_facts(replayed, at, plan, plan.policy, slack_us, float(asked.draw[row])),
        scores=_scores(block, plan, row),
        plan=plan,
    )


def _facts(of: Any, row: int, plan: Plan, policy: str, slack_us: int, draw: float) -> dict[str, Any]:  # noqa: ANN401 - Said or Again: the same columns
    winner, reason = int(of.winners[row]), int(of.reasons[row])
    arrived = flags_of(of.arrived[row : row + 1], len(plan.axis))[0]
    return {
        "policy": policy,
        "winner": "/".join(plan.axis[winner]) if 0 <= winner < len(plan.axis) else "nobody alone",
        "reason": "still waiting" if reason == WAITING else Reason(reason).name.lower(),
        "step": int(of.steps[row]),
        "output": of.outputs[row].tolist(),
        "arrived": ["/".join(pair) for pair, flag in zip(plan.axis, arrived.tolist(), strict=True) if flag],
        "propensity": float(of.propensities[row]),
        "draw": draw,
        "slack_us": slack_us,
    }


def _scores(block: Block, plan: Plan, row: int) -> dict[str, str]:
    """What the log has of each model on the axis."""
    told_by: dict[str, str] = {}
    for pair, place in zip(plan.axis, block.places(plan.axis).tolist(), strict=True):
        status = Status(int(block.scores.status[row, place]))
        score = (
            f"{status.name.lower()} {block.scores.output[row, place].tolist() if status is Status.OK else ''}".strip()
        )
        latency_us = int(block.latency_us[row, place])
        arrival = "no arrival on record" if latency_us < 0 else f"arrived {latency_us / 1e3:.3f} ms after the append"
        told_by["/".join(pair)] = f"{score}, {arrival}"
    return told_by
