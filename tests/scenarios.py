"""What happens, told once and played in every world: see worlds.py. Lines of time are in milliseconds.

::

    0        300 (STEP_MS)                        800 (end)    900 (DEADLINE_MS)
    |--------|------------------------------------|------------|
     champion  champion, challenger or baseline     margin
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from endpoints import CLOSE_MS, DEADLINE_MS, STEP_MS
from rendezvous.envelope import draw_of, write_envelope
from rendezvous.messages import (
    Comparisons,
    DeadLetter,
    Decisions,
    Envelope,
    Reason,
    ReplyAddress,
    Response,
    Status,
)
from rendezvous.registry.events import Deployment, Quality, RulesChange, Shedding, State, Suspension, Weights
from rendezvous.registry.fold import KINDS
from rendezvous.server.policies import POLICIES
from rendezvous.server.service import MAX_RECORDS
from rendezvous.server.transactional import CLOSE_EVERY_US
from rendezvous.wire import decode_any
from worlds import World, answers, ask, features, follow, move, say, seen, tell

SOON_MS = 120
"""Enough for one trip through a real broker."""
CLOSED_MS = CLOSE_MS + CLOSE_EVERY_US / 1_000 + SOON_MS
"""After it whatever was asked is compared, complete or not: closed in the next round, committed, read."""


def _only(world: World) -> Response:
    (answer,) = answers(world)
    return answer


def preferred(world: World) -> None:
    """The champion's score within its step is the answer, at once.

    ask---champion-->answer
    """
    world.start()
    offset = ask(world, "r1")
    say(world, "champion", [offset], 0.7)
    world.wait(SOON_MS)
    answer = _only(world)
    assert (answer.request_id, answer.model, answer.version) == ("r1", "champion", "c1")
    assert answer.reason is Reason.PREFERRED
    assert answer.output == pytest.approx((0.7,))
    assert answer.missing == ("challenger", "baseline")
    assert 0 < answer.slack_ms <= DEADLINE_MS


def score_too_late(world: World) -> None:
    """The champion misses its step: a fallback answers at the step's end, and the late score is still compared.

    ask---baseline---|300 answer by baseline---champion (late)---close
    """
    world.start()
    offset = ask(world, "r1")
    say(world, "baseline", [offset], 0.3)
    world.wait(STEP_MS / 2)
    assert answers(world) == []
    world.wait(STEP_MS / 2 + SOON_MS)
    assert (_only(world).model, _only(world).reason) == ("baseline", Reason.FALLBACK)
    assert "champion" in _only(world).missing
    say(world, "champion", [offset], 0.9)
    world.wait(CLOSED_MS)
    (comparison,) = seen(world, "comparisons", Comparisons)
    champion = comparison.models.index("champion")
    assert comparison.statuses[0, champion] == Status.OK
    assert comparison.outputs[0, champion, 0] == pytest.approx(0.9)
    assert comparison.latencies_us[0, champion] > STEP_MS * 1_000
    assert len(answers(world)) == 1


def score_before_request(world: World) -> None:
    """A score that arrives before its request is kept for it.

    champion---ask-->answer
    """
    world.start()
    say(world, "champion", [0], 0.6)
    world.wait(SOON_MS)
    ask(world, "r1")
    world.wait(SOON_MS)
    assert (_only(world).model, _only(world).reason) == ("champion", Reason.PREFERRED)


def duplicate_score(world: World) -> None:
    """Of two scores by one model for one request the first stands, in the answer and in the comparison."""
    world.start()
    offset = ask(world, "r1")
    say(world, "champion", [offset], 0.6)
    say(world, "champion", [offset], 0.1)
    world.wait(CLOSED_MS)
    assert _only(world).output == pytest.approx((0.6,))
    (comparison,) = seen(world, "comparisons", Comparisons)
    assert comparison.outputs[0, comparison.models.index("champion"), 0] == pytest.approx(0.6)


def two_models_race(world: World) -> None:
    """In a step that several may answer, the first usable score answers; the loser is only compared.

    ask---|300---challenger-->answer---champion
    """
    world.start()
    offset = ask(world, "r1")
    world.wait(STEP_MS + SOON_MS)
    say(world, "challenger", [offset], 0.4)
    world.wait(SOON_MS)
    say(world, "champion", [offset], 0.8)
    world.wait(SOON_MS)
    assert _only(world).model == "challenger"
    assert _only(world).output == pytest.approx((0.4,))


def no_model_at_all(world: World) -> None:
    """Without any score the default answers, a margin before the deadline."""
    world.start()
    ask(world, "r1")
    world.wait(DEADLINE_MS + SOON_MS)
    answer = _only(world)
    assert (answer.model, answer.reason, answer.output) == ("", Reason.DEFAULT, (0.25,))
    assert answer.missing == ("champion", "challenger", "baseline")
    assert 0 < answer.slack_ms <= 100


def every_model_fails(world: World) -> None:
    """When every scheduled model has reported a failure, nobody waits: the default answers at once."""
    world.start()
    offset = ask(world, "r1")
    say(world, "champion", [offset], status=Status.ERROR)
    say(world, "challenger", [offset], float("nan"))
    say(world, "baseline", [offset], status=Status.INVALID)
    world.wait(SOON_MS)
    answer = _only(world)
    assert (answer.reason, answer.output) == (Reason.DEFAULT, (0.25,))
    assert answer.slack_ms > DEADLINE_MS / 3


def champion_fails(world: World) -> None:
    """A champion that reports a failure ends its step early: the fallback answers without waiting."""
    world.start()
    offset = ask(world, "r1")
    say(world, "champion", [offset], status=Status.ERROR)
    say(world, "baseline", [offset], 0.3)
    world.wait(SOON_MS)
    assert (_only(world).model, _only(world).reason) == ("baseline", Reason.FALLBACK)
    assert _only(world).slack_ms > DEADLINE_MS - STEP_MS


def short_deadline(world: World) -> None:
    """An application's shorter deadline cuts the schedule: whoever has answered by its end is taken.

    ask(deadline 250)---baseline---|150 answer
    """
    world.start()
    offset = ask(world, "r1", deadline_ms=250)
    say(world, "baseline", [offset], 0.3)
    world.wait(250 + SOON_MS)
    assert _only(world).model == "baseline"


def expired_request(world: World) -> None:
    """A request that is past its deadline when the server first sees it gets the default, and says why.

    ask---|900---server starts-->answer
    """
    ask(world, "r1")
    world.wait(DEADLINE_MS + SOON_MS)
    world.start()
    world.wait(2 * SOON_MS)
    answer = _only(world)
    assert (answer.reason, answer.output) == (Reason.EXPIRED, (0.25,))
    assert answer.slack_ms < 0


def left_behind(world: World) -> None:
    """What has become old while the server did nothing is left for later; all is answered and decided once.

    In a world whose servers skip at once::

        hang---many asked---go on: some expired, others skipped---and answered---ask---restart: nothing is repeated
    """
    world.start()
    world.hang(hangs=True)
    offsets = [ask(world, f"old{number}") for number in range(MAX_RECORDS + 50)]
    world.wait(DEADLINE_MS)
    world.hang(hangs=False)
    world.wait(SOON_MS)
    newest = ask(world, "newest")
    say(world, "champion", [newest], 0.7)
    for _ in range(20):
        world.wait(SOON_MS)
        if len(answers(world)) > len(offsets):
            break
    told = {answer.offset: answer for answer in answers(world)}
    assert sorted(answer.offset for answer in answers(world)) == [*offsets, newest]
    assert told[newest].reason is Reason.PREFERRED
    assert told[newest].slack_ms > 0
    # a server that was about to hang has read the first ones
    assert {told[offset].reason for offset in offsets} <= {Reason.DEFAULT, Reason.EXPIRED, Reason.OVERLOADED}
    assert {told[offset].output for offset in offsets} == {(0.25,)}
    skipped = [offset for offset in offsets if told[offset].reason is Reason.OVERLOADED]
    assert skipped == list(range(skipped[0], offsets[-1] + 1)), "the first ones were read before anybody knew"
    world.stop()
    world.start()
    world.wait(SOON_MS)
    assert len(answers(world)) == len(told)
    decided = [offset for decisions in seen(world, "decisions", Decisions) for offset in decisions.offsets.tolist()]
    assert sorted(decided) == [*offsets, newest]


def redelivery_after_crash(world: World) -> None:
    """A crash before the commit: what was answered is not answered again, what was open is, by its scores.

    ask r1---champion-->answer---ask r2 (long deadline)---champion r2, unseen---crash---start-->answer r2
    """
    world.start()
    first = ask(world, "r1")
    say(world, "champion", [first], 0.7)
    world.wait(SOON_MS)
    second = ask(world, "r2", deadline_ms=2_000)
    world.wait(SOON_MS)
    world.crash()
    say(world, "champion", [second], 0.8)
    world.start()
    world.wait(STEP_MS + SOON_MS)
    assert [answer.request_id for answer in answers(world)] == ["r1", "r2"]
    assert answers(world)[1].output == pytest.approx((0.8,))
    world.wait(CLOSED_MS)
    compared = [name for batch in seen(world, "comparisons", Comparisons) for name in batch.request_ids]
    assert set(compared) == {"r1", "r2"}


def clean_restart(world: World) -> None:
    """After a clean stop nothing is answered, decided or compared twice."""
    world.start()
    offset = ask(world, "r1")
    for model in ("champion", "challenger", "baseline", "candidate"):
        say(world, model, [offset])
    world.wait(CLOSED_MS)
    world.stop()
    world.start()
    world.wait(SOON_MS)
    assert len(answers(world)) == 1
    assert [list(batch.offsets) for batch in seen(world, "decisions", Decisions)] == [[offset]]
    assert [list(batch.offsets) for batch in seen(world, "comparisons", Comparisons)] == [[offset]]


def comparison_closes_early(world: World) -> None:
    """A mailbox closes as soon as every model that is alive has reported, long before it is too old."""
    world.start()
    first = ask(world, "r1")
    for model in ("champion", "challenger", "baseline", "candidate"):
        say(world, model, [first])
    world.wait(SOON_MS)
    second = ask(world, "r2")
    for model in ("champion", "challenger", "baseline", "candidate"):
        say(world, model, [second], 0.1)
    world.wait(2 * SOON_MS)
    compared = {name: batch for batch in seen(world, "comparisons", Comparisons) for name in batch.request_ids}
    assert "r2" in compared
    assert (compared["r2"].statuses == Status.OK).all()


def unusable_records(world: World) -> None:
    """Records that cannot be used go to dead-letters with reason and position, and hold up nobody."""
    world.start()
    envelope = write_envelope(Envelope("bad", "tests", None, None))
    no_id = [header for header in envelope if header[0] != "ce_id"]
    where = {
        "no_id": world.put("requests", features(world), no_id),
        "bad_envelope": world.put("requests", features(world), [*envelope, ("deadline_ms", b"soon")]),
        "unknown_schema": world.put("requests", b"\xc3\x01garbage that is no schema", envelope),
        "too_large": world.put("requests", features(world) + bytes(2_000), envelope),
    }
    world.put("scores", b"not even Avro")
    say(world, "champion", [0], version="never registered")
    good = ask(world, "good")
    say(world, "champion", [good], 0.7)
    world.wait(SOON_MS)
    by_id = {answer.request_id: answer for answer in answers(world) if answer.reason is not Reason.REJECTED}
    assert list(by_id) == ["good"]
    letters = seen(world, "dead-letters", DeadLetter)
    requests = {letter.reason: letter.offset for letter in letters if letter.topic.endswith(".requests")}
    assert requests == where
    scores = {letter.reason for letter in letters if letter.topic.endswith(".scores")}
    assert scores == {"unknown_schema", "unregistered_model"}


def rejected_requests(world: World) -> None:
    """A request whose value cannot be scored is still owed an answer: the default, at once."""
    world.start()
    world.put("requests", b"nonsense", write_envelope(Envelope("r1", "tests", None, None)))
    world.wait(SOON_MS)
    assert (_only(world).reason, _only(world).output) == (Reason.REJECTED, (0.25,))
    assert _only(world).slack_ms > DEADLINE_MS / 2


def unreadable_value(world: World) -> None:
    """A value that no model can decode gets the default, and is a dead letter once its mailbox closes."""
    world.start()
    offset = ask(world, "r1")
    for model in ("champion", "challenger", "baseline"):
        say(world, model, [offset], status=Status.UNREADABLE)
    world.wait(SOON_MS)
    assert _only(world).reason is Reason.DEFAULT
    world.wait(CLOSED_MS)
    (letter,) = seen(world, "dead-letters", DeadLetter)
    assert (letter.reason, letter.offset) == ("unreadable", offset)


def reply_refused(world: World) -> None:
    """The server writes into no topic that is not allowed: such an answer is a dead letter, the next goes out."""
    world.start()
    for number, topic in enumerate(
        [world.endpoint.topic("requests"), "elsewhere", world.endpoint.topic("responses.no")]
    ):
        offset = ask(world, f"r{number}", reply=ReplyAddress(topic, None, b"x"))
        say(world, "champion", [offset])
    offset = ask(world, "good", reply=ReplyAddress(world.endpoint.topic("responses"), 0, b"x"))
    say(world, "champion", [offset])
    world.wait(SOON_MS)
    assert _only(world).request_id == "good"
    letters = seen(world, "dead-letters", DeadLetter)
    assert [letter.reason for letter in letters] == ["reply_refused"] * 3
    assert len(seen(world, "decisions", Decisions)) >= 1


def decisions_say_why(world: World) -> None:
    """A decision names winner, reason, what had arrived, slack and policy, under the tick's own time."""
    world.start()
    offset = ask(world, "r1")
    say(world, "challenger", [offset], 0.2)
    say(world, "champion", [offset], 0.7)
    world.wait(SOON_MS)
    (decisions,) = seen(world, "decisions", Decisions)
    assert list(decisions.offsets) == [offset]
    assert decisions.models[decisions.winners[0]] == "champion"
    assert decisions.reasons[0] == Reason.PREFERRED
    arrived = {m for bit, m in enumerate(decisions.models) if int(decisions.arrived[0]) >> bit & 1}
    assert arrived == {"champion", "challenger"}
    assert decisions.outputs[0, 0] == np.float32(0.7)
    assert len(decisions.policy) == 12


