"""When a model should be trained again: the owner's rules, and what holds them back. Pure, in event time.

Something is concluded whenever a block has closed (a *round*): of all that was said up to then, so that the order in
which it came does not matter. Rounds are looked at one after the other, and none before what an event or a verdict has
dealt with; so a restart that reads the topics from their beginning comes to the same events, with the same keys.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rendezvous.monitoring.findings import Accuracy
from rendezvous.monitoring.limits import DAY_US
from rendezvous.registry.state import Pair
from rendezvous.retraining.causes import HAND, WITHOUT_LABELS, Caught, Moment, caught
from rendezvous.retraining.episodes import consumed_us, under_way
from rendezvous.retraining.events import Outcome, RetrainEvent
from rendezvous.retraining.ledger import Ledger
from rendezvous.retraining.limits import MONTH_US, RetrainingLimits

MISSED_BLOCKS = 7
"""A retrainer that was away for longer looks at the newest of them only: nobody wants a model of last month's data."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the topics do not say.

    codes: sha256 of the training code by version, from cards; code: of training as it is now, None when there is none
    to look at. positions: where the requests' topic ends, by partition. by: who writes.
    """

    by: str
    code: str | None
    codes: Mapping[Pair, str | None]
    positions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Look:
    """What holds at a round, and why nothing comes of it nevertheless."""

    at_us: int
    causes: list[Caught]
    held_by: list[str]


def due(ledger: Ledger, limits: RetrainingLimits, settled_us: int, around: Surroundings) -> RetrainEvent | None:
    """The first event that is due at a round up to `settled_us`, by when all that belongs to a round has been heard.

    A round that lies more than a cool-down (or MISSED_BLOCKS) behind the newest is past: what spoke then still speaks.
    """
    champion = ledger.champion
    if champion is None or under_way(ledger, limits.model) is not None:
        return None
    rounds = [moment for moment in ledger.rounds if moment <= settled_us]
    missed_us = max(limits.cool_down, MISSED_BLOCKS * ledger.monitoring.block)
    since_us = max(consumed_us(ledger, limits.model), rounds[-1] - missed_us) if rounds else 0
    for at_us in rounds:
        if at_us > since_us:
            found = look(ledger, limits, champion, at_us, around if at_us == rounds[-1] else None)
            if found.causes and not found.held_by:
                return _event(ledger, limits, champion, found, around)
    return None


def look(ledger: Ledger, limits: RetrainingLimits, champion: Pair, at_us: int, around: Surroundings | None) -> Look:
    """What holds at a round about a champion. around: None for a round of the past, of whose code nothing is known."""
    code = around.code if around is not None else None
    champion_code = around.codes.get(champion) if around is not None else None
    since_us = consumed_us(ledger, limits.model)
    causes = caught(Moment(ledger, limits, champion, since_us, at_us, code, champion_code))
    return Look(at_us, causes, _held_by(ledger, limits, at_us, [found.cause for found in causes]))


def _held_by(ledger: Ledger, limits: RetrainingLimits, at_us: int, causes: Sequence[str]) -> list[str]:
    held = []
    times = [event.at_us for event in ledger.events_of(limits.model) if event.at_us <= at_us]
    if times and at_us - times[-1] < limits.cool_down:
        held.append(f"cool-down: until {stamp(times[-1] + limits.cool_down)}")
    held += [f"budget: {limit} events in {span}" for span, limit, left in budget(ledger, limits, at_us) if left <= 0]
    if not any(cause in WITHOUT_LABELS for cause in causes):
        labels = new_labels(ledger, limits, at_us)
        if labels < limits.new_labels:
            held.append(f"new labels: {labels} of {limits.new_labels}")
    return held


def budget(ledger: Ledger, limits: RetrainingLimits, at_us: int) -> list[tuple[str, int, int]]:
    """Of a day and of a month: in words, how many events it allows, how many are left then. A person's count too."""
    times = [event.at_us for event in ledger.events_of(limits.model) if event.at_us <= at_us]
    spans = (("24 hours", DAY_US, limits.per_day), ("31 days", MONTH_US, limits.per_month))
    return [(span, limit, limit - sum(time > at_us - length for time in times)) for span, length, limit in spans]


