"""What must be true of a run that is over, in both modes."""

from __future__ import annotations

from crashes import AMPLE, PARTITIONS, TURN_MS, Run, output_of
from elections import vote_in
from rendezvous.messages import Reason
from rendezvous.registry.events import State
from rendezvous.registry.state import Pair
from rendezvous.server.plan import Plan, plan_for
from sizes import GROUP
from witness import Answer, Decision, Place

COMMIT_US = TURN_MS * 1_000
"""A bundle is committed a turn after it was handed over."""
NO_SCORE = frozenset({Reason.EXPIRED, Reason.REJECTED, Reason.OVERLOADED})


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
            # a server that died may have compared what it had decided, and nobody heard of; with transactions only if
            # its last one got its end topic by topic
            unheard = self.run.deaths and (not self.exactly_once or self.run.log.disowned)
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
                end = self.run.log.end(name, number)  # after a skip what lies there may be a gap
                assert max(offsets) < committed.offset <= end, "all is done, and committed"
