"""What becomes of candidates and of harmful champions: each cell of the table, and what is set aside afterwards."""

from __future__ import annotations

import json
from dataclasses import replace
from math import nan
from typing import Any

import pytest

from found import (
    CODE,
    LABELS,
    MODEL,
    NEW,
    NEWER,
    OLD,
    alarm,
    block,
    closing,
    contest,
    deployed,
    hear,
    ledger_of,
    limits_of,
    retrained,
    retraining_endpoint,
)
from registers import AUTHOR
from rendezvous.registry.events import Cause, HandOff, Move, Rule, Ruling, State, Suspension, Verdict
from rendezvous.registry.naming import RegistryError
from rendezvous.registry.state import Pair
from rendezvous.retraining.aside import set_aside
from rendezvous.retraining.episodes import RETRAINER
from rendezvous.retraining.events import RetrainEvent
from rendezvous.retraining.ledger import Ledger
from rendezvous.retraining.limits import RetrainingLimits
from rendezvous.retraining.verdicts import Judgement, hand_off_for, judgements, proposes, rule_of, ruled
from rendezvous.settings import Endpoint

BY = f"{RETRAINER}tests"
CODES = {OLD: CODE, NEW: CODE, NEWER: CODE}
LIMITS = RetrainingLimits(
    model=MODEL,
    promotion="automatic",
    refresh={"labels": 3_000, "blocks": 3, "brier": 0.002, "auc": 0.01, "reject_after": 9_000},  # type: ignore[arg-type]
    replace={"e_value": 20, "reject_after": 60},  # type: ignore[arg-type]
)


def event_of(day: int, version: str = "c1") -> RetrainEvent:
    """An event of a day's closing."""
    return RetrainEvent(
        f"{MODEL}-{version}-{day}", MODEL, version, ("concept drift",), "{}", "", 0, closing(day), closing(day), (), (),
        BY, closing(day),
    )  # fmt: skip


def automatic(**changes: object) -> Endpoint:
    """An endpoint whose retrainer promotes by itself."""
    return retraining_endpoint(**({"promotion": "automatic"} | changes))


def with_candidate(of: Endpoint, *heard: Any) -> Ledger:  # noqa: ANN401 - any message
    """NEW was made by the event of day 0, and waits."""
    event = event_of(0)
    return ledger_of(of, block(0), alarm(0), event, deployed(NEW), retrained(event), *heard)


def judged(of: Endpoint, ledger: Ledger, codes: dict[Pair, str] | None = None) -> list[Judgement]:
    """What can be concluded."""
    return judgements(ledger, limits_of(of), of, CODES if codes is None else codes)


# ------------------------------------------------------------------------------------------------------------ the table

ENOUGH, FEW = 3_000, 2_999
REFRESH = [
    ("harmless, enough", {"labelled": ENOUGH, "blocks": 3}, Ruling.PROMOTED),
    ("worse within the margins", {"labelled": ENOUGH, "blocks": 3, "brier": 0.002, "auc": -0.01}, Ruling.PROMOTED),
    ("better", {"labelled": 99_999, "blocks": 99, "brier": -0.1, "auc": 0.1}, Ruling.PROMOTED),
    ("too few labels", {"labelled": FEW, "blocks": 9}, None),
    ("too few blocks", {"labelled": 8_999, "blocks": 2}, None),
    ("Brier worse, not yet", {"labelled": 8_999, "blocks": 9, "brier": 0.0021}, None),
    ("AUC worse, not yet", {"labelled": 8_999, "blocks": 9, "auc": -0.011}, None),
    ("no AUC", {"labelled": 8_999, "blocks": 9, "auc": nan}, None),
    ("Brier worse", {"labelled": 9_000, "blocks": 9, "brier": 0.0021}, Ruling.REJECTED),
    ("AUC worse", {"labelled": 9_000, "blocks": 9, "auc": -0.011}, Ruling.REJECTED),
    ("no AUC to the end", {"labelled": 9_000, "blocks": 9, "auc": nan}, Ruling.REJECTED),
    ("harmless at last", {"labelled": 9_000, "blocks": 9, "brier": 0.002}, Ruling.PROMOTED),
    ("too few blocks to the end", {"labelled": 9_000, "blocks": 2}, Ruling.REJECTED),
]
REPLACE = [
    ("better beyond doubt", {"blocks": 2, "better": 20.0}, Ruling.PROMOTED),
    ("better, at the last moment", {"blocks": 60, "better": 20.0}, Ruling.PROMOTED),
    ("nearly", {"blocks": 59, "better": 19.9}, None),
    ("harmless is not enough", {"blocks": 59, "labelled": 99_999}, None),
    ("worse beyond doubt", {"blocks": 5, "worse": 20.0}, Ruling.REJECTED),
    ("undecided to the end", {"blocks": 60, "better": 19.9}, Ruling.REJECTED),
]


