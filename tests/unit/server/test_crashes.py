"""What is promised of a server, whatever stops, dies or freezes when (the stories are in tests/crashes.py).

CRASH_SEEDS=5000 plays so many runs of each mode instead of SEEDS; CRASH_FROM=5000 begins there.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from crashes import MARGIN_MS, TURN_MS, Run
from memory_log import MemoryTransactor
from promises import Promises
from rendezvous.log.records import Outcome, Transactor
from rendezvous.registry.state import Pair
from rendezvous.server import service as service_module
from rendezvous.server import steering, transactional
from rendezvous.server.arrears import Arrears, Span
from rendezvous.server.columns import Columns
from rendezvous.server.ledger import Ledger
from rendezvous.server.outstanding import Outstanding
from rendezvous.server.partition import Partition
from rendezvous.server.plan import plan_for
from rendezvous.server.service import Service
from rendezvous.server.transactional import TransactionalOutbox
from rendezvous.telemetry import ServerMetrics
from rendezvous.wire import Codec
from slow_log import SlowSink

SEEDS, FIRST = int(os.environ.get("CRASH_SEEDS", "300")), int(os.environ.get("CRASH_FROM", "0"))
MUTANT_SEEDS = 1_500

known_codec = cache(Codec)
"""A service reads its schema when it starts; here there is one schema, and thousands of starts."""
METRICS = ServerMetrics(CollectorRegistry())
"""Nobody looks at them."""


class Looks:
    """Stands for the time while a stop waits for bundles: each look takes half a second, and nobody waits."""

    now_s = 0.0

    @classmethod
    def monotonic(cls) -> float:
        """Seconds."""
        return cls.now_s

    @classmethod
    def sleep(cls, seconds: float) -> None:
        """One look."""
        cls.now_s += seconds + 0.5


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Starting a server costs no parsing, stopping it no waiting, and nobody reads what it logs."""
    monkeypatch.setattr(logging.root.manager, "disable", logging.CRITICAL)
    monkeypatch.setattr(service_module, "Codec", known_codec)
    monkeypatch.setattr("worlds.ServerMetrics", lambda _: METRICS)
    monkeypatch.setattr(transactional, "time", Looks)


def play(seeds: range, *, exactly_once: bool = False) -> list[Run]:
    """So many runs, each checked."""
    runs = []
    for seed in seeds:
        run = Run(seed, exactly_once=exactly_once)
        try:
            run.play()
            Promises(run).check()
        except Exception as error:
            error.add_note(f"seed {seed}, exactly_once={exactly_once}")
            raise
        runs.append(run)
    return runs


def reached(*, exactly_once: bool) -> Counter[str]:
    """Plays SEEDS runs, and counts what they came by."""
    found: Counter[str] = Counter()
    before = METRICS.skipped._value.get()  # noqa: SLF001 - a counter is to be read by Prometheus alone
    for seed in range(FIRST, FIRST + SEEDS):
        (run,) = play(range(seed, seed + 1), exactly_once=exactly_once)
        found["asked"] += len(run.asked)
        found["repeated"] += sum(len(answers) - 1 for answers in run.seen.answers().values())
        found.update(decision.reason.name for decision in run.seen.decisions())
        found["policies"] += len({decision.policy for decision in run.seen.decisions()})
        found["by the server"] += sum(
            b"another server" not in record.value and b"server" in record.value
            for record in run.log.records[run.endpoint.topic("control"), 0]
        )
        found["expelled"] += run.expelled
    found["skipped"] = round(METRICS.skipped._value.get() - before)  # noqa: SLF001 - ditto
    scarce = [what for what in HARD if found[what] < SEEDS / 20]
    assert not scarce, f"the runs hardly came by {scarce}: {found}"
    return found


def test_promises_hold() -> None:
    """Every request is answered, decided and compared, as control says, and answered again only where in doubt."""
    found = reached(exactly_once=False)
    assert found["repeated"] > 0, "the runs never killed a server between an answer and its decision"
    assert found["repeated"] < 0.1 * found["asked"]


def test_exactly_once_holds() -> None:
    """The same with transactions: who is read_committed sees one answer and one decision for each request."""
    assert reached(exactly_once=True)["repeated"] == 0


HARD = [
    "PREFERRED",
    "FALLBACK",
    "COMBINED",
    "DEFAULT",
    "EXPIRED",
    "REJECTED",
    "policies",
    "by the server",
    "expelled",
    "skipped",
]

# --------------------------------------------------------------------------------------------------- the mutants


def commit_without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commits what has been read, whatever is still to be delivered."""
    monkeypatch.setattr(Ledger, "committable", property(lambda ledger: ledger.position))


def forget_the_decisions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes over without what the predecessor decided."""
    monkeypatch.setattr("rendezvous.server.succession.with_decisions", lambda found, *_: found)


def resume_after_the_decisions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tells its successor to read decisions from the end."""
    real = Partition.resume
    monkeypatch.setattr(Partition, "resume", lambda partition, topic: replace(real(partition, topic), decisions=10**9))


def commit_what_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets its successor begin behind what it has not come back to."""
    behind_it = property(lambda partition: partition._ledger.committable)  # noqa: SLF001 - the place of the fault
    monkeypatch.setattr(Partition, "committable", behind_it)


def resume_as_if_nothing_was_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tells its successor to read decisions from what is open, not from what was skipped."""
    real = Span.__new__

    def span(kind: type[Span], start: int, end: int, decisions: int) -> Span:
        del decisions
        return real(kind, start, end, 10**9)

    monkeypatch.setattr(Span, "__new__", span)


def come_back_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers all that it reads again, skipped or not."""
    monkeypatch.setattr(Arrears, "admits", lambda arrears, _: arrears.next is not None)


