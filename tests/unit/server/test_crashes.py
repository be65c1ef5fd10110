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

from crashes import AMPLE, MARGIN_MS, PARTITIONS, TURN_MS, Run, output_of
from elections import vote_in
from memory_log import MemoryTransactor
from rendezvous.log.records import Outcome
from rendezvous.messages import Reason
from rendezvous.registry.events import State
from rendezvous.registry.state import Pair
from rendezvous.server import service as service_module
from rendezvous.server import steering, transactional
from rendezvous.server.columns import Columns
from rendezvous.server.ledger import Ledger
from rendezvous.server.partition import Partition
from rendezvous.server.plan import Plan, plan_for
from rendezvous.server.publishing import Outstanding
from rendezvous.server.recovery import take_over
from rendezvous.server.service import Service
from rendezvous.server.transactional import TransactionalOutbox
from rendezvous.telemetry import ServerMetrics
from rendezvous.wire import Codec
from sizes import GROUP
from slow_log import SlowSink
from witness import Answer, Decision, Place

SEEDS, FIRST = int(os.environ.get("CRASH_SEEDS", "300")), int(os.environ.get("CRASH_FROM", "0"))
MUTANT_SEEDS = 150
COMMIT_US = TURN_MS * 1_000
"""A bundle is committed a turn after it was handed over."""
NO_SCORE = frozenset({Reason.EXPIRED, Reason.REJECTED, Reason.OVERLOADED})

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