@pytest.mark.parametrize(("changes", "ruling"), [cell[1:] for cell in REFRESH], ids=[cell[0] for cell in REFRESH])
def test_refresh(changes: dict[str, Any], ruling: Ruling | None) -> None:
    """The same code on newer data takes over unless it does harm."""
    assert ruled(contest(9, **changes), Rule.REFRESH, LIMITS, "binary") is ruling


@pytest.mark.parametrize(("changes", "ruling"), [cell[1:] for cell in REPLACE], ids=[cell[0] for cell in REPLACE])
def test_replace(changes: dict[str, Any], ruling: Ruling | None) -> None:
    """Another code takes over when it is shown to be better."""
    assert ruled(contest(9, **changes), Rule.REPLACE, LIMITS, "binary") is ruling


@pytest.mark.parametrize(("log_loss", "ruling"), [(0.01, Ruling.PROMOTED), (0.011, None), (nan, None)])
def test_refresh_of_what_is_not_binary(log_loss: float, ruling: Ruling | None) -> None:
    """By the log loss: there is neither Brier score nor AUC."""
    said = contest(9, labelled=ENOUGH, brier=nan, auc=nan, log_loss=log_loss)
    assert ruled(said, Rule.REFRESH, LIMITS, "multiclass") is ruling


@pytest.mark.parametrize(
    ("mae", "ruling"), [(-3.0, Ruling.PROMOTED), (0.19, Ruling.PROMOTED), (0.21, None), (nan, None)]
)
def test_refresh_of_a_regression(mae: float, ruling: Ruling | None) -> None:
    """Its error is in the label's unit: the margin is a share of the champion's."""
    said = contest(9, labelled=ENOUGH, mae=mae, champion_mae=20.0)
    assert ruled(said, Rule.REFRESH, LIMITS, "regression") is ruling


@pytest.mark.parametrize(
    ("codes", "rule"),
    [
        ({OLD: CODE, NEW: CODE}, Rule.REFRESH),
        ({OLD: CODE, NEW: "b" * 64}, Rule.REPLACE),
        ({OLD: CODE}, Rule.REPLACE),
        ({NEW: CODE}, Rule.REPLACE),
        ({OLD: None, NEW: None}, Rule.REPLACE),
    ],
    ids=["same code", "other code", "candidate's unknown", "champion's unknown", "both unknown"],
)
def test_which_rule(codes: dict[Pair, str | None], rule: Rule) -> None:
    """What is not known to be a refresh must be shown to be better."""
    of = automatic()
    assert rule_of(with_candidate(of), limits_of(of), codes, NEW, OLD) is rule


def test_older_data_are_no_refresh() -> None:
    """Of two candidates the second was promoted first: the other one's data are older now."""
    of = automatic()
    event = event_of(1)
    ledger = with_candidate(of, event, deployed(NEWER), retrained(event, NEWER))
    assert rule_of(ledger, limits_of(of), CODES, NEW, NEWER) is Rule.REPLACE
    assert rule_of(ledger, limits_of(of), CODES, NEWER, NEW) is Rule.REFRESH


# -------------------------------------------------------------------------------------------------------- who is judged


def test_a_candidate_against_the_champion() -> None:
    """The evidence says when, against whom, and what for."""
    of = automatic()
    (found,) = judged(of, with_candidate(of, contest(4)))
    assert (found.pair, found.rule, found.ruling, found.done) == (NEW, Rule.REFRESH, Ruling.PROMOTED, False)
    evidence = json.loads(found.verdict(AUTHOR).evidence)
    assert (evidence["event_us"], evidence["block"], evidence["labelled"]) == (closing(4), 4, 4 * LABELS)
    assert (evidence["champion"], evidence["retrain_event"]) == ("champion/c1", "champion-c1-0")
    assert evidence["auc_low"] is None