def stranger_scores(world: World) -> None:
    """Scores for requests that do not exist are ignored and hold up nobody."""
    world.start()
    say(world, "champion", [10, 500, 10**15])
    offset = ask(world, "r1")
    say(world, "champion", [offset], 0.7)
    world.wait(SOON_MS)
    assert _only(world).output == pytest.approx((0.7,))


# ------------------------------------------------------------------------------------------------- control changes

LONG_STEP_MS, LONG_DEADLINE_MS = 1_500, 1_900
"""Long enough for a change of control to be read, and read again, before the step ends."""
FOLLOW_MS = 400
"""Enough for control to reach a server on a busy machine."""


def _aliased(world: World) -> None:
    """`live` is the champion; it has a long step of its own."""
    first: dict[str, object] = {"until_ms": LONG_STEP_MS, "models": ["live"]}
    rules = follow(world, first, {"models": ["live", "challenger", "baseline"]})
    tell(world, move("live", "champion", "c1"), rules)


def _who(world: World) -> dict[str, tuple[str, str]]:
    """Model and version of each answer; nobody is answered twice."""
    found = answers(world)
    assert len({answer.request_id for answer in found}) == len(found)
    return {answer.request_id: (answer.model, answer.version) for answer in found}


def promotion_and_rollback(world: World) -> None:
    """Each request is answered by whoever was champion when it was taken in; none is lost, none answered twice.

    ask r1---promote---ask r2---both have scored both-->answers---roll back---ask r3-->answer
    """
    _aliased(world)
    world.start()
    first = ask(world, "r1", deadline_ms=LONG_DEADLINE_MS)
    world.wait(SOON_MS)
    tell(world, move("live", "candidate", "n1"))
    world.wait(FOLLOW_MS)
    second = ask(world, "r2")
    say(world, "candidate", [first, second], 0.9)
    say(world, "champion", [first, second], 0.1)
    world.wait(SOON_MS)
    assert _who(world) == {"r1": ("champion", "c1"), "r2": ("candidate", "n1")}
    tell(world, move("live", "champion", "c1"))
    world.wait(FOLLOW_MS)
    third = ask(world, "r3")
    say(world, "candidate", [third], 0.9)
    say(world, "champion", [third], 0.1)
    world.wait(SOON_MS)
    assert _who(world)["r3"] == ("champion", "c1")
    assert {answer.reason for answer in answers(world)} == {Reason.PREFERRED}
    assert len({batch.policy for batch in seen(world, "decisions", Decisions)}) == 2