class Promises:
    """What must be true of a run that is over."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.seen = run.seen
        self.exactly_once = run.endpoint.exactly_once
        self.plans: dict[tuple[int, int], Plan] = {}

    def check(self) -> None:
        """Every promise, of every request."""
        answers, decisions = self.seen.answers(), list(self.seen.decisions())
        decided: dict[Place, set[tuple[Pair | None, Reason]]] = {}
        for decision in decisions:
            verdicts = decided.setdefault(decision.place, set())
            assert not (verdicts and self.exactly_once), f"{decision.place}: decided twice"
            verdicts.add((decision.winner, decision.reason))
        assert answers.keys() == self.run.asked.keys(), "every request is answered, and nothing else is"
        assert decided.keys() == self.run.asked.keys(), "every request is decided, and nothing else is"
        assert self.run.rubbish <= self.seen.buried(), "what is no request is a dead letter"
        for place, (name, appended_us, deadline_us) in self.run.asked.items():
            self._check_answers(place, name, answers[place])
            self._check_time(appended_us, deadline_us, answers[place][0].sent_us)
        self._check_compared(decided)
        self._check_committed()
        self.run.talk.follow()
        for decision in decisions:
            self._check_decision(decision)
            self._check_agreement(decision, answers[decision.place])

    def _check_answers(self, place: Place, name: str, answers: list[Answer]) -> None:
        number, offset = place
        doubts = 0 if self.exactly_once else self.run.in_doubt[place]
        assert len(answers) <= 1 + doubts, f"{place}: answered twice, and no crash is to blame"
        assert {answer.response.request_id for answer in answers} == {name}
        assert {answer.ce_id for answer in answers} == {f"{number}-{offset}".encode()}, "a repetition is recognisable"

    def _check_time(self, appended_us: int, deadline_us: int, sent_us: int) -> None:
        """An answer may be late only around an interruption, or when records come in driblets."""
        interrupted = any(appended_us <= when_us <= sent_us for when_us in self.run.interrupted_us)
        if self.run.limit == AMPLE and not interrupted:
            late_us = sent_us - deadline_us - self.exactly_once * COMMIT_US
            assert late_us <= 0, "an answer left too late"

    def _check_compared(self, decided: dict[Place, set[tuple[Pair | None, Reason]]]) -> None:
        compared = self.seen.compared()
        assert compared.keys() <= self.run.asked.keys(), "what is no request is not compared"
        for place in self.run.asked.keys() - compared.keys():
            assert (None, Reason.OVERLOADED) in decided[place], f"{place}: never compared"
        for place, verdicts in compared.items():
            gone = {(None, reason) for pair, reason in decided[place] if pair and self._is_retired(pair)}
            # a server that died may have compared what it had decided, and nobody heard of
            unheard = self.run.deaths and not self.exactly_once
            known = verdicts & (decided[place] | gone) if unheard else verdicts
            assert known, f"{place}: compared under another winner than was decided"
            assert known <= decided[place] | gone, f"{place}: compared under another winner than was decided"

    def _is_retired(self, pair: Pair) -> bool:
        return self.run.talk.control.versions[pair].state is State.RETIRED

    def _check_decision(self, found: Decision) -> None:
        """The plan at its own position of control, and what had arrived, give winner, reason and output again."""
        plan = self._plan(found.control, found.place[0])
        assert found.policy == plan.policy, "a decision names the policy in force where control stood"
        assert found.draw == self.run.draws[found.place]
        if found.reason in NO_SCORE:
            assert (found.winner, found.output, found.arrived) == (None, tuple(plan.default.tolist()), frozenset())
            return
        usable = {pair: (output_of(pair, found.place),) for pair in found.arrived}
        vote = vote_in(plan.steps[found.step], found.axis, usable, found.axis, found.draw, over=True)
        if vote.found:
            winner, output = vote.winner, vote.output
            reason = Reason.COMBINED if vote.combined else self._reason(plan, found)
            assert found.propensity == vote.propensity
        else:
            winner, output, reason = None, tuple(plan.default.tolist()), Reason.DEFAULT
            assert found.step == len(plan.steps) - 1, "only the last step gives up"
        assert (found.winner, found.output, found.reason) == (winner, output, reason), "a decision can be replayed"
        end_us = self.run.asked[found.place][2] // 1_000 * 1_000 - plan.margin_us
        for number, step in enumerate(plan.steps[: found.step]):
            if found.decided_us < min(self._appended_us(found.place) + (step.until_us or 0), end_us):
                early = vote_in(step, found.axis, usable, found.axis, found.draw, over=True)
                assert not early.found, f"step {number} was left though it had an answer"

    def _plan(self, control: int, number: int) -> Plan:
        if (control, number) not in self.plans:
            self.plans[control, number] = plan_for(self.run.endpoint, self.run.talk.controls[control], number)
        return self.plans[control, number]

    def _appended_us(self, place: Place) -> int:
        return self.run.asked[place][1] // 1_000 * 1_000

    def _reason(self, plan: Plan, found: Decision) -> Reason:
        preferred = found.step == 0 if plan.first is None else found.winner == plan.first
        return Reason.PREFERRED if preferred else Reason.FALLBACK

    def _check_agreement(self, found: Decision, answers: list[Answer]) -> None:
        """Somebody was told what was decided."""
        model = found.winner[0] if found.winner else ""
        said = {(answer.response.model, answer.response.reason, answer.response.output) for answer in answers}
        assert (model, found.reason, found.output) in said, "what is decided was answered"

    def _check_committed(self) -> None:
        name = self.run.endpoint.topic("requests")
        for number in range(PARTITIONS):
            offsets = [offset for owner, offset in self.run.asked.keys() | self.run.rubbish if owner == number]
            committed = self.run.log.commits.get((GROUP, name, number))
            if offsets:
                assert committed is not None
                assert committed.offset == max(offsets) + 1, "all is done, and committed"


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


HARD = ["PREFERRED", "FALLBACK", "COMBINED", "DEFAULT", "EXPIRED", "REJECTED", "policies", "by the server", "expelled"]

# --------------------------------------------------------------------------------------------------- the mutants


def commit_without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commits what has been read, whatever is still to be delivered."""
    monkeypatch.setattr(Ledger, "committable", property(lambda ledger: ledger.position))


def forget_the_decisions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes over without what the predecessor decided."""
    monkeypatch.setattr("rendezvous.server.service.take_over", lambda *where: replace(take_over(*where), decided={}))


def resume_after_the_decisions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tells its successor to read decisions from the end."""
    real = Partition.resume
    monkeypatch.setattr(Partition, "resume", lambda partition, topic: replace(real(partition, topic), decisions=10**9))


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
    commit_without_waiting: "every request is answered",
    forget_the_decisions: "answered twice",
    resume_after_the_decisions: "answered twice",
    decide_before_the_report: "every request is answered",
    trust_the_past: "answered twice",
    look_too_late: "an answer left too late",
    ignore_suspensions: "names the policy in force",
    winners_stay_when_the_axis_turns: "compared under another winner",
    forget_reports: "an outbox counts what is delivered",
}
TRANSACTIONAL_MUTANTS = {
    commit_without_waiting: "every request is answered",
    forget_the_decisions: "decided twice",
    resume_after_the_decisions: "decided twice",
    settle_for_good: "every request is answered",
    fence_nobody: "decided twice",
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
