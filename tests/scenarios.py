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
from rendezvous.envelope import write_envelope
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
from worlds import World, answers, ask, features, say, seen

SOON_MS = 120
"""Enough for one trip through a real broker."""


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
    world.wait(CLOSE_MS)
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
    world.wait(CLOSE_MS + SOON_MS)
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
    world.wait(CLOSE_MS)
    compared = [name for batch in seen(world, "comparisons", Comparisons) for name in batch.request_ids]
    assert set(compared) == {"r1", "r2"}


def clean_restart(world: World) -> None:
    """After a clean stop nothing is answered, decided or compared twice."""
    world.start()
    offset = ask(world, "r1")
    for model in ("champion", "challenger", "baseline", "candidate"):
        say(world, model, [offset])
    world.wait(SOON_MS + CLOSE_MS)
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
    world.wait(CLOSE_MS)
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
]