def decide_before_the_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Writes the decision when its answers are sent, not when they are in the log."""
    real = SlowSink.send

    def send(sink: SlowSink, topic: str, value: bytes, **rest: Any) -> None:  # noqa: ANN401 - handed on
        if topic.endswith(".responses"):
            delivered = rest.pop("delivered")
            real(sink, topic, value, **rest)
            delivered(None, -1)
        else:
            real(sink, topic, value, **rest)

    monkeypatch.setattr(SlowSink, "send", send)


def look_too_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ticks by a clock that is behind by more than the margin."""
    real = Partition.tick
    behind_us = (MARGIN_MS + TURN_MS) * 1_000
    monkeypatch.setattr(Partition, "tick", lambda partition, now_us: real(partition, now_us - behind_us))


def ignore_suspensions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets versions answer that are passed by on the partition."""
    trusting = MappingProxyType[int, frozenset[Pair]]({})
    monkeypatch.setattr(
        steering,
        "plan_for",
        lambda of, control, number: plan_for(of, replace(control, suspended=trusting), number),
    )


def winners_stay_when_the_axis_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remembers who has won by the columns of before."""
    real = Columns.rearrange

    def rearrange(columns: Columns, places: Sequence[int]) -> None:
        winner = columns.winner
        real(columns, places)
        columns.winner = np.minimum(winner, np.int16(len(places) - 1))

    monkeypatch.setattr(Columns, "rearrange", rearrange)


def trust_the_past(monkeypatch: pytest.MonkeyPatch) -> None:
    """Goes on after a freeze as if nothing had happened."""
    monkeypatch.setattr(Service, "_entitled", lambda _: True)


def settle_for_good(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forgets a bundle that was aborted, as if it had been committed."""
    real = TransactionalOutbox._settle  # noqa: SLF001 - the place of the fault

    def settle(outbox: TransactionalOutbox, desk: Any, outcome: Outcome, now_us: int) -> None:  # noqa: ANN401 - theirs
        real(outbox, desk, outcome._replace(done=True), now_us)

    monkeypatch.setattr(TransactionalOutbox, "_settle", settle)


def believe_what_is_aborted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts what a predecessor left open as made, also when its own first bundle was aborted."""
    real = TransactionalOutbox.gained

    def gained(outbox: TransactionalOutbox, number: int, by: Transactor | None, *, unended: bool) -> None:
        del unended
        real(outbox, number, by, unended=False)

    monkeypatch.setattr(TransactionalOutbox, "gained", gained)


def fence_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets a predecessor go on committing."""
    real = MemoryTransactor.settle

    def settle(transactor: MemoryTransactor) -> None:
        newest = dict(transactor.log.transactors)
        transactor.log.transactors[transactor.id] = transactor
        real(transactor)
        transactor.log.transactors.update(newest)

    monkeypatch.setattr(MemoryTransactor, "settle", settle)


def keep_what_is_handed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sends a bundle with all that was in the one before it."""
    real = TransactionalOutbox._settle  # noqa: SLF001 - the place of the fault

    def settle(outbox: TransactionalOutbox, desk: Any, outcome: Outcome, now_us: int) -> None:  # noqa: ANN401 - theirs
        handed = list(desk.handed)
        real(outbox, desk, outcome, now_us)
        desk.handed = handed

    monkeypatch.setattr(TransactionalOutbox, "_settle", settle)


def forget_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Believes answers outstanding that are delivered."""
    monkeypatch.setattr(Outstanding, "reported", lambda *_: None)


MUTANTS = {
    commit_without_waiting: "every request is answered|never compared",
    forget_the_decisions: "answered twice",
    resume_after_the_decisions: "answered twice",
    commit_what_is_skipped: "every request is answered",
    resume_as_if_nothing_was_skipped: "answered twice",
    come_back_twice: "answered twice",
    decide_before_the_report: "every request is answered",
    trust_the_past: "answered twice",
    look_too_late: "an answer left too late",
    ignore_suspensions: "names the policy in force",
    winners_stay_when_the_axis_turns: "compared under another winner",
    forget_reports: "an outbox counts what is delivered",
}
TRANSACTIONAL_MUTANTS = {
    commit_without_waiting: "every request is answered|never compared",
    forget_the_decisions: "decided twice",
    resume_after_the_decisions: "decided twice",
    commit_what_is_skipped: "every request is answered",
    resume_as_if_nothing_was_skipped: "decided twice",
    come_back_twice: "decided twice",
    settle_for_good: "every request is answered|never compared",
    believe_what_is_aborted: "every request is answered",
    fence_nobody: "decided twice|every request is answered",
    keep_what_is_handed_over: "an outbox keeps what is done",
}


@pytest.mark.parametrize(("mutant", "broken"), MUTANTS.items(), ids=[mutant.__name__ for mutant in MUTANTS])
def test_a_mutant_is_caught(
    mutant: Callable[[pytest.MonkeyPatch], None], broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server with this fault breaks that promise within a few seeds."""
    mutant(monkeypatch)
    with pytest.raises(AssertionError, match=broken):
        play(range(MUTANT_SEEDS))


@pytest.mark.parametrize(
    ("mutant", "broken"), TRANSACTIONAL_MUTANTS.items(), ids=lambda of: getattr(of, "__name__", "")
)
def test_a_transactional_mutant_is_caught(
    mutant: Callable[[pytest.MonkeyPatch], None], broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same, with transactions."""
    mutant(monkeypatch)
    with pytest.raises(AssertionError, match=broken):
        play(range(MUTANT_SEEDS), exactly_once=True)
