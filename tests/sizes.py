"""What a server holds in memory: never more than what is open, and nothing once all is done."""

from __future__ import annotations

from memory_log import MemoryLog
from rendezvous.server.ledger import Ledger
from rendezvous.server.publishing import Publisher
from rendezvous.server.service import Service
from rendezvous.settings import Endpoint
from slow_log import SlowSink

# ruff: noqa: SLF001 - nobody but this asks a server how large its insides are
GROUP = "server"
MOST_RECORDS = 4
"""That one request is owed: answer, decision, comparison, dead letter."""


def check_bounds(service: Service, log: MemoryLog, endpoint: Endpoint, sinks: tuple[SlowSink, SlowSink]) -> None:
    """After any turn: rings do not grow with time, and an outbox holds what is under way."""
    for partition in service._partitions.values():
        mailbox, ledger = partition._mailbox, partition._ledger
        assert mailbox.in_flight <= endpoint.mailbox.capacity, "a mailbox holds more than its ring"
        assert len(mailbox._plans) <= 1 + endpoint.mailbox.capacity, "a mailbox keeps plans that nobody uses"
        early = endpoint.mailbox.capacity  # scores of requests that are still to come
        span = max(ledger.position - ledger.committable, early)
        assert len(ledger._owed) <= max(Ledger.FIRST_SPAN, 2 * (span + early)), "a ledger is larger than what is open"
    if isinstance(service._outbox, Publisher):
        under_way = sum(sink.under_way for sink in sinks)
        assert service._outbox.undelivered == under_way, "an outbox counts what is under way"
    else:
        open_requests = sum(_unfinished(log, endpoint, number) for number in service._partitions)
        letters = sum(len(log.records[endpoint.topic("scores"), number]) for number in service._partitions)
        assert service._outbox.undelivered <= MOST_RECORDS * open_requests + letters, "an outbox keeps what is done"


def _unfinished(log: MemoryLog, endpoint: Endpoint, number: int) -> int:
    """Requests that nobody has committed."""
    topic = endpoint.topic("requests")
    committed = log.commits.get((GROUP, topic, number))
    records = log.records[topic, number]
    return sum(record.offset >= committed.offset for record in records) if committed else len(records)


def is_delivering(service: Service) -> bool:
    """Whether it has sent something that is not reported."""
    return service._outbox.undelivered > 0


def is_returning(service: Service) -> bool:
    """Whether it has skipped something that it has not come back to."""
    return any(partition.arrears.next is not None for partition in service._partitions.values())


def check_empty(service: Service) -> None:
    """When all is answered, compared and reported."""
    outbox = service._outbox
    assert not outbox.undelivered, "an outbox keeps what is done"
    if isinstance(outbox, Publisher):
        assert not outbox._outstanding.records + outbox._outstanding.bytes, "an outbox counts what is delivered"
        assert not outbox._outstanding._destinations, "an outbox keeps destinations"
    assert not service._untaken, "a server keeps records that it has taken"
    for partition in service._partitions.values():
        assert not partition.in_flight, "a mailbox keeps what is closed"
        assert not any(partition._mailbox._requests), "a mailbox keeps what is closed"
        assert not partition._decided, "a partition keeps what its predecessor decided"
        assert partition.arrears.oldest is None, "a partition keeps what it skipped and answered"
        assert not partition._squeezed, "a partition keeps comparisons"
        assert partition._ledger.position == partition.committable, "a ledger keeps what is done"