def another_schedule(world: World) -> None:
    """What is under way is answered by the schedule that it began with.

    ask r1---rules: the baseline alone---ask r2---baseline has scored both-->answer r2---champion-->answer r1
    """
    _aliased(world)
    world.start()
    first = ask(world, "r1", deadline_ms=LONG_DEADLINE_MS)
    world.wait(SOON_MS)
    tell(world, follow(world, {"models": ["baseline"]}))
    world.wait(FOLLOW_MS)
    second = ask(world, "r2")
    say(world, "baseline", [first, second], 0.3)
    say(world, "champion", [first, second], 0.7)
    world.wait(SOON_MS)
    assert _who(world) == {"r1": ("champion", "c1"), "r2": ("baseline", "b1")}


def retired_while_its_scores_are_in_flight(world: World) -> None:
    """A version that goes still answers what was asked before; its successor answers what comes after.

    ask r1---c9 comes, c1 goes---c1 scores r1-->answer---ask r2---c9 scores r2-->answer
    """
    tell(world, follow(world, {"until_ms": LONG_STEP_MS, "models": ["champion"]}, {"models": ["baseline"]}))
    world.start()
    first = ask(world, "r1", deadline_ms=LONG_DEADLINE_MS)
    world.wait(SOON_MS)
    tell(
        world,
        Deployment("champion", "c9", "sha-of-c9", State.ACTIVE, by="tests", at_us=0),
        Deployment("champion", "c1", "champion-c1", State.RETIRED, by="tests", at_us=0),
    )
    world.wait(FOLLOW_MS)
    say(world, "champion", [first], 0.7)
    second = ask(world, "r2")
    say(world, "champion", [second], 0.8, version="c9")
    world.wait(SOON_MS)
    assert _who(world) == {"r1": ("champion", "c1"), "r2": ("champion", "c9")}
    assert seen(world, "dead-letters", DeadLetter) == []


