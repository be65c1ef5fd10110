"""What becomes of a version that retraining made, and of a champion that does harm. Pure.

A candidate against the champion, at the closing of a block::

    rule     code, data       promoted                            rejected
    refresh  same, newer      labels and blocks are enough,       labels >= reject_after, and not promoted
                              Brier and AUC not worse by more
                              than the margins (multiclass: log
                              loss; regression: MAE)
    replace  anything else    e-value "better" >= e_value         e-value "worse" >= e_value,
                                                                  or blocks >= reject_after
    either                                                        open after `patience` closings: it does not score,
                                                                  or there is nothing to score

A champion against the one before it, which stays in shadow::

    harm     e-value that the one before is better >= e_value over enough blocks, or
             hard fault: passed by on every partition for failing, and the one before on none

Every contest counts only while its champion is the champion. Who was rolled back is no way back.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any

from rendezvous.monitoring.findings import Contest
from rendezvous.registry.changes import Author, previous_of, promotion, rollback
from rendezvous.registry.events import Cause, ControlEvent, Rule, Ruling, State, Verdict
from rendezvous.registry.state import MAX_EVIDENCE, Pair
from rendezvous.retraining.episodes import EVENT_TIME, RETRAINER, is_final
from rendezvous.retraining.events import RetrainEvent
from rendezvous.retraining.ledger import Ledger, Reign
from rendezvous.retraining.limits import RefreshLimits, ReplaceLimits, RetrainingLimits
from rendezvous.settings import Endpoint


@dataclass(frozen=True, slots=True)
class Judgement:
    """How a version is judged. done: its hand-off stands already, the verdict alone is missing."""

    pair: Pair
    rule: Rule
    ruling: Ruling
    evidence: Mapping[str, Any]
    done: bool = False

    def verdict(self, author: Author, *, proposed: bool = False) -> Verdict:
        """As it is written."""
        ruling = Ruling.PROPOSED if proposed else self.ruling
        evidence = json.dumps(_finite(self.evidence))
        if len(evidence) > MAX_EVIDENCE:
            raise ValueError(f"evidence of {len(evidence)} characters: {MAX_EVIDENCE} is the most that control takes")
        return Verdict(*self.pair, self.rule, ruling, evidence, author.by, author.at_us)


def _finite(evidence: Mapping[str, Any]) -> dict[str, Any]:
    """JSON has no NaN."""
    return {
        name: None if isinstance(value, float) and not isfinite(value) else value for name, value in evidence.items()
    }


def judgements(
    ledger: Ledger, limits: RetrainingLimits, endpoint: Endpoint, codes: Mapping[Pair, str | None]
) -> list[Judgement]:
    """What can be concluded now, the most urgent first: verdicts on what is done already, harm, candidates.

    codes: sha256 of the training code by version, as far as their cards could be read.
    """
    champion = ledger.champion
    if champion is None:
        return []
    found = [*_unrecorded(ledger, limits, codes), *_harm(ledger, limits, endpoint, champion)]
    for event, pair in ledger.made(limits.model):
        if is_candidate(ledger, pair):
            rule = rule_of(ledger, limits, codes, pair, champion)
            found += _of_candidate(ledger, limits, endpoint, rule, event, pair, champion)
    return found


def _of_candidate(
    ledger: Ledger,
    limits: RetrainingLimits,
    endpoint: Endpoint,
    rule: Rule,
    event: RetrainEvent,
    pair: Pair,
    champion: Pair,
) -> list[Judgement]:
    evidence: dict[str, Any] = {"champion": "/".join(champion), "retrain_event": event.key}
    contest = ledger.contests.get((pair, champion))
    ruling = None if contest is None else ruled(contest, rule, limits, endpoint.output.kind)
    if ruling is Ruling.PROMOTED and limits.promotion == "proposal" and pair in ledger.verdicts:
        return []  # a proposal is made once, and waits for a person
    if contest is not None and ruling is not None:
        return [Judgement(pair, rule, ruling, figures_of(contest) | evidence)]
    closings = [moment for moment in ledger.rounds if moment > event.at_us]
    if pair in ledger.verdicts or len(closings) < limits.patience:
        return []
    evidence |= {EVENT_TIME: closings[-1], "closings": len(closings)}
    return [Judgement(pair, rule, Ruling.REJECTED, ({} if contest is None else figures_of(contest)) | evidence)]


def is_candidate(ledger: Ledger, pair: Pair) -> bool:
    """Whether a version that retraining made waits for its verdict, or for a person who was told of one."""
    version = ledger.control.versions.get(pair)
    active = version is not None and version.state is State.ACTIVE
    return active and not ledger.has_reigned(pair) and not is_final(ledger.verdicts.get(pair))


def rule_of(
    ledger: Ledger, limits: RetrainingLimits, codes: Mapping[Pair, str | None], pair: Pair, champion: Pair
) -> Rule:
    """By what a version is judged: unless code and data are known to be a refresh's, it must show that it is better."""
    untils = {made: event.until_us for event, made in ledger.made(limits.model)}
    same_code = codes.get(pair) is not None and codes.get(pair) == codes.get(champion)
    newer = untils.get(pair, 0) > untils.get(champion, 0)
    return Rule.REFRESH if same_code and newer and pair[0] == champion[0] else Rule.REPLACE


def ruled(contest: Contest, rule: Rule, limits: RetrainingLimits, kind: str) -> Ruling | None:
    """What follows from a contest, None while it is open."""
    if rule is Rule.REFRESH:
        return _refresh(contest, limits.refresh, kind)
    return _replace(contest, limits.replace)