@pytest.mark.parametrize(
    "heard",
    [
        (),
        (contest(4, champion=NEWER),),
        (contest(4, labelled=10),),
        (contest(4), deployed(NEW, State.PAUSED)),
        (contest(4), deployed(NEW, State.RETIRED)),
        (contest(4, NEWER),),
    ],
    ids=["no contest", "another champion's", "too early", "paused", "retired", "a version that a person deployed"],
)
def test_who_is_not_judged(heard: tuple[Any, ...]) -> None:
    """Only active versions that retraining made, against who is the champion now."""
    of = automatic()
    ledger = with_candidate(of, deployed(NEWER), *heard)
    assert judged(of, ledger) == []


def test_a_verdict_is_given_once() -> None:
    """After a rejection nothing more is said of a version."""
    of = automatic()
    ledger = with_candidate(of, contest(4, labelled=12_000, auc=-0.5))
    (found,) = judged(of, ledger)
    assert found.ruling is Ruling.REJECTED
    hear(ledger, found.verdict(AUTHOR))
    assert judged(of, ledger) == []


def test_a_proposal_is_made_once_and_may_be_withdrawn() -> None:
    """It waits for a person; what turns out to do harm meanwhile is rejected."""
    of = retraining_endpoint()
    ledger = with_candidate(of, contest(4))
    (found,) = judged(of, ledger)
    assert proposes(limits_of(of), found)
    hear(ledger, found.verdict(AUTHOR, proposed=True))
    assert ledger.control.verdicts[NEW].ruling is Ruling.PROPOSED
    assert judged(of, hear(ledger, contest(5))) == []
    (found,) = judged(of, hear(ledger, contest(20, labelled=20_000, auc=-0.5)))
    assert (found.ruling, proposes(limits_of(of), found)) == (Ruling.REJECTED, False)


def test_a_candidate_that_shows_nothing_is_rejected() -> None:
    """Else nothing would be retrained any more: nobody runs its scorer, or there are no requests."""
    of = automatic(patience=5)
    ledger = with_candidate(of, *(block(day) for day in range(1, 5)))
    assert judged(of, ledger) == []
    (found,) = judged(of, hear(ledger, block(5)))
    assert (found.ruling, found.evidence["closings"], found.evidence["event_us"]) == (Ruling.REJECTED, 5, closing(5))
    (promotion,) = judged(of, hear(ledger, contest(5)))
    assert promotion.ruling is Ruling.PROMOTED
    waiting = hear(
        ledger, replace(found, ruling=Ruling.PROMOTED).verdict(AUTHOR, proposed=True), contest(5, labelled=1)
    )
    assert judged(of, waiting) == []


def test_the_newest_contest_counts() -> None:
    """In whatever order they are read."""
    of = automatic()
    good, bad = contest(4), contest(5, auc=-0.5)
    assert judged(of, with_candidate(of, good, bad)) == []
    assert judged(of, with_candidate(of, bad, good)) == []


# ------------------------------------------------------------------------------------------------------------ hand-offs


def promoted(of: Endpoint, *heard: Any) -> Ledger:  # noqa: ANN401 - any message
    """NEW took over after day 4, and its verdict stands."""
    ledger = with_candidate(of, contest(4))
    (found,) = judged(of, ledger)
    hear(ledger, hand_off_for(ledger, found, of, replace(AUTHOR, by=BY)))
    (said,) = judged(of, ledger)
    return hear(ledger, said.verdict(AUTHOR), *heard)


def test_a_promotion_and_its_verdict() -> None:
    """The hand-off first, by the registry's rules; then the verdict, also by a retrainer that has just been started."""
    of = automatic()
    ledger = with_candidate(of, contest(4))
    (found,) = judged(of, ledger)
    hand_off = hand_off_for(ledger, found, of, replace(AUTHOR, by=BY))
    assert hand_off == HandOff(
        (Move("first", *NEW), Move("first-previous", *OLD)), Cause.PROMOTE, (), ledger.control.position, BY,
        AUTHOR.at_us,
    )  # fmt: skip
    hear(ledger, hand_off)
    (said,) = judged(of, ledger)
    assert (said.pair, said.rule, said.ruling, said.done) == (NEW, Rule.REFRESH, Ruling.PROMOTED, True)
    assert said.evidence == found.evidence
    assert judged(of, hear(ledger, said.verdict(AUTHOR))) == []