def frozen_champion(world: World) -> None:
    """Answers come at its step's end, then without waiting for it; it is trusted again once it keeps up.

    champion silent: |300 answers---passed by: answers at once---champion scores for a second: it is waited for
    """
    world.start()

    def asked(name: str, number: int, *models: str) -> None:
        offsets = [ask(world, f"{name}-{place}") for place in range(number)]
        for model in models:
            say(world, model, offsets)

    def slacks(name: str) -> list[float]:
        return [answer.slack_ms for answer in answers(world) if answer.request_id.startswith(name)]

    for warming in ("w", "x", "y"):  # the first mailboxes close late; with theirs the watch begins
        asked(warming, 1, "challenger", "baseline")
        world.wait(STEP_MS + SOON_MS)
    asked("waits", 8, "challenger", "baseline")
    world.wait(STEP_MS + FOLLOW_MS)
    assert len(slacks("waits")) == 8
    assert max(slacks("waits")) <= DEADLINE_MS - STEP_MS
    asked("at once", 3, "challenger", "baseline")
    world.wait(SOON_MS)
    assert len(slacks("at once")) == 3
    assert min(slacks("at once")) > DEADLINE_MS - STEP_MS
    for turn in range(20):
        asked(f"well {turn}", 3, "champion", "challenger", "baseline")
        world.wait(200)
    world.wait(FOLLOW_MS)
    asked("trusted", 1, "challenger", "baseline")
    world.wait(STEP_MS + SOON_MS)
    assert max(slacks("trusted")) <= DEADLINE_MS - STEP_MS
    events = [decode_any(value, KINDS) for value in world.read("control")]
    suspensions = [event for event in events if isinstance(event, Suspension)]
    assert [(event.model, event.suspended) for event in suspensions][:2] == [("champion", True), ("champion", False)]
    assert suspensions[0].missed > 0.5


