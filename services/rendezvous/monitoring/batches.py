"""Faust on Kafka, with one event for all records that one fetch brought of a partition.

Faust takes 140 to 220 us for an event, whatever is in it: five thousand labels a second would take it a whole core.
The only module that imports Faust.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import faust
from aiokafka.structs import ConsumerRecord
from faust.serializers.schemas import Schema
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from rendezvous.log import Record
from rendezvous.log.reading import Troubles
from rendezvous.monitoring.merging import Fetched

__all__ = ["SESSION_S", "TP", "application", "channel", "together"]

SESSION_S = 6.0
"""As the other services' members. A member that died comes back under its own name, and waits for nothing."""
HEARTBEAT_S = 0.5
COMMIT_S = 1.0
"""Between two commits; they follow the checkpoints, and only say where a next one begins to read."""
TALKATIVE = ("aiokafka", "aiokafka.conn", "aiokafka.consumer.fetcher", "aiokafka.consumer.group_coordinator")
"""Loggers: a filter counts for its own logger alone, not for those below it."""
INSTANCE = "monitor"
"""The member's name in its group: a second monitor of the endpoint takes the first one's place, and that one ends."""


class _BatchConsumer(driver.Consumer):
    """Hands the records of a fetch on together; also where a fetch brought none but passed a transaction's marker."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - Faust's own signature
        super().__init__(*args, **kwargs)
        self._told: dict[TP, int] = {}

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        self._told.clear()
        await super().on_partitions_assigned(assigned, generation_id)

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:  # noqa: ANN401, ASYNC109 - ditto
        found: Mapping[Any, list[Any]] = await super()._getmany(active_partitions, timeout) or {}
        batches: dict[TP, list[ConsumerRecord[Any, Any]]] = {}
        for part in self.assignment():
            reached = self._reached(part)
            records = found.get(part, [])
            if records or reached > self._told.get(part, 0):
                reached = max(reached, records[-1].offset + 1 if records else 0)
                since = self._told.get(part)
                if since is not None and records and records[0].offset < since:
                    since = None  # Faust has dropped what was in hand at a rebalance, and goes back to read it again
                batches[part] = [together(part, records, since, reached)]
                self._told[part] = reached
        return batches

    def _reached(self, part: TP) -> int:
        """The position after what the last fetch brought; -1 while it is not known."""
        held = self._thread._ensure_consumer()._subscription.subscription  # noqa: SLF001 - Faust looks there too
        if held is None or held.assignment is None:
            return -1
        state = held.assignment.state_value(part)
        return int(state.position) if state is not None and state.has_valid_position else -1


def together(part: TP, records: Sequence[Any], since: int | None, reached: int) -> ConsumerRecord[Any, Any]:
    """One event of a fetch.

    What a fetch brings that was under way while partitions changed hands, Faust throws away, and reads again from the
    last commit: then it comes from before `since`, which says nothing any more.
    """
    if since is not None and records and records[0].offset < since:
        since = None
    value = Fetched(
        [
            Record(part.topic, part.partition, one.offset, one.timestamp, one.key, one.value or b"", one.headers)
            for one in records
        ],
        since,
        reached,
    )
    return ConsumerRecord(part.topic, part.partition, reached - 1, 0, 1, None, cast("Any", value), None, 0, 0, ())


class _Transport(driver.Transport):
    Consumer = _BatchConsumer


class _AsItIs(Schema[Any, Any]):
    """Values stay what they are: they are read where they are used, by this project's own codec."""

    def loads_key(self, *_: Any, **__: Any) -> None:  # noqa: ANN401 - Faust's own signature
        return None

    def loads_value(self, app: Any, message: Any, **_: Any) -> Any:  # noqa: ANN401, ARG002 - ditto
        return message.value


class _Once(logging.Filter):
    """While a broker is away, Faust's client says twenty times a second what it cannot do: once in a while will do."""

    def __init__(self) -> None:
        super().__init__()
        self._troubles = Troubles()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a line is to be said."""
        return bool(self._troubles.say(str(record.msg), time.monotonic()))


def _quieten() -> None:
    """Faust tells every step of its start and its end; what goes wrong is worth a line."""
    once = _Once()
    for name in ("faust", "mode", "aiokafka"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in TALKATIVE:
        logging.getLogger(name).addFilter(once)


class _Application(faust.App):
    """It has no tables: there is nothing to put into folders, which Faust would make where it was started."""

    def _create_directories(self) -> None:
        pass


def application(bootstrap: str, group: str) -> faust.App:
    """An application of Faust that only reads: no web server, no tables, no topics of its own."""
    _quieten()
    app = _Application(
        group,
        broker=[f"kafka://{address}" for address in bootstrap.split(",")],
        web_enabled=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        consumer_auto_offset_reset="earliest",
        consumer_group_instance_id=INSTANCE,
        broker_session_timeout=SESSION_S,
        broker_heartbeat_interval=HEARTBEAT_S,
        broker_commit_interval=COMMIT_S,
        stream_wait_empty=False,  # what is not acknowledged is read again by the next one
        autodiscover=False,
        store="memory://",
    )
    app.transport = _Transport(app.conf.broker_consumer, app)
    return app


def channel(app: faust.App, names: Iterable[str]) -> Any:  # noqa: ANN401 - Faust types it as a protocol without `events`
    """A channel with what is fetched of some topics."""
    return app.topic(*names, schema=_AsItIs())