def test_a_persons_promotion_gets_no_verdict() -> None:
    """It is on control with who did it; the retrainer judged nothing."""
    of = retraining_endpoint()
    ledger = with_candidate(of, contest(4))
    (found,) = judged(of, ledger)
    assert judged(of, hear(ledger, hand_off_for(ledger, found, of, AUTHOR))) == []


def test_two_writers() -> None:
    """A hand-off whose writer had not seen the last one is refused, by every reader."""
    of = automatic()
    ledger = with_candidate(of, contest(4))
    (found,) = judged(of, ledger)
    first = hand_off_for(ledger, found, of, replace(AUTHOR, by=BY))
    second = hand_off_for(ledger, found, of, replace(AUTHOR, by=f"{BY} 2"))
    hear(ledger, first)
    with pytest.raises(AssertionError, match="had not seen"):
        hear(ledger, second)
    assert [reign.by for reign in ledger.reigns if reign.pair == NEW] == [BY]


# ------------------------------------------------------------------------------------------------------------ roll-back

HARMFUL = contest(9, OLD, NEW, better=20.0, blocks=3)


def suspension(pair: Pair, failed: float, partition: int = 0) -> Suspension:
    """A server passes a version by."""
    return Suspension(partition, *pair, suspended=True, missed=failed, failed=failed, requests=50, by="server", at_us=1)


@pytest.mark.parametrize(
    ("heard", "harm"),
    [
        ((HARMFUL,), True),
        ((contest(9, OLD, NEW, better=19.9, blocks=9),), False),
        ((contest(9, OLD, NEW, better=99.0, blocks=2),), False),
        ((contest(9, OLD, NEW, worse=99.0),), False),
        ((HARMFUL, deployed(OLD, State.PAUSED)), False),
        ((suspension(NEW, 0.5),), True),
        ((suspension(NEW, 0.4),), False),
        ((suspension(NEW, 0.9), suspension(OLD, 0.9)), False),
        ((suspension(NEW, 0.9), replace(suspension(NEW, 0.9), suspended=False)), False),
        ((suspension(OLD, 0.9),), False),
    ],
    ids=[
        *("harm", "nearly", "too few blocks", "the one before is worse", "the one before rests", "hard fault"),
        *("missed, not failed", "both fail", "well again", "the one before fails"),
    ],
)
def test_roll_back(heard: tuple[Any, ...], harm: bool) -> None:  # noqa: FBT001
    """On evidence of harm over blocks, or on a hard fault, if the one before can take over."""
    of = automatic()
    ledger = promoted(of, *heard)
    found = judged(of, ledger)
    assert [one.ruling for one in found] == ([Ruling.ROLLED_BACK] if harm else [])


def rolled_back(of: Endpoint) -> Ledger:
    """NEW did harm, OLD is the champion again."""
    ledger = promoted(of, HARMFUL)
    (found,) = judged(of, ledger)
    assert not proposes(limits_of(of), found)
    hear(ledger, hand_off_for(ledger, found, of, replace(AUTHOR, by=BY)))
    assert ledger.champion == OLD
    (said,) = judged(of, ledger)
    assert (said.pair, said.rule, said.ruling, said.done) == (NEW, Rule.HARM, Ruling.ROLLED_BACK, True)
    return hear(ledger, said.verdict(AUTHOR))


def test_a_roll_back_and_its_verdict() -> None:
    """The champion before is the champion again; its verdict says why, once."""
    of = automatic()
    ledger = rolled_back(of)
    assert judged(of, ledger) == []
    assert ledger.control.verdicts[NEW].ruling is Ruling.ROLLED_BACK
    assert json.loads(ledger.control.verdicts[NEW].evidence)["better"] == 20.0