def bad_events(world: World) -> None:
    """What cannot hold on control changes nothing: answers, policy and all that is told are as before."""
    world.start()

    def answered(name: str) -> Decisions:
        offset = ask(world, name)
        say(world, "champion", [offset], 0.7)
        world.wait(SOON_MS)
        return seen(world, "decisions", Decisions)[-1]

    before = answered("r1")
    world.put("control", b"rubbish")
    world.put("control", b"")
    tell(
        world,
        move("champ", "champion", "never deployed"),
        follow(world, {"models": ["champion"], "policy": "guess"}),
        RulesChange("{}", by="tests", at_us=0),
    )
    world.wait(FOLLOW_MS)
    after = answered("r2")
    assert _who(world) == {"r1": ("champion", "c1"), "r2": ("champion", "c1")}
    assert (after.policy, after.models, after.control) == (before.policy, before.models, before.control)
    world.stop()
    world.start()
    assert answered("r3").policy == before.policy


def every_policy(world: World) -> None:
    """Each answers as it says, and its decision tells step, draw, propensity and where control stood.

    champion 0.25, challenger 0.75; challenger is better of late, and has three quarters of the shares
    """
    world.start()
    said = {"champion": 0.25, "challenger": 0.75}
    axis = ("champion", "challenger"), ("c1", "c2")
    tell(world, *(Weights(quality, *axis, (0.25, 0.75), by="tests", at_us=0) for quality in Quality))
    drawn = ("champion", 0.25) if draw_of(b"split") < 0.5 else ("challenger", 0.75)
    expected = {
        "prefer": ("champion", 0.25),
        "best": ("challenger", 0.75),
        "split": drawn,
        "mean": ("", 0.5),
        "median": ("", 0.5),
        "vote": ("", 0.5),
        "hedge": ("", 0.625),
    }
    assert set(expected) == set(POLICIES)
    for policy, (model, output) in expected.items():
        step: dict[str, object] = {"models": ["champion", "challenger"], "policy": policy}
        weights = {"champion": 1, "challenger": 1} if policy == "split" else {}
        tell(world, follow(world, step | {"weights": weights}))
        position = len(world.read("control"))
        world.wait(FOLLOW_MS)
        offset = ask(world, policy)
        for name, score in sorted(said.items(), key=lambda item: item[0] != model):  # its first choice scores first
            say(world, name, [offset], score)
        world.wait(SOON_MS)
        answer = answers(world)[-1]
        assert (answer.model, answer.output) == (model, (output,))
        assert answer.reason is (Reason.PREFERRED if model else Reason.COMBINED)
        decisions = seen(world, "decisions", Decisions)[-1]
        assert (decisions.control, decisions.steps.tolist()) == (position, [0])
        assert decisions.draws.tolist() == [draw_of(policy.encode())]
        assert decisions.propensities.tolist() == [0.5 if policy == "split" else 1.0]
        assert decisions.outputs.tolist() == [list(answer.output)]