def new_labels(ledger: Ledger, limits: RetrainingLimits, at_us: int) -> int:
    """Mature labels that no training has had: of blocks closed by then, since the data of the last job that trained."""
    used = (Outcome.REGISTERED, Outcome.REFUSED)
    events = ledger.events_of(limits.model)
    trained = [event for event in events if event.key in ledger.outcomes and ledger.outcomes[event.key].outcome in used]
    until_us = max((event.until_us for event in trained), default=0)
    return sum(block.labelled for block in ledger.widest_blocks(at_us) if block.start_us >= until_us)


def request(
    ledger: Ledger, limits: RetrainingLimits, reason: str, at_us: int, around: Surroundings
) -> RetrainEvent | None:
    """The event of a person who asks at `at_us`, event time; None without a champion.

    It waits neither for cool-down, nor for budget, nor for labels; it counts in the first two.
    """
    champion = ledger.champion
    if champion is None:
        return None
    found = Look(at_us, [Caught(HAND, {"reason": reason})], [])
    return _event(ledger, limits, champion, found, around, reason=reason)


def stamp(at_us: int) -> str:
    """A moment as part of a name: 20130401T050000Z."""
    return str(np.datetime64(at_us // 1_000_000, "s")).replace("-", "").replace(":", "") + "Z"


def _event(
    ledger: Ledger, limits: RetrainingLimits, champion: Pair, found: Look, around: Surroundings, *, reason: str = ""
) -> RetrainEvent:
    until_us = found.at_us - ledger.monitoring.label_delay
    from_us = _from_us(ledger, limits, until_us)
    causes = tuple(one.cause for one in found.causes)
    by_hand = "-hand" if causes == (HAND,) else ""
    return RetrainEvent(
        key=f"{limits.model}-{champion[1]}-{stamp(found.at_us)}{by_hand}",
        model=limits.model,
        version=champion[1],
        causes=causes,
        evidence=json.dumps({one.cause: one.evidence for one in found.causes} | _state(ledger, limits, found.at_us)),
        reason=reason,
        from_us=from_us,
        until_us=until_us,
        as_of_us=found.at_us,
        positions=around.positions,
        unknown=_unknown(ledger, from_us, until_us, found.at_us, around.positions),
        by=around.by,
        at_us=found.at_us,
    )


def _state(ledger: Ledger, limits: RetrainingLimits, at_us: int) -> dict[str, object]:
    left = {span: left for span, _, left in budget(ledger, limits, at_us)}
    return {"new_labels": new_labels(ledger, limits, at_us), "budget_left_before": left}


def _from_us(ledger: Ledger, limits: RetrainingLimits, until_us: int) -> int:
    """Where the data proposed begins; days begin where blocks do."""
    if limits.data.last is not None:
        return max(0, until_us - limits.data.last)
    return 0 if limits.data.since is None else limits.data.since + ledger.monitoring.block_offset


def _unknown(ledger: Ledger, from_us: int, until_us: int, at_us: int, positions: Sequence[int]) -> tuple[str, ...]:
    heard = ledger.widest_blocks(at_us)
    said = _uncovered([block for block in heard if block.start_us >= from_us and block.end_us <= until_us])
    if heard and 0 < from_us < heard[0].start_us:
        said.append(f"the monitor has not spoken of requests asked before {stamp(heard[0].start_us)}")
    if until_us < at_us:
        said.append(f"labels of requests asked since {stamp(until_us)} are immature")
    if silent := [str(number) for number, position in enumerate(positions) if position <= 0]:
        said.append(f"no request was ever on partition {', '.join(silent)}")
    return tuple(said)


def _uncovered(blocks: Sequence[Accuracy]) -> list[str]:
    """What was missing of the labels of closed blocks, at their closing."""
    expected = sum(block.requests - block.never for block in blocks)
    labelled = sum(block.labelled for block in blocks)
    if not expected:
        return ["no closed block with requests lies in the data proposed"]
    missing = expected - labelled
    if not missing:
        return []
    had = f"{missing} of {expected} requests had no label when their block closed ({labelled / expected:.1%} had one)"
    return [f"{had}: what is late, or never comes, need not be like the rest"]
