"""What a new owner of a partition reads before it answers: the last commit, its metadata, and the decisions since."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace
from itertools import chain

from rendezvous.log.records import LogError, Record, Source
from rendezvous.messages import Decisions
from rendezvous.server.ledger import Resume
from rendezvous.server.mailbox import Decided
from rendezvous.server.partition import Takeover
from rendezvous.server.plan import Plan
from rendezvous.settings import Endpoint
from rendezvous.wire import WireError, decode

_logger = logging.getLogger(__name__)


def positions(source: Source, endpoint: Endpoint, partition: int, topic_id: str) -> Takeover:
    """Find where to resume one partition; `with_decisions` learns what has been decided there.

    For the thread that polls: the client answers another one's questions about a member seconds later.

    Raises:
        LogError: the requests topic is not the one that was committed for.
    """
    topics = {name: endpoint.topic(name) for name in ("requests", "scores", "decisions")}
    lows, ends = {}, {}
    for name, topic in reversed(topics.items()):  # requests last: what is said of one after its end lies after ends
        lows[name], ends[name] = source.bounds(topic, partition)
    starts = dict(lows)
    committed = source.committed(topics["requests"], partition)
    resume = None if committed is None else Resume.parse(committed.metadata)
    if committed is not None:
        starts["requests"] = _within(
            committed.offset, lows["requests"], ends["requests"], topics["requests"], partition
        )
    if resume is None:
        # by offset would be wrong: a broker forgets a group's positions with a topic, and a topic made anew has the
        # offsets that the old scores and decisions speak of
        by_time = _by_time(source, topics, partition, starts["requests"], ends)
        starts |= {name: max(position, lows[name]) for name, position in by_time.items()}
    elif resume.topic != topic_id:
        raise LogError(
            f"{topics['requests']} is another topic (id {topic_id}) than the one this group committed for "
            f"(id {resume.topic}): offsets no longer name the same requests. Delete the group, then start again"
        )
    else:
        starts["scores"] = min(max(resume.scores, lows["scores"]), ends["scores"])
        starts["decisions"] = min(max(resume.decisions, lows["decisions"]), ends["decisions"])
    return Takeover(
        requests=starts["requests"],
        scores=starts["scores"],
        decisions=starts["decisions"],
        requests_end=ends["requests"],
        scores_end=ends["scores"],
        decided={},
    )


def with_decisions(found: Takeover, source: Source, endpoint: Endpoint, plan: Plan, partition: int) -> Takeover:
    """The same with what has been decided since; by now the predecessor is fenced, where it can be."""
    unended = _unended(source, endpoint, partition, found.decisions) if endpoint.exactly_once else []
    records = chain(source.read(endpoint.topic("decisions"), partition, found.decisions), unended)
    return replace(found, decided=_decided(records, found.requests, plan), unended=bool(unended))


def _unended(source: Source, endpoint: Endpoint, partition: int, start: int) -> list[Record]:
    """Decisions whose transaction has no end although its producer is fenced.

    A broker that is killed between a commit's two records, and comes back, can take that transaction for complete
    without having ended it on the partitions that it wrote to (seen with Kafka 4.3.1 on a cluster of one). There the
    next transaction of the same producer ends it with its own: if that is committed, its answers and decisions will be
    there, and need not be made again.
    """
    topic = endpoint.topic("decisions")
    records = list(source.read_open(topic, partition, start))
    for record in records:
        _logger.warning("%s-%d@%d: without an end, counted as made", topic, partition, record.offset)
    return records


def _within(offset: int, low: int, end: int, topic: str, partition: int) -> int:
    if offset < low:
        _logger.error(
            "%s-%d: requests %d to %d were deleted by retention before they were answered",
            topic,
            partition,
            offset,
            low,
        )
        return low
    if offset > end:
        raise LogError(f"{topic}-{partition} ends at {end}, but {offset} was committed: it was truncated or re-created")
    return offset


def _by_time(
    source: Source, topics: dict[str, str], partition: int, start: int, ends: dict[str, int]
) -> dict[str, int]:
    """Without metadata of ours (no commit, or another tool's): read on from the first open request's append time."""
    first = next(source.read(topics["requests"], partition, start), None) if start < ends["requests"] else None
    names = ("scores", "decisions")
    if first is None:
        return {name: ends[name] for name in names}
    return {name: source.position_at(topics[name], partition, first.timestamp_ms) for name in names}


def _decided(records: Iterable[Record], first: int, plan: Plan) -> dict[int, tuple[Decided, int]]:
    """What was decided about requests from `first` on; the first decision about a request stands."""
    found: dict[int, tuple[Decided, int]] = {}
    for record in records:
        try:
            decisions = decode(record.value, Decisions)
        except WireError as error:
            _logger.warning("%s-%d@%d is no decision: %s", *record[:3], error)
            continue
        axis = [plan.column_of.get(pair, -1) for pair in zip(decisions.models, decisions.versions, strict=True)]
        rows = zip(decisions.offsets.tolist(), decisions.winners.tolist(), decisions.reasons.tolist(), strict=True)
        for offset, winner, reason in rows:
            if offset >= first:
                column = axis[winner] if winner >= 0 else -1
                found.setdefault(offset, (Decided(column, reason), record.offset))
    return found