def split_by_key(world: World) -> None:
    """All requests of a key go to one model, by the key's draw, whatever they are called."""
    weights = {"champion": 1, "challenger": 1}
    tell(world, follow(world, {"models": list(weights), "policy": "split", "weights": weights}))
    world.start()
    keys = [f"key {number}".encode() for number in range(8)]
    offsets = [ask(world, f"{key.decode()}-{turn}", key=key) for turn in range(2) for key in keys]
    say(world, "champion", offsets, 0.25)
    say(world, "challenger", offsets, 0.75)
    world.wait(SOON_MS)
    by_draw = {key.decode(): "champion" if draw_of(key) < 0.5 else "challenger" for key in keys}
    assert set(by_draw.values()) == {"champion", "challenger"}
    assert {name: model for name, (model, _) in _who(world).items()} == {
        f"{key}-{turn}": model for key, model in by_draw.items() for turn in range(2)
    }


def pressed(world: World) -> None:
    """When nobody is answered in time, control is told that candidates leave out all, then challengers too."""
    world.start()
    for spell in range(2):
        for number in range(60):
            ask(world, f"{spell}-{number}", deadline_ms=200)
        world.wait(200 + FOLLOW_MS)
    world.wait(1_000)
    events = [decode_any(value, KINDS) for value in world.read("control")]
    shares = [(event.candidates, event.challengers) for event in events if isinstance(event, Shedding)]
    assert shares
    assert shares == [(1.0, 0.0), (1.0, 1.0)][: len(shares)]


SCENARIOS: list[Callable[[World], None]] = [
    preferred,
    score_too_late,
    score_before_request,
    duplicate_score,
    two_models_race,
    no_model_at_all,
    every_model_fails,
    champion_fails,
    short_deadline,
    expired_request,
    redelivery_after_crash,
    clean_restart,
    comparison_closes_early,
    unusable_records,
    rejected_requests,
    unreadable_value,
    reply_refused,
    decisions_say_why,
    stranger_scores,
    promotion_and_rollback,
    another_schedule,
    retired_while_its_scores_are_in_flight,
    frozen_champion,
    bad_events,
    every_policy,
    split_by_key,
    pressed,
]
