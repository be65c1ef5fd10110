"""All partitions verified, and what is said of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

from rendezvous.replay.gathering import Gathering
from rendezvous.replay.history import History
from rendezvous.replay.tape import Found, Records, Span
from rendezvous.replay.verifying import Difference, Verdict, verify
from rendezvous.server.plan import MS_US, Plan
from rendezvous.server.policies import POLICIES

AGREES, DIFFERS, INCOMPLETE = 0, 1, 2
"""Exit codes."""


@dataclass(slots=True)
class Audit:
    """What was found, over all partitions."""

    endpoint: str
    verdict: Verdict = field(default_factory=Verdict)
    found: dict[int, Found] = field(default_factory=dict)

    @property
    def unchecked(self) -> Counter[str]:
        """Why decisions could not be checked, and how many; of unreadable records, how many records."""
        reasons = Counter(self.verdict.unchecked)
        for found in self.found.values():
            reasons["they came later than replay waits for them"] += found.too_late
            reasons["their record is unreadable"] += found.unreadable[f"{self.endpoint}.decisions"]
        return +reasons

    @property
    def contradicted(self) -> list[tuple[int, int]]:
        """(partition, offset) of requests with a second decision that says something else."""
        return [(number, offset) for number, found in self.found.items() for offset in sorted(found.contradicted)]

    @property
    def exit_code(self) -> int:
        """AGREES, DIFFERS, or INCOMPLETE when something could not be checked."""
        if self.verdict.differing:
            return DIFFERS
        return INCOMPLETE if self.unchecked else AGREES


def audit(
    records: Records,
    history: History,
    partitions: Iterable[int],
    span: Span,
    tell: Callable[[int, int], None] = lambda _, __: None,
) -> Audit:
    """Verify every decision of a span; `tell` hears the partition and how many decisions have been read."""
    result = Audit(history.endpoint.name)
    for partition in partitions:
        gathering = Gathering(records, history, partition, span, partial(tell, partition))
        result.found[partition] = gathering.found
        for block in gathering.blocks():
            verify(block, gathering.found, history, partition, result.verdict)
    return result


def lines(result: Audit) -> list[str]:
    """For people."""
    verdict, unchecked = result.verdict, result.unchecked
    told = [f"{result.endpoint}: {verdict.checked} decisions decided again, {verdict.agreeing} as they were"]
    if verdict.by_word:
        told.append(
            f"  {verdict.by_word} of them by their own word on what had arrived: their server did not live to compare, "
            "or has not yet"
        )
    if verdict.by_later_score:
        told.append(f"  {verdict.by_later_score} of them with a score that was not its version's first in the log")
    for why, count in unchecked.most_common():
        told.append(f"not checked: {count}: {why}")
    repeated = sum(found.repeated for found in result.found.values())
    if repeated:
        told.append(f"decided twice: {repeated}; the first stands")
    if result.contradicted:
        partition, offset = result.contradicted[0]
        told.append(
            f"  {len(result.contradicted)} second decisions say something else, the first about request "
            f"{result.endpoint}.requests-{partition}@{offset}"
        )
    for kind, count in verdict.differences.most_common():
        told.append(f"differs in {kind}: {count}")
    if verdict.first is not None:
        told += ["", *_difference(result.endpoint, verdict.first)]
    return told


def _difference(endpoint: str, first: Difference) -> list[str]:
    place = f"{endpoint}.requests-{first.partition}@{first.offset}, request {first.request_id!r}"
    record = f"{endpoint}.decisions-{first.partition}@{first.record}"
    told = [
        f"first difference: {place}, decided in {record}: {', '.join(first.kinds)}",
        f"  {'':11} {'decided':40} replayed",
    ]
    for name, decided in first.decided.items():
        mark = " " if decided == first.replayed[name] else "*"
        told.append(f"{mark} {name:11} {decided!s:40} {first.replayed[name]}")
    told.append("  scores in the log:")
    told += [f"    {model}: {score}" for model, score in first.scores.items()]
    return told + _plan(first.plan)


def _plan(plan: Plan) -> list[str]:
    names = {id(policy): name for name, policy in POLICIES.items()}
    told = [f"  plan {plan.policy}, control read up to {plan.control}:"]
    for number, step in enumerate(plan.steps):
        until = (
            f"the deadline less {plan.margin_us / MS_US:g} ms"
            if step.until_us is None
            else f"{step.until_us / MS_US:g} ms"
        )
        who = ", ".join("/".join(pair) for pair in step.pairs) or "nobody"
        told.append(f"    step {number}, until {until}: {names[id(step.policy)]} of {who}")
    return [*told, f"    default {plan.default.tolist()}"]


def figures(result: Audit) -> dict[str, Any]:
    """For programs."""
    verdict = result.verdict
    first = None
    if verdict.first is not None:
        first = {name: value for name, value in asdict(verdict.first).items() if name != "plan"}
        first["plan"] = _plan(verdict.first.plan)
    return {
        "endpoint": result.endpoint,
        "checked": verdict.checked,
        "agreeing": verdict.agreeing,
        "by_word": verdict.by_word,
        "by_later_score": verdict.by_later_score,
        "differences": dict(verdict.differences),
        "unchecked": dict(result.unchecked),
        "repeated": sum(found.repeated for found in result.found.values()),
        "contradicted": [{"partition": partition, "offset": offset} for partition, offset in result.contradicted],
        "first": first,
    }