def test_who_was_rolled_back_is_no_way_back() -> None:
    """However well it does in shadow afterwards: nothing goes to and fro."""
    of = automatic()
    ledger = hear(rolled_back(of), contest(20, NEW, OLD, better=1e6, blocks=30))
    assert judged(of, ledger) == []


def test_a_proposed_roll_back() -> None:
    """Said once, by setting; the champion's own verdict stays what it was."""
    of = automatic(rollback={"mode": "proposal"})
    ledger = promoted(of, HARMFUL)
    (found,) = judged(of, ledger)
    assert proposes(limits_of(of), found)
    hear(ledger, found.verdict(AUTHOR, proposed=True))
    assert judged(of, ledger) == []
    assert (ledger.verdicts[NEW].ruling, ledger.harms[NEW].ruling) == (Ruling.PROMOTED, Ruling.PROPOSED)


# -------------------------------------------------------------------------------------------------------- what is done


def aside(of: Endpoint, ledger: Ledger) -> list[tuple[str, State]]:
    """What is set aside now, and how; it is heard."""
    events = set_aside(ledger, limits_of(of), AUTHOR)
    hear(ledger, *events)
    return [(event.version, event.state) for event in events]  # type: ignore[union-attr]


def rejection(pair: Pair) -> Verdict:
    """Of a candidate."""
    return Verdict(*pair, Rule.REFRESH, Ruling.REJECTED, json.dumps({"event_us": closing(5)}), BY, 1)


def test_a_rejected_candidate_rests_and_is_retired_after_the_next() -> None:
    """A person who disagrees has until then; afterwards its place on control is free."""
    of = automatic()
    ledger = with_candidate(of)
    assert aside(of, ledger) == []
    assert aside(of, hear(ledger, rejection(NEW))) == [("c2", State.PAUSED)]
    assert aside(of, ledger) == []
    event = event_of(6)
    hear(ledger, event, deployed(NEWER), retrained(event, NEWER), rejection(NEWER))
    assert aside(of, ledger) == [("c2", State.RETIRED), ("c3", State.PAUSED)]


def test_who_was_resumed_by_a_person_stays() -> None:
    """Set aside once, not twice."""
    of = automatic()
    ledger = with_candidate(of, rejection(NEW))
    aside(of, ledger)
    assert aside(of, hear(ledger, deployed(NEW))) == []


def test_a_former_champion_without_an_alias_is_set_aside() -> None:
    """The one before stays in shadow; the one before that rests. What a person deployed is the person's."""
    of = automatic()
    ledger = promoted(of)
    assert aside(of, ledger) == []
    event = event_of(9, "c2")
    hear(ledger, event, deployed(NEWER), retrained(event, NEWER), contest(14, NEWER, NEW))
    (found,) = judged(of, ledger)
    hear(ledger, hand_off_for(ledger, found, of, replace(AUTHOR, by=BY)))
    assert (ledger.champion, ledger.control.aliases["first-previous"]) == (NEWER, NEW)
    assert aside(of, ledger) == []
    assert ledger.control.versions[OLD].state is State.ACTIVE
    fourth = (MODEL, "c4")
    event = event_of(19, "c3")
    hear(ledger, event, deployed(fourth), retrained(event, fourth), contest(24, fourth, NEWER))
    (_, found) = judged(of, ledger, CODES | {fourth: CODE})
    hear(ledger, hand_off_for(ledger, found, of, replace(AUTHOR, by=BY)))
    assert aside(of, ledger) == [("c2", State.PAUSED)]


def test_a_hand_off_that_cannot_be() -> None:
    """The version is paused between the judgement and the hand-off: the registry says so."""
    of = automatic()
    ledger = with_candidate(of, contest(4))
    (found,) = judged(of, ledger)
    with pytest.raises(RegistryError, match="paused"):
        hand_off_for(hear(ledger, deployed(NEW, State.PAUSED)), found, of, AUTHOR)


def test_a_contest_has_room_on_control() -> None:
    """The longest evidence is far below what control takes."""
    longest: dict[str, Any] = dict.fromkeys(("better", "worse", "brier", "auc", "log_loss"), -1.2345678901234568e-300)
    of = automatic()
    (found,) = judged(of, with_candidate(of, contest(4, **longest)))
    assert len(found.verdict(AUTHOR).evidence) < 1_000