def _refresh(contest: Contest, limits: RefreshLimits, kind: str) -> Ruling | None:
    enough = contest.labelled >= limits.labels and contest.blocks >= limits.blocks
    harmless = {  # NaN is neither
        "binary": contest.brier <= limits.brier and contest.auc >= -limits.auc,
        "multiclass": contest.log_loss <= limits.log_loss,
        "regression": contest.mae <= limits.mae * contest.champion_mae,
    }
    if enough and harmless[kind]:
        return Ruling.PROMOTED
    return Ruling.REJECTED if contest.labelled >= limits.reject_after else None


def _replace(contest: Contest, limits: ReplaceLimits) -> Ruling | None:
    if contest.better >= limits.e_value:
        return Ruling.PROMOTED
    if contest.worse >= limits.e_value or contest.blocks >= limits.reject_after:
        return Ruling.REJECTED
    return None


def figures_of(contest: Contest) -> dict[str, Any]:
    """What a verdict rests on, as it stands on control."""
    told = asdict(contest)
    for name in ("model", "version", "champion_model", "champion_version", "at_us"):
        del told[name]
    return {EVENT_TIME: contest.at_us, "block": told.pop("number"), **told}


# -------------------------------------------------------------------------------------------------------- roll-back


def _harm(ledger: Ledger, limits: RetrainingLimits, endpoint: Endpoint, champion: Pair) -> list[Judgement]:
    before = ledger.control.aliases.get(previous_of(ledger.monitoring.champion))
    if before is None or before == champion or not _can_return(ledger, before):
        return []
    evidence = _harm_evidence(ledger, limits, endpoint, champion, before)
    if evidence is None or champion in ledger.harms:
        return []  # said once: whom a person promoted again, or leaves where it is, stays
    return [Judgement(champion, Rule.HARM, Ruling.ROLLED_BACK, evidence)]


def _can_return(ledger: Ledger, before: Pair) -> bool:
    version, said = ledger.control.versions.get(before), ledger.harms.get(before)
    active = version is not None and version.state is State.ACTIVE
    return active and (said is None or said.ruling is not Ruling.ROLLED_BACK)


def _harm_evidence(
    ledger: Ledger, limits: RetrainingLimits, endpoint: Endpoint, champion: Pair, before: Pair
) -> dict[str, Any] | None:
    failing = ledger.failing_on(champion, limits.rollback.failed)
    well = not ledger.failing_on(before, limits.rollback.failed)
    if len(failing) >= endpoint.topics.partitions and well:
        return {EVENT_TIME: ledger.watermark_us, "before": "/".join(before), "failing_on_partitions": len(failing)}
    contest = ledger.contests.get((before, champion))
    if contest is None or contest.better < limits.rollback.e_value or contest.blocks < limits.rollback.blocks:
        return None
    return figures_of(contest) | {"before": "/".join(before)}


# ------------------------------------------------------------------------------------------- what is done, and not said


def _unrecorded(ledger: Ledger, limits: RetrainingLimits, codes: Mapping[Pair, str | None]) -> list[Judgement]:
    """Hand-offs of a retrainer that ended before it could write the verdict."""
    made = {pair for _, pair in ledger.made(limits.model)} & set(ledger.control.deployed)
    found = []
    for reign in ledger.reigns:
        if reign.before is None or not reign.by.startswith(RETRAINER):
            continue
        if reign.cause is Cause.PROMOTE and reign.pair in made and not is_final(ledger.verdicts.get(reign.pair)):
            found.append(_promoted(ledger, limits, codes, reign, reign.before))
        if reign.cause is Cause.ROLLBACK and _not_said(ledger, reign.before):
            found.append(_rolled_back(ledger, reign, reign.before))
    return found


def _promoted(
    ledger: Ledger, limits: RetrainingLimits, codes: Mapping[Pair, str | None], reign: Reign, before: Pair
) -> Judgement:
    contest = ledger.contests.get((reign.pair, before))
    figures = {EVENT_TIME: ledger.watermark_us} if contest is None else figures_of(contest)
    events = {pair: event.key for event, pair in ledger.made(limits.model)}
    evidence = figures | {"champion": "/".join(before), "retrain_event": events[reign.pair]}
    return Judgement(
        reign.pair, rule_of(ledger, limits, codes, reign.pair, before), Ruling.PROMOTED, evidence, done=True
    )


def _not_said(ledger: Ledger, pair: Pair) -> bool:
    said = ledger.harms.get(pair)
    return pair in ledger.control.deployed and (said is None or said.ruling is not Ruling.ROLLED_BACK)


def _rolled_back(ledger: Ledger, reign: Reign, harmful: Pair) -> Judgement:
    contest = ledger.contests.get((reign.pair, harmful))
    figures = {EVENT_TIME: ledger.watermark_us} if contest is None else figures_of(contest)
    return Judgement(harmful, Rule.HARM, Ruling.ROLLED_BACK, figures | {"before": "/".join(reign.pair)}, done=True)


# ------------------------------------------------------------------------------------------------- what is written


def hand_off_for(ledger: Ledger, judgement: Judgement, endpoint: Endpoint, author: Author) -> ControlEvent:
    """The hand-off that a judgement asks for.

    Raises:
        RegistryError: the version is not active any more, or there is nobody to go back to.
    """
    alias = ledger.monitoring.champion
    if judgement.ruling is Ruling.ROLLED_BACK:
        return rollback(ledger.control, alias, author)
    return promotion(ledger.control, endpoint, alias, judgement.pair, (), author)


def proposes(limits: RetrainingLimits, judgement: Judgement) -> bool:
    """Whether it is for a person to move the alias."""
    if judgement.done or judgement.ruling is Ruling.REJECTED:
        return False
    return (limits.rollback.mode if judgement.rule is Rule.HARM else limits.promotion) == "proposal"
